"""Data outlives everything: nothing is removed without being named and asked for, and what was removed comes back."""
import json

import pytest

from support import clock

BUSYBOX = """
    services:
      box:
        image: busybox
        command: ["sleep", "1000000"]
        stop_signal: SIGKILL
        volumes:
          - data:/data
          - /scratch
    volumes:
      data:
"""


@pytest.fixture
def box(project, images):
    images("busybox")
    made = project(BUSYBOX)
    made("up", "-d")
    made.exec("box", "sh", "-c", "echo kept > /data/file")
    return made


def volumes(berth, *arguments):
    return {row["Name"]: row for row in map(json.loads, berth("volume", "ls", "--format", "json", *arguments).stdout.splitlines())}


def test_down_keeps_volumes(box):
    box("down")
    box("up", "-d")
    assert box.exec("box", "cat", "/data/file") == "kept"


def test_down_v_without_a_terminal_refuses_and_names_what_would_be_lost(box, berth):
    result = box("down", "-v", check=False)
    assert result.returncode != 0
    assert "demo_data" in result.stderr and "--yes" in result.stderr
    assert box.exec("box", "cat", "/data/file") == "kept"  # nothing changed: it still runs


def test_down_v_goes_to_the_trash_and_comes_back(box, berth):
    box("down", "-v", "--yes")
    assert "demo_data" not in volumes(berth)
    trash = volumes(berth, "--trash")
    assert any("demo_data" in name for name in trash)
    box("up", "-d")
    assert box("exec", "-T", "box", "cat", "/data/file", check=False).returncode != 0  # an empty one, as people expect
    box("down", "-v", "--yes", "--purge")
    berth("volume", "restore", "demo_data")
    box("up", "-d")
    assert box.exec("box", "cat", "/data/file") == "kept"


@pytest.mark.slow  # no program with sanitizers has another one's clock loaded before it
def test_a_clock_that_leaps_empties_no_trash(box, berth):
    times = clock.Clock(berth)
    box("down", "-v", "--yes")
    times.set(365 * 86400)
    for _ in range(2):
        assert berth("system", "prune").returncode == 0
        box("up", "-d")
        box("down")
    times.set(0)
    box("down", "-v", "--yes", "--purge")
    berth("volume", "restore", "demo_data")
    box("up", "-d")
    assert box.exec("box", "cat", "/data/file") == "kept"


def test_restore_does_not_take_the_place_of_a_volume_that_is_there(box, berth):
    box("down", "-v", "--yes")
    box("up", "-d")
    error = berth.fails("volume", "restore", "demo_data")
    assert "demo_data" in error


def test_purge_leaves_nothing(box, berth):
    box("down", "-v", "--yes", "--purge")
    assert volumes(berth, "--trash") == {}
    assert not any((berth.data / "trash").glob("*"))


def test_volume_rm_of_a_used_one_is_refused(box, berth):
    error = berth.fails("volume", "rm", "--yes", "demo_data")
    assert "demo_data" in error and "box" in error
    assert box.exec("box", "cat", "/data/file") == "kept"


def test_volume_rm_asks(box, berth):
    box("down")
    assert "--yes" in berth.fails("volume", "rm", "demo_data")
    assert "demo_data" in volumes(berth)


def test_create_inspect_export_import(berth, project, images):
    images("busybox")
    berth("volume", "create", "lent")
    found = json.loads(berth("volume", "inspect", "lent").stdout)
    assert (found[0] if isinstance(found, list) else found)["Name"] == "lent"
    made = project("""
        services:
          box:
            image: busybox
            command: ["sh", "-c", "echo there > /data/file; chown 1000:2000 /data/file"]
            volumes: ["lent:/data"]
        volumes:
          lent: {external: true}
    """)
    made("up")
    made("down")
    archive = berth.root / "lent.tar"
    berth("volume", "export", "lent", "-o", archive)
    berth("volume", "create", "copy")
    berth("volume", "import", "copy", archive)
    path = berth.data / "volumes" / "copy" / "_data" / "file"
    assert path.read_text() == "there\n"
    assert (path.stat().st_uid, path.stat().st_gid) == (1000, 2000)
    berth("volume", "rm", "--yes", "lent", "copy")


def test_an_external_volume_that_is_missing_is_named(project, images):
    images("busybox")
    made = project("""
        services:
          box: {image: busybox, volumes: ["absent:/data"]}
        volumes:
          absent: {external: true}
    """)
    error = made.fails("up", "-d")
    assert "absent" in error


def test_down_does_not_touch_an_external_volume(berth, project, images):
    images("busybox")
    berth("volume", "create", "lent")
    made = project("""
        services:
          box: {image: busybox, volumes: ["lent:/data"]}
        volumes:
          lent: {external: true}
    """)
    made("up", "-d")
    made("down", "-v", "--yes")
    assert "lent" in volumes(berth)


def test_an_image_s_own_files_are_copied_up_once(registry, berth, project):
    import sys
    from support.program import ROOT
    sys.path.insert(0, str(ROOT / "tests" / "images"))
    import oci
    tree = oci.Tree().folder("seed", 0o750, 1000, 1000).file("seed/file", "from the image", 0o640, 1000, 1000)
    base = registry.builder.base(__import__("recipes").Busybox())
    image = registry.builder.blobs.add_image([base, registry.builder.blobs.add_layer(tree.bytes())],
                                             {"Env": ["PATH=/bin"], "Cmd": ["sleep", "1000000"]})
    oci.write_registry(registry.builder.blobs, image, registry.storage, "test/seeded", "1")
    made = project("""
        services:
          box:
            image: test/seeded:1
            stop_signal: SIGKILL
            volumes: ["data:/seed"]
        volumes: {data: }
    """)
    made("up", "-d")
    assert made.exec("box", "cat", "/seed/file") == "from the image"
    assert made.exec("box", "stat", "-c", "%u:%g %a", "/seed") == "1000:1000 750"
    made.exec("box", "sh", "-c", "echo changed > /seed/file")
    made("up", "-d", "--force-recreate")
    assert made.exec("box", "cat", "/seed/file") == "changed"


def test_anonymous_volumes_go_with_down_v_only(box, berth):
    before = set(volumes(berth))
    assert len(before) == 2
    box("down")
    assert set(volumes(berth)) == before
