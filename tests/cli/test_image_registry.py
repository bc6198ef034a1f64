"""What registries hold and how they guard it: platforms, Docker's own manifests, uncompressed and zstd layers, TLS, passwords."""
import base64
import concurrent.futures
import gzip
import hashlib
import json
import shutil
import subprocess
import urllib.request

import pytest

from support import network, worker
from support.program import wait_until
import oci

pytestmark = pytest.mark.own_store

INDEX = "application/vnd.oci.image.index.v1+json"


def names(berth):
    return json.loads((berth.data / "images/names.json").read_text())["names"]


def config_of(berth, identity):
    return json.loads((berth.data / "images/blobs/sha256" / identity.removeprefix("sha256:")).read_text())


def layer_folders(berth):
    return sorted((berth.data / "images/layers").iterdir())


def push(source, registry, name, *options):
    subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", *options, source,
                    f"docker://{registry.address}/library/{name}"], check=True)


def one_image_layout(berth, folder, media_type, data, diff_id, config=None):
    """An OCI layout whose only layer is data, as it is."""
    blobs = oci.Blobs(berth.root / "blobs")
    document = json.dumps({"architecture": oci.ARCHITECTURE, "os": "linux", "config": config or {},
                           "rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": oci.MANIFEST,
                           "config": {"mediaType": oci.CONFIG, "digest": blobs.add(document), "size": len(document)},
                           "layers": [{"mediaType": media_type, "digest": blobs.add(data), "size": len(data)}]}).encode()
    image = {"manifest": blobs.add(manifest), "size": len(manifest)}
    oci.write_layout(blobs, image, folder, "x")
    return blobs, image


def diff_id(tar_bytes):
    return "sha256:" + hashlib.sha256(tar_bytes).hexdigest()


@pytest.mark.parametrize("kind", ["tar", "tar+gzip", "tar+zstd"])
def test_layer_compressions(berth, registry, kind):
    data = oci.Tree().file("f", kind * 1000).bytes()
    packed = {"tar": lambda: data, "tar+gzip": lambda: gzip.compress(data),
              "tar+zstd": lambda: subprocess.run(["zstd", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout}[kind]()
    blobs, image = one_image_layout(berth, berth.root / "layout", f"application/vnd.oci.image.layer.v1.{kind}", packed,
                                    diff_id(data))
    oci.write_registry(blobs, image, registry.storage, "library/packed", kind.replace("+", "-"))
    worker.run(berth, "pull", reference=f"packed:{kind.replace('+', '-')}")
    assert [folder.name for folder in layer_folders(berth)] == [diff_id(data).removeprefix("sha256:")]


def test_docker_manifest_keeps_health_check_and_id(berth, registry):
    """Docker's own format goes through unchanged: a conversion would lose HEALTHCHECK and change the id."""
    blobs = oci.Blobs(berth.root / "blobs")
    health = {"Test": ["CMD", "true"], "Interval": 5_000_000_000}
    image = blobs.add_image([blobs.add_layer(oci.Tree().file("f", "x").bytes())], {"Healthcheck": health})
    oci.write_layout(blobs, image, berth.root / "layout", "x")
    manifest = blobs.manifest(image)
    docker = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
              "config": {**manifest["config"], "mediaType": "application/vnd.docker.container.image.v1+json"},
              "layers": [{**layer, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}
                         for layer in manifest["layers"]]}
    data = json.dumps(docker).encode()
    oci.write_registry(blobs, {"manifest": blobs.add(data), "size": len(data)}, registry.storage, "library/docker-made", "1")
    identity = worker.run(berth, "pull", reference="docker-made:1").result["id"]
    assert identity == manifest["config"]["digest"]
    assert config_of(berth, identity)["config"]["Healthcheck"] == health
    (shown,) = json.loads(berth("image", "inspect", "docker-made:1").stdout)
    assert shown["Config"]["Healthcheck"] == ["CMD", "true"]


def test_platform_is_chosen_from_a_list(berth, registry):
    blobs = oci.Blobs(berth.root / "blobs")
    entries = []
    for architecture in (oci.ARCHITECTURE, "s390x"):
        layer = blobs.add_layer(oci.Tree().file("arch", architecture).bytes())
        document = json.dumps({"architecture": architecture, "os": "linux", "config": {},
                               "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"]]}}).encode()
        manifest = json.dumps({"schemaVersion": 2, "mediaType": oci.MANIFEST,
                               "config": {"mediaType": oci.CONFIG, "digest": blobs.add(document), "size": len(document)},
                               "layers": [{"mediaType": oci.LAYER, "digest": layer["digest"], "size": layer["size"]}]}).encode()
        image = {"manifest": blobs.add(manifest), "size": len(manifest)}
        oci.write_layout(blobs, image, berth.root / "layout", "x")
        entries.append({"mediaType": oci.MANIFEST, "digest": image["manifest"], "size": image["size"],
                        "platform": {"os": "linux", "architecture": architecture}})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    digest = hashlib.sha256(index).hexdigest()
    (berth.root / "layout/blobs/sha256" / digest).write_bytes(index)
    (berth.root / "layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": INDEX, "digest": f"sha256:{digest}", "size": len(index),
         "annotations": {"org.opencontainers.image.ref.name": "list"}}]}))
    push(f"oci:{berth.root}/layout:list", registry, "several:1", "--all")
    identity = worker.run(berth, "pull", reference="several:1").result["id"]
    assert config_of(berth, identity)["architecture"] == oci.ARCHITECTURE
    other = worker.run(berth, "pull", reference="several:1", platform="linux/s390x").result["id"]
    assert config_of(berth, other)["architecture"] == "s390x"
    error = worker.fails(berth, "pull", reference="several:1", platform="linux/mips64")
    assert error["kind"] == "not-found" and "linux/s390x" in error["message"]
    # By the digest of the list, this machine's image again; and it can be found by it.
    worker.run(berth, "pull", reference=f"several@sha256:{digest}")
    (shown,) = json.loads(berth("image", "inspect", f"several@sha256:{digest}").stdout)
    assert shown["Id"] == identity


