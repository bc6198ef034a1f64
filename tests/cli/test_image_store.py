"""Images: pulled from a registry, loaded, imported; and what happens when any of that goes wrong."""
import hashlib
import json
import os
import pathlib
import signal
import stat
import subprocess
import tarfile

import pytest

from support import network, worker
from support.program import wait_until
import oci

pytestmark = pytest.mark.own_store


class Store:
    def __init__(self, berth):
        self.folder = berth.data / "images"

    @property
    def index(self):
        path = self.folder / "names.json"
        return json.loads(path.read_text()) if path.exists() else {"images": {}, "names": {}, "layers": {}}

    def layers(self):
        folder = self.folder / "layers"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def leftovers(self):
        folder = self.folder / "staging"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def layer(self, tar_bytes):
        return self.folder / "layers" / hashlib.sha256(tar_bytes).hexdigest()

    def assert_empty(self):
        assert self.index["names"] == {} and self.layers() == [] and self.leftovers() == []


@pytest.fixture
def image_store(berth):
    return Store(berth)


@pytest.fixture
def layout(berth):
    """layout(NAME, [tar bytes…], config) writes an OCI layout of one image and returns its folder."""
    def make(name, layers, config=None, blobs=None):
        blobs = blobs or oci.Blobs(berth.root / f"blobs-{len(list(berth.root.iterdir()))}")
        image = blobs.add_image([blobs.add_layer(layer) for layer in layers], config or {})
        folder = berth.root / f"layout-{len(list(berth.root.iterdir()))}"
        oci.write_layout(blobs, image, folder, name)
        return folder

    return make


def base_layer():
    return oci.Tree().folder("etc").file("etc/base", "base\n").folder("bin").file("bin/tool", "#!/bin/sh\n", mode=0o4755).bytes()


def top_layer(text="top\n"):
    return oci.Tree().folder("etc").whiteout("etc/base").file("etc/top", text, uid=999, gid=998).bytes()


# ---- pull ----

def test_pull_shares_layers_and_fetches_only_new_ones(berth, registry, image_store):
    one = registry.add_image("share-one:1", [base_layer(), top_layer()], {"Env": ["A=1"]})
    two = registry.add_image("share-two:1", [base_layer(), top_layer("other\n")], {"Env": ["A=2"]})
    worker.run(berth, "pull", reference="share-one:1")
    assert len(image_store.layers()) == 2
    worker.run(berth, "pull", reference="share-two:1")
    assert len(image_store.layers()) == 3
    (shared,) = set(registry.builder.blobs.digests(one)[2:]) & set(registry.builder.blobs.digests(two)[2:])

    fetched = [line for line in registry.requests().splitlines() if f"GET /v2/library/share-two/blobs/{shared}" in line]
    assert not fetched, "a layer that was there was fetched again"
    names = image_store.index["names"]
    assert set(names) == {"docker.io/library/share-one:1", "docker.io/library/share-two:1"}
    digests = image_store.index["images"][names["docker.io/library/share-one:1"]]["digests"]
    assert digests == [f"docker.io/library/share-one@{one['manifest']}"]
    assert image_store.leftovers() == []


def test_pulled_layer_has_owners_modes_and_whiteouts(berth, registry, image_store):
    registry.add_image("content:1", [base_layer(), top_layer()], {})
    worker.run(berth, "pull", reference="content:1")
    tool = (image_store.layer(base_layer()) / "bin" / "tool").stat()
    assert stat.S_IMODE(tool.st_mode) == 0o4755
    top = image_store.layer(top_layer()) / "etc"
    assert ((top / "top").stat().st_uid, (top / "top").stat().st_gid) == (999, 998)
    hidden = (top / "base").lstat()
    assert stat.S_ISCHR(hidden.st_mode) and hidden.st_rdev == 0


def test_pull_again_fetches_nothing(berth, registry, image_store):
    image = registry.add_image("again:1", [base_layer()], {})
    layer = registry.builder.blobs.digests(image)[2]

    def fetches():
        return sum(f"GET /v2/library/again/blobs/{layer}" in line for line in registry.requests().splitlines())

    first = worker.run(berth, "pull", reference="again:1")
    before = fetches()
    assert before
    assert worker.run(berth, "pull", reference="again:1").result == first.result
    assert fetches() == before


def test_pull_by_digest(berth, registry, image_store):
    image = registry.add_image("digest:1", [base_layer()], {})
    registry.add_image("digest:1", [base_layer(), top_layer()], {})  # the tag moves on
    worker.run(berth, "pull", reference=f"digest@{image['manifest']}")
    assert image_store.index["names"] == {}
    assert len(image_store.layers()) == 1


