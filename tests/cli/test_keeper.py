"""The keeper's own life: its start and end, its replacement, what conmon and a boot do for it, and what it refuses."""
import json
import os
import shutil
import signal
import socket
import subprocess

import pytest

from support import kernel, program
from support.program import BUILD, wait_until

SLEEPS = '["sh", "-c", "while :; do sleep 1; done"]'


def keeper(berth, project):
    try:
        pid = berth.keeper_pid(project)
        os.kill(pid, 0)
        return pid
    except (OSError, ValueError, AttributeError):
        return None


class Line:
    """The control socket, by hand."""

    def __init__(self, berth, project):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        folder = os.open(berth.run / "projects" / project, os.O_PATH | os.O_DIRECTORY)
        self.socket.connect(f"/proc/self/fd/{folder}/keeper.sock")
        os.close(folder)
        self.file = self.socket.makefile("rw")
        self.greeting = json.loads(self.file.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, method, **params):
        self.file.write(json.dumps({"method": method, "params": params}) + "\n")
        self.file.flush()

    def end(self):
        for line in self.file:
            line = json.loads(line)
            if "result" in line or "error" in line:
                return line
        return None


@pytest.fixture
def one(project, images):
    images("busybox")
    made = project(f"""
        services:
          box: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL, restart: unless-stopped}}
    """)
    made("up", "-d")
    return made


def test_it_ends_when_nothing_is_left(one, berth):
    assert keeper(berth, "demo")
    one("down")
    wait_until(lambda: keeper(berth, "demo") is None)
    assert not (berth.run / "projects" / "demo" / "keeper.sock").exists()


def test_only_root_and_its_own_may_ask(one, berth):
    path = berth.run / "projects" / "demo" / "keeper.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)  # even then: the peer's user is looked at
    for folder in [berth.root, berth.run, berth.run / "projects", berth.run / "projects" / "demo"]:
        folder.chmod(0o755)
    probe = ("import os, socket, sys\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\nos.chdir(sys.argv[1])\n"
             "s = socket.socket(socket.AF_UNIX)\ns.connect('keeper.sock')\ns.settimeout(30)\n"
             "try: print(len(s.recv(100)))\nexcept ConnectionError: print(0)")
    result = subprocess.run(["python3", "-c", probe, str(path.parent)], capture_output=True, text=True)
    assert result.stdout.strip() == "0", result
    with Line(berth, "demo") as line:
        assert line.greeting["berth"] == 1 and line.greeting["project"] == "demo"


def test_status_unknown_methods_and_rubbish(one, berth):
    with Line(berth, "demo") as line:
        line.send("status")
        assert line.end()["result"]["containers"][0]["name"] == "demo-box-1"
        line.send("nonsense")
        assert line.end()["error"]["kind"] == "unsupported"
    with Line(berth, "demo") as line:
        line.file.write("rubbish\n")
        line.file.flush()
        assert line.file.readline() == ""
    assert keeper(berth, "demo")


def test_it_replaces_itself_under_running_containers(one, berth):
    before, pid = one.ps()["demo-box-1"], keeper(berth, "demo")
    with Line(berth, "demo") as line:
        line.send("reexec")
        assert line.end() is None
    def again():
        try:
            with Line(berth, "demo") as line:
                line.send("status")
                return line.end()["result"]["containers"]
        except OSError:
            return None
    assert wait_until(again)[0]["state"] == "running"
    assert keeper(berth, "demo") == pid  # the same process, with the installed program in it
    assert one.ps()["demo-box-1"]["ID"] == before["ID"]


def test_an_update_of_the_same_version_takes_its_place(images, project, berth):
    """Another file under the same name: the next command has it run, and the containers notice nothing."""
    images("busybox")
    libexec = berth.root / "libexec"
    libexec.mkdir()
    for program in BUILD.iterdir():
        if program.name.startswith("berth-") and program.is_file():
            shutil.copy(program, libexec)
    berth.environment["BERTH_LIBEXEC_DIR"] = str(libexec)
    one = project("services: {box: {image: busybox, command: [sleep, '1000000'], stop_signal: SIGKILL}}")
    one("up", "-d")
    pid, before = keeper(berth, "demo"), one.ps()["demo-box-1"]["ID"]
    old = os.stat(f"/proc/{pid}/exe").st_ino
    shutil.copy(libexec / "berth-keeper", libexec / "new")
    os.rename(libexec / "new", libexec / "berth-keeper")
    one("up", "-d")
    assert os.stat(f"/proc/{keeper(berth, 'demo')}/exe").st_ino != old
    assert one.ps()["demo-box-1"]["ID"] == before


