#!/usr/bin/python3
"""Base backups beside pgBackRest and pg_basebackup: the same cluster of 1 GB (pgbench, page checksums), the same disk, rounds in
turns. Everything is durable on all sides: pgBackRest syncs its repository, pg_basebackup its file, Berth its packs. Compression
is zstd: pgBackRest level 3 with 2 processes, pg_basebackup client-zstd level 3 with 2 workers, Berth what it takes by itself.
Checksums of pages are looked at by all (pg_basebackup: by the server), content is checksummed by pgBackRest and Berth.

A row of bench/run, or by itself: bench/backup.py [--major 15|17] [--rounds N] [--scale N]
PostgreSQL 15 is this machine's; 17 and the pgBackRest that knows it come from Debian 13, in a folder of their own."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "tests" / "cli"), str(ROOT / "tests" / "images")]
import recipes  # noqa: E402
from support.program import BUILD  # noqa: E402

PORT = 54321
STRIDE_PAGES = 100  # one page of a hundred changes
ROWS_A_PAGE = 54    # of pgbench_accounts with fill factor 90: an update stays in its page


class Trixie(recipes.Debian):
    """Debian 13 with PostgreSQL 17 and pgBackRest."""

    def recipe(self):
        return {**super().recipe(), "bench": 1}

    def folder(self):
        cache = pathlib.Path(os.environ.get("BERTH_TEST_CACHE") or pathlib.Path.home() / ".cache" / "berth-tests") / "bench"
        cache.mkdir(parents=True, exist_ok=True)
        tar = cache / f"{self.suite}-{self.major}.tar"
        if not tar.exists():
            new = tar.with_suffix(".new")
            done = subprocess.run(["mmdebstrap", "--quiet", "--variant=essential", "--format=tar", "--skip=output/dev",
                                   '--aptopt=Acquire::Check-Valid-Until "false"',
                                   f"--include=postgresql-{self.major},pgbackrest,locales",
                                   '--setup-hook=mkdir -p "$1/etc/postgresql-common"',
                                   '--setup-hook=printf "create_main_cluster = false\\n" > '
                                   '"$1/etc/postgresql-common/createcluster.conf"',
                                   *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipes.EXCLUDED), self.suite, str(new),
                                   f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {recipes.mirror()} {self.suite} main"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                raise recipes.Missing(done.stderr[-1000:])
            new.rename(tar)
        return tar


class Machine:
    """Where the server and its peers run: this machine, or a root of another suite; files have the same path in both."""

    def __init__(self, major, folder):
        self.major, self.folder, self.root = major, folder, None
        self.bin = f"/usr/lib/postgresql/{major}/bin"
        if not os.path.exists(f"{self.bin}/postgres"):
            if major != 17:
                raise recipes.Missing(f"PostgreSQL {major} is not installed")
            self.root = folder / "root"
            self.root.mkdir()
            subprocess.run(["tar", "-C", self.root, "-xf", Trixie("trixie", 17).folder()], check=True)
            inside = self.root / str(folder).lstrip("/")
            inside.mkdir(parents=True)
            (folder / "shared").mkdir()
            (inside / "shared").mkdir()
            for source, target in ((folder / "shared", inside / "shared"), ("/dev", self.root / "dev"), ("/proc", self.root / "proc")):
                pathlib.Path(target).mkdir(exist_ok=True)
                subprocess.run(["mount", "--bind", source, target], check=True)
            self.mounts = [inside / "shared", self.root / "dev", self.root / "proc"]
        else:
            (folder / "shared").mkdir()
            self.mounts = []
        self.shared = folder / "shared"
        passwd = ((self.root or pathlib.Path("/")) / "etc/passwd").read_text()
        self.uid = int(next(line for line in passwd.splitlines() if line.startswith("postgres:")).split(":")[2])
        os.chown(self.shared, self.uid, self.uid)
        folder.chmod(0o755)

    def argv(self, *argv):
        environment = ["env", "-C", "/", f"PATH={self.bin}:/usr/bin:/bin", "LANG=C.UTF-8"]
        user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        return [*(["chroot", str(self.root)] if self.root else []), *user, *environment, *map(str, argv)]

    def run(self, *argv, check=True, quiet=True):
        done = subprocess.run(self.argv(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def end(self):
        for point in self.mounts:
            subprocess.run(["umount", "-l", point])


class Cluster:
    def __init__(self, machine, data):
        self.machine, self.data = machine, data

    def start(self, *settings):
        log = self.data.parent / f"{self.data.name}.log"
        self.machine.run("pg_ctl", "-D", self.data, "-w", "-t", "120", "-l", log, "-o", " ".join(f"-c {one}" for one in settings), "start")
        while self.sql("SELECT pg_is_in_recovery()") != "f":
            time.sleep(0.01)

    def stop(self, how="fast"):
        self.machine.run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def sql(self, text):
        return self.machine.run("psql", "-XAtq", "-h", self.machine.shared, "-p", PORT, "-U", "postgres", "-d", "postgres", "-c", text).strip()

    def make(self, scale):
        machine = self.machine
        machine.run("initdb", "-k", "-A", "trust", "-U", "postgres", "-D", self.data)
        lines = [f"port = {PORT}", f"unix_socket_directories = '{machine.shared}'", "listen_addresses = ''", "shared_buffers = 512MB",
                 "max_wal_size = 8GB", "checkpoint_timeout = 1h", "autovacuum = off", "jit = off", "archive_mode = on", "archive_command = '/bin/true'"]
        if machine.major >= 17:
            lines.append("summarize_wal = on")
        with open(self.data / "postgresql.conf", "a") as file:
            file.write("\n".join(lines) + "\n")
        self.start()
        machine.run("pgbench", "-i", "-q", "-F", "90", "-s", scale, "-h", machine.shared, "-p", PORT, "-U", "postgres", "postgres")
        self.sql("VACUUM FREEZE")
        self.sql("CHECKPOINT")

    def change(self, number):
        """One row in every hundredth page; other pages each time."""
        self.sql(f"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % {STRIDE_PAGES * ROWS_A_PAGE} = {number * ROWS_A_PAGE + 7}")
        self.sql("CHECKPOINT")


def timed(work):
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def processor_seconds(cluster):
    """Of everything that was started here and has ended, and of the server with its processes that have ended."""
    times = os.times()
    total = times.children_user + times.children_system
    try:
        pid = (cluster.data / "postmaster.pid").read_text().split()[0]
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return total
    return total + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def touch_memory():
    """In a virtual machine memory that is used for the first time is made then, which takes longer than anything measured here."""
    subprocess.run([sys.executable, "-c", "import mmap; mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)"])


def used(folder):
    """Bytes of a folder's files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


