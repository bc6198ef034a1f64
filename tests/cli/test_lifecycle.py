"""up, down and what lies between: the words that hands and scripts know."""
import json
import os
import signal
import subprocess
import threading

import pytest

from support import database, kernel
from support.program import wait_until

ONE = """
    services:
      box:
        image: busybox
        command: ["sleep", "1000000"]
        stop_signal: SIGKILL
"""


@pytest.fixture
def one(project, images):
    images("busybox")
    made = project(ONE)
    made("up", "-d")
    return made


def identifier(project, name="demo-box-1"):
    return project.ps("-a")[name]["ID"]


def test_ps_has_docker_compose_s_fields(one):
    row = one.ps()["demo-box-1"]
    for field in ("ID", "Name", "Service", "Project", "Image", "State", "Health", "ExitCode", "Publishers", "Status", "Command"):
        assert field in row, field
    assert (row["Service"], row["Project"], row["State"], row["Image"]) == ("box", "demo", "running", "busybox")
    assert one("ps", "-q").stdout.split()[0].startswith(row["ID"][:12])
    assert "demo-box-1" in one("ps").stdout


def test_up_again_changes_nothing(one):
    before = identifier(one)
    out = one("up", "-d")
    assert identifier(one) == before, out.stderr


def test_a_changed_configuration_recreates_that_service_alone(project, images):
    images("busybox")
    text = """
        services:
          a: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL, environment: {X: "%s"}}
          b: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL}
    """
    made = project(text % 1)
    made("up", "-d")
    a, b = identifier(made, "demo-a-1"), identifier(made, "demo-b-1")
    made.write("compose.yaml", text % 2)
    made("up", "-d", "--no-recreate")
    assert identifier(made, "demo-a-1") == a
    made("up", "-d")
    assert identifier(made, "demo-a-1") != a
    assert identifier(made, "demo-b-1") == b
    assert made.exec("a", "sh", "-c", "echo $X") == "2"
    made("up", "-d", "--force-recreate", "b")
    assert identifier(made, "demo-b-1") != b


def test_dry_run_changes_nothing(project, images):
    images("busybox")
    made = project(ONE)
    out = made("up", "-d", "--dry-run")
    assert "demo-box-1" in out.stdout + out.stderr
    assert made.ps("-a") == {}


def test_stop_start_restart_kill(one):
    one("stop")
    row = one.ps("-a")["demo-box-1"]
    assert row["State"] == "exited"
    assert one.ps() == {}
    before = row["ID"]
    one("start")
    assert one.ps()["demo-box-1"]["ID"] == before
    pid = one.exec("box", "cat", "/proc/1/stat")
    one("restart", "-t", "0")
    assert one.exec("box", "cat", "/proc/1/stat") != pid
    one("kill", "-s", "SIGKILL")
    wait_until(lambda: one.ps("-a")["demo-box-1"]["State"] == "exited")
    assert one.ps("-a")["demo-box-1"]["ExitCode"] == 137


def test_orphans_are_named_and_removed_when_asked(one):
    one.write("compose.yaml", ONE.replace("box:", "other:"))
    result = one("up", "-d")
    assert "demo-box-1" in result.stderr or "box" in result.stderr
    assert set(one.ps()) == {"demo-box-1", "demo-other-1"}
    one("up", "-d", "--remove-orphans")
    assert set(one.ps()) == {"demo-other-1"}


def test_scale_up_and_down(one):
    one("up", "-d", "--scale", "box=3")
    assert set(one.ps()) == {f"demo-box-{n}" for n in (1, 2, 3)}
    one("up", "-d", "--scale", "box=1")
    assert set(one.ps()) == {"demo-box-1"}


