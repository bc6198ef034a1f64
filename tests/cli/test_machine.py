"""A machine with projects on it: it goes down, it comes up, and whoever typed a command leaves."""
import os
import pathlib
import subprocess

import pytest

from support import program
from support.program import wait_until

SLEEPS = '["sh", "-c", "while :; do sleep 1; done"]'


def keeper(*arguments):
    def call(berth):
        return subprocess.run([program.BUILD / "berth-keeper", *arguments], env=berth.environment, check=True, timeout=300)
    return call


halt, boot = keeper("halt"), keeper("boot")


def says_at_its_end(text, before="", more=""):
    """A service that writes a word into a file when it is told to stop."""
    script = f"trap '{before} echo {text} >> /said/words; exit 0' TERM; while :; do sleep 0.1; done"
    return (f'{{image: busybox, command: ["sh", "-c", "{script}"], volumes: ["said:/said"], stop_grace_period: 2m, '
            f'restart: unless-stopped{more}}}')


@pytest.fixture
def words(project, images):
    """Two services that say when they end, the second on top of the first; one by hand, one without a policy."""
    images("busybox")
    made = project(f"""
        services:
          below: {says_at_its_end("below")}
          above: {says_at_its_end("above", "sleep 2;", ", depends_on: [below]")}
          by_hand: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL, restart: unless-stopped}}
          job: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL}}
        volumes: {{said: }}
    """)
    made("up", "-d")
    made("stop", "by_hand")
    return made


def states(made):
    return {name: row["State"] for name, row in made.ps("-a").items()}


def said(berth):
    return (berth.data / "volumes/demo_said/_data/words").read_text().split()


ALL_RESTS = {"demo-below-1": "exited", "demo-above-1": "exited", "demo-by_hand-1": "exited", "demo-job-1": "exited"}


def test_a_shutdown_stops_everything_in_order_and_a_boot_brings_it_back(words, project, berth):
    other = project(f"services: {{box: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL, restart: always}}}}", name="other")
    other("up", "-d")
    halt(berth)
    assert states(words) == ALL_RESTS
    assert states(other) == {"other-box-1": "exited"}
    assert said(berth) == ["above", "below"]
    boot(berth)
    wait_until(lambda: states(words) == ALL_RESTS | {"demo-below-1": "running", "demo-above-1": "running"})
    wait_until(lambda: states(other) == {"other-box-1": "running"})


def test_what_was_halted_rests_until_then(words, berth):
    halt(berth)
    # The keeper that a container's end revives finds ends that its policies would answer, were they not the machine's.
    subprocess.run([program.BUILD / "berth-keeper", "revive", "demo"], env=berth.environment, check=True)
    assert states(words) == ALL_RESTS
    words("up", "-d", "below")  # the machine did not go down after all
    assert states(words)["demo-below-1"] == "running"


def test_halt_without_projects(berth):
    halt(berth)


def test_a_keeper_belongs_to_nobody_who_leaves(project, images, berth):
    images("busybox")
    made = project(f"services: {{box: {{image: busybox, command: {SLEEPS}, stop_signal: SIGKILL}}}}")
    root = pathlib.Path("/sys/fs/cgroup/systemd" if os.path.isdir("/sys/fs/cgroup/systemd") else "/sys/fs/cgroup")
    login = root / f"test-login-{os.getpid()}"
    login.mkdir()
    try:
        script = f'echo $$ > {login}/cgroup.procs && exec "$@"'
        subprocess.run(["sh", "-c", script, "sh", program.BUILD / "berth", "up", "-d"], cwd=made.folder, env=berth.environment,
                       check=True, timeout=300)
        assert login.name not in pathlib.Path(f"/proc/{berth.keeper_pid('demo')}/cgroup").read_text()
        wait_until(lambda: not (login / "cgroup.procs").read_text().split())
    finally:
        login.rmdir()
