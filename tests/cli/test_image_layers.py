"""Layers as a container sees them: many of them, whiteouts, opaque folders, owners, links, volumes filled from the image."""
import pathlib

import pytest

import oci

BUSYBOX = pathlib.Path("/bin/busybox")

pytestmark = [pytest.mark.own_store, pytest.mark.skipif(not BUSYBOX.exists(), reason="no static busybox")]


def base():
    tree = oci.Tree().folder("bin").file("bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
    for name in ("sh", "ls", "cat", "sleep", "stat", "id"):
        tree.hardlink(f"bin/{name}", "bin/busybox")
    return tree


def test_sixty_layers(registry, project):
    layers = [base().folder("n").file("n/0", "0").folder("fresh").file("fresh/old", "").bytes()]
    for number in range(1, 60):
        tree = oci.Tree().file(f"n/{number}", str(number))
        if number == 30:
            tree.whiteout("n/3").whiteout("n/7")
        if number == 40:
            tree.folder("fresh").opaque("fresh").file("fresh/new", "")
        if number == 50:
            tree.file("n/7", "again")
        layers.append(tree.bytes())
    registry.add_image("many:1", layers, {"Cmd": ["sleep", "1000000"], "StopSignal": "SIGKILL"})
    one = project("services: {box: {image: 'many:1'}}")
    one("up", "-d", "--wait")

    def inside(*argv):
        return one("exec", "-T", "box", *argv).stdout

    assert set(inside("ls", "/n").split()) == {str(number) for number in range(60)} - {"3"}
    assert inside("cat", "/n/7") == "again"
    assert inside("ls", "/fresh").split() == ["new"]
    assert one("exec", "-T", "box", "cat", "/n/3", check=False).returncode != 0
    # What is hidden can be made anew.
    inside("sh", "-c", "echo mine > /n/3")
    assert inside("cat", "/n/3") == "mine\n"


def test_owners_and_volume_from_the_image(registry, project):
    tree = base().folder("data", mode=0o750, uid=999, gid=998).file("data/seed", "from the image", uid=999, gid=998, mode=0o640)
    tree.folder("etc").file("etc/passwd", "root:x:0:0::/:/bin/sh\nother:x:999:998::/:/bin/sh\n")
    registry.add_image("owned:1", [tree.bytes()], {"Cmd": ["sleep", "1000000"], "StopSignal": "SIGKILL", "Volumes": {"/data": {}},
                                                   "User": "other", "Env": ["COLOUR=blue"], "WorkingDir": "/data"})
    one = project("services: {box: {image: 'owned:1'}}")
    one("up", "-d", "--wait")

    def inside(*argv):
        return one("exec", "-T", "box", *argv).stdout.strip()

    assert inside("stat", "-c", "%a %u %g", "/data", "/data/seed").splitlines() == ["750 999 998", "640 999 998"]
    assert inside("cat", "seed") == "from the image"
    assert inside("sh", "-c", "echo $COLOUR; id -u") == "blue\n999"
    inside("sh", "-c", "echo changed > /data/seed")
    one("down", "--volumes", "--yes", "--purge")
    one("up", "-d", "--wait")
    assert inside("cat", "/data/seed") == "from the image"
