"""logs: what a container said, in order, with time, and never more of it on disk than was allowed."""
import re

import pytest

from support.program import wait_until


@pytest.fixture
def talker(project, images):
    images("busybox")
    made = project("""
        services:
          talker: {image: busybox, command: ["sh", "-c", "for i in 1 2 3 4 5; do echo line $$i; done; echo bad >&2"]}
    """)
    made("up", "-d")
    made("wait", "talker", check=False)
    return made


def test_lines_prefix_and_streams(talker):
    assert talker("logs").stdout.splitlines()[0].split("|")[0].strip() == "talker-1"
    result = talker("logs", "--no-log-prefix")
    assert (result.stdout + result.stderr).splitlines() == [f"line {n}" for n in range(1, 6)] + ["bad"]


def test_tail_and_time_stamps(talker):
    result = talker("logs", "--no-log-prefix", "-n", "2")
    assert len((result.stdout + result.stderr).splitlines()) == 2
    stamped = talker("logs", "--no-log-prefix", "-t", "-n", "1")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", stamped.stdout + stamped.stderr)


def test_output_that_cannot_be_written_is_not_blamed_on_our_own_folders(talker):
    with open("/dev/full", "w") as full:
        command = talker.start("logs", stdout=full)
        errors = command.communicate(timeout=60)[1]
    assert command.returncode == 1
    assert "write standard output: No space left on device" in errors and "df -h" not in errors


def test_since_and_until(talker):
    assert talker("logs", "--since", "1h").stdout
    assert talker("logs", "--until", "1h").stdout == ""
    assert talker("logs", "--since", "2999-01-01T00:00:00Z").stdout == ""


def test_logs_by_container_name_from_any_folder(talker):
    assert "line 1" in talker.berth("logs", "demo-talker-1").stdout


def test_follow_sees_new_lines_and_ends_with_the_container(project, images):
    images("busybox")
    made = project("""
        services:
          box: {image: busybox, command: ["sh", "-c", "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo last"]}
    """)
    made("up", "-d")
    follow = made.start("logs", "-f", "--no-log-prefix")
    assert follow.stdout.readline() == "first\n"
    touch = made("exec", "-T", "box", "touch", "/go", check=False)
    assert touch.returncode in (0, 137)  # the container's end may be faster than its own
    out, _ = follow.communicate(timeout=60)
    assert "last" in out and follow.returncode == 0


@pytest.mark.slow
def test_rotation(project, images):
    images("busybox")
    made = project("""
        services:
          box:
            image: busybox
            command: ["sh", "-c", "i=0; while [ $$i -lt 4000 ]; do echo $$i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$$((i+1)); done; touch /done; sleep 1000000"]
            stop_signal: SIGKILL
            logging: {options: {max-size: 64k, max-file: "3"}}
    """)
    made("up", "-d")
    wait_until(lambda: made("exec", "-T", "box", "test", "-e", "/done", check=False).returncode == 0)
    logs = lambda: [path for path in made.berth.data.glob("projects/demo/containers/*/logs/*") if path.is_file()]
    wait_until(lambda: sum(path.stat().st_size for path in logs()) <= 4 * 64 * 1024)
    assert 1 <= len(logs()) <= 3
    lines = made("logs", "--no-log-prefix").stdout.splitlines()
    assert lines[-1].startswith("3999-")
    numbers = [int(line.split("-")[0]) for line in lines]
    assert numbers == list(range(numbers[0], 4000))  # what is kept has no gap


def test_long_lines_without_an_end(project, images):
    images("busybox")
    made = project("""
        services:
          box: {image: busybox, command: ["sh", "-c", "head -c 100000 /dev/zero | tr '\\\\0' x; echo; printf unfinished"]}
    """)
    made("up", "-d")
    made("wait", "box", check=False)
    lines = made("logs", "--no-log-prefix").stdout.splitlines()
    assert [len(line) for line in lines] == [100000, len("unfinished")]
