"""The program under test, with data, run and configuration folders of its own."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import textwrap
import time

from . import clock, kernel

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("BERTH_BUILD") or ROOT / "build")
TIMEOUT = 180  # seconds; a command that hangs is a failure, not a hung run


class Berth:
    """berth("up", "-d") runs the program and fails the test unless it succeeds; check=False to look at the result."""

    def __init__(self, root, environment=None, store=None):
        self.root = pathlib.Path(root)
        self.data, self.run, self.config = self.root / "data", self.root / "run", self.root / "config"
        for folder in (self.root, self.config):
            folder.mkdir(parents=True, exist_ok=True)
        self.id = kernel.installation_id(self.data)
        self.cwd = self.root
        # Not the caller's: its variables would be seen by interpolation.
        self.environment = {name: os.environ[name] for name in ("PATH", "TERM", "TZ") if name in os.environ}
        self.environment.update(BERTH_DATA_DIR=str(self.data), BERTH_RUN_DIR=str(self.run), BERTH_CONFIG_DIR=str(self.config),
                                BERTH_BACKUP="off",  # tests of backups take it away
                                BERTH_BACKUP_SCHEDULE=clock.far(),
                                HOME=str(self.root), LANG="C.UTF-8", **(environment or {}))
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:  # what runs in the background has nobody to tell: it writes a file, see clean
                self.environment[name] = f"{os.environ[name]}:log_path={self.root}/sanitizer"
        if store:
            # Images are pulled and unpacked once in a run, not once in a test.
            self.data.mkdir(mode=0o711, exist_ok=True)
            (self.data / "images").symlink_to(store)

    def __call__(self, *arguments, check=True, cwd=None, env=None, input=None, timeout=TIMEOUT):
        argv = [str(BUILD / "berth"), *map(str, arguments)]
        result = subprocess.run(argv, cwd=cwd or self.cwd, env={**self.environment, **(env or {})}, text=True, timeout=timeout,
                                capture_output=True, errors="replace",
                                **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}))
        if result.returncode < 0 or result.returncode == 86:  # 86: a sanitizer's word, see tools/check
            raise AssertionError(f"berth {' '.join(argv[1:])}: crashed ({result.returncode})\n{result.stdout}\n{result.stderr}")
        if check and result.returncode != 0:
            raise AssertionError(f"berth {' '.join(argv[1:])}: exit status {result.returncode}\n{result.stdout}\n"
                                 f"{result.stderr}\n{self.keeper_logs()}")
        return result

    def start(self, *arguments, cwd=None, env=None, **options):
        """A command that goes on: a Popen; the test ends it."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([str(BUILD / "berth"), *map(str, arguments)], cwd=cwd or self.cwd,
                                env={**self.environment, **(env or {})}, text=True, errors="replace", **options)

    def fails(self, *arguments, **options):
        """Runs what must fail; returns its error output. An error is one message, never a crash."""
        result = self(*arguments, check=False, **options)
        assert result.returncode != 0, f"berth {' '.join(map(str, arguments))}: succeeded\n{result.stdout}{result.stderr}"
        assert result.stderr.strip(), "failed without a word"
        return result.stderr

    def ps(self, *arguments, **options):
        """Containers by name, from `ps --format json`: an object a line."""
        return rows(self("ps", "--format", "json", *arguments, **options))

    def keeper_logs(self):
        texts = []
        for path in sorted(self.root.glob("*/projects/*/**/*.log")):
            if "containers" not in path.parts:
                texts.append(f"--- {path}\n{path.read_text(errors='replace')[-3000:]}")
        return "\n".join(texts)

    def keeper_pid(self, project):
        path = self.run / "projects" / project / "keeper.pid"
        text = path.read_text()
        return int(re.search(r'"pid"\s*:\s*(\d+)|(\d+)', text).group(1) or re.search(r"\d+", text).group())

    def projects(self):
        folders = [self.data / "projects", self.run / "projects"]
        return sorted({path.name for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_dir()})

    def clean(self):
        """Brings every project down by the program's own means; returns what is left all the same."""
        trouble = []
        for project in self.projects():
            # From the root, so that no compose file is taken for the project's.
            result = self("-p", project, "down", "--timeout", "0", "--remove-orphans", check=False, cwd=self.root)
            if result.returncode != 0:
                trouble.append(f"berth -p {project} down: {result.stderr.strip() or result.returncode}")
        for _ in range(250):  # keepers end by themselves once nothing runs; monitors are a moment behind their containers
            running = kernel.processes(self.root)
            if not any("berth-keeper" not in command for command in running.values()):
                break
            time.sleep(0.02)
        for pid, command in kernel.processes(self.root).items():
            if "berth-keeper" in command:  # it may stay for the next command; it must end when told to
                os.kill(pid, 15)
        for _ in range(250):
            if not kernel.processes(self.root):
                break
            time.sleep(0.02)
        for path in self.root.glob("sanitizer.*"):
            trouble.append(f"{path.name}: {path.read_text(errors='replace')[:6000]}")
        return trouble + kernel.left(self.root, self.id, ignore_mounts=self._own_mounts())

    def _own_mounts(self):
        """Mounts that may stay while an installation exists: the tmpfs of its run folder."""
        return {str(self.run), str(self.run / "projects")}

    def destroy(self):
        kernel.remove(self.root, self.id)
        shutil.rmtree(self.root, ignore_errors=True)


def rows(result):
    return {row["Name"]: row for row in map(json.loads, result.stdout.splitlines())}


class Project:
    """A folder with a compose file. project("up", "-d") runs the program in it."""

    def __init__(self, berth, folder, compose=None, files=None):
        self.berth, self.folder = berth, pathlib.Path(folder)
        self.options = ()  # global options of every command in it: ("-f", "one.yml", "-f", "two.yml")
        self.folder.mkdir(parents=True, exist_ok=True)
        if compose is not None:
            self.write("compose.yaml", compose)
        for name, text in (files or {}).items():
            self.write(name, text)

    @property
    def name(self):
        return self.folder.name

    def write(self, name, text, mode=None):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text) if isinstance(text, bytes) else path.write_text(textwrap.dedent(text))
        if mode is not None:
            path.chmod(mode)
        return path

    def __call__(self, *arguments, **options):
        return self.berth(*self.options, *arguments, cwd=self.folder, **options)

    def start(self, *arguments, **options):
        return self.berth.start(*self.options, *arguments, cwd=self.folder, **options)

    def fails(self, *arguments, **options):
        return self.berth.fails(*self.options, *arguments, cwd=self.folder, **options)

    def ps(self, *arguments, **options):
        return rows(self("ps", "--format", "json", *arguments, **options))

    def exec(self, service, *command, **options):
        """What the command prints, without its last newline."""
        return self("exec", "-T", service, *command, **options).stdout.rstrip("\n")

    def inspect(self, name):
        found = json.loads(self("inspect", name).stdout)
        return found[0] if isinstance(found, list) else found


def wait_until(condition, timeout=60, interval=0.05):
    """The condition's first true value; a failure with the last value where it never comes."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {timeout} s (last: {value!r})")
        time.sleep(interval)