def test_conmon_revives_it(one, berth):
    """No command comes: the container's own end brings the keeper back, and its policy is carried out."""
    os.kill(keeper(berth, "demo"), signal.SIGKILL)
    started = one.inspect("demo-box-1")["State"]["StartedAt"]
    os.kill(int(one.inspect("demo-box-1")["State"]["Pid"]), signal.SIGKILL)
    wait_until(lambda: one.inspect("demo-box-1")["State"]["StartedAt"] != started)
    wait_until(lambda: one.ps().get("demo-box-1", {}).get("State") == "running")
    assert keeper(berth, "demo")


def test_a_boot_brings_back_what_its_policies_say(project, images, berth):
    images("busybox")
    made = project(f"""
        services:
          back: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL, restart: unless-stopped}}
          stopped: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL, restart: unless-stopped}}
          gone: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL}}
    """)
    made("up", "-d")
    made("stop", "stopped")
    # The power fails: everything that runs is gone at once, and the keeper with it.
    os.kill(keeper(berth, "demo"), signal.SIGKILL)
    for pid, command in kernel.processes(berth.root).items():
        if "conmon" in command:
            os.kill(pid, signal.SIGKILL)
    for name in ("back", "gone"):
        os.kill(int(made.inspect(f"demo-{name}-1")["State"]["Pid"]), signal.SIGKILL)
    wait_until(lambda: all(row["State"] != "running" for row in made.ps("-a").values()))
    subprocess.run([program.BUILD / "berth-keeper", "boot"], env=berth.environment, check=True)
    wait_until(lambda: made.ps("-a")["demo-back-1"]["State"] == "running")
    states = {name: row["State"] for name, row in made.ps("-a").items()}
    assert states == {"demo-back-1": "running", "demo-stopped-1": "exited", "demo-gone-1": "exited"}


def test_hooks(project, images):
    images("busybox")
    made = project("""
        services:
          box:
            image: busybox
            command: ["sh", "-c", "trap 'cat /tmp/said; exit 0' TERM; while :; do sleep 0.1; done"]
            post_start: [{command: ["sh", "-c", "echo after start > /tmp/said"]}]
            pre_stop: [{command: ["sh", "-c", "echo before stop >> /tmp/said"]}]
    """)
    made("up", "-d")
    made("stop")
    assert made("logs", "--no-log-prefix").stdout.splitlines() == ["after start", "before stop"]


def test_down_while_a_restart_is_due(project, images):
    images("busybox")
    made = project("""
        services:
          job: {image: busybox, command: ["sh", "-c", "exit 1"], restart: always}
    """)
    for _ in range(5):
        made("up", "-d")
        made("down")
        assert made.ps("-a") == {}


def test_a_second_folder_needs_the_name(project, one, berth):
    other = project(f"services: {{box: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL}}}}", name="elsewhere/demo")
    error = other.fails("up", "-d")
    assert str(one.folder) in error and str(other.folder) in error
    assert one.ps()["demo-box-1"]["State"] == "running"


def test_a_keeper_of_another_installation_is_not_talked_to(project, images, berth):
    """One run folder with two data folders: what is asked here would happen there."""
    images("busybox")
    made = project(f"services: {{box: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL, volumes: ['data:/data']}}}}\nvolumes: {{data: }}")
    made("up", "-d")
    other = berth.root / "other"
    error = made.fails("down", "-v", "--yes", env={"BERTH_DATA_DIR": str(other)})
    assert "another installation" in error and str(berth.data) in error and "BERTH_RUN_DIR" in error
    assert made.ps()["demo-box-1"]["State"] == "running"
