"""The verbs as hands know them: names, flags and meanings of docker compose."""
import json
import os
import signal
import subprocess

import pytest

from support.program import BUILD, wait_until

TWO = """
    services:
      web:
        image: busybox
        command: ["sh", "-c", "echo from web; sleep 1000000"]
        stop_signal: SIGKILL
        depends_on: [db]
      db:
        image: busybox
        container_name: the_database
        command: ["sh", "-c", "echo from db; sleep 1000000"]
        stop_signal: SIGKILL
        labels: {role: data}
"""


@pytest.fixture
def two(project, images):
    images("busybox")
    made = project(TWO)
    made("up", "-d")
    return made


# ---- which project, which service ----

def test_container_names_stand_for_services_from_any_folder(two):
    berth = two.berth
    assert berth("exec", "-T", "the_database", "echo", "hi").stdout == "hi\n"
    assert "from db" in berth("logs", "the_database").stdout and "from web" not in berth("logs", "the_database").stdout
    assert list(berth.ps("the_database")) == ["the_database"]
    berth("stop", "the_database")
    assert two.ps("-a")["the_database"]["State"] == "exited"
    berth("start", "the_database")
    assert two.ps()["the_database"]["State"] == "running"
    assert two("exec", "-T", "the_database", "echo", "here").stdout == "here\n"


def test_a_container_of_another_project_is_found_in_spite_of_a_compose_file_here(two, project):
    other = project("services: {x: {image: busybox}}", name="other")
    assert other("exec", "-T", "the_database", "echo", "hi").stdout == "hi\n"


def test_p_alone_reaches_a_project_from_anywhere(two):
    berth = two.berth
    assert set(berth.ps("-p", "demo")) == {"demo-web-1", "the_database"}
    assert "from web" in berth("-p", "demo", "logs", "web").stdout
    berth("-p", "demo", "restart", "-t", "0", "web")
    berth("-p", "demo", "down")
    assert berth.ps("-p", "demo", "-a") == {}


def test_an_unknown_service_names_the_nearest(two):
    error = two.fails("logs", "wbe")
    assert error.splitlines() == ["error: no such service: wbe", 'hint: Did you mean "web"?']
    error = two.fails("logs", "something-else")
    assert error.splitlines()[1] == 'hint: The services of project "demo" are db, web.'


def test_all_errors_of_a_file_are_printed_with_their_places(project):
    made = project("services:\n  a:\n    image: busybox\n    prots: []\n  b:\n    image: busybox\n    networks: [nowhere]\n")
    error = made.fails("ps")
    assert "compose.yaml:4:5: " in error and "prots" in error
    assert error.count("error: ") >= 1


def test_the_compose_file_may_come_from_standard_input(project, images):
    images("busybox")
    made = project()
    made("-f", "-", "-p", "piped", "up", "-d", input='services: {a: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL}}\n')
    assert "piped-a-1" in made.berth.ps("-p", "piped")


# ---- ps ----

def test_ps_filters_and_formats(two):
    two("stop", "web")
    assert set(two.ps()) == {"the_database"}
    assert set(two.ps("-a")) == {"demo-web-1", "the_database"}
    assert set(two.ps("--status", "exited")) == {"demo-web-1"}
    assert set(two.ps("--filter", "status=running")) == {"the_database"}
    assert two("ps", "-a", "--services").stdout.split() == ["db", "web"]
    assert two("ps", "-a", "--format", "{{.Service}}={{.State}}").stdout.split() == ["db=running", "web=exited"]
    assert two("ps").stdout.split("\n")[0].split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert "unknown status" in two.fails("ps", "--status", "sleeping")
    row = two.ps()["the_database"]
    assert "role=data" in row["Labels"].split(",")
    assert row["Publishers"] == []


def test_ps_tells_what_is_between_two_runs(project, images):
    images("busybox")
    made = project("""
        services:
          job: {image: busybox, restart: always, command: ["sh", "-c", "exit 5"]}
    """)
    made("up", "-d")
    row = wait_until(lambda: made.ps("--status", "restarting").get("demo-job-1"))
    assert row["State"] == "restarting" and row["Status"].startswith("Restarting (5) ")
    made("stop")
    assert made.ps("-a")["demo-job-1"]["State"] == "exited"