class Ours:
    name = "berth"
    # As `berth restore` starts the server that recovers: the copy has been synced as a whole.
    settings = ["recovery_init_sync_method=syncfs"]

    def __init__(self, cluster):
        self.cluster = cluster
        self.folder = cluster.machine.folder / "berth"
        self.environment = {**os.environ, "BERTH_DATA_DIR": str(self.folder / "data"), "BERTH_RUN_DIR": str(self.folder / "run"),
                            "BERTH_CONFIG_DIR": str(self.folder / "etc")}

    def job(self, name, **parameters):
        done = subprocess.run([str(BUILD / "berth-worker"), name, json.dumps(parameters)], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        last = json.loads(done.stdout.splitlines()[-1])
        if "result" not in last:
            raise RuntimeError(f"berth-worker {name}: {last}")
        return last["result"]

    def reset(self):
        put_aside(self.folder)
        for name in ("data", "run", "etc"):
            (self.folder / name).mkdir(parents=True)

    def backup(self):
        machine = self.cluster.machine
        self.record = self.job("backup", project="bench", service="db",
                               target={"url": f"postgresql:///postgres?host={machine.shared}&port={PORT}&user=postgres"})

    full = incremental = backup

    def size(self):
        return used(self.folder / "data" / "backups")

    def restore(self, target):
        repository = next((self.folder / "data/backups/bench/db").iterdir())
        target.mkdir()
        self.job("restore", repository=str(repository), directory=str(target), to="latest")


def put_aside(folder):
    """Out of the way without being removed: ext4 looks long for a new inode where thousands were freed within the last minutes, and
    who restores to a disk has not just emptied it. Everything goes at the end."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-{time.monotonic_ns()}"))


class PgBackRest:
    name = "pgBackRest"
    settings = []

    def __init__(self, cluster):
        self.cluster = cluster
        self.folder = cluster.machine.shared / "pgbackrest"
        self.options = ["--stanza=bench", f"--repo1-path={self.folder}", f"--pg1-path={cluster.data}", f"--pg1-port={PORT}",
                        f"--pg1-socket-path={cluster.machine.shared}", "--pg1-user=postgres", "--log-level-file=off",
                        "--log-level-console=error", f"--lock-path={cluster.machine.shared}/lock"]
        self.common = ["--compress-type=zst", "--compress-level=3"]

    def without_login(self):
        return [one for one in self.options if not one.startswith(("--pg1-port", "--pg1-socket", "--pg1-user"))]

    def run(self, command, *more, options=None):
        self.cluster.machine.run("pgbackrest", *(options or self.options), *more, command)

    def reset(self):
        put_aside(self.folder)
        self.cluster.machine.run("mkdir", "-p", self.folder)
        self.run("stanza-create")
        self.wake()

    def rest(self):
        """Its archiving is nobody else's burden."""
        self.cluster.sql("ALTER SYSTEM SET archive_command = '/bin/true'")
        self.cluster.sql("SELECT pg_reload_conf()")
        time.sleep(0.5)

    def wake(self):
        push = " ".join(["pgbackrest", *map(str, self.without_login()), *self.common, "archive-push", "%p"])
        self.cluster.sql(f"ALTER SYSTEM SET archive_command = '{push}'")
        self.cluster.sql("SELECT pg_reload_conf()")
        time.sleep(0.5)

    def full(self):
        self.run("backup", *self.common, "--process-max=2", "--start-fast", "--type=full", "--repo1-retention-full=9")

    def incremental(self):
        self.run("backup", *self.common, "--process-max=2", "--start-fast", "--type=incr", "--repo1-retention-full=9")

    def size(self):
        return used(self.folder / "backup")

    def restore(self, target):
        self.cluster.machine.run("mkdir", "-m", "700", target)
        options = [f"--pg1-path={target}" if one.startswith("--pg1-path=") else one for one in self.without_login()]
        self.run("restore", "--process-max=2", "--type=immediate", "--target-action=promote", options=options)


class PgBaseBackup:
    name = "pg_basebackup"

    def __init__(self, cluster):
        self.cluster = cluster
        self.folder = cluster.machine.shared / "pg_basebackup"

    def reset(self):
        put_aside(self.folder)

    def full(self):
        machine = self.cluster.machine
        machine.run("pg_basebackup", "-h", machine.shared, "-p", PORT, "-U", "postgres", "-D", self.folder, "-Ft", "-c", "fast",
                    "--compress=client-zstd:level=3,workers=2", "--manifest-checksums=SHA256")

    def size(self):
        return used(self.folder)


class Measuring:
    def __init__(self, major, folder, scale):
        self.machine = Machine(major, folder)
        self.cluster = Cluster(self.machine, self.machine.shared / "data")
        self.cluster.make(scale)
        self.ours, self.theirs, self.plain = Ours(self.cluster), PgBackRest(self.cluster), PgBaseBackup(self.cluster)
        self.values = {what: {} for what in ("full", "full size", "full cpu", "next", "next size", "next cpu", "restore", "restore cpu")}

    def note(self, what, side, value):
        self.values[what].setdefault(side.name, []).append(value)

    def time(self, what, side, work, cluster=None):
        touch_memory()
        before = processor_seconds(cluster or self.cluster)
        seconds = timed(work)
        time.sleep(0.2)  # until the server has waited for its processes
        self.note(what, side, seconds)
        self.note(f"{what} cpu", side, processor_seconds(cluster or self.cluster) - before)

    def restored(self, side):
        """Seconds to a server that answers and may be written to."""
        target = self.machine.shared / f"restored-{side.name}-{len(self.values['restore'].get(side.name, []))}"
        subprocess.run(["sync"])

        def work():
            side.restore(target)
            Cluster(self.machine, target).start(f"port={PORT}", "archive_mode=off", *side.settings)

        self.cluster.stop()
        try:
            copy = Cluster(self.machine, target)
            self.time("restore", side, work, copy)
            assert copy.sql("SELECT count(*) FROM pgbench_accounts") == self.rows
            copy.stop("immediate")
        finally:
            self.cluster.start()

    def round(self, number, order):
        if number == 0:
            self.rows = self.cluster.sql("SELECT count(*) FROM pgbench_accounts")
        for side in order:
            side.reset()
            subprocess.run(["sync"])
            self.time("full", side, side.full)
            self.note("full size", side, side.size())
            if side is self.theirs:
                side.rest()
        self.cluster.change(number)
        for side in (one for one in order if one is not self.plain):
            if side is self.theirs:
                side.wake()
            before = side.size()
            subprocess.run(["sync"])
            self.time("next", side, side.incremental)
            self.note("next size", side, side.size() - before)
            if side is self.theirs:
                side.rest()
        for side in (one for one in order if one is not self.plain):
            self.restored(side)

    def end(self):
        try:
            self.cluster.stop("immediate")
        except RuntimeError:
            pass
        self.machine.end()


def measure(major, rounds, scale=65):
    """{"full": {side: [seconds]}, "full size": {side: [bytes]}, "full cpu": {side: [seconds of processors]}, and so for "next" and
    "restore" (without a size)}."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-", dir="/var/tmp"))
    measuring = None
    try:
        measuring = Measuring(major, folder, scale)
        order = [measuring.ours, measuring.theirs, measuring.plain]
        for number in range(rounds):
            measuring.round(number, order[number % 3:] + order[:number % 3])
        return measuring.values
    finally:
        if measuring:
            measuring.end()
        if not any(line.split()[1].startswith(str(folder)) for line in open("/proc/mounts")):
            shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--major", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=65)
    options = parser.parse_args()
    for what, sides in measure(options.major, options.rounds, options.scale).items():
        ours = statistics.median(sides["berth"])
        for name, numbers in sides.items():
            median = statistics.median(numbers)
            shown = f"{median / 1e6:9.1f} MB" if "size" in what else f"{median:9.3f} s"
            print(f"{options.major} {what:<10} {name:<14} {shown}  {median / ours:6.2f}  "
                  f"({', '.join(f'{number / 1e6:.1f}' if 'size' in what else f'{number:.2f}' for number in numbers)})", flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
