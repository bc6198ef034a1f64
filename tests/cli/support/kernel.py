"""What a run of Berth makes in the kernel, found by its roots and its installation id: to show what a test left behind,
and to take it away."""
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time


def installation_id(data_dir):
    return hashlib.sha256(str(data_dir).encode()).hexdigest()[:6]


def _read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def processes(root):
    """{pid: command line} of every process that runs from this root: by its arguments, environment or working folder."""
    needle, found = str(root).encode(), {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        command = _read(entry / "cmdline")
        if needle in command or b"BERTH_DATA_DIR=" + needle in _read(entry / "environ"):
            if _read(entry / "stat").rpartition(b")")[2].split()[:1] != [b"Z"]:
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def mounts(root):
    """Mount points below root, deepest last mounted first."""
    points = []
    for line in open("/proc/self/mountinfo"):
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split()[4])
        if point == str(root) or point.startswith(f"{root}/"):
            points.append(point)
    return points[::-1]


def links(identifier):
    out = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True).stdout
    return [link["ifname"] for link in json.loads(out or "[]") if identifier in link["ifname"]]


def tables(identifier):
    out = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    return [line.split(None, 1)[1] for line in out.splitlines() if identifier in line]


def cgroups(identifier):
    found = []
    for base, folders, _ in os.walk("/sys/fs/cgroup"):
        depth = base.count("/")
        found += [os.path.join(base, name) for name in folders if identifier in name]
        if depth > 7:
            folders.clear()
    return found


def left(root, identifier, ignore_mounts=()):
    """A line for everything that is still there; empty where a test cleaned up."""
    lines = [f"process {pid}: {command[:160]}" for pid, command in processes(root).items()]
    lines += [f"mount {point}" for point in mounts(root) if point not in ignore_mounts]
    lines += [f"network interface {name}" for name in links(identifier)]
    lines += [f"nftables table {name}" for name in tables(identifier)]
    lines += [f"cgroup {path}" for path in cgroups(identifier)]
    return lines


def remove(root, identifier):
    """Takes everything away without the help of the program: for tests that failed."""
    for _ in range(20):
        running = processes(root)
        for pid in running:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for path in cgroups(identifier):
            for pid in _read(os.path.join(path, "cgroup.procs")).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if not running:
            break
        time.sleep(0.1)
    for point in mounts(root):
        subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)
    for name in links(identifier):
        subprocess.run(["ip", "link", "del", name], stderr=subprocess.DEVNULL)
    for name in tables(identifier):
        subprocess.run(["nft", "delete", "table", *name.split()], stderr=subprocess.DEVNULL)
    for path in sorted(cgroups(identifier), reverse=True):
        try:
            os.rmdir(path)
        except OSError:
            pass
