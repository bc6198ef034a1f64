"""berth image …: the verbs, on a store of the test's own."""
import json
import re

import pytest

import oci

pytestmark = pytest.mark.own_store


@pytest.fixture
def two_images(registry):
    """two-a:1 and two-b:1 share a layer; each has one of its own."""
    shared = oci.Tree().file("shared", "s" * 50_000).bytes()
    for name in ("two-a:1", "two-b:1"):
        registry.add_image(name, [shared, oci.Tree().file("own", name).bytes()], {"Cmd": [name]})


def rows(berth, *arguments):
    return [json.loads(line) for line in berth("image", "ls", "--format", "json", *arguments).stdout.splitlines()]


def layers(berth):
    return sorted(path.name for path in (berth.data / "images/layers").iterdir())


def test_pull_prints_the_id_and_lists(berth, two_images):
    identity = berth("image", "pull", "two-a:1").stdout.strip()
    assert re.fullmatch("sha256:[0-9a-f]{64}", identity)
    (row,) = rows(berth)
    assert (row["Repository"], row["Tag"], row["ID"]) == ("two-a", "1", identity[7:19])
    assert row["SizeBytes"] > 50_000 and row["Source"] == "store"
    table = berth("image", "ls").stdout.splitlines()
    assert table[0].split()[:3] == ["REPOSITORY", "TAG", "IMAGE"] and table[1].split()[:2] == ["two-a", "1"]
    assert berth("image", "ls", "-q").stdout.strip() == identity[7:19]
    assert rows(berth, "other") == [] and len(rows(berth, "two-a")) == 1


def test_pull_on_a_pipe_draws_nothing(berth, two_images):
    result = berth("image", "pull", "two-a:1")
    assert "\x1b" not in result.stderr and "Pulled" in result.stderr
    assert berth("image", "pull", "-q", "two-a:1").stderr == ""


def test_pull_failure_says_why(berth, registry, two_images):
    message = berth.fails("image", "pull", f"{registry.address}/library/two-a:nope")
    assert "two-a:nope" in message and "no such image" in message and "hint:" in message


def test_inspect_by_name_and_id(berth, two_images):
    identity = berth("image", "pull", "two-a:1").stdout.strip()
    for name in ("two-a:1", "docker.io/library/two-a:1", identity, identity[7:19]):
        (image,) = json.loads(berth("image", "inspect", name).stdout)
        assert image["Id"] == identity and image["Config"]["Cmd"] == ["two-a:1"] and len(image["Layers"]) == 2
    assert "nowhere:1" in berth.fails("image", "inspect", "nowhere:1")


def test_rm_keeps_shared_layers(berth, two_images):
    berth("image", "pull", "two-a:1", "two-b:1")
    assert len(layers(berth)) == 3
    out = berth("image", "rm", "two-a:1").stdout
    assert "Untagged: two-a:1" in out and "Deleted: sha256:" in out
    assert len(layers(berth)) == 2
    berth("image", "rm", "two-b:1")
    assert layers(berth) == [] and list((berth.data / "images/blobs/sha256").iterdir()) == []
    assert "two-a:1" in berth.fails("image", "rm", "two-a:1")


def test_rm_takes_the_last_name_only(berth, two_images, tmp_path):
    identity = berth("image", "pull", "two-a:1").stdout.strip()
    index = berth.data / "images/names.json"
    document = json.loads(index.read_text())
    document["names"]["docker.io/library/alias:1"] = identity
    index.write_text(json.dumps(document))
    assert "2 names" in berth.fails("image", "rm", identity)
    assert "Deleted" not in berth("image", "rm", "alias:1").stdout
    assert len(layers(berth)) == 2
    assert "Deleted" in berth("image", "rm", identity).stdout


def test_prune(berth, registry, two_images):
    berth("image", "pull", "two-a:1", "two-b:1")
    registry.add_image("two-a:1", [oci.Tree().file("new", "x").bytes()], {})
    berth("image", "pull", "two-a:1")  # the old one has no name any more
    assert len(rows(berth)) == 3
    (berth.data / "images/layers" / ("0" * 64)).mkdir()  # of a crash
    half_made = berth.data / "images/host" / ("0" * 64 + ".tmp")
    (half_made / "root").mkdir(parents=True)
    assert "Deleted: sha256:" in berth("image", "prune").stdout
    assert not half_made.exists()
    assert len(rows(berth)) == 2 and "0" * 64 not in layers(berth)
    message = berth.fails("image", "prune", "-a")
    assert "--yes" in message and len(rows(berth)) == 2
    berth("image", "prune", "-a", "--yes")
    assert rows(berth) == [] and layers(berth) == []


def test_load_and_import(berth, two_images, registry):
    image = registry.builder.blobs.add_image([registry.builder.blobs.add_layer(oci.Tree().file("f", "1").bytes())], {})
    oci.write_layout(registry.builder.blobs, image, berth.root / "layout", "localhost/laid:1")
    assert berth("image", "load", berth.root / "layout").stdout == "Loaded image: localhost/laid:1\n"
    archive = berth.root / "root.tar"
    archive.write_bytes(oci.Tree().file("f", "2").bytes())
    identity = berth("image", "import", archive, "made:1", "--change", "CMD /bin/x", "-c", "ENV A=1").stdout.strip()
    (made,) = json.loads(berth("image", "inspect", "made:1").stdout)
    assert made["Id"] == identity and made["Config"]["Cmd"] == ["/bin/sh", "-c", "/bin/x"] and made["Config"]["Env"] == ["A=1"]
    assert "nowhere.tar" in berth.fails("image", "load", "/nowhere.tar")


def test_corrupt_index_is_read_from_its_copy_and_kept_aside(berth, two_images):
    berth("image", "pull", "two-a:1")
    index = berth.data / "images/names.json"
    index.write_text("{")
    assert "two-a" in berth("image", "ls").stdout and index.read_text() == "{", "reading changes nothing"
    berth("image", "pull", "two-b:1")
    assert set(json.loads(index.read_text())["names"]) == {"docker.io/library/two-a:1", "docker.io/library/two-b:1"}
    (kept,) = index.parent.glob("names.json.corrupt-*")
    assert kept.read_text() == "{"


def test_corrupt_index_without_a_copy_is_named_and_left_alone(berth, two_images):
    berth("image", "pull", "two-a:1")
    index = berth.data / "images/names.json"
    index.write_text("{")
    (berth.data / "images/names.copy.json").write_text("[")
    message = berth.fails("image", "ls")
    assert str(index) in message and "hint:" in message
    berth.fails("image", "pull", "two-b:1")
    assert index.read_text() == "{"
    index.write_text('{"format": 99}')
    assert "newer" in berth.fails("image", "ls")
