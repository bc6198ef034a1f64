"""On one machine with a Docker, started before us or after us."""
import pytest

from support.program import wait_until
from test_reach import SERVE, fetch, http, world  # noqa: F401

pytestmark = pytest.mark.slow


def test_docker_that_was_there_first(dockerd, project, images, free_port, world):  # noqa: F811
    both_work(project, images, free_port(), world())


def test_docker_started_after_us(workspace, project, images, free_port, world):  # noqa: F811
    """Its FORWARD chain drops what it does not know: ours must be let through there at the next `up`, at the latest."""
    from support import docker
    if not docker.available():
        pytest.skip("Docker is not installed")
    port, url = free_port(), world()
    made = both_work(project, images, port, url)
    daemon = docker.Dockerd(workspace / "docker-later")
    try:
        made("up", "-d")
        assert http("127.0.0.1", port)
        assert fetch(made, "box", "http://web/")
        assert fetch(made, "box", url)
    finally:
        daemon.stop()


def both_work(project, images, port, url):
    images("busybox")
    made = project(f"""
        services:
          web: {{{SERVE}, ports: ["127.0.0.1:{port}:80"]}}
          box: {{image: busybox, command: [sleep, "1000000"], stop_signal: SIGKILL}}
    """)
    made("up", "-d")
    wait_until(lambda: http("127.0.0.1", port))
    assert fetch(made, "box", "http://web/")
    assert fetch(made, "box", url)
    return made


def test_an_image_of_docker_s(dockerd, berth, project, images):
    """`image load` reads what a running Docker has."""
    import subprocess
    from support import docker, registry
    builder = registry.build.Builder()
    image = builder.image("busybox")
    folder = berth.root / "layout"
    registry.oci.write_layout(builder.blobs, image, folder, "from-docker:1")
    archive = berth.root / "archive.tar"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{folder}:from-docker:1", f"docker-archive:{archive}:from-docker:1"], check=True)
    dockerd("load", "-i", str(archive))
    berth("image", "load", "docker-daemon:from-docker:1", env={"DOCKER_HOST": dockerd.environment["DOCKER_HOST"]})
    made = project("services: {box: {image: 'from-docker:1', command: [echo, hello]}}")
    made("up", "-d")
    made("wait", "box", check=False)
    assert "hello" in made("logs", "--no-log-prefix").stdout


test_an_image_of_docker_s = pytest.mark.own_store(test_an_image_of_docker_s)
