"""Images made of this machine's packages: what they are, when they serve, and what they keep to themselves."""
import json
import pathlib

import pytest

pytestmark = [pytest.mark.own_store, pytest.mark.slow]

MAJORS = sorted((path.parent.parent.name for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres")), key=int)
# One that no image of other tests has: their registry lives for the whole run.
MISSING = next(str(major) for major in range(19, 99) if str(major) not in MAJORS)

pytestmark = [pytest.mark.own_store, pytest.mark.skipif(not MAJORS, reason="no PostgreSQL packages here")]


def compose(image, extra=""):
    return f"services:\n  db:\n    image: {image}\n    environment: {{POSTGRES_PASSWORD: Plain-Password1}}\n{extra}"


@pytest.fixture
def running(project):
    check = "    healthcheck: {test: [CMD, pg_isready, -U, postgres], interval: 1s, start_period: 20s, start_interval: 1s}\n"
    one = project(compose(f"postgres:{MAJORS[-1]}", check))
    started = one("up", "-d", "--wait")
    one.said = started.stdout + started.stderr
    return one


def inside(project, *argv):
    return project("exec", "-T", "db", *argv).stdout


def test_source_is_said(running):
    assert f"postgres:{MAJORS[-1]} from this machine's packages (" in running.said


def test_inside(running):
    """One container for all of these: they only look."""
    major = MAJORS[-1]
    assert inside(running, "id", "postgres").startswith("uid=999(postgres) gid=999(postgres)")
    assert inside(running, "sh", "-c", "command -v psql").strip() == f"/usr/lib/postgresql/{major}/bin/psql"
    assert inside(running, "gosu", "postgres", "id", "-un").strip() == "postgres"
    assert inside(running, "su", "postgres", "-c", "id -u").strip() == "999"
    environment = inside(running, "env").splitlines()
    assert f"PG_MAJOR={major}" in environment and "LANG=en_US.utf8" in environment
    assert "en_US.utf8" in inside(running, "locale", "-a").split()
    # The server's own collations, too.
    assert inside(running, "psql", "-U", "postgres", "-Atc", "show lc_collate").strip() == "en_US.utf8" or int(major) > 15
    # Nothing of the machine's accounts or keys.
    users = [line.split(":")[0] for line in inside(running, "cat", "/etc/shadow").splitlines()]
    assert users == ["root", "postgres"]
    assert inside(running, "sh", "-c", "find /etc/ssl/private /etc/ssh /etc/sudoers -type f 2>/dev/null; true").strip() == ""
    # /usr is the machine's: it can neither be written to nor give rights.
    mounts = {line.split()[1]: line.split()[3].split(",") for line in inside(running, "cat", "/proc/mounts").splitlines()}
    for point in ("/usr/bin", "/usr/lib", "/usr/share"):
        assert "ro" in mounts[point] and "nosuid" in mounts[point]
    assert running("exec", "-T", "db", "touch", "/usr/bin/evil", check=False).returncode != 0
    assert not pathlib.Path("/usr/bin/evil").exists()
    # The rest is the container's own.
    inside(running, "touch", "/etc/own", "/opt/own", "/tmp/own", "/usr/local/bin/own", "/etc/ssl/certs/own")
    assert "BEGIN CERTIFICATE" in inside(running, "cat", "/etc/ssl/certs/ca-certificates.crt")


def test_files_can_be_mounted_where_people_mount_them(project):
    targets = ["/etc/ssl/certs/server.crt", "/etc/ssl/private/server.key", "/usr/local/bin/own-tool", "/usr/local/share/x/y",
               "/etc/postgresql/postgresql.conf", "/docker-entrypoint-initdb.d/1.sql", "/opt/x", "/srv/x", "/x"]
    volumes = "    volumes:\n" + "".join(f"      - ./file:{target}:ro\n" for target in targets)
    one = project(compose(f"postgres:{MAJORS[-1]}", volumes + "    command: [sleep, '1000000']\n    stop_signal: SIGKILL\n"),
                  files={"file": "select 1;\n"})
    one("up", "-d")
    for target in targets:
        assert inside(one, "cat", target) == "select 1;\n"


def test_used_image_is_not_removed(running, berth):
    (row,) = [json.loads(line) for line in berth("image", "ls", "--format", "json").stdout.splitlines()]
    assert row["Source"] == "packages"
    assert "used by a container" in berth.fails("image", "rm", f"postgres:{MAJORS[-1]}")
    berth("image", "prune", "-a", "--yes")
    assert len(berth("image", "ls", "-q").stdout.split()) == 1
    running("down", "--volumes", "--yes", "--purge")
    berth("image", "rm", f"postgres:{MAJORS[-1]}")
    assert berth("image", "ls", "-q").stdout == ""


def test_missing_major_says_which_there_are(project, registry):
    message = project(compose(f"postgres:{MISSING}", "x-berth: {images: host}\n")).fails("up", "-d")
    assert MAJORS[-1] in message and f"postgresql-{MISSING}" in message


def test_missing_major_is_looked_for_in_the_registry(project, registry):
    message = project(compose(f"postgres:{MISSING}")).fails("up", "-d")
    assert f"postgres:{MISSING}" in message and "registry has no such" in message
    assert f"postgresql-{MISSING}" in message and MAJORS[-1] in message


def test_variant_needs_leave(project, registry):
    message = project(compose(f"postgres:{MAJORS[-1]}-nosuchvariant")).fails("up", "-d")
    assert "registry has no such" in message
    one = project(compose(f"postgres:{MAJORS[-1]}-nosuchvariant", "x-berth: {images: host}\n"), name="allowed")
    started = one("up", "-d")
    assert "from this machine's packages" in started.stdout + started.stderr


def test_registry_only(project, registry):
    """Though this machine has the packages. Other tests may have put that image into the registry."""
    done = project(compose(f"postgres:{MAJORS[-1]}", "x-berth: {images: registry}\n"))("up", "-d", check=False)
    assert "from this machine's packages" not in done.stderr
    assert ("registry has no such" if done.returncode else "from the registry") in done.stderr


def test_the_source_is_said_when_it_is_new(project):
    """Not again by a command that takes the same image, also where it makes the container anew."""
    one = project(compose(f"postgres:{MAJORS[-1]}"))
    line = f"postgres:{MAJORS[-1]} from this machine's packages"
    assert line in one("up", "-d").stderr
    assert line not in one("up", "-d").stderr
    assert line not in one("up", "-d", "--force-recreate").stderr
    one("down")
    assert line in one("up", "-d").stderr


def test_image_in_the_store_comes_first(project, registry, berth):
    import oci
    registry.add_image(f"postgres:{MAJORS[-1]}", [oci.Tree().file("marker", "x").bytes()], {"Cmd": ["/none"]})
    berth("image", "pull", f"postgres:{MAJORS[-1]}")
    (image,) = json.loads(berth("image", "inspect", f"postgres:{MAJORS[-1]}").stdout)
    assert image["Source"] == "store"
    one = project(compose(f"postgres:{MAJORS[-1]}"))
    result = one("up", "-d", check=False)
    assert "from the store" in result.stdout + result.stderr