def test_pull_moves_the_name(berth, registry, image_store):
    registry.add_image("moves:1", [base_layer()], {})
    first = worker.run(berth, "pull", reference="moves:1").result["id"]
    registry.add_image("moves:1", [base_layer(), top_layer()], {})
    second = worker.run(berth, "pull", reference="moves:1").result["id"]
    assert first != second
    assert image_store.index["names"] == {"docker.io/library/moves:1": second}


def test_pull_tells_bytes(berth, registry, image_store):
    registry.add_image("bytes:1", [oci.Tree().file("big", os.urandom(3_000_000)).bytes()], {})
    events = worker.run(berth, "pull", reference="bytes:1").events
    last = [event for event in events if "done" in event][-1]
    assert last["done"] == last["total"] > 3_000_000


def test_pull_with_own_registries_conf(berth, registry, image_store):
    registry.add_image("conf:1", [base_layer()], {})
    (berth.config / "registries.conf").write_text(registry.configuration.read_text())
    del berth.environment["CONTAINERS_REGISTRIES_CONF"]
    worker.run(berth, "pull", reference="conf:1")


def test_image_not_found(berth, registry, image_store):
    registry.add_image("exists:1", [base_layer()], {})
    error = worker.fails(berth, "pull", reference=f"{registry.address}/library/exists:2")
    assert error["kind"] == "not-found" and "exists:2" in error["message"] and error["hint"]
    error = worker.fails(berth, "pull", reference=f"{registry.address}/library/nowhere:1")
    assert error["kind"] == "not-found"
    image_store.assert_empty()


def test_registry_unreachable(berth, image_store):
    error = worker.fails(berth, "pull", reference=f"127.0.0.1:{network.free_port()}/x:1")
    assert error["kind"] == "unavailable" and "unreachable" in error["message"]
    assert "berth image load" in error["hint"]
    image_store.assert_empty()


def spoil(registry, digest, change):
    """Changes a blob in the registry's storage; other names of the file keep the old bytes."""
    name = digest.removeprefix("sha256:")
    path = registry.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(change(data))


def flip_middle(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]


def test_wrong_layer_digest(berth, registry, image_store):
    image = registry.add_image("spoilt:1", [oci.Tree().file("f", os.urandom(5000)).bytes()], {})
    spoil(registry, registry.builder.blobs.digests(image)[2], flip_middle)
    error = worker.fails(berth, "pull", reference=f"{registry.address}/library/spoilt:1")
    assert error["kind"] == "corrupt", error
    image_store.assert_empty()


def test_wrong_manifest_digest(berth, registry, image_store):
    image = registry.add_image("lies:1", [oci.Tree().file("g", os.urandom(100)).bytes()], {})
    spoil(registry, image["manifest"], lambda data: data.replace(b'"schemaVersion": 2', b'"schemaVersion":  2'))
    error = worker.fails(berth, "pull", reference=f"{registry.address}/library/lies@{image['manifest']}")
    assert error["kind"] in ("corrupt", "not-found", "unavailable"), error
    image_store.assert_empty()


def test_disk_full_leaves_nothing(berth, registry, image_store):
    registry.add_image("big:1", [oci.Tree().file("big", os.urandom(6_000_000)).bytes()], {})
    berth.data.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", berth.data], check=True)
    try:
        error = worker.fails(berth, "pull", reference="big:1")
        assert error["kind"] == "no-space", error
        image_store.assert_empty()
    finally:
        subprocess.run(["umount", berth.data], check=True)


# ---- load and import ----

def test_load_layout_folder_and_tar(berth, layout, image_store):
    folder = layout("localhost/loaded:1", [base_layer(), top_layer()], {"Cmd": ["x"]})
    one = worker.run(berth, "load", source=str(folder)).result["images"]
    assert one[0]["names"] == ["localhost/loaded:1"]
    archive = berth.root / "layout.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")
    two = worker.run(berth, "load", source=str(archive), name="second").result["images"]
    assert two[0]["id"] == one[0]["id"]
    assert set(image_store.index["names"]) == {"localhost/loaded:1", "docker.io/library/second:latest"}
    assert image_store.leftovers() == []


def test_load_docker_archive(berth, layout, image_store):
    folder = layout("localhost/saved:1", [base_layer(), top_layer()], {"Cmd": ["x"]})
    archive = berth.root / "saved.tar"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{folder}", f"docker-archive:{archive}:saved:1"], check=True)
    loaded = worker.run(berth, "load", source=str(archive)).result["images"]
    assert loaded[0]["names"] == ["docker.io/library/saved:1"]
    assert image_store.layer(base_layer()).is_dir() and image_store.layer(top_layer()).is_dir()