def test_many_pulls_at_once(berth, registry):
    shared = oci.Tree().file("shared", "s" * 300_000).bytes()
    for number in range(4):
        registry.add_image(f"crowd-{number}:1", [shared, oci.Tree().file("own", str(number)).bytes()], {})
    references = [f"crowd-{number % 4}:1" for number in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda reference: worker.run(berth, "pull", reference=reference), references))
    assert len(names(berth)) == 4 and len(layer_folders(berth)) == 5
    assert list((berth.data / "images/staging").iterdir()) == []


# ---- a guarded registry ----

@pytest.fixture
def guarded(berth, registry):
    """A registry with TLS (a certificate nobody knows) and a password, with the images of the open one."""
    if not shutil.which("htpasswd") and not hash_password("x"):
        pytest.skip("nothing here makes bcrypt hashes")
    folder = berth.root / "guarded"
    folder.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"], check=True,
                   capture_output=True)
    (folder / "passwords").write_text(f"anna:{hash_password('s3cret')}\n")
    port = network.free_port()
    (folder / "config.yml").write_text(f"""
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {registry.storage}}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {folder}/cert, key: {folder}/key}}}}
auth: {{htpasswd: {{realm: test, path: {folder}/passwords}}}}
""")
    log = open(folder / "log", "w")
    process = subprocess.Popen([shutil.which("docker-registry"), "serve", str(folder / "config.yml")], stdin=subprocess.DEVNULL,
                               stdout=log, stderr=subprocess.STDOUT)

    def answers():
        import ssl
        try:
            urllib.request.urlopen(f"https://127.0.0.1:{port}/v2/", timeout=1, context=ssl._create_unverified_context())
        except urllib.error.HTTPError as answer:
            return answer.code == 401
        except OSError:
            return False

    wait_until(answers, timeout=30)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait()
    log.close()


