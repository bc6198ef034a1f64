#!/usr/bin/env python3
"""Makes the test images and keeps them by recipe below $BERTH_TEST_CACHE (~/.cache/berth-tests).

usage: build.py --all | NAME...                  make, print a line for each
       build.py --layout FOLDER NAME             and write it as an OCI image layout
       build.py --registry FOLDER NAME...        and put them into a docker-registry's storage folder
"""
import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import oci  # noqa: E402
import recipes  # noqa: E402


def cache_folder():
    return pathlib.Path(os.environ.get("BERTH_TEST_CACHE") or pathlib.Path.home() / ".cache" / "berth-tests")


class Builder:
    def __init__(self, cache=None):
        self.cache = pathlib.Path(cache or cache_folder())
        (self.cache / "bases").mkdir(parents=True, exist_ok=True)
        self.blobs = oci.Blobs(self.cache / "blobs")

    @contextlib.contextmanager
    def lock(self, name):
        with open(self.cache / f"{name}.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def base(self, recipe):
        """The description of a slow layer, from the cache where its recipe is unchanged."""
        text = json.dumps(recipe.recipe(), sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        record = self.cache / "bases" / f"{key}.json"
        with self.lock(f"bases/{key}"):
            if record.exists():
                layer = json.loads(record.read_text())
                if self.blobs.path(layer["digest"]).exists():
                    return layer
            tar = self.cache / "bases" / f"{key}.tar"
            start = time.monotonic()
            try:
                recipe.make(tar)
                layer = self.blobs.add_layer_file(tar)
            finally:
                tar.unlink(missing_ok=True)
            layer.update(by=text, seconds=round(time.monotonic() - start, 1))
            temporary = record.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(layer))
            temporary.rename(record)
            return layer

    def image(self, name):
        """{"manifest": digest, "size": bytes} of the image that has this name. Raises recipes.Missing."""
        image = recipes.find(name)
        layers = [self.base(base) for base in image.bases]
        top = image.top(image)
        if top:
            layers.append(self.blobs.add_layer(top))
        return self.blobs.add_image(layers, image.config)


def repository_of(name):
    repository, _, tag = name.partition(":")
    return (repository if "/" in repository else f"library/{repository}"), tag or "latest"


def main():
    parser = argparse.ArgumentParser(usage=__doc__.partition("usage: ")[2])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--layout")
    parser.add_argument("--registry")
    options = parser.parse_args()
    builder = Builder()
    names = [image.names[0] for image in recipes.IMAGES] if options.all else options.names
    missing = 0
    for name in names:
        start = time.monotonic()
        try:
            image = builder.image(name)
        except recipes.Missing as reason:
            print(f"{name}: cannot be made here: {reason}", flush=True)
            missing = 1
            continue
        if options.layout:
            oci.write_layout(builder.blobs, image, options.layout, name)
        if options.registry:
            oci.write_registry(builder.blobs, image, options.registry, *repository_of(name))
        print(f"{name} {image['manifest']} ({time.monotonic() - start:.1f} s)", flush=True)
    return missing


if __name__ == "__main__":
    sys.exit(main())
