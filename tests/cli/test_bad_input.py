"""A clear error, a non-zero exit, and nothing changed."""
import errno
import json
import os
import socket
import subprocess

import pytest

from support.program import wait_until

SLEEP = "image: busybox, command: [sleep, '1000000'], stop_signal: SIGKILL"

FILES = {
    "not YAML": ("services: [", ["compose.yaml:"]),
    "a tab": ("services:\n\tbox: {image: x}\n", ["compose.yaml:2"]),
    "an unknown key": ("services:\n  box:\n    image: busybox\n    imagee: x\n", ["compose.yaml:4:5", "services.box", "imagee"]),
    "a number for a map": ("services: 5\n", ["compose.yaml:1", "services"]),
    "an undefined network": ("services: {box: {image: busybox, networks: [nowhere]}}", ["nowhere"]),
    "an undefined volume": ("services: {box: {image: busybox, volumes: ['nothing:/x']}}", ["nothing"]),
    "an undefined secret": ("services: {box: {image: busybox, secrets: [unknown]}}", ["unknown"]),
    "an undefined dependency": ("services: {box: {image: busybox, depends_on: [ghost]}}", ["ghost"]),
    "a cycle": ("services: {a: {image: busybox, depends_on: [b]}, b: {image: busybox, depends_on: [a]}}", ["a", "b", "cycle"]),
    "no image": ("services: {box: {command: ['true']}}", ["box", "image"]),
    "a missing env file": ("services: {box: {image: busybox, env_file: [absent.env]}}", ["absent.env"]),
    "a missing secret file": ("services: {box: {image: busybox, secrets: [s]}}\nsecrets: {s: {file: ./absent}}", ["absent"]),
    "a required variable": ("services: {box: {image: '${WANTED:?must be set}'}}", ["WANTED", "must be set"]),
    "a broken interpolation": ("services: {box: {image: '${'}}", ["compose.yaml:1"]),
    "a bad image name": ("services: {box: {image: 'UPPER/..//x'}}", ["UPPER"]),
    "a bad port": ("services: {box: {image: busybox, ports: ['99999:80']}}", ["99999"]),
    "a bad duration": ("services: {box: {image: busybox, stop_grace_period: soon}}", ["soon"]),
    "an alias bomb": ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [" + ",".join([f"*{chr(97 + i)}"] * 9) + "]\n"
                                                               for i in range(9)) + "services: {box: {image: busybox, x-all: *j}}", ["compose.yaml"]),
    "a relative mount target": ("services: {box: {image: busybox, volumes: ['data:x']}}\nvolumes: {data: }", ['"x"', "absolute"]),
    "a drive letter": ("services: {box: {image: busybox, volumes: ['v:/x']}}", ["v:/x", "absolute", "letter"]),
    "a volume's file system": ("services: {box: {image: busybox, volumes: ['data:/x']}}\nvolumes: {data: {driver_opts: {type: nfs, o: addr=10.9.9.9, device: ':/x'}}}",
                               ["demo_data", "nfs", "device: /mnt/data"]),
    "a volume's driver": ("services: {box: {image: busybox, volumes: ['data:/x']}}\nvolumes: {data: {driver: rexray}}", ["demo_data", "rexray"]),
    "a network's driver": ("services: {box: {image: busybox, networks: [n]}}\nnetworks: {n: {driver: overlay}}", ["demo_n", "overlay"]),
    "an sctp port": ("services: {box: {image: busybox, ports: ['7:7/sctp']}}", ["box", "7/sctp"]),
    "an unknown host path": ("services: {box: {image: busybox, volumes: [{type: bind, source: ./absent, target: /x, bind: {create_host_path: false}}]}}", ["absent"]),
}