def hash_password(password):
    try:
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import crypt
        return crypt.crypt(password, "$2b$05$abcdefghijklmnopqrstuu")
    except ImportError:
        done = subprocess.run(["htpasswd", "-nbB", "x", password], capture_output=True, text=True)
        return done.stdout.strip().partition(":")[2] if done.returncode == 0 else None


def test_tls_and_password(berth, registry, guarded):
    registry.add_image("guarded:1", [oci.Tree().file("f", "x").bytes()], {})
    reference = f"{guarded}/library/guarded:1"
    error = worker.fails(berth, "pull", reference=reference)
    assert error["kind"] == "unavailable" and "certificate" in error["message"], error

    (berth.config / "registries.conf").write_text(f'[[registry]]\nlocation = "{guarded}"\ninsecure = true\n')
    berth.environment.pop("CONTAINERS_REGISTRIES_CONF", None)
    error = worker.fails(berth, "pull", reference=reference)
    assert error["kind"] == "denied" and "log in" in error["hint"].lower(), error

    auth = {"auths": {guarded: {"auth": base64.b64encode(b"anna:wrong").decode()}}}
    (berth.config / "auth.json").write_text(json.dumps(auth))
    assert worker.fails(berth, "pull", reference=reference)["kind"] == "denied"

    auth["auths"][guarded]["auth"] = base64.b64encode(b"anna:s3cret").decode()
    (berth.config / "auth.json").write_text(json.dumps(auth))
    worker.run(berth, "pull", reference=reference)
    (berth.config / "auth.json").unlink()

    # Docker's own file serves too.
    (berth.root / ".docker").mkdir()
    (berth.root / ".docker/config.json").write_text(json.dumps(auth))
    worker.run(berth, "pull", reference=reference)


def test_plain_http_without_leave(berth, registry):
    registry.add_image("plain:1", [oci.Tree().file("f", "x").bytes()], {})
    berth.environment.pop("CONTAINERS_REGISTRIES_CONF")
    error = worker.fails(berth, "pull", reference=f"{registry.address}/library/plain:1")
    assert error["kind"] == "unavailable" and "insecure" in error["hint"], error


def test_where_an_image_was_pulled_from_is_said(project, registry, images):
    images("busybox")
    made = project("services: {box: {image: busybox, command: [sleep, '1000000'], stop_signal: SIGKILL, volumes: ['data:/data']}}\nvolumes: {data: }")
    assert "busybox from the registry docker.io (" in made("up", "-d").stderr
    assert "busybox from" not in made("up", "-d").stderr
    made("down")
    assert "busybox from the store (" in made("up", "-d").stderr
    assert "busybox from the store (" in json.loads(made("volume", "inspect", "demo_data").stdout)[0]["WrittenBy"]


def test_a_stored_image_of_another_platform_is_not_used(project, registry, images, berth):
    images("busybox")
    tar = berth.root / "root.tar"
    tar.write_bytes(oci.Tree().folder("bin").file("bin/sleep", "no program", mode=0o755).bytes())
    box = "image: {}, command: [sleep, '1000000'], stop_signal: SIGKILL"
    for name in ("busybox", "alone:1"):
        berth("image", "import", "--platform", "linux/s390x", tar, name)
    alone = project(f"services: {{box: {{{box.format('alone:1')}}}}}", name="alone")
    error = alone.fails("up", "-d")
    assert "alone:1 (the one in the store is made for linux/s390x)" in error
    error = alone.fails("up", "-d", "--pull", "never")
    assert f"made for linux/s390x, not for linux/{oci.ARCHITECTURE}" in error and "platform: linux/s390x" in error
    assert alone.ps("-a") == {}
    # What the registry has for this machine takes its place.
    made = project(f"services: {{box: {{{box.format('busybox')}}}}}")
    made("up", "-d")
    assert made.ps()["demo-box-1"]["State"] == "running"