@pytest.mark.slow
def test_load_from_docker(berth, layout, image_store, dockerd):
    folder = layout("localhost/indocker:1", [base_layer()], {"Cmd": ["x"], "Healthcheck": {"Test": ["CMD", "true"]}})
    archive = berth.root / "in.tar"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{folder}", f"docker-archive:{archive}:indocker:1"], check=True)
    subprocess.run(["docker", "load", "-i", archive], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, **dockerd.environment})
    berth.environment.update(dockerd.environment)
    worker.run(berth, "load", source="docker-daemon:indocker:1")
    assert list(image_store.index["names"]) == ["docker.io/library/indocker:1"]
    error = worker.fails(berth, "load", source="docker-daemon:absent:1")
    assert error["kind"] == "not-found", error


def test_load_chooses_platform(berth, image_store):
    blobs = oci.Blobs(berth.root / "blobs")
    entries = []
    for architecture in ("s390x", "arm64"):
        image = blobs.add_image([blobs.add_layer(oci.Tree().file("arch", architecture).bytes())], {"Env": [architecture]})
        entries.append({"mediaType": oci.MANIFEST, "digest": image["manifest"], "size": image["size"],
                        "platform": {"os": "linux", "architecture": architecture}})
        oci.write_layout(blobs, image, berth.root / "layout", "x")
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    digest = hashlib.sha256(index).hexdigest()
    (berth.root / "layout/blobs/sha256" / digest).write_bytes(index)
    (berth.root / "layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}", "size": len(index)}]}))
    error = worker.fails(berth, "load", source=str(berth.root / "layout"), platform="linux/riscv64")
    assert error["kind"] == "not-found" and "linux/arm64" in error["message"]
    worker.run(berth, "load", source=str(berth.root / "layout"), platform="linux/arm64")
    (layer,) = image_store.layers()
    assert (image_store.folder / "layers" / layer / "arch").read_text() == "arm64"


def test_import_with_changes(berth, image_store):
    archive = berth.root / "root.tar"
    archive.write_bytes(base_layer())
    result = worker.run(berth, "import", source=str(archive), name="made:1",
                        changes=['CMD ["/bin/tool"]', "ENV A=b c", "EXPOSE 80", "USER 7"]).result
    config = json.loads((image_store.folder / "blobs/sha256" / result["id"].removeprefix("sha256:")).read_text())
    assert config["config"] == {"Cmd": ["/bin/tool"], "Env": ["A=b c"], "ExposedPorts": {"80/tcp": {}}, "User": "7"}
    assert image_store.index["names"] == {"docker.io/library/made:1": result["id"]}
    assert worker.fails(berth, "import", source=str(archive), changes=["RUN x"])["kind"] == "usage"


def test_libc_is_told(berth, layout, image_store):
    musl = oci.Tree().file("lib/ld-musl-x86_64.so.1", "x").file("lib/apk/db/installed", "C:x\nP:busybox\nV:1\n\nC:y\nP:musl\nV:1.2.4-r2\n")
    glibc = oci.Tree().file("usr/lib/x86_64-linux-gnu/libc.so.6", b"\0\1GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n")
    icu = oci.Tree().file("usr/lib/x86_64-linux-gnu/libc.so.6", b"GNU C Library stable release version 2.36.\n")
    icu.file("usr/lib/x86_64-linux-gnu/libicuuc.so.72", "x").file("usr/lib/x86_64-linux-gnu/libicuuc.so.72.1", "x")
    for tree, wanted in ((musl, "musl 1.2.4"), (glibc, "glibc 2.36"), (icu, "glibc 2.36, ICU 72")):
        folder = layout("localhost/libc:1", [tree.bytes(), top_layer()])
        loaded = worker.run(berth, "load", source=str(folder)).result["images"][0]["id"]
        assert image_store.index["images"][loaded]["libc"] == wanted


# ---- hostile and broken input ----

def hostile_layers():
    def device():
        tree = oci.Tree()
        info = tree._entry("opt/sda", tarfile.BLKTYPE, 0o600)
        info.devmajor, info.devminor = 8, 0
        tree.tar.addfile(info)
        return tree.bytes()

    def raw_name(name):
        tree = oci.Tree()
        info = tree._entry("x", tarfile.REGTYPE, 0o644)
        info.name = name
        tree.tar.addfile(info)
        return tree.bytes()

    return {
        "dots": raw_name("../../../../../../tmp/berth-evil"),
        "dots-inside": raw_name("a/../../b"),
        "hardlink-out": oci.Tree().hardlink("h", "../../../../etc/passwd").bytes(),
        "hardlink-absolute": oci.Tree().hardlink("h", "/etc/passwd").bytes(),
        "device": device(),
        "truncated": oci.Tree().file("f", b"x" * 4096).bytes()[:2048],
        "not-a-tar": b"x" * 4096,
    }


