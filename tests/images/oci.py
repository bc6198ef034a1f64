"""OCI blobs, layers and images, written by hand: what a registry serves and what `image load` reads."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import tarfile

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EPOCH = 1750000000  # of every file we make, so that equal content has equal digests
CREATED = "2025-06-15T15:06:40Z"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


class Tree:
    """A layer in the making: add files, folders, links and whiteouts, then take its bytes as a tar archive."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def _entry(self, name, kind, mode, uid=0, gid=0):
        info = tarfile.TarInfo(name.lstrip("/"))
        info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, uid, gid, EPOCH
        return info

    def folder(self, name, mode=0o755, uid=0, gid=0):
        self.tar.addfile(self._entry(name, tarfile.DIRTYPE, mode, uid, gid))
        return self

    def file(self, name, data, mode=0o644, uid=0, gid=0):
        data = data.encode() if isinstance(data, str) else data
        info = self._entry(name, tarfile.REGTYPE, mode, uid, gid)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def link(self, name, target):
        info = self._entry(name, tarfile.SYMTYPE, 0o777)
        info.linkname = target
        self.tar.addfile(info)
        return self

    def hardlink(self, name, target):
        info = self._entry(name, tarfile.LNKTYPE, 0o755)
        info.linkname = target.lstrip("/")
        self.tar.addfile(info)
        return self

    def whiteout(self, name):
        folder, _, base = name.lstrip("/").rpartition("/")
        return self.file(f"{folder}/.wh.{base}" if folder else f".wh.{base}", b"")

    def opaque(self, folder):
        return self.file(f"{folder.strip('/')}/.wh..wh..opq", b"")

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


class Blobs:
    """A folder of blobs by digest."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest):
        return self.folder / digest.removeprefix("sha256:")

    def add(self, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.exists():
            temporary = path.with_name(f"{path.name}.{os.getpid()}")
            temporary.write_bytes(data)
            temporary.rename(path)
        return digest

    def add_layer(self, tar_bytes):
        """From uncompressed bytes; returns the layer's description."""
        diff_id = "sha256:" + hashlib.sha256(tar_bytes).hexdigest()
        data = gzip.compress(tar_bytes, 1, mtime=0)
        return {"digest": self.add(data), "size": len(data), "diff_id": diff_id}

    def add_layer_file(self, tar_path):
        """The same from a file that may be large."""
        temporary = self.folder / f"layer.{os.getpid()}"
        plain, packed = hashlib.sha256(), hashlib.sha256()

        class Both:
            def write(self, data):
                packed.update(data)
                return out.write(data)

            def flush(self):
                out.flush()

        with open(tar_path, "rb") as source, open(temporary, "wb") as out:
            with gzip.GzipFile(fileobj=Both(), mode="wb", compresslevel=1, mtime=0, filename="") as pack:
                while chunk := source.read(1 << 20):
                    plain.update(chunk)
                    pack.write(chunk)
        digest = "sha256:" + packed.hexdigest()
        size = temporary.stat().st_size
        temporary.rename(self.path(digest))
        return {"digest": digest, "size": size, "diff_id": "sha256:" + plain.hexdigest()}

    def add_image(self, layers, config):
        """Returns the manifest's digest and size."""
        document = {"created": CREATED, "architecture": ARCHITECTURE, "os": "linux", "config": config,
                    "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
                    "history": [{"created": CREATED, "created_by": layer.get("by", "test recipe")} for layer in layers]}
        data = json.dumps(document, sort_keys=True).encode()
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": {"mediaType": CONFIG, "digest": self.add(data), "size": len(data)},
                    "layers": [{"mediaType": LAYER, "digest": layer["digest"], "size": layer["size"]} for layer in layers]}
        data = json.dumps(manifest, sort_keys=True).encode()
        return {"manifest": self.add(data), "size": len(data)}

    def manifest(self, image):
        return json.loads(self.path(image["manifest"]).read_bytes())

    def digests(self, image):
        manifest = self.manifest(image)
        return [image["manifest"], manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]


def write_layout(blobs, image, folder, name):
    """An OCI image layout of one image, for `image load`, skopeo and Docker."""
    folder = pathlib.Path(folder)
    target = folder / "blobs" / "sha256"
    target.mkdir(parents=True, exist_ok=True)
    for digest in blobs.digests(image):
        link_or_copy(blobs.path(digest), target / digest.removeprefix("sha256:"))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({
        "schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": image["manifest"], "size": image["size"],
                                           "annotations": {"org.opencontainers.image.ref.name": name}}]}))


def write_registry(blobs, image, root, repository, tag):
    """Puts an image into the storage folder of a docker-registry (its file system driver), as a push would."""
    base = pathlib.Path(root) / "docker" / "registry" / "v2"
    home = base / "repositories" / repository

    def put_link(folder, digest):
        path = home / folder / "link"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(digest)

    for digest in blobs.digests(image):
        name = digest.removeprefix("sha256:")
        data = base / "blobs" / "sha256" / name[:2] / name / "data"
        data.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(blobs.path(digest), data)
        if digest != image["manifest"]:
            put_link(f"_layers/sha256/{name}", digest)
    digest = image["manifest"]
    name = digest.removeprefix("sha256:")
    put_link(f"_manifests/revisions/sha256/{name}", digest)
    put_link(f"_manifests/tags/{tag}/current", digest)
    put_link(f"_manifests/tags/{tag}/index/sha256/{name}", digest)


def link_or_copy(source, target):
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
