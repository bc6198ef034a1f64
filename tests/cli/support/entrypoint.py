"""A small root to run the entrypoint in: this machine's /usr, an /etc of its own, PID 1 in namespaces of its own."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

from . import program

MAJORS = sorted(int(p.parent.parent.name) for p in pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
SOCKETS = "var/run/postgresql"
UID = 999
# First starts that are killed at a random point.
KILLS = int(os.environ.get("BERTH_SOAK_ROUNDS", "200")) if os.environ.get("BERTH_SOAK") else 10

ENTER = r"""
set -e
root=$1; shift
mount --make-rprivate /
mount --bind /usr "$root/usr"; mount -o remount,bind,ro "$root/usr"
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/usr/local/bin"
cp "$BERTH_BUILD_DIR/berth-entrypoint" "$BERTH_BUILD_DIR/entrypoint-functions.sh" "$root/usr/local/bin"
for name in docker-entrypoint.sh docker-ensure-initdb.sh docker-enforce-initdb.sh gosu; do
    printf '%s\n' '#!/usr/local/bin/berth-entrypoint --script' '. /usr/local/bin/entrypoint-functions.sh' \
        > "$root/usr/local/bin/$name"
    chmod 755 "$root/usr/local/bin/$name"
done
[ -z "${TEST_MOUNT:-}" ] || mount -t tmpfs -o "${TEST_MOUNT_OPTIONS:-size=64m}" tmpfs "$root$TEST_MOUNT"
ip link set lo up 2>/dev/null || true
exec chroot "$root" env -i "$@"
"""


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err
        self.text = out + err

    def __repr__(self):
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Server:
    """The final server of a running entrypoint."""

    def __init__(self, root, process, port):
        self.root, self.process, self.port = root, process, port

    def query(self, sql, user="postgres", database="postgres", password=None, tcp=False):
        environment = dict(os.environ, PGCONNECT_TIMEOUT="10", PGPASSWORD=password or "")
        command = ["psql", "-XAtq", "-U", user, "-d", database, "-p", str(self.port), "-c", sql]
        command += ["-h", "127.0.0.1" if tcp else str(self.root.path / SOCKETS)]
        if tcp:
            command = ["nsenter", f"--net=/proc/{self.pid()}/ns/net"] + command
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def value(self, sql, **how):
        result = self.query(sql, **how)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def pid(self):
        return first_child(self.process)

    def environment(self):
        return pathlib.Path(f"/proc/{self.pid()}/environ").read_bytes().decode(errors="replace").split("\0")


class Root:
    def __init__(self, major=15):
        self.major = major
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="be-", dir="/var/tmp"))
        self.path.chmod(0o755)
        self.data_dir = f"/var/lib/postgresql/{major}/docker" if major >= 18 else "/var/lib/postgresql/data"
        for name in ("usr", "etc", "proc", "dev", "tmp", "run", SOCKETS, "var/lib/postgresql", "docker-entrypoint-initdb.d"):
            (self.path / name).mkdir(parents=True)
        if major < 18:
            (self.path / self.data_dir[1:]).mkdir()
            self.chown(self.data_dir, UID, 0o1777)
        for name in ("bin", "lib", "lib64", "sbin"):
            (self.path / name).symlink_to(f"usr/{name}")
        (self.path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n"
                                              "postgres:x:999:999::/var/lib/postgresql:/bin/bash\n")
        (self.path / "etc/group").write_text("root:x:0:\npostgres:x:999:\nssl-cert:x:101:postgres\n")
        (self.path / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\n")
        (self.path / "tmp").chmod(0o1777)
        self.chown("/var/lib/postgresql", UID, 0o1777)
        self.chown("/" + SOCKETS, UID, 0o3777)

    def chown(self, path, uid, mode):
        os.chown(self.inside(path), uid, uid)
        os.chmod(self.inside(path), mode)

    def inside(self, path):
        return self.path / path.lstrip("/")

    @property
    def data(self):
        return self.inside(self.data_dir)

    def write(self, path, text, mode=0o644):
        target = self.inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
        target.chmod(mode)
        return target

    def init_file(self, name, text, mode=0o644):
        return self.write(f"/docker-entrypoint-initdb.d/{name}", text, mode)

    def command(self, args, env, user, script):
        variables = {"PATH": f"/usr/lib/postgresql/{self.major}/bin:/usr/local/bin:/usr/bin:/bin", "PGDATA": self.data_dir,
                     "PG_MAJOR": str(self.major), "LANG": "C.UTF-8", **env}
        run = ["/usr/local/bin/berth-entrypoint", *(["--script", script] if script else []), *args]
        if user:
            run = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *run]
        return ["unshare", "-m", "-n", "-p", "--fork", "--kill-child", "sh", "-c", ENTER, "enter", str(self.path),
                *(f"{key}={value}" for key, value in variables.items() if value is not None), *run]

    def raw(self, *args, env=None, user=None, timeout=120):
        """berth-entrypoint by its own name."""
        return self.run(*args, env=env, user=user, script=None, timeout=timeout)

    @staticmethod
    def outer(mount, options):
        outer = dict(os.environ, BERTH_BUILD_DIR=str(program.BUILD))
        if mount:
            outer.update(TEST_MOUNT=mount, TEST_MOUNT_OPTIONS=options or "size=64m")
        return outer

    def run(self, *args, env=None, user=None, script="/usr/local/bin/docker-entrypoint.sh", timeout=120, mount=None,
            mount_options=None):
        done = subprocess.run(self.command(args, env or {}, user, script), capture_output=True, timeout=timeout,
                              env=self.outer(mount, mount_options), stdin=subprocess.DEVNULL)
        return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def initialise(self, **how):
        """The first start alone."""
        return self.run(script="/usr/local/bin/docker-ensure-initdb.sh", **how)

    def popen(self, *args, env=None, user=None, script="/usr/local/bin/docker-entrypoint.sh"):
        log = open(self.path / "log", "ab")
        return subprocess.Popen(self.command(args, env or {}, user, script), stdout=log, stderr=log, env=self.outer(None, None),
                                stdin=subprocess.DEVNULL)

    def log(self):
        return (self.path / "log").read_text(errors="replace")

    @contextlib.contextmanager
    def server(self, *args, env=None, user=None, port=5432, user_name=None):
        process = self.popen(*(args or ["postgres"]), env=env, user=user)
        server = Server(self, process, port)
        try:
            deadline = time.monotonic() + 60
            name = user_name or (env or {}).get("POSTGRES_USER", "postgres")
            # A script may have started the temporary server again on the usual socket.
            while not any(text in self.log() for text in ("; ready for start up", "; Skipping initialization")) or \
                    server.query("SELECT 1", user=name).returncode != 0:
                assert process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)
            yield server
        finally:
            stop(process)

    def complete_or_absent(self):
        """What a volume may hold after a kill: nothing that calls itself a database without being whole."""
        return not (self.data / "PG_VERSION").exists() or (self.data / ".berth-init").is_dir() or \
            subprocess.run([f"/usr/lib/postgresql/{self.major}/bin/pg_controldata", self.data], capture_output=True).returncode == 0

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def first_child(process):
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else None


def stop(process):
    """unshare's child is PID 1 of its namespace: with it all others end, and unshare after it."""
    if process.poll() is None:
        try:
            child = first_child(process)
            os.kill(child or process.pid, signal.SIGKILL)
        except (OSError, ProcessLookupError):
            process.kill()
        process.wait()