def test_down_waits_for_what_a_monitor_runs_at_the_end(one, berth):
    """What is in the monitors' cgroup a moment longer than the containers: the installation's cgroups go with it all the same."""
    monitors = [path for path in kernel.cgroups(berth.id) if os.path.exists(f"{path}/monitors/cgroup.procs")]
    assert monitors, kernel.cgroups(berth.id)
    slow = subprocess.Popen(["sh", "-c", 'echo $$ >"$0/monitors/cgroup.procs" && echo in && exec sleep 1', monitors[0]],
                            stdout=subprocess.PIPE)
    threading.Thread(target=slow.wait, daemon=True).start()
    assert slow.stdout.readline() == b"in\n"
    one("down", "--timeout", "0")
    assert kernel.cgroups(berth.id) == []


def test_exec_carries_status_environment_user_and_input(one):
    assert one("exec", "-T", "box", "sh", "-c", "exit 7", check=False).returncode == 7
    assert one("exec", "-T", "-e", "A=b c", "box", "sh", "-c", "echo $A").stdout == "b c\n"
    assert one("exec", "-T", "-u", "1000:2000", "box", "id", "-u").stdout == "1000\n"
    assert one("exec", "-T", "-w", "/tmp", "box", "pwd").stdout == "/tmp\n"
    assert one("exec", "-T", "box", "cat", input="through\n").stdout == "through\n"
    result = one("exec", "-T", "box", "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert one("exec", "-T", "box", "no-such-program", check=False).returncode in (126, 127)


def test_exec_by_container_name_from_any_folder(one):
    assert one.berth("exec", "-T", "demo-box-1", "echo", "hello").stdout == "hello\n"


def test_exec_into_a_stopped_service(one):
    one("stop")
    error = one.fails("exec", "-T", "box", "true")
    assert "box" in error and "run" in error  # "is not running"


def test_run_gives_status_output_and_leaves_nothing(one):
    result = one("run", "--rm", "-T", "-e", "A=1", "box", "sh", "-c", "echo $A; exit 5", check=False)
    assert (result.returncode, result.stdout) == (5, "1\n")
    assert set(one.ps("-a")) == {"demo-box-1"}


def test_run_entrypoint_and_volume(one):
    (one.folder / "shared").mkdir()
    (one.folder / "shared" / "file").write_text("seen\n")
    result = one("run", "--rm", "-T", "--no-deps", "--entrypoint", "cat", "-v", f"{one.folder}/shared:/shared:ro", "box", "/shared/file")
    assert result.stdout == "seen\n"


def test_run_starts_dependencies(project, images):
    images("busybox")
    made = project("""
        services:
          base: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL}
          job: {image: busybox, depends_on: [base], command: ["true"], profiles: [manual]}
    """)
    made("run", "--rm", "-T", "job", "true")
    assert made.ps()["demo-base-1"]["State"] == "running"


def test_wait_gives_the_exit_status(project, images):
    images("busybox")
    made = project("""
        services:
          job: {image: busybox, command: ["sh", "-c", "sleep 0.3; exit 9"]}
    """)
    made("up", "-d")
    result = made("wait", "job", check=False)
    assert result.returncode == 9
    assert made.ps("-a")["demo-job-1"]["ExitCode"] == 9


def test_restart_policies(project, images):
    images("busybox")
    made = project("""
        services:
          always: {image: busybox, command: ["sh", "-c", "echo begun; sleep 0.2"], restart: always}
          failing: {image: busybox, command: ["sh", "-c", "echo begun; exit 3"], restart: "on-failure:2"}
          good: {image: busybox, command: ["true"], restart: on-failure}
          never: {image: busybox, command: ["false"], restart: "no"}
    """)
    made("up", "-d")
    begun = lambda name: made("logs", "--no-log-prefix", name).stdout.count("begun")
    wait_until(lambda: begun("always") >= 3)
    wait_until(lambda: begun("failing") == 3 and made.ps("-a")["demo-failing-1"]["State"] == "exited")
    rows = made.ps("-a")
    assert rows["demo-good-1"]["State"] == rows["demo-never-1"]["State"] == "exited"
    made("stop", "always")
    count = begun("always")
    made("ps")
    assert made.ps("-a")["demo-always-1"]["State"] == "exited"
    assert begun("always") == count  # a stop by hand is respected


def test_dependencies_start_in_order_and_by_condition(project, images):
    images("busybox")
    made = project("""
        services:
          web: {image: busybox, command: ["sh", "-c", "cut -d' ' -f1 /proc/uptime; sleep 1000000"], stop_signal: SIGKILL,
                depends_on: {job: {condition: service_completed_successfully}, db: {condition: service_healthy}}}
          job: {image: busybox, command: ["sh", "-c", "sleep 0.3; cut -d' ' -f1 /proc/uptime"], depends_on: {db: {condition: service_healthy}}}
          db: {image: busybox, command: ["sh", "-c", "sleep 0.3; touch /ready; cut -d' ' -f1 /proc/uptime; sleep 1000000"], stop_signal: SIGKILL,
               healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 100ms, retries: 100}}
    """)
    made("up", "-d")
    stamp = lambda name: float(made("logs", "--no-log-prefix", name).stdout.split()[0])
    wait_until(lambda: made("logs", "--no-log-prefix", "web").stdout.strip())
    assert stamp("db") < stamp("job") < stamp("web")


def test_a_failed_dependency_stops_what_waits_for_it(project, images):
    images("busybox")
    made = project("""
        services:
          job: {image: busybox, command: ["false"]}
          web: {image: busybox, command: [sleep, "1000000"], depends_on: {job: {condition: service_completed_successfully}}}
    """)
    error = made.fails("up", "-d")
    assert "job" in error
    assert made.ps() == {}


@pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
@pytest.mark.parametrize("more", ["", "cap_add: [SYS_PTRACE]"], ids=["entered", "by-the-runtime"])
@pytest.mark.slow
def test_a_check_that_is_cut_off_does_the_server_no_harm(project, more):
    """A postmaster takes an orphan that ends by a signal for a crashed backend, and throws everybody out."""
    made = project(f"""
        services:
          db:
            image: postgres:{database.major()}
            environment: {{POSTGRES_PASSWORD: Xk29-fjw0-w9dk}}
            x-berth: {{images: host, backup: off}}
            healthcheck: {{test: [CMD-SHELL, "if [ -e /tmp/slow ]; then sleep 50 | sleep 50; fi; pg_isready -U postgres"], interval: 1s, timeout: 1s, retries: 2}}
            {more}
    """)
    made("up", "-d", "--wait")
    made("exec", "-T", "db", "touch", "/tmp/slow")
    wait_until(lambda: made.ps()["demo-db-1"]["Health"] == "unhealthy")
    made("exec", "-T", "db", "rm", "/tmp/slow")
    wait_until(lambda: made.ps()["demo-db-1"]["Health"] == "healthy")
    said = made("logs", "db").stdout
    assert "terminated" not in said and "reinitializing" not in said, said
    wait_until(lambda: "sleep 50" not in made("top").stdout)


def test_an_unhealthy_service_fails_wait(project, images):
    images("busybox")
    made = project("""
        services:
          db: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL,
               healthcheck: {test: ["CMD-SHELL", "echo the-reason; exit 1"], interval: 50ms, retries: 2}}
    """)
    error = made.fails("up", "-d", "--wait")
    assert "db" in error and "unhealthy" in error
    assert made.ps()["demo-db-1"]["Health"] == "unhealthy"


def test_wait_timeout(project, images):
    images("busybox")
    made = project("""
        services:
          db: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL,
               healthcheck: {test: ["CMD", "false"], interval: 1s, start_period: 1h}}
    """)
    error = made.fails("up", "-d", "--wait", "--wait-timeout", "1")
    assert "db" in error


def test_port_prints_the_address(project, images, free_port):
    images("busybox")
    port = free_port()
    made = project(f"""
        services:
          web: {{image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL, ports: ["127.0.0.1:{port}:80"]}}
    """)
    made("up", "-d")
    assert made("port", "web", "80").stdout.strip() == f"127.0.0.1:{port}"
    assert made.ps()["demo-web-1"]["Publishers"][0]["PublishedPort"] == port


def test_top_stats_images_ls_inspect(one, berth):
    assert "sleep" in one("top").stdout
    row = json.loads(one("stats", "--no-stream", "--format", "json").stdout.splitlines()[0])
    assert row["Name"] == "demo-box-1"
    assert "busybox" in one("images").stdout
    rows = [json.loads(line) for line in berth("ls", "--format", "json").stdout.splitlines()]
    if rows and isinstance(rows[0], list):
        rows = rows[0]
    assert [row["Name"] for row in rows] == ["demo"]
    assert one.inspect("demo-box-1")["Name"].lstrip("/") == "demo-box-1"


def test_events_tell_what_happens(one):
    events = one.start("events", "--format", "json")
    try:
        one("restart", "-t", "0")
        seen = []
        for line in events.stdout:
            event = json.loads(line)
            seen.append(event.get("action") or event.get("Action"))
            if "start" in seen:
                break
        assert "die" in seen and "stop" in seen and seen.index("die") < seen.index("stop")
    finally:
        events.kill()
        events.communicate()


def test_attached_up_shows_logs_and_ctrl_c_stops(project, images):
    images("busybox")
    made = project("""
        services:
          box: {image: busybox, stop_signal: SIGKILL, command: ["sh", "-c", "echo here; sleep 1000000"]}
    """)
    process = made.start("up")
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "here" in line:
                break
        assert any("box-1" in line and "here" in line for line in lines)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert made.ps() == {}
        assert made.ps("-a")["demo-box-1"]["State"] == "exited"
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_the_same_name_from_another_folder_is_refused(one, berth):
    from support.program import Project
    other = Project(berth, berth.root / "elsewhere" / "demo", ONE)
    error = other.fails("up", "-d")
    assert str(one.folder) in error and str(other.folder) in error
    other("-p", "demo", "up", "-d")


def test_two_projects_may_not_claim_one_container_name(berth, images):
    from support.program import Project
    images("busybox")
    text = ONE + "        container_name: the_one\n"
    first, second = (Project(berth, berth.root / name, text) for name in ("first", "second"))
    first("up", "-d")
    error = second.fails("up", "-d")
    assert "the_one" in error and "first" in error


def test_two_ups_at_once_queue(project, images):
    images("busybox")
    made = project(ONE)
    processes = [made.start("up", "-d") for _ in range(4)]
    results = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert [code for _, code in results] == [0, 0, 0, 0], results
    assert set(made.ps()) == {"demo-box-1"}


def test_profiles(project, images):
    images("busybox")
    made = project("""
        services:
          a: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL}
          b: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL, profiles: [extra]}
    """)
    made("up", "-d")
    assert set(made.ps()) == {"demo-a-1"}
    made("--profile", "extra", "up", "-d")
    assert set(made.ps()) == {"demo-a-1", "demo-b-1"}


def test_unknown_commands_and_flags_suggest_the_nearest(berth):
    assert "up" in berth.fails("upp") or "ps" in berth.fails("upp")
    assert "--detach" in berth.fails("up", "--detatch")
    assert berth("upp", check=False).returncode == 2


def test_version_and_help(berth):
    assert berth("version").stdout.strip()
    out = berth("help").stdout
    for command in ("up", "down", "ps", "logs", "exec", "run", "volume", "system"):
        assert command in out
    assert "--wait" in berth("up", "--help").stdout


def test_a_stop_that_comes_before_the_handler_is_heard_all_the_same(project, images):
    """The kernel drops it: PID 1 of a namespace has no default action. Docker then waits the whole grace and kills."""
    images("busybox")
    made = project("""
        services:
          late:
            image: busybox
            command: [sh, -c, "sleep 1; trap 'exit 5' TERM; while :; do sleep 0.1; done"]
            stop_grace_period: 60s
    """)
    made("up", "-d")
    made("stop")
    assert made.ps("-a")["demo-late-1"]["ExitCode"] == 5