@pytest.mark.parametrize("what", FILES)
def test_file(what, project, images, berth):
    images("busybox")
    text, words = FILES[what]
    made = project()
    made.write("compose.yaml", text)
    result = made("up", "-d", check=False, timeout=60)
    assert result.returncode != 0
    for word in words:
        assert word in result.stderr, result.stderr
    assert len(result.stderr) < 4000
    assert berth.ps("-a", cwd=berth.root, check=False) == {} if berth.projects() else True
    assert not any((berth.data / "volumes").glob("*"))
    assert not any((berth.data / "networks").glob("*"))


def test_a_name_that_leaves_its_folder(project, berth):
    made = project("services: {box: {image: busybox}}")
    assert "../../etc" in made.fails("-p", "../../etc", "up", "-d")
    assert not (berth.data / "projects").exists() or not list((berth.data / "projects").iterdir())


def test_deep_nesting(project):
    made = project()
    made.write("compose.yaml", "services: " + "[" * 100000)
    assert "compose.yaml" in made.fails("config", timeout=60)


def test_no_file(project):
    error = project().fails("up", "-d")
    assert "compose.yaml" in error


def test_a_port_that_is_taken_names_its_holder_and_the_next_free_one(project, images, free_port):
    images("busybox")
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        made = project(f"services: {{box: {{{SLEEP}, ports: ['127.0.0.1:{port}:80']}}}}")
        error = made.fails("up", "-d")
        assert str(port) in error
        assert str(os.getpid()) in error
        assert "python" in error
        assert str(port + 1) in error or "free" in error
    made("up", "-d")
    assert made.ps()["demo-box-1"]["State"] == "running"


def test_a_port_of_another_project(berth, images, free_port):
    from support.program import Project
    images("busybox")
    port = free_port()
    text = f"services: {{box: {{{SLEEP}, ports: ['127.0.0.1:{port}:80']}}}}"
    Project(berth, berth.root / "first", text)("up", "-d")
    error = Project(berth, berth.root / "second", text).fails("up", "-d")
    assert str(port) in error and "first" in error


def test_an_image_that_does_not_exist(project, registry):
    made = project("services: {box: {image: 'library/no-such-image:1'}}")
    error = made.fails("up", "-d")
    assert "no-such-image" in error


def test_a_registry_that_does_not_answer(project, free_port):
    made = project(f"services: {{box: {{image: '127.0.0.1:{free_port()}/x:1'}}}}")
    error = made.fails("up", "-d", timeout=100)
    assert "127.0.0.1" in error


def test_a_missing_major_says_which_there_are(project):
    made = project("services: {db: {image: 'postgres:12', environment: {POSTGRES_PASSWORD: x}, x-berth: {images: host}}}")
    error = made.fails("up", "-d")
    assert "postgresql-12" in error and "12" in error


def test_no_root(project, images, berth):
    """Whatever looks at what only root may see says so, and never shows an empty list instead."""
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}}}}}")
    made("up", "-d")
    berth.root.chmod(0o755)
    for command in ("up -d", "down", "ps", "logs", "ls", "images", "image ls", "image inspect busybox", "volume ls", "volume ls --trash",
                    "volume inspect x", "network ls", "network inspect x", "inspect x", "stats --no-stream"):
        result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(berth_program()), *command.split()],
                                cwd=made.folder, env={**berth.environment, "HOME": "/"}, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert result.returncode != 0, command
        assert result.stdout == "", command
        assert "needs root" in result.stderr or "Permission denied" in result.stderr, command
        assert f"sudo berth {command.split(' -')[0].removesuffix(' x').removesuffix(' busybox')}" in result.stderr


def test_a_folder_that_may_not_be_read_is_not_called_empty(project, berth):
    made = project("services: {box: {image: busybox}}")
    berth.root.chmod(0o755)
    made.folder.chmod(0o700)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(berth_program()), "config"]
    result = subprocess.run(command, cwd=made.folder, env={**berth.environment, "HOME": "/"}, capture_output=True, text=True)
    assert result.returncode != 0 and result.stdout == ""
    assert f'look for a compose file in "{made.folder}": Permission denied' in result.stderr


def berth_program():
    from support.program import BUILD
    return BUILD / "berth"