@pytest.mark.parametrize("kind", sorted(hostile_layers()))
def test_hostile_layer_is_refused(berth, layout, image_store, kind):
    folder = layout("localhost/hostile:1", [base_layer(), hostile_layers()[kind]])
    error = worker.fails(berth, "load", source=str(folder))
    assert error["kind"] == "invalid", error
    assert not pathlib.Path("/tmp/berth-evil").exists()
    image_store.assert_empty()


def test_layer_that_is_not_its_diff_id(berth, image_store):
    blobs = oci.Blobs(berth.root / "blobs")
    layer = blobs.add_layer(base_layer())
    layer["diff_id"] = "sha256:" + "0" * 64
    folder = berth.root / "layout"
    oci.write_layout(blobs, blobs.add_image([layer], {}), folder, "localhost/x:1")
    assert worker.fails(berth, "load", source=str(folder))["kind"] == "corrupt"
    image_store.assert_empty()


def test_files_that_are_no_images(berth, image_store):
    (berth.root / "text").write_text("hello")
    (berth.root / "folder").mkdir()
    for source, kind in ((berth.root / "text", "invalid"), (berth.root / "folder", "invalid"), ("/nowhere", "not-found")):
        assert worker.fails(berth, "load", source=str(source))["kind"] == kind
    image_store.assert_empty()


@pytest.mark.parametrize("reference", ["", "UPPER", "x:", "../x", "x@sha256:12", "http://x/y"])
def test_malformed_reference(berth, image_store, reference):
    assert worker.fails(berth, "pull", reference=reference)["kind"] == "invalid"
    image_store.assert_empty()


# ---- interrupted ----

def large_layout(layout):
    tree = oci.Tree()
    for number in range(300):
        tree.file(f"f{number}", bytes([number % 256]) * 200_000)
    return layout("localhost/large:1", [tree.bytes()])


def start_unpacking(berth, folder):
    job = worker.Job(berth, "load", source=str(folder))
    while job.next() != {"status": "unpacking"}:
        assert job.error is None, job.error
    return job


def test_cancelled_load_leaves_nothing(berth, layout, image_store):
    job = start_unpacking(berth, large_layout(layout))
    job.process.terminate()
    assert job.end().error["kind"] == "cancelled"
    assert job.process.returncode == 130
    image_store.assert_empty()


def test_worker_ends_with_its_reader(berth, layout, image_store):
    job = start_unpacking(berth, large_layout(layout))
    job.process.stdout.close()
    job.process.wait(60)
    image_store.assert_empty()


def test_killed_load_is_made_up_for(berth, layout, image_store):
    folder = large_layout(layout)
    job = start_unpacking(berth, folder)
    job.process.send_signal(signal.SIGKILL)
    job.process.wait(60)
    job.process.stdout.close()
    assert image_store.index["names"] == {} and image_store.layers() == []
    worker.run(berth, "load", source=str(folder))
    assert list(image_store.index["names"]) == ["localhost/large:1"]
    assert len(image_store.layers()) == 1 and image_store.leftovers() == []
    (layer,) = image_store.layers()
    assert len(list((image_store.folder / "layers" / layer).iterdir())) == 300


@pytest.fixture
def stopped_registry(registry):
    """It has taken the name's request and says nothing more: a transfer that hangs."""
    registry.process.send_signal(signal.SIGSTOP)
    yield registry
    registry.process.send_signal(signal.SIGCONT)


def wait_for_staging(image_store):
    wait_until(lambda: image_store.leftovers() != [], timeout=60)


def test_interrupted_pull_leaves_nothing(berth, stopped_registry, image_store):
    command = berth.start("image", "pull", "hangs:1", start_new_session=True)
    wait_for_staging(image_store)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does
    command.communicate(timeout=60)
    assert command.returncode in (130, -signal.SIGINT)
    wait_until(lambda: image_store.leftovers() == [], timeout=60)
    image_store.assert_empty()


def test_interrupted_up_gives_the_pull_up(berth, project, stopped_registry, image_store):
    one = project("services: {box: {image: 'hangs:1'}}")
    command = berth.start("up", "-d", cwd=one.folder, start_new_session=True)
    wait_for_staging(image_store)
    os.killpg(command.pid, signal.SIGINT)
    command.communicate(timeout=60)
    assert command.returncode in (130, -signal.SIGINT)
    wait_until(lambda: image_store.leftovers() == [], timeout=60)
    image_store.assert_empty()