def test_reading_needs_no_keeper(two):
    pid = two.berth.keeper_pid("demo")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}/exe") or open(f"/proc/{pid}/stat").read().split()[2] == "Z")
    for line in (["ps"], ["logs"], ["exec", "-T", "web", "true"], ["inspect", "web"], ["top"], ["stats", "--no-stream"], ["images"],
                 ["ls"], ["volume", "ls"], ["network", "ls"]):
        two(*line)
    assert not [one for one in os.listdir("/proc") if one.isdigit() and is_keeper_of(two.berth, one)]


def is_keeper_of(berth, pid):
    try:
        return (os.readlink(f"/proc/{pid}/exe").endswith("berth-keeper") and
                f"BERTH_RUN_DIR={berth.run}".encode() in open(f"/proc/{pid}/environ", "rb").read())
    except OSError:
        return False


# ---- logs ----

def test_logs_of_several_services_are_in_order_of_time(project, images):
    images("busybox")
    made = project("""
        services:
          a: {image: busybox, command: ["sh", "-c", "for i in 1 2 3 4 5 6; do echo a$$i; sleep 0.2; done"]}
          bee: {image: busybox, command: ["sh", "-c", "for i in 1 2 3 4 5 6; do echo b$$i; sleep 0.2; done"]}
    """)
    made("up", "-d")
    made("wait", "a", "bee")
    text = made("logs").stdout
    stamps = [line.split("| ", 1)[1].split(" ")[0] for line in made("logs", "-t").stdout.splitlines()]
    assert stamps == sorted(stamps) and len(stamps) == 12
    assert {line.split("|")[0] for line in text.splitlines()} == {"a-1    ", "bee-1  "}


def test_logs_to_a_reader_that_stops_reading(two):
    result = subprocess.run(["sh", "-c", f"{BUILD}/berth logs | head -1"], cwd=two.folder, env=two.berth.environment, capture_output=True, text=True)
    assert len(result.stdout.splitlines()) == 1 and result.stderr == ""


# ---- attach ----