def test_no_runtime(project, images, berth):
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}}}}}")
    error = made.fails("up", "-d", env={"BERTH_RUNTIME": "/nonexistent/runtime"})
    assert "runtime" in error
    assert made.ps("-a") == {}


@pytest.fixture
def small_disk(berth):
    """The data folder is a disk of its own; small_disk() fills it to the last byte, small_disk(free=True) makes room."""
    store = os.readlink(berth.data / "images")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=711", "tmpfs", str(berth.data)], check=True)
    (berth.data / "images").symlink_to(store)
    filler = berth.data / "filler"

    def fill(free=False):
        if free:
            filler.unlink()
            return
        with open(filler, "ab", buffering=0) as file:
            for size in (65536, 512):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    yield fill
    filler.unlink(missing_ok=True)
    for name in berth.projects():
        berth("-p", name, "down", "-t", "0", check=False, cwd=berth.root)
    subprocess.run(["umount", "-l", str(berth.data)], check=True)


@pytest.mark.parametrize("command", [("up", "-d"), ("create",), ("run", "--rm", "box", "true")])
def test_nothing_is_made_on_a_full_disk(command, project, images, berth, small_disk):
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}, volumes: ['data:/data']}}}}\nvolumes: {{data: }}")
    berth("ls")
    small_disk()
    error = made.fails(*command)
    assert "No space left on device" in error and "hint:" in error and ".tmp" not in error
    assert made.ps("-a") == {}
    small_disk(free=True)
    made("up", "-d")
    assert made.ps()["demo-box-1"]["State"] == "running"


def test_a_disk_that_fills_up_keeps_nobody_from_looking_stopping_and_removing(project, images, berth, small_disk):
    images("busybox")
    made = project(f"""
        services:
          box: {{{SLEEP}, volumes: ['data:/data'], restart: unless-stopped}}
          loud: {{image: busybox, command: [sh, -c, "while :; do echo line; sleep 0.05; done"], stop_signal: SIGKILL}}
        volumes: {{data: }}
    """)
    made("up", "-d")
    wait_until(lambda: "line" in made("logs", "loud").stdout)
    small_disk()
    assert {row["State"] for row in made.ps().values()} == {"running"}
    assert made.exec("box", "echo", "in") == "in"
    assert "line" in made("logs", "loud").stdout
    made("stop", "box")
    assert made.ps("-a")["demo-box-1"]["State"] == "exited"
    made("start", "box")
    os.kill(berth.keeper_pid("demo"), 9)
    made("rm", "-sf", "loud")
    assert set(made.ps("-a")) == {"demo-box-1"}
    made("down")
    assert made.ps("-a") == {}
    small_disk(free=True)
    made("up", "-d")
    assert {row["State"] for row in made.ps().values()} == {"running"}


def test_a_corrupt_state_file_is_named_and_kept_aside(project, images, berth):
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}}}}}")
    made("up", "-d")
    before = made.ps()["demo-box-1"]["ID"]
    os.kill(berth.keeper_pid("demo"), 9)
    state = berth.data / "projects" / "demo" / "project.json"
    state.write_text("{ not json")
    result = made("up", "-d")
    assert "project.json" in result.stderr
    assert list(state.parent.glob("project.json.corrupt-*"))
    assert made.ps()["demo-box-1"]["ID"] == before
    assert made.ps()["demo-box-1"]["State"] == "running"


