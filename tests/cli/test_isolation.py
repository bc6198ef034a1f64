"""What a container may do, may see and may use up: no weaker than Docker's defaults."""
import json
import re
import subprocess

import pytest

from support.program import wait_until

# Docker's default set: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
# MKNOD AUDIT_WRITE SETFCAP
DOCKER_CAPABILITIES = 0xA80425FB


@pytest.fixture
def service(project, images):
    """service("read_only: true\\ntmpfs: [/run]") brings up a sleeping busybox with these keys."""
    def make(keys="", top=""):
        images("busybox")
        lines = "".join(f"    {line}\n" for line in keys.strip("\n").splitlines())
        command = "" if "command:" in keys else "    command: [sleep, '1000000']\n"
        made = project(f"services:\n  box:\n    image: busybox\n    stop_signal: SIGKILL\n{command}{lines}{top}")
        made("up", "-d")
        return made

    return make


def status(made, field):
    return re.search(rf"^{field}:\s*(\S+)", made.exec("box", "cat", "/proc/1/status"), re.M).group(1)


def test_capabilities_and_seccomp_by_default(service):
    made = service()
    assert int(status(made, "CapEff"), 16) == DOCKER_CAPABILITIES
    assert int(status(made, "CapBnd"), 16) == DOCKER_CAPABILITIES
    assert status(made, "CapInh") == "0000000000000000"
    assert status(made, "Seccomp") == "2"
    assert made("exec", "-T", "box", "unshare", "-U", "true", check=False).returncode != 0
    assert made("exec", "-T", "box", "mount", "-t", "tmpfs", "tmpfs", "/mnt", check=False).returncode != 0


def test_capabilities_added_and_dropped(service):
    made = service("cap_drop: [ALL]\ncap_add: [NET_BIND_SERVICE, CAP_CHOWN]")
    assert int(status(made, "CapEff"), 16) == 1 << 10 | 1 << 0


def test_no_new_privileges(service):
    assert status(service("security_opt: ['no-new-privileges:true']"), "NoNewPrivs") == "1"


def test_masked_and_read_only_paths(service):
    made = service()
    assert made.exec("box", "sh", "-c", "cat /proc/kcore | head -c1 | wc -c") == "0"
    assert made("exec", "-T", "box", "sh", "-c", "echo 1 > /proc/sys/kernel/sysrq", check=False).returncode != 0
    assert made("exec", "-T", "box", "sh", "-c", "echo c > /proc/sysrq-trigger", check=False).returncode != 0
    assert made("exec", "-T", "box", "sh", "-c", "mkdir /sys/fs/cgroup/x /sys/kernel/x", check=False).returncode != 0


def test_own_namespaces(service):
    made = service()
    assert made.exec("box", "sh", "-c", "echo $$; ls -d /proc/[0-9]* | wc -l").split()[0] != "1"
    assert made.exec("box", "cat", "/proc/1/comm") == "sleep"
    assert made.exec("box", "hostname") == made.ps()["demo-box-1"]["ID"][:12]


def test_devices_of_the_host_are_not_there(service):
    made = service()
    names = set(made.exec("box", "ls", "/dev").split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "ptmx"} <= names
    assert not {"sda", "vda", "mem", "kmsg"} & names
    result = made("exec", "-T", "box", "sh", "-c", "mknod /tmp/disk b 8 0 && head -c1 /tmp/disk", check=False)
    assert result.returncode != 0


def test_user_groups_workdir_hostname(service):
    made = service("user: app\ngroup_add: ['3000']\nworking_dir: /tmp\nhostname: named\ndomainname: example.test")
    assert made.exec("box", "id", "-u") == "1000"
    assert set(made.exec("box", "id", "-G").split()) >= {"1000", "3000"}
    assert made.exec("box", "pwd") == "/tmp"
    assert made.exec("box", "hostname").split(".")[0] == "named"


def test_read_only_root_with_tmpfs(service):
    made = service("read_only: true\ntmpfs: ['/scratch:size=1m,mode=1777']")
    assert made("exec", "-T", "box", "touch", "/file", check=False).returncode != 0
    made.exec("box", "touch", "/scratch/file")
    assert made("exec", "-T", "box", "sh", "-c", "head -c 2000000 /dev/zero > /scratch/big", check=False).returncode != 0


def test_memory_limit_kills_and_says_so(service):
    made = service("mem_limit: 32m\ncommand: [sh, -c, 'sleep 0.2; tail -c 100000000 /dev/zero']")
    wait_until(lambda: made.ps("-a")["demo-box-1"]["State"] == "exited")
    assert made.ps("-a")["demo-box-1"]["ExitCode"] == 137