def test_attach_joins_input_and_output_and_ends_with_the_exit_status(project, images):
    images("busybox")
    made = project("""
        services:
          a: {image: busybox, command: [sh, -c, "read line; echo got $$line; echo bad >&2; exit 7"], stdin_open: true, stop_signal: SIGKILL}
    """)
    made("up", "-d")
    result = made("attach", "a", input="hello\n", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (7, "got hello\n", "bad\n")
    assert "not running" in made.fails("attach", "a")
    made("start", "a")
    assert made("attach", "demo-a-1", input="again\n", check=False).stdout == "got again\n"


@pytest.mark.parametrize("options, status, state", [((), 3, "exited"), (("--sig-proxy=false",), 130, "running")])
def test_ctrl_c_while_attached_is_for_the_container(project, images, options, status, state):
    images("busybox")
    made = project("""
        services:
          a: {image: busybox, command: [sh, -c, "trap 'exit 3' INT; while :; do echo tick; sleep 0.1; done"], stop_signal: SIGKILL}
    """)
    made("up", "-d")
    process = made.start("attach", "--no-stdin", *options, "a")
    assert process.stdout.readline() == "tick\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == status
    assert made.ps("-a")["demo-a-1"]["State"] == state


# ---- attached up ----

def test_attached_up_ends_when_everything_has_ended(project, images):
    images("busybox")
    made = project("""
        services:
          job: {image: busybox, command: ["sh", "-c", "echo working; exit 3"]}
    """)
    result = made("up")
    assert "job-1  | working" in result.stdout
    assert "job-1 exited with code 3" in result.stdout


def test_exit_code_from_stops_the_rest(project, images):
    images("busybox")
    made = project("""
        services:
          server: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL}
          job: {image: busybox, command: ["sh", "-c", "echo working; exit 7"]}
    """)
    result = made("up", "--exit-code-from", "job", check=False)
    assert result.returncode == 7, result.stderr
    assert made.ps() == {}


def test_attached_up_follows_a_container_over_its_restarts(project, images):
    images("busybox")
    made = project("""
        services:
          job: {image: busybox, restart: "on-failure:2", command: ["sh", "-c", "echo try; exit 1"]}
    """)
    result = made("up")
    assert result.stdout.count("job-1  | try") == 3
    assert result.stdout.count("job-1 exited with code 1") == 3


def test_up_attach_and_no_attach(project, images):
    images("busybox")
    made = project("""
        services:
          a: {image: busybox, command: [echo, from-a]}
          b: {image: busybox, command: [echo, from-b]}
    """)
    out = made("up", "--no-attach", "b", "--no-log-prefix").stdout
    assert "from-a" in out and "from-b" not in out and "|" not in out


# ---- the others ----

def test_create_then_start(project, images):
    images("busybox")
    made = project(TWO)
    made("create")
    assert {row["State"] for row in made.ps("-a").values()} == {"created"}
    assert 'service "db" is not running' in made.fails("exec", "db", "true")
    made("start")
    assert {row["State"] for row in made.ps().values()} == {"running"}


def test_start_of_nothing_says_what_to_do(project):
    made = project(TWO)
    error = made.fails("start")
    assert "has no containers to start" in error and "berth up -d" in error


def test_pause_and_unpause(two):
    two("pause", "db")
    assert two.ps()["the_database"]["State"] == "paused"
    assert "(Paused)" in two.ps()["the_database"]["Status"]
    two("unpause", "db")
    assert two.ps()["the_database"]["State"] == "running"


def test_rm_asks_without_force(two):
    two("stop")
    assert "--force" in two.fails("rm")
    two("rm", "-f")
    assert two.ps("-a") == {}
    assert "No stopped containers" in two("rm").stderr


def test_down_of_nothing_says_so(project):
    made = project(TWO)
    result = made("down")
    assert 'warning: no resource found to remove for project "demo"' in result.stderr


def test_scale(project, images):
    images("busybox")
    made = project('services: {a: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL}}')
    made("scale", "a=2")
    assert set(made.ps()) == {"demo-a-1", "demo-a-2"}
    assert made("exec", "-T", "--index", "2", "a", "hostname").stdout.strip() == made.ps()["demo-a-2"]["ID"][:12]
    assert "has no container 3" in made.fails("exec", "--index", "3", "a", "true")
    assert "is not SERVICE=NUMBER" in made.fails("scale", "a=many")


def test_run_detached_and_named(project, images):
    images("busybox")
    made = project(TWO)
    assert made("run", "-d", "--name", "mine", "--no-deps", "web", "sleep", "1000000").stdout == "mine\n"
    assert "mine" not in made.ps()
    assert made.ps("-a")["mine"]["State"] == "running"
    made("down")
    assert made.ps("-a") == {}


def test_run_passes_input_and_output(project, images):
    images("busybox")
    made = project(TWO)
    result = made("run", "--rm", "-T", "--no-deps", "web", "sh", "-c", "cat; echo problem >&2; exit 4", input="through\n", check=False)
    assert (result.returncode, result.stdout) == (4, "through\n")
    assert "problem" in result.stderr
    assert made.ps("-a") == {}


def test_cp_both_ways_and_never_through_a_link_out_of_the_container(two, tmp_path):
    source = tmp_path / "one.txt"
    source.write_text("content")
    two("cp", source, "db:/tmp/")
    assert two.exec("db", "cat", "/tmp/one.txt") == "content"
    two("cp", "db:/tmp/one.txt", tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_text() == "content"
    victim = tmp_path / "victim"
    victim.write_text("mine")
    two.exec("db", "ln", "-s", str(victim), "/tmp/trap")
    two("cp", source, "db:/tmp/trap")
    assert victim.read_text() == "mine"
    two.exec("db", "ln", "-s", str(tmp_path), "/tmp/trapdoor")
    two.fails("cp", source, "db:/tmp/trapdoor/new")
    assert not (tmp_path / "new").exists()
    assert "one of the two must be SERVICE:PATH" in two.fails("cp", "a", "b")


def test_events_as_objects(two):
    follow = two.start("events", "--json", "web")
    two("restart", "-t", "0", "web")
    seen = []
    while "start" not in seen:
        event = json.loads(follow.stdout.readline())
        assert event["service"] == "web" and event["type"] == "container"
        seen.append(event["action"])
    follow.send_signal(signal.SIGINT)
    follow.communicate(timeout=30)
    assert follow.returncode == 130
    assert "die" in seen


def test_every_listing_has_json(two):
    two.berth("volume", "create", "v")
    for line in (["ps"], ["images"], ["ls"], ["volume", "ls"], ["network", "ls"], ["image", "ls"], ["top"], ["stats", "--no-stream"],
                 ["system", "df"], ["volumes"], ["version"]):
        out = two(*line, "--format", "json").stdout
        for text in out.splitlines():
            json.loads(text)
        assert out.strip() or line == ["volumes"], line


def test_ls_explains_what_is_in_the_kernel(two):
    text = two("ls", "-v").stdout
    assert "bridge" in text and "network demo_default" in text and "container the_database" in text


def test_system_prune_leaves_what_is_owned(two):
    two("system", "prune")
    assert two.exec("web", "ping", "-c", "1", "-W", "5", "db")
