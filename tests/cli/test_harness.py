"""The tests' own tools: what they would miss, nobody else would notice."""
import socket
import subprocess

from support import kernel, network
from support.program import wait_until


def test_the_network_is_the_tests_own(workspace):
    names = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    if network.world:
        # A dockerd of other tests leaves its bridge.
        assert {line.split()[0].partition("@")[0] for line in names.splitlines()} - {"docker0"} == {"lo", "uplink"}
        server = subprocess.Popen(network.in_world(["python3", "-m", "http.server", "--bind", network.WORLD_ADDRESS, "8000"]),
                                  stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=workspace)
        try:
            wait_until(lambda: reachable(network.WORLD_ADDRESS, 8000))
        finally:
            server.kill()
            server.wait()
        assert not reachable("203.0.113.1", 80)  # refused at once: nothing waits for a network that is not there


def reachable(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return True
    except TimeoutError:
        raise
    except OSError:
        return False


def test_leftovers_are_found_and_removed(workspace):
    root = workspace / "leftovers"
    (root / "data").mkdir(parents=True)
    identifier = kernel.installation_id(root / "data")
    process = subprocess.Popen(["sleep", "1000"], env={"BERTH_DATA_DIR": str(root / "data"), "PATH": "/usr/bin:/bin"})
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(root / "data")], check=True)
    subprocess.run(["ip", "link", "add", f"br{identifier}", "type", "bridge"], check=True)
    subprocess.run(["nft", "add", "table", "inet", f"berth_{identifier}"], check=True)
    assert [line.split()[0] for line in kernel.left(root, identifier)] == ["process", "mount", "network", "nftables"]
    kernel.remove(root, identifier)
    process.wait()
    assert kernel.left(root, identifier) == []


def test_images_come_from_the_registry(registry, workspace):
    image = registry.add("busybox")
    assert image["manifest"].startswith("sha256:")
    target = workspace / "copied"
    subprocess.run(["skopeo", "--registries-conf", str(registry.configuration), "copy", "--quiet",
                    "docker://docker.io/library/busybox:latest", f"oci:{target}"], check=True)
    assert image["manifest"] in (target / "index.json").read_text()