def test_pids_limit(service):
    made = service("pids_limit: 8")
    result = made("exec", "-T", "box", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait", check=False)
    assert "fork" in result.stderr or result.returncode != 0


def test_cpu_limit_is_set(service):
    made = service("cpus: 0.5")
    import glob
    identifier = made.berth.id
    texts = [open(path).read().strip() for pattern in ("cpu.max", "cpu.cfs_quota_us")
             for path in glob.glob(f"/sys/fs/cgroup/**/*{identifier}*/**/{pattern}", recursive=True)]
    assert any(text in ("50000", "50000 100000") for text in texts), texts


def test_deploy_resources_are_the_same_limits(service):
    made = service("deploy:\n  resources:\n    limits: {memory: 64M, pids: 50}")
    row = json.loads(made("stats", "--no-stream", "--format", "json").stdout.splitlines()[0])
    assert "64MiB" in row["MemUsage"]
    result = made("exec", "-T", "box", "sh", "-c", "for i in $(seq 60); do sleep 5 & done; wait", check=False)
    assert "fork" in result.stderr or result.returncode != 0


def test_ulimits_shm_sysctls_init(service):
    made = service("ulimits: {nofile: {soft: 512, hard: 1024}}\nshm_size: 16m\nsysctls: {net.core.somaxconn: '77'}\ninit: true")
    assert made.exec("box", "sh", "-c", "ulimit -Sn; ulimit -Hn").split() == ["512", "1024"]
    assert made.exec("box", "sh", "-c", "df -k /dev/shm | tail -1").split()[1] == "16384"
    assert made.exec("box", "cat", "/proc/sys/net/core/somaxconn") == "77"
    assert made.exec("box", "cat", "/proc/1/comm") != "sleep"
    made.exec("box", "sh", "-c", "(sleep 0.1 &)")
    wait_until(lambda: " Z" not in made.exec("box", "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null | cut -d' ' -f2-3"))


def test_init_is_a_reaper(service):
    made = service("init: true")
    made.exec("box", "sh", "-c", "(sleep 0.05 &) ; true")
    wait_until(lambda: ") Z " not in made.exec("box", "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null"))


def test_secrets_honour_owner_and_mode_and_stay_in_memory(project, images):
    images("busybox")
    made = project("""
        services:
          box:
            image: busybox
            command: [sleep, "1000000"]
            stop_signal: SIGKILL
            secrets:
              - plain
              - {source: owned, target: renamed, uid: "1000", gid: "2000", mode: 0400}
            configs:
              - {source: settings, target: /etc/settings.conf, mode: 0444}
        secrets:
          plain: {file: ./plain.txt}
          owned: {environment: OWNED}
        configs:
          settings: {content: "a = 1"}
    """, files={"plain.txt": "first"})
    made("up", "-d", env={"OWNED": "second"})
    assert made.exec("box", "cat", "/run/secrets/plain") == "first"
    assert made.exec("box", "cat", "/run/secrets/renamed") == "second"
    assert made.exec("box", "stat", "-c", "%u:%g %a", "/run/secrets/renamed") == "1000:2000 400"
    assert made.exec("box", "cat", "/etc/settings.conf") == "a = 1"
    assert " tmpfs " in made.exec("box", "sh", "-c", "grep ' /run/secrets' /proc/mounts")
    # Nowhere on disk, in no environment, not in what can be inspected.
    import subprocess
    found = subprocess.run(["grep", "-rlF", "--exclude-dir=_data", "second", str(made.berth.data)], capture_output=True, text=True).stdout
    assert found == ""
    assert "second" not in made.berth("inspect", "demo-box-1").stdout
    assert "second" not in made.exec("box", "env")


def test_privileged_is_what_it_says(service):
    made = service("privileged: true")
    assert int(status(made, "CapEff"), 16) & 1 << 21  # SYS_ADMIN
    assert status(made, "Seccomp") == "0"


def test_binds_short_and_long(project, images):
    images("busybox")
    made = project("""
        services:
          box:
            image: busybox
            command: [sleep, "1000000"]
            stop_signal: SIGKILL
            volumes:
              - ./here:/here:ro
              - ./made:/made
              - {type: bind, source: ./long, target: /long, read_only: true}
              - {type: tmpfs, target: /mem, tmpfs: {size: 1048576}}
    """, files={"here/file": "1", "long/file": "2"})
    made("up", "-d")
    assert made.exec("box", "cat", "/here/file", "/long/file") == "12"
    assert made("exec", "-T", "box", "touch", "/here/x", check=False).returncode != 0
    assert made("exec", "-T", "box", "touch", "/long/x", check=False).returncode != 0
    made.exec("box", "touch", "/made/x")
    assert (made.folder / "made" / "x").exists()
    assert made.exec("box", "sh", "-c", "df -k /mem | tail -1").split()[1] == "1024"


def test_a_secret_from_the_environment_does_not_survive_a_reboot_and_says_so(project, images, berth):
    images("busybox")
    made = project("""
        services:
          box: {image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL, secrets: [word], restart: unless-stopped}
        secrets: {word: {environment: WORD}}
    """)
    made("up", "-d", env={"WORD": "first"})
    made("stop")
    subprocess.run(["umount", str(berth.run / "projects/demo/secrets")], check=True)  # what a reboot leaves of a tmpfs
    error = made.fails("start")
    assert 'secret "word"' in error and "memory only" in error and "berth up" in error
    assert "memory only" in (berth.data / "projects/demo/logs/keeper.log").read_text()
    # With its value the command that is named helps.
    made("up", "-d", env={"WORD": "second"})
    assert made.exec("box", "cat", "/run/secrets/word") == "second"
