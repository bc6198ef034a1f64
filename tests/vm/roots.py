"""What a virtual machine boots: a suite's root with what tools/install-deps names, Berth built and installed inside it, a disk."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("BERTH_TEST_CACHE", pathlib.Path.home() / ".cache" / "berth-tests")) / "vm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MAJORS = {"bookworm": 15, "trixie": 17}
# A fresh machine: what boots, and the two packages that the README asks for. All else is tools/install-deps's doing.
MACHINE = ["systemd-sysv", "systemd", "udev", "dbus", "initramfs-tools", "linux-image-cloud-amd64", "procps", "git", "make"]
# Only what this machine's disk needs: software emulation reads a large initial file system slowly.
INITRAMFS = "MODULES=list\nFSTYPE=ext4\nRESUME=none\n"
MODULES = "virtio_pci\nvirtio_blk\next4\n"
# What a server would do in the background, and what would wait for a person.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
          "dpkg-db-backup.timer", "systemd-tmpfiles-clean.timer", "getty@tty1.service", "serial-getty@ttyS0.service",
          "systemd-timesyncd.service", "systemd-journal-flush.service", "kmod-static-nodes.service",
          "systemd-hwdb-update.service", "ldconfig.service"]


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def mirror():
    """The mirror that this machine's own package sources name."""
    for path in [*pathlib.Path("/etc/apt/sources.list.d").glob("*.sources"), pathlib.Path("/etc/apt/sources.list")]:
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            found = re.match(r"URIs:\s*(\S+)", line) or re.match(r"deb\s+(?:\[.*?\]\s+)?(\S+)", line)
            if found and "security" not in found[1]:
                return found[1]
    sys.exit("tests/vm: no package mirror in this machine's apt sources")


class mounted:
    """/proc, /sys, /dev and a pure cgroup v2 inside a root, as they are on the machine that it will be."""

    def __init__(self, root):
        kinds = (("proc", "proc"), ("sys", "sysfs"), ("dev", "devtmpfs"), ("sys/fs/cgroup", "cgroup2"))
        self.points = [(root / name, kind) for name, kind in kinds]

    def __enter__(self):
        for point, kind in self.points:
            run("mount", "-t", kind, kind, point)

    def __exit__(self, *_):
        for point, _ in reversed(self.points):
            run("umount", "-l", point)


def inside(root, script, **options):
    return run("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LC_ALL=C.UTF-8",
               "unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot", root, "sh", "-ec", script,
               stdin=subprocess.DEVNULL, **options)


def make_base(suite, tar):
    """A fresh machine of the suite, then `tools/install-deps build run` on it."""
    root = tar.with_suffix(".root")
    if root.exists():
        shutil.rmtree(root)
    run("mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory", f"--include={','.join(MACHINE)}",
        "--setup-hook=mkdir -p $1/etc/initramfs-tools/conf.d", f"--setup-hook=printf %s '{INITRAMFS}' > $1/etc/initramfs-tools/conf.d/vm",
        suite, root, f"deb [signed-by={KEYRING}] {mirror()} {suite} main", env=dict(os.environ, TMPDIR=str(CACHE)),
        stdin=subprocess.DEVNULL)
    (root / "etc/initramfs-tools/modules").write_text(MODULES)
    shutil.copy(SOURCE / "tools/install-deps", root / "tmp/install-deps")
    with mounted(root):
        inside(root, "/tmp/install-deps build run; rm /tmp/install-deps; update-initramfs -u; apt-get clean; rm -rf /usr/share/doc/* /usr/share/man/*")
    for unit in MASKED:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    partial = tar.with_suffix(".partial")
    run("tar", "-cf", partial, "-C", root, "--numeric-owner", "--xattrs", ".")
    shutil.rmtree(root)
    partial.rename(tar)


def base_root(suite, say):
    """A tar of the suite's root without Berth, cached by its recipe."""
    groups = re.search(r"^ *build\).*?(?=^ *test\))", (SOURCE / "tools/install-deps").read_text(), re.S | re.M)[0]
    recipe = [suite, *MACHINE, INITRAMFS, MODULES, *MASKED, groups]
    tar = CACHE / f"{suite}-{hashlib.sha256(' '.join(recipe).encode()).hexdigest()[:12]}.tar"
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        say("making the root: packages of the suite, then tools/install-deps")
        make_base(suite, tar)
    return tar


def build(root):
    """The tree's own files, built and installed with the suite's tools."""
    source = root / "src"
    source.mkdir()
    listed = run("git", "ls-files", "-z", cwd=SOURCE, capture_output=True).stdout
    with subprocess.Popen(["tar", "-xf", "-", "-C", str(source), "--no-same-owner"], stdin=subprocess.PIPE) as unpack:
        run("tar", "--null", "-T", "-", "-cf", "-", cwd=SOURCE, input=listed, stdout=unpack.stdin)
    with mounted(root):
        inside(root, "cd /src && make install PREFIX=/usr >/src/install.log 2>&1 || { tail -50 /src/install.log; exit 1; }")


def add_stage(root, suite):
    """The project, the script that plays the stages, and the unit that runs it."""
    project = root / "srv/shop"
    project.mkdir(parents=True)
    (project / "compose.yaml").write_text((HERE / "compose.yaml").read_text().replace("@MAJOR@", str(MAJORS[suite])))
    shutil.copy(HERE / "stage", root / "usr/local/sbin/berth-stage")
    shutil.copy(HERE / "berth-stage.service", root / "etc/systemd/system/berth-stage.service")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "berth-stage.service").symlink_to("/etc/systemd/system/berth-stage.service")
    (root / "etc/hostname").write_text("berth-vm\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost berth-vm\n")
    (root / "etc/fstab").write_text("/dev/vda / ext4 rw 0 1\n")
    (root / "etc/machine-id").write_text("b3c5f0e1d2a4968778695a4b3c2d1e0f\n") # not the first boot, which sets everything up anew


def make_disk(suite, work, say):
    """A bootable disk in work: disk.img, vmlinuz, initrd."""
    root = work / "root"
    if root.exists():
        shutil.rmtree(root)
    root.mkdir(parents=True)
    run("tar", "-xf", base_root(suite, say), "-C", root, "--numeric-owner", "--xattrs")
    say("building and installing inside it")
    build(root)
    add_stage(root, suite)
    say("writing the disk")
    disk = work / "disk-new.img"
    disk.unlink(missing_ok=True)
    with open(disk, "wb") as image:
        image.truncate(6 << 30)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", root, disk)
    shutil.copy(max((root / "boot").glob("vmlinuz-*")), work / "vmlinuz")
    shutil.copy(max((root / "boot").glob("initrd.img-*")), work / "initrd")
    shutil.rmtree(root)
    disk.rename(work / "disk-install.img")
