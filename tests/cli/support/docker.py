"""A Docker of the tests' own: dockerd on its own socket and folders, nothing of the machine's touched."""
import os
import pathlib
import shutil
import subprocess

from .program import wait_until


class Dockerd:
    """docker("ps") runs the client against it."""

    def __init__(self, folder, arguments=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.socket = self.folder / "docker.sock"
        self.log = open(self.folder / "log", "w")
        daemon = shutil.which("dockerd") or "/usr/sbin/dockerd"
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self.folder / "client")}
        self.process = subprocess.Popen(
            [daemon, f"--data-root={self.folder / 'data'}", f"--exec-root={self.folder / 'exec'}",
             f"--pidfile={self.folder / 'pid'}", f"--host=unix://{self.socket}", *arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
        wait_until(lambda: self.process.poll() is not None or self.run("version", check=False).returncode == 0, timeout=60)
        if self.process.poll() is not None:
            raise RuntimeError(f"dockerd does not start: {(self.folder / 'log').read_text()[-2000:]}")

    def run(self, *arguments, check=True, **options):
        done = subprocess.run([docker_client(), *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
        return done

    __call__ = run

    def stop(self):
        for container in self.run("ps", "-aq", check=False).stdout.split():
            self.run("rm", "-f", container, check=False)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        for line in reversed(open("/proc/self/mountinfo").read().splitlines()):
            point = line.split()[4]
            if point.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


def docker_client():
    """The distribution's client, not one that somebody put in front of it."""
    return "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"


def available():
    return (os.path.exists("/usr/sbin/dockerd") or shutil.which("dockerd")) and shutil.which(docker_client())
