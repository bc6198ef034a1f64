"""`berth config --resolve-image-digests` and `--lock-image-digests` against a real registry; the output is that of docker compose."""
import json
import urllib.request

import pytest

import oci

COMPOSE = """
name: demo
services:
  web: {image: "locked-web:1", profiles: [x], x-foo: {a: 1}, environment: {A: "a$$b"}}
  db: {image: "locked-${NAME:-db}", networks: [n], volumes: ["data:/d"]}
  pinned: {image: "busybox:1@sha256:%(digits)s"}
  built: {build: .}
  both: {build: ., image: "locked-web:1"}
volumes: {data: }
networks: {n: }
x-top: {a: b}
"""
INDEX = "application/vnd.oci.image.index.v1+json"
DIGITS = "a" * 64
PINNED = f"docker.io/library/busybox@sha256:{DIGITS}"


@pytest.fixture
def locked(berth, registry):
    """A folder with a compose file; .web and .db are what the registry has: an image, and a list of them."""
    class Folder:
        path = berth.root / "locked"
        web = registry.add_image("locked-web:1", [oci.Tree().file("f", "web").bytes()], {})["manifest"]

    one = registry.add_image("locked-db:one", [oci.Tree().file("f", "db").bytes()], {})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": oci.MANIFEST, "digest": one["manifest"], "size": one["size"],
         "platform": {"os": "linux", "architecture": oci.ARCHITECTURE}}]}).encode()
    put = urllib.request.Request(f"http://{registry.address}/v2/library/locked-db/manifests/latest", index, method="PUT",
                                 headers={"Content-Type": INDEX})
    Folder.db = urllib.request.urlopen(put, timeout=60).headers["Docker-Content-Digest"]
    assert Folder.db != one["manifest"]
    Folder.path.mkdir()
    (Folder.path / "compose.yaml").write_text(COMPOSE % {"digits": DIGITS})
    return Folder


def test_resolved_images_stand_in_the_whole_model(berth, locked):
    plain = json.loads(berth("config", "--format", "json", cwd=locked.path).stdout)
    pinned = json.loads(berth("config", "--resolve-image-digests", "--format", "json", cwd=locked.path).stdout)
    images = {name: service.pop("image", None) for name, service in pinned["services"].items()}
    assert images == {"db": f"docker.io/library/locked-db:latest@{locked.db}", "pinned": PINNED, "built": None,
                      "both": f"docker.io/library/locked-web:1@{locked.web}"}
    for service in plain["services"].values():
        service.pop("image", None)
    assert pinned == plain
    # The other parts of `config` are the same with it or without.
    assert "locked-db" in berth("config", "--images", "--resolve-image-digests", cwd=locked.path).stdout.split()


def test_lock_is_an_override_that_loads(berth, locked):
    db, web = f"docker.io/library/locked-db:latest@{locked.db}", f"docker.io/library/locked-web:1@{locked.web}"
    berth("config", "--lock-image-digests", "-o", "lock.yaml", cwd=locked.path)
    assert (locked.path / "lock.yaml").read_text() == (
        f"services:\n  both:\n    image: {web}\n  built: {{}}\n  db:\n    image: {db}\n  pinned:\n    image: {PINNED}\n")
    model = json.loads(berth("config", "--lock-image-digests", "--format", "json", "db", cwd=locked.path).stdout)
    assert model == {"name": "", "services": {"db": {"command": None, "entrypoint": None, "image": db}}}
    both = ("-f", "compose.yaml", "-f", "lock.yaml")
    assert db in berth(*both, "config", "--images", cwd=locked.path).stdout.split()
    # What is pinned already needs no registry; its tag says nothing any more.
    nowhere = {"CONTAINERS_REGISTRIES_CONF": "/dev/null"}
    assert f"docker.io/library/locked-db@{locked.db}" in berth(*both, "config", "--lock-image-digests", cwd=locked.path, env=nowhere).stdout


def test_lock_without_interpolation_has_every_service(berth, locked):
    (locked.path / "compose.yaml").write_text((locked.path / "compose.yaml").read_text().replace("${NAME:-db}", "db"))
    model = json.loads(berth("config", "--lock-image-digests", "--no-interpolate", "--format", "json", cwd=locked.path).stdout)
    assert set(model) == {"services"} and set(model["services"]) == {"web", "db", "pinned", "built", "both"}
    assert model["services"]["web"] == {"image": f"docker.io/library/locked-web:1@{locked.web}"}


def test_every_image_that_cannot_be_pinned_is_named(berth, locked):
    (locked.path / "compose.yaml").write_text("services: {a: {image: locked-none}, b: {image: 'locked-web:2'}, c: {image: 'a b'},"
                                              " d: {image: 'locked-web:1'}}\n")
    errors = berth.fails("config", "--lock-image-digests", cwd=locked.path)
    for name in ("locked-none", "locked-web:2", "a b"):
        assert f'"{name}"' in errors
    assert "locked-web:1" not in errors and "Check the name and the tag." in errors


def test_folders_of_the_installation_are_not_needed(berth, locked):
    (locked.path / "compose.yaml").write_text("services: {a: {image: 'locked-web:1'}}\n")
    nowhere = {"BERTH_DATA_DIR": "/dev/null/data", "BERTH_RUN_DIR": "/dev/null/run"}
    assert locked.web in berth("config", "--resolve-image-digests", cwd=locked.path, env=nowhere).stdout
