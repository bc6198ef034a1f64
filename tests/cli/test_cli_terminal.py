"""The command line at a terminal: progress in place, questions, Ctrl-C."""
import json
import os
import signal

import pytest

from support import program
from support.program import wait_until
from support.terminal import Terminal

SLEEPER = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.1; done"]
        stop_grace_period: 20s
        volumes: ["data:/data"]
    volumes:
      data: {}
"""


@pytest.fixture
def terminal():
    started = []

    def start(project, *arguments, columns=80, **environment):
        started.append(Terminal([str(program.BUILD / "berth"), *arguments], project.folder, {**project.berth.environment, **environment},
                                columns))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def fits(one, columns):
    assert max(map(len, one.lines)) <= columns, max(one.lines, key=len)


@pytest.mark.parametrize("columns", [80, 60, 200])
def test_progress_is_redrawn_in_place_and_fits(project, images, terminal, columns):
    images("busybox")
    made = project(SLEEPER, name="a-project-with-a-rather-long-name-that-has-to-be-cut")
    up = terminal(made, "up", "-d", columns=columns)
    assert up.end() == 0
    assert "\x1b[" in up.text and "[+] Running" in up.text
    assert any(line.endswith("s") and "Started" in line for line in up.lines)
    fits(up, columns)
    down = terminal(made, "down", columns=columns)
    assert down.end() == 0
    fits(down, columns)


def test_progress_on_a_pipe_is_plain_lines_and_as_json_objects(project, images):
    images("busybox")
    made = project(SLEEPER)
    lines = made("up", "-d").stderr.splitlines()
    assert " Container demo-web-1  Created" in [line[:len(" Container demo-web-1  Created")] for line in lines]
    assert "\x1b" not in "".join(lines)
    events = [json.loads(line) for line in made("--progress", "json", "restart", "-t", "0").stderr.splitlines()]
    assert {"resource"} <= {event["event"] for event in events}
    assert made("--progress", "quiet", "stop", "-t", "0").stderr == ""


def test_ps_at_a_narrow_terminal_is_cut_to_fit(project, images, terminal):
    images("busybox")
    made = project(SLEEPER, name="a-project-with-a-rather-long-name-indeed")
    made("up", "-d")
    ps = terminal(made, "ps", columns=100)
    assert ps.end() == 0
    fits(ps, 100)
    assert "a-project-with-a-rather-long-name-indeed-web-1" in made("ps").stdout  # on a pipe nothing is cut


def test_ps_leaves_out_what_matters_least_before_it_cuts_names(project, images, terminal, free_port):
    images("busybox")
    port = free_port()
    made = project(SLEEPER.replace("image: busybox", f'image: busybox\n        ports: ["127.0.0.1:{port}:5432"]', 1), name="quickstart")
    made("up", "-d")
    narrow, wide = terminal(made, "ps", columns=80), terminal(made, "ps", columns=200)
    assert narrow.end() == 0 and wide.end() == 0
    fits(narrow, 80)
    assert "quickstart-web-1 " in narrow.text and f"127.0.0.1:{port}-" in narrow.text and "COMMAND" not in narrow.text
    assert all(heading in wide.text for heading in ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"))


def test_attached_up_ends_gracefully_on_ctrl_c(project, images, terminal):
    images("busybox")
    made = project(SLEEPER)
    up = terminal(made, "up")
    up.expect(r"web-1  \| hello").type("\x03")
    assert up.end() == 130
    assert "Gracefully stopping" in up.text
    row = made.ps("-a")["demo-web-1"]
    assert (row["State"], row["ExitCode"]) == ("exited", 0)  # it was asked, not killed
    assert "bye" in made("logs").stdout


def test_ctrl_c_stops_what_was_named_only(project, images, terminal):
    """A dependency may have been there before and serve others: as with docker compose it goes on."""
    images("busybox")
    made = project(SLEEPER.replace("volumes:\n      data", "  db: {image: busybox, command: sleep 1000, init: true}\n    volumes:\n      data")
                   .replace("image: busybox", "image: busybox\n        depends_on: [db]", 1))
    made("up", "-d", "db")
    up = terminal(made, "up", "web")
    up.expect(r"web-1  \| hello").type("\x03")
    assert up.end() == 130
    rows = made.ps("-a")
    assert (rows["demo-web-1"]["State"], rows["demo-db-1"]["State"]) == ("exited", "running")


def test_ctrl_c_before_all_is_started_stops_too(project, images, terminal):
    """The first container runs, the second waits for its health, which never comes."""
    images("busybox")
    made = project("""
        services:
          first: {image: busybox, command: sleep 1000, init: true, healthcheck: {test: "false", interval: 60s, start_period: 600s}}
          second: {image: busybox, command: sleep 1000, init: true, depends_on: {first: {condition: service_healthy}}}
        """)
    up = terminal(made, "up")
    up.expect("first-1 +Waiting").type("\x03")
    assert up.end() == 130
    rows = made.ps("-a")
    assert (rows["demo-first-1"]["State"], rows["demo-second-1"]["State"]) == ("exited", "created")
    detached = terminal(made, "up", "-d")
    detached.expect("first-1 +Waiting").type("\x03")
    assert detached.end() == 130
    assert made.ps("-a")["demo-first-1"]["State"] == "running"


@pytest.mark.slow
def test_a_second_ctrl_c_kills(project, images, terminal):
    images("busybox")
    made = project(SLEEPER.replace("trap 'echo bye; exit 0' TERM", "trap '' TERM"))
    up = terminal(made, "up")
    up.expect(r"web-1  \| hello").type("\x03").expect("Stopping").type("\x03")
    assert up.end() == 130
    row = made.ps("-a")["demo-web-1"]
    assert (row["State"], row["ExitCode"]) == ("exited", 137)


def test_ctrl_c_ends_following_and_leaves_the_container(project, images, terminal):
    images("busybox")
    made = project(SLEEPER)
    made("up", "-d")
    logs = terminal(made, "logs", "-f")
    logs.expect("hello").type("\x03")
    assert logs.end() == 130
    assert "error" not in logs.text
    assert made.ps()["demo-web-1"]["State"] == "running"


def test_terminate_is_ctrl_c(project, images):
    images("busybox")
    made = project(SLEEPER)
    up = made.start("up")
    while "hello" not in up.stdout.readline():
        pass
    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=60)
    assert up.returncode == 130
    assert made.ps("-a")["demo-web-1"]["State"] == "exited"


@pytest.mark.parametrize("answer, gone", [("n\n", False), ("\n", False), ("yes\n", True)])
def test_down_v_lists_what_would_be_lost_and_asks(project, images, terminal, answer, gone):
    images("busybox")
    made = project(SLEEPER)
    made("up", "-d")
    down = terminal(made, "down", "-v", "-t", "0")
    down.expect(r"demo_data").expect(r"Remove 1 volume of project \"demo\".*\? \[y/N\]").type(answer)
    assert down.end() == (0 if gone else 1)
    assert ("nothing was changed" in down.text) != gone
    assert made.berth("volume", "ls", "-q").stdout == ("" if gone else "demo_data\n")
    assert bool(made.ps("-a")) != gone


def test_what_exec_leaves_when_it_is_killed(project, images, terminal):
    """Without a terminal the command goes on, as with docker; with one it is hung up."""
    images("busybox")
    deployment = project("services: {box: {image: busybox, command: [sleep, '1000000'], stop_signal: SIGKILL}}")
    deployment("up", "-d")

    def running(seconds):
        return f"sleep {seconds}" in deployment("top", "box").stdout

    plain = deployment.start("exec", "-T", "box", "sleep", "7001")
    wait_until(lambda: running(7001))
    shown = terminal(deployment, "exec", "box", "sleep", "7002")
    wait_until(lambda: running(7002))
    for process in (plain, shown.process):
        process.kill()
        process.wait()
    wait_until(lambda: not running(7002))
    assert running(7001)


def test_exec_has_a_terminal_where_there_is_one(project, images, terminal):
    images("busybox")
    made = project(SLEEPER)
    made("up", "-d")
    shell = terminal(made, "exec", "web", "sh")
    shell.type("test -t 0 && echo is-a-$((40+2))-terminal; exit 3\n").expect("is-a-42-terminal")
    assert shell.end() == 3
    assert made("exec", "web", "sh", "-c", "test -t 0", check=False).returncode == 1


def test_colour_is_for_terminals(project, images, terminal):
    images("busybox")
    made = project(SLEEPER)
    made("up", "-d")
    assert "\x1b" not in made("logs").stdout
    assert b"\x1b[36mweb-1" in (lambda one: (one.end(), one.raw))(terminal(made, "logs"))[1]
    for arguments, environment in ((["--no-color", "logs"], {}), (["logs", "--no-color"], {}), (["--ansi", "never", "logs"], {}),
                                   (["logs"], {"NO_COLOR": "1"})):
        one = terminal(made, *arguments, **environment)
        assert one.end() == 0
        assert b"\x1b" not in one.raw, arguments