DAMAGED = {
    "a container": "projects/demo/containers/*/container.json",
    "how its runs ended": "projects/demo/containers/*/state.json",
    "a volume": "volumes/demo_data/volume.json",
    "a network": "networks/demo_default.json",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_description_is_rebuilt_while_what_it_describes_goes_on(what, project, images, berth):
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}, volumes: ['data:/data'], healthcheck: {{test: 'true', interval: 1s}}}}}}\nvolumes: {{data: }}")
    made("up", "-d")
    made("exec", "-T", "box", "sh", "-c", "echo kept > /data/x")
    before = made.ps()["demo-box-1"]["ID"]
    (path,) = berth.data.glob(DAMAGED[what])
    path.write_text('{ "format": 1, rubbish')
    # Looking and entering go on, and nobody's list is empty because of it.
    assert made.ps()["demo-box-1"]["State"] == "running"
    assert made.exec("box", "cat", "/data/x") == "kept"
    assert "demo_data" in made("volume", "ls", "-q").stdout
    assert "demo_default" in made("network", "ls", "-q").stdout
    said = made("up", "-d").stderr
    assert str(path) in said and "damaged" in said
    assert len(list(path.parent.glob(path.name + ".corrupt-*"))) == 1
    assert json.loads(path.read_text())["format"] == 1
    assert "damaged" not in made("up", "-d").stderr
    row = made.ps()["demo-box-1"]
    assert (row["ID"], row["State"]) == (before, "running")
    assert made.exec("box", "cat", "/data/x") == "kept"


def test_a_damaged_index_of_images_is_read_from_its_copy_and_mended_by_the_next_keeper(project, images, berth):
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}}}}}")
    made("up", "-d")
    index = berth.data / "images/names.json"
    index.write_text('{ "format": 1, rubbish')
    made("up", "-d", "--force-recreate")
    os.kill(berth.keeper_pid("demo"), 9)
    made("up", "-d")
    assert json.loads(index.read_text())["names"] and len(list(index.parent.glob("names.json.corrupt-*"))) == 1
    assert str(index) in (berth.data / "projects/demo/logs/keeper.log").read_text()


def test_a_damaged_container_that_did_not_run_is_made_anew(project, images, berth):
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}}}}}")
    made("create")
    (path,) = berth.data.glob("projects/demo/containers/*/container.json")
    for copy in (path, *berth.run.glob("projects/demo/containers/*/container.json")):
        copy.write_text("{")
    assert made.ps("-a")["demo-box-1"]["State"] == "dead"
    said = made("up", "-d").stderr
    assert str(path) in said and "nothing was left" in said
    assert made.ps()["demo-box-1"]["State"] == "running"
    assert list(path.parent.parent.glob("*.corrupt-*/container.json"))


def test_no_cgroups(project, images, berth):
    images("busybox")
    made = project(f"services: {{box: {{{SLEEP}}}}}")
    result = subprocess.run(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /sys/fs/cgroup && exec {berth_program()} up -d"],
                            cwd=made.folder, env=berth.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 1
    assert "no cgroups are mounted at /sys/fs/cgroup" in result.stderr and "hint:" in result.stderr
    assert made.ps("-a") == {} and not any((berth.data / "networks").glob("*"))


def test_a_newer_installation_is_refused_and_untouched(berth, project):
    berth.data.mkdir(exist_ok=True)
    (berth.data / "format.json").write_text('{"format": 99}')
    made = project("services: {box: {image: busybox}}")
    error = made.fails("up", "-d")
    assert "newer" in error
    assert (berth.data / "format.json").read_text() == '{"format": 99}'
    (berth.data / "format.json").unlink()


def test_a_layer_whose_bytes_are_wrong_is_refused(registry, project, berth):
    import sys
    from support.program import ROOT
    sys.path.insert(0, str(ROOT / "tests" / "images"))
    import oci
    name = "test/spoiled:1"
    image = registry.add_image(name, [oci.Tree().folder("bin").file("bin/x", os.urandom(100000)).bytes()], {"Cmd": ["x"]})
    layer = registry.builder.blobs.manifest(image)["layers"][0]["digest"].removeprefix("sha256:")
    blob = next(registry.storage.glob(f"docker/registry/v2/blobs/sha256/*/{layer}/data"))
    data = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(data[:-100] + bytes(100))
    made = project(f"services: {{box: {{image: '{name}'}}}}")
    error = made.fails("up", "-d")
    assert "spoiled" in error


test_a_layer_whose_bytes_are_wrong_is_refused = pytest.mark.own_store(test_a_layer_whose_bytes_are_wrong_is_refused)
