"""What `init` writes, under a real docker compose: nothing of it may need Berth to come up."""
import os
import pathlib
import subprocess

import pytest

from support import registry

pytestmark = pytest.mark.slow


@pytest.fixture
def compose(dockerd, tmp_path):
    """compose(FOLDER, ARGUMENT...) runs docker compose there; skips where the plugin is not cached (make bench fetches it)."""
    plugin = registry.build.cache_folder() / "docker-compose/usr/libexec/docker/cli-plugins/docker-compose"
    if not plugin.exists():
        pytest.skip("no docker compose of the second generation here")

    def run(folder, *arguments, check=True):
        done = subprocess.run([plugin, *arguments], cwd=folder, env={**os.environ, **dockerd.environment}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}\n" + subprocess.run(
            [plugin, "logs"], cwd=folder, env={**os.environ, **dockerd.environment}, capture_output=True, text=True).stdout
        return done

    return run


@pytest.mark.slow
def test_init_under_docker_compose(dockerd, berth, compose, free_port):
    builder = registry.build.Builder()
    image = builder.image("postgres:15")
    registry.oci.write_layout(builder.blobs, image, berth.root / "layout", "postgres:15")
    archive = berth.root / "postgres.tar"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{berth.root / 'layout'}:postgres:15", f"docker-archive:{archive}:postgres:15"],
                   check=True)
    dockerd("load", "-i", str(archive))
    folder, port = pathlib.Path(berth.root) / "shop", free_port()
    berth("init", "shop", "--port", port, cwd=berth.root)
    compose(folder, "up", "-d", "--wait")
    for role in ("owner", "app", "readonly", "monitor"):
        password = (folder / f"secrets/{role}_password").read_text().strip()
        answer = subprocess.run(["psql", f"host=localhost port={port} dbname=app user={role} sslmode=verify-full sslrootcert=tls/ca.crt",
                                 "-XAtc", "select current_user"], cwd=folder, env={**os.environ, "PGPASSWORD": password},
                                stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert answer.stdout == f"{role}\n", answer.stderr
    compose(folder, "down", "-v")
