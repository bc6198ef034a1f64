"""The two that are set side by side: each with folders of its own, the same image and the same compose files."""
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests" / "cli"))

from support import docker as docker_support  # noqa: E402
from support import kernel, registry  # noqa: E402
from support.program import BUILD, Berth  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


class Side:
    def compose(self, folder, *arguments, check=True, env=None):
        done = subprocess.run([*self.command, *arguments], cwd=folder, env={**self.environment, **(env or {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def pids(self):
        """What runs for the projects, containers' own processes apart (they have a process namespace of their own)."""
        here = os.readlink("/proc/self/ns/pid")
        found = []
        for pid in self.candidates():
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") == here:
                    found.append(pid)
            except OSError:
                pass
        return found

    def memory_bytes(self):
        total, rows = 0, {}
        for pid in self.pids():
            try:
                pss = next(int(line.split()[1]) * 1024 for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Pss:"))
                name = open(f"/proc/{pid}/comm").read().strip()
            except (OSError, StopIteration):
                continue
            total += pss
            rows[name] = rows.get(name, 0) + pss
        return total, rows

    def mend(self, folder):
        """What a failed `down` leaves."""

    def cpu_seconds(self):
        """Of all that run, with the children they waited for."""
        total = 0
        for pid in self.pids():
            try:
                fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(map(int, fields[11:15]))
        return total / TICKS


class BerthSide(Side):
    name = "berth"

    def __init__(self, folder):
        self.folder = folder
        self.program = Berth(folder / "berth")
        self.environment = self.program.environment
        self.command = self.config_command = [str(BUILD / "berth")]
        self.version = self.program("version").stdout.split("\n")[0].strip()

    def load(self, layout, name):
        self.program("image", "load", layout, name)

    def candidates(self):
        return kernel.processes(self.program.root)

    def remove_volumes(self, folder):
        self.compose(folder, "down", "-v", "--yes", "-t", "0")

    def stop(self):
        self.program.clean()
        self.program.destroy()


class DockerSide(Side):
    name = "docker"

    def __init__(self, folder):
        self.folder = folder
        self.daemon = docker_support.Dockerd(folder / "docker")
        plugin = self._plugin()
        plugins = pathlib.Path(self.daemon.environment["DOCKER_CONFIG"]) / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(plugin)
        self.environment = {**self.daemon.environment, "HOME": str(folder)}
        self.command, self.config_command = [docker_support.docker_client(), "compose"], [str(plugin)]
        self.version = self.compose(folder, "version", "--short").stdout.strip()
        self.version = f"Docker {self.daemon('version', '--format', '{{.Server.Version}}').stdout.strip()}, compose {self.version}"

    def _plugin(self):
        """docker-compose of Debian's sid, fetched once: the stable suites have none of the second generation."""
        cache = registry.build.cache_folder() / "docker-compose"
        program = cache / "usr/libexec/docker/cli-plugins/docker-compose"
        if not program.exists():
            from support import network
            subprocess.run(network.in_outside([str(ROOT / "tools" / "fetch-package"), "sid", str(cache), "docker-compose"]),
                           check=True, stdin=subprocess.DEVNULL)
        return program

    def load(self, layout, name):
        archive = self.folder / "archive.tar"
        archive.unlink(missing_ok=True)
        subprocess.run(["skopeo", "copy", "--quiet", f"oci:{layout}:{name}", f"docker-archive:{archive}:{name}"], check=True)
        self.daemon("load", "-i", str(archive))
        archive.unlink()

    def candidates(self):
        """dockerd, its children, and the shims, which are nobody's."""
        parents, found = {}, set(kernel.processes(self.daemon.folder)) | {self.daemon.process.pid}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    parents[int(entry)] = int(open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()[1])
                except OSError:
                    pass
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            found |= more
            grown = bool(more)
        return found

    def remove_volumes(self, folder):
        self.compose(folder, "down", "-v", "-t", "0")

    def mend(self, folder):
        """dockerd of some versions loses endpoints on the way down of many containers and then keeps their network."""
        for network in self.daemon("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={folder.name}").stdout.split():
            names = self.daemon("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", network).stdout.split()
            for name in names:
                self.daemon("network", "disconnect", "-f", network, name)
            self.daemon("network", "rm", network)

    def stop(self):
        self.daemon.stop()


def workspace(parent):
    folder = pathlib.Path(parent)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    return folder
