"""A registry on loopback that stands for the public one, with the test images in it."""
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

from . import network
from .program import ROOT, wait_until

sys.path.insert(0, str(ROOT / "tests" / "images"))
import build  # noqa: E402
import oci  # noqa: E402
import recipes  # noqa: E402


class Registry:
    """address: "127.0.0.1:PORT". configuration: a registries.conf in which it stands for docker.io, for
    CONTAINERS_REGISTRIES_CONF: its mirror, and where an image is looked for that the mirror lacks, so that no test waits for
    a network. Its storage is this run's own: a test may add to it and spoil what it added."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.storage = self.folder / "storage"
        self.storage.mkdir()
        self.port = network.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.configuration = self.folder / "registries.conf"
        self.configuration.write_text(f"""
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "{self.address}"
insecure = true
[[registry.mirror]]
location = "{self.address}"
insecure = true
[[registry]]
prefix = "{self.address}"
location = "{self.address}"
insecure = true
""")
        settings = self.folder / "config.yml"
        settings.write_text(f"""
version: 0.1
log: {{accesslog: {{disabled: false}}, level: info}}
storage: {{filesystem: {{rootdirectory: {self.storage}}}, delete: {{enabled: true}}}}
http: {{addr: "{self.address}"}}
""")
        self.log = open(self.folder / "log", "w")
        self.process = subprocess.Popen([shutil.which("docker-registry"), "serve", str(settings)], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT)
        wait_until(self._answers, timeout=30)
        self.builder = build.Builder()
        self.images = {}

    def _answers(self):
        try:
            return urllib.request.urlopen(f"http://{self.address}/v2/", timeout=1).status == 200
        except OSError:
            return False

    @property
    def environment(self):
        return {"CONTAINERS_REGISTRIES_CONF": str(self.configuration)}

    def add(self, name):
        """Makes sure that the image of the recipe can be pulled; returns {"manifest": digest, …}. Raises recipes.Missing."""
        if name not in self.images:
            # Packages come from the machine's own network; the recipe's maker runs there and leaves all in the cache.
            done = subprocess.run(network.in_outside([sys.executable, str(ROOT / "tests" / "images" / "build.py"), name]),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, env=os.environ)
            if done.returncode != 0:
                raise recipes.Missing(done.stdout.strip() or done.stderr.strip())
            image = self.builder.image(name)
            oci.write_registry(self.builder.blobs, image, self.storage, *build.repository_of(name))
            self.images[name] = image
        return self.images[name]

    def add_image(self, name, layers, config):
        """An image of a test's own: layers are tar archives' bytes."""
        image = self.builder.blobs.add_image([self.builder.blobs.add_layer(layer) for layer in layers], config)
        oci.write_registry(self.builder.blobs, image, self.storage, *build.repository_of(name))
        return image

    def requests(self):
        return (self.folder / "log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
