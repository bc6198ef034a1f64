"""Fixtures for the tests of the binary, on real containers, as root.

berth      the program with folders of its own; the test fails where it leaves anything behind
project    makes a folder with a compose file: project("services: …", name="demo", files={...}) → callable, see Project
images     images("postgres:16-alpine") puts test images into the store that all tests share; skips where they cannot be made
registry   the registry on loopback that stands for the public one
store      an image store of the test's own (empty): use it as @pytest.mark.own_store
dockerd    a Docker of the run's own; skips where Docker is not installed
case       case("autodeploy") copies one of the real deployments below BERTH_CASES; skips where they are absent
free_port  a function that gives a port nobody uses

All run in a network namespace of their own: see support/network.py."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support import docker as docker_support  # noqa: E402
from support import kernel, network, offsite, program, registry as registry_support  # noqa: E402

CASES = pathlib.Path(os.environ.get("BERTH_CASES") or program.ROOT.parent / "shared" / "cases")


def pytest_configure(config):
    for marker in ("slow: takes long; left out under the sanitizers",
                   "soak: a fault test, which `make soak` runs alone with many more rounds",
                   "own_store: an image store of the test's own instead of the shared one"):
        config.addinivalue_line("markers", marker)
    network.enter()


def pytest_unconfigure(config):
    network.leave()


def pytest_collection_modifyitems(config, items):
    for item in items:
        if os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        elif "berth" in item.fixturenames and not (program.BUILD / "berth").exists():
            item.add_marker(pytest.mark.skip(reason="berth is not built"))


@pytest.fixture(scope="session")
def workspace():
    """The run's folder: not on a tmpfs, since overlayfs and fsync shall be the real ones."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="berth-tests-", dir=os.environ.get("BERTH_TEST_TMP", "/var/tmp")))
    folder.chmod(0o755)
    yield folder
    for point in kernel.mounts(folder):
        subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)
    if not os.environ.get("BERTH_TEST_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def registry(workspace):
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    server = registry_support.Registry(workspace / "registry")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_store(workspace):
    folder = workspace / "images"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def images(workspace, shared_store, request):
    """images(NAME...): what the recipes make, pulled from the registry into the shared store by the program itself."""
    pulled = {}
    puller = None

    def ensure(*names):
        nonlocal puller
        for name in names:
            if name in pulled:
                if pulled[name]:
                    pytest.skip(pulled[name])
                continue
            server = request.getfixturevalue("registry")
            try:
                server.add(name)
            except registry_support.recipes.Missing as reason:
                pulled[name] = f"{name} cannot be made here: {reason}"
                pytest.skip(pulled[name])
            puller = puller or program.Berth(workspace / "puller", server.environment, shared_store)
            compose = f"services:\n  one:\n    image: {name}\n    x-berth: {{images: registry}}\n"
            one = program.Project(puller, puller.root / "pull", compose)
            one("pull", timeout=600)
            pulled[name] = None

    yield ensure
    if puller:
        puller.clean()
        puller.destroy()


_counter = 0


@pytest.fixture
def berth(request, workspace, shared_store):
    global _counter
    _counter += 1
    environment = {}
    if "registry" in request.fixturenames or "images" in request.fixturenames:
        environment = request.getfixturevalue("registry").environment
    store = None if request.node.get_closest_marker("own_store") else shared_store
    instance = program.Berth(workspace / f"t{_counter}", environment, store)
    failed_before = request.session.testsfailed
    yield instance
    trouble = instance.clean()
    if request.session.testsfailed != failed_before and os.environ.get("BERTH_TEST_KEEP"):
        print(f"kept: {instance.root}")
    else:
        instance.destroy()
    assert not trouble, "left behind:\n" + "\n".join(trouble)


@pytest.fixture
def protected(berth):
    """A berth that backs databases up, as it does for people."""
    berth.environment.pop("BERTH_BACKUP")
    return berth


@pytest.fixture
def project(berth):
    def make(compose=None, name="demo", files=None):
        return program.Project(berth, berth.root / name, compose, files)

    return make


@pytest.fixture
def case(berth):
    def copy(name, prepare=None):
        """Copies a real deployment; prepare: environment for its prepare.sh, where it has one."""
        source = CASES / name
        if not source.is_dir():
            pytest.skip(f"no {source}")
        folder = berth.root / name
        if (source / "prepare.sh").exists():
            subprocess.run(["sh", str(source / "prepare.sh"), str(folder)], check=True, stdin=subprocess.DEVNULL,
                           env={**os.environ, **(prepare or {})}, capture_output=True)
        else:
            shutil.copytree(source, folder, copy_function=shutil.copy)
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
        return program.Project(berth, folder)

    return copy


@pytest.fixture(scope="session")
def dockerd(workspace):
    if not docker_support.available():
        pytest.skip("Docker is not installed")
    daemon = docker_support.Dockerd(workspace / "docker")
    yield daemon
    daemon.stop()


@pytest.fixture
def free_port():
    return network.free_port


def _place(kind, workspace, name):
    try:
        return kind(workspace / name)
    except offsite.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def s3(workspace):
    """A server of the S3 kind on loopback."""
    server = _place(offsite.S3, workspace, "s3")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sshd(workspace):
    """An SSH server on loopback."""
    server = _place(offsite.Sshd, workspace, "sshd")
    yield server
    server.stop()