def kill_first_starts(root, env, check, renew, rounds=KILLS):
    """The kernel's kill at any point of a first start, again and again: each finds what the one before has left. What calls
    itself a database is one, and five kills at most are followed by a start that gets through. renew() empties the volume."""
    seed = int(os.environ.get("BERTH_SEED", "0")) or random.randrange(1 << 30)
    chance, kills = random.Random(seed), 0
    begun = time.monotonic()
    with root.server(env=env) as server:
        check(server)
    whole = time.monotonic() - begun
    renew()
    for n in range(rounds):
        where = f"seed {seed}, round {n}"
        process = root.popen("postgres", env=env)
        time.sleep(chance.uniform(0.005, whole))
        stop(process)
        kills += 1
        assert root.complete_or_absent(), where
        if kills < 5 and ((root.data / ".berth-init").exists() or not (root.data / "PG_VERSION").exists()) and n + 1 < rounds:
            continue
        with root.server(env=env) as server:
            check(server)
        assert not (root.data / ".berth-init").exists(), where
        renew()
        kills = 0


TEMPLATES = "/run/templates"


def make_template(root, **env):
    """The template of these settings; *env without passwords. Returns its folder."""
    folder = root.inside(TEMPLATES)
    folder.mkdir(exist_ok=True)
    os.chown(folder, UID, UID)
    before = set(os.listdir(folder))
    result = root.raw("--step", "template", TEMPLATES, env=env, user=UID)
    assert result.status == 0, result
    return [folder / name for name in os.listdir(folder) if name not in before]
