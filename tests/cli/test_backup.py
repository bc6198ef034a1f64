"""Backups: on by default, whole by themselves, restored to a point in time, and honest about what cannot be."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from support import database, program, worker
from support.backups import all_listed, being_read, first_backup, listed, received, receiver, sql, status
from support.program import wait_until
from support.terminal import Terminal

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
MAJOR = database.major()
RECIPE = program.ROOT / "docs" / "backup-format.md"


def compose(image=f"postgres:{MAJOR}", images="host", more="", initdb="-A scram-sha-256 -k"):
    return f"""
services:
  db:
    image: {image}
    environment: {{POSTGRES_PASSWORD: "Xk29-fjw0-w9dk", POSTGRES_INITDB_ARGS: "{initdb}"}}
    volumes: ["data:/var/lib/postgresql/data"]
    x-berth: {{images: {images}{more}}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
"""


def restore_by_hand(repository, target):
    script = re.search(r"```sh\n(.*?)```", RECIPE.read_text(), re.S).group(1)
    target.mkdir()
    path = f"{os.path.dirname(database.program('pg_verifybackup'))}:{os.environ['PATH']}"
    return subprocess.run(["bash", "-ec", script], env={**os.environ, "REPOSITORY": str(repository), "TARGET": str(target),
                                                      "PATH": path}, text=True, capture_output=True, timeout=120)


def test_first_backup_comes_by_itself_and_can_be_read_by_hand(project, protected):
    deployment = project(compose(), name="self")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    assert first["data_checksums"] is True and first["kind"] == "full"
    again = json.loads(deployment("backup", "db", "--format", "json").stdout)
    assert again["new_bytes"] < first["new_bytes"] / 5, "what did not change was stored again"
    done = restore_by_hand(first["repository"], protected.root / "by-hand")
    assert done.returncode == 0 and "successfully verified" in done.stdout + done.stderr, done.stderr
    pages = pathlib.Path(first["repository"])
    assert not [p for p in pages.rglob("*") if p.name.endswith(".tmp")]


@pytest.mark.slow
def test_exported_it_is_an_ordinary_data_folder(project, protected):
    deployment = project(compose(), name="goes")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT 7 AS i")
    received(protected, deployment)
    folder = deployment.folder / "away"
    assert first["id"] in deployment("backup", "export", "db", "-o", folder).stdout
    subprocess.run([database.program("pg_verifybackup"), "--no-parse-wal", folder], check=True, capture_output=True)
    assert "exists" in deployment.fails("backup", "export", "db", "-o", folder)
    archive = deployment.folder / "away.tar"
    deployment("backup", "export", "db", "-o", archive)
    names = subprocess.run(["tar", "tf", archive], check=True, capture_output=True, text=True).stdout.split()
    assert {"./PG_VERSION", "./backup_manifest", "./recovery.signal"} <= set(names)
    assert not list(deployment.folder.glob("*.part*"))
    there = project(compose(more=", backup: off").replace("data:/var", f"{folder}:/var"), name="there")
    there("up", "-d", "--wait")
    assert sql(there, "SELECT i FROM t") == "7"


def test_a_backup_removes_what_is_not_kept(project, protected):
    """As the keeper asks for one by the clock."""
    deployment = project(compose(), name="kept")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    container = json.loads(deployment("inspect", "kept-db-1").stdout)[0]
    job = worker.run(protected, "backup", project="kept", service="db", keep={"last": 1},
                     target={"pid": container["State"]["Pid"], "password": "Xk29-fjw0-w9dk"})
    assert not [event for event in job.events if "warning" in event], job.events
    assert [row["id"] for row in listed(deployment)] == [job.result["id"]] and job.result["id"] != first["id"]
    assert json.loads(deployment("backup", "verify", "--format", "json").stdout)["faults"] == []


@pytest.mark.slow
def test_points_in_time(project, protected):
    deployment = project(compose(), name="pitr")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t(i int)")
    sql(deployment, "INSERT INTO t VALUES (1)")
    sql(deployment, "SELECT pg_create_restore_point('alpha')")
    sql(deployment, "INSERT INTO t VALUES (2)")
    when = sql(deployment, "SELECT clock_timestamp()")
    lsn = sql(deployment, "SELECT pg_current_wal_insert_lsn()")
    sql(deployment, "INSERT INTO t VALUES (3)")
    received(protected, deployment)
    early = deployment.fails("restore", "db", "--to", "2001-02-03", "--yes")
    assert "no way to that point" in early and "can be restored" in early
    assert "not without a yes" in deployment.fails("restore", "db", "--to", lsn)
    rows = "SELECT string_agg(i::text, ',' ORDER BY i), pg_is_in_recovery() FROM t"
    # A receiver that is killed misses nothing.
    os.kill(receiver(protected, "pitr")["pid"], signal.SIGKILL)
    sql(deployment, "INSERT INTO t VALUES (4)")
    wait_until(lambda: receiver(protected, "pitr").get("phase") == "streaming" and
               os.path.exists(f"/proc/{receiver(protected, 'pitr')['pid']}"))
    received(protected, deployment)
    deployment("restore", "db", "--yes")
    assert sql(deployment, rows) == "1,2,3,4|f"
    # Each restore begins a timeline of its own; the first one is still there to go back to.
    deployment("restore", "db", "--to", when, "--timeline", "1", "--yes")
    assert sql(deployment, rows) == "1,2|f"
    wait_until(lambda: receiver(protected, "pitr").get("timeline") == 3)
    sql(deployment, "INSERT INTO t VALUES (33)")
    received(protected, deployment)
    deployment("restore", "db", "--to", "alpha", "--timeline", "1", "--yes")
    assert sql(deployment, rows) == "1|f"
    deployment("restore", "db", "--to", "latest", "--timeline", "3", "--yes")
    assert sql(deployment, rows) == "1,2,33|f"
    for setting in ("restore_command", "recovery_target_time", "recovery_target_name", "recovery_target_timeline"):
        assert setting not in sql(deployment, "SELECT name FROM pg_file_settings"), setting
    kept = deployment("volume", "ls", "--format", "{{.Name}}").stdout.split()
    assert len([name for name in kept if name.startswith("pitr_data.before-")]) == 4
    for name in kept:
        if ".before-" in name:
            deployment("volume", "rm", "--yes", "--purge", name, check=False)


def test_restore_when_all_is_gone(project, protected):
    deployment = project(compose(), name="gone")
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE t AS SELECT 42 AS i")
    first_backup(protected, deployment)
    received(protected, deployment)
    deployment("down", "-v", "--purge", "--yes")
    told, = json.loads(deployment("status", "--format", "json").stdout)
    assert told["state"] == "gone" and told["backups"] == "down" and told["restorable"]
    deployment("restore", "db", "--yes")
    assert sql(deployment, "SELECT i FROM t") == "42"


def test_damage_is_found_and_nothing_is_changed(project, protected):
    deployment = project(compose(), name="torn")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT 7 AS i")
    pack = max(pathlib.Path(first["repository"]).glob("packs/*.pack"), key=lambda p: p.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    said = deployment.fails("restore", "db", "--to", "immediate", "--yes")
    assert "is damaged at" in said and pack.name in said
    assert sql(deployment, "SELECT i FROM t") == "7"
    assert ".before-" not in deployment("volume", "ls").stdout


def test_an_interrupted_backup_is_none(project, protected):
    deployment = project(compose(), name="cut")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    slow = deployment.start("backup", "db", "--max-rate", "32k")
    children = pathlib.Path(f"/proc/{slow.pid}/task/{slow.pid}/children")
    wait_until(lambda: being_read(deployment))
    worker = int(children.read_text().split()[-1])  # not what looked for the database before
    # Whoever asks from elsewhere sees how far it is.
    shown = wait_until(lambda: next((row for row in all_listed(deployment) if row.get("at_work") and row.get("left_ns")), None))
    assert shown["service"] == "db" and shown["kind"] == "full" and shown["pid"] == worker and "finished_ns" not in shown, shown
    assert 0 < shown["done_bytes"] < shown["total_bytes"] and 0 < shown["rate_bytes"] < 1 << 20, shown
    how_far = r"[0-9.]+[kMG]?B of [0-9.]+MB, [0-9.]+[kMG]?B a second, .* left"
    assert re.search(r"^db: a backup is at work \(full\) since .*: " + how_far, deployment("backup", "ls").stdout, re.M)
    assert re.search(f"at work +{shown['id']}, full, began .* ago: {how_far}", deployment("status").stdout)
    assert status(deployment)["backup_at_work"]["id"] == shown["id"]
    said = deployment.fails("backup", "db", "--no-wait")
    assert re.search(f'backup {shown["id"]} \\(full, began .* ago: {how_far}\\) of service "db" is at work', said), "two writers"
    second = deployment.start("backup", "db")
    assert any(f"waiting for the backup {shown['id']} (full, began" in second.stderr.readline() for _ in range(3))
    second.kill()
    os.kill(worker, signal.SIGKILL)
    # What a killed one wrote last is nothing, also once there is another one.
    wait_until(lambda: not any(row.get("at_work") for row in all_listed(deployment)))
    assert "at work" not in deployment("backup", "ls").stdout + deployment("status").stdout
    said = slow.communicate(timeout=60)[1]
    assert slow.returncode == 1 and "error: " in said
    assert [row["id"] for row in listed(deployment)] == [first["id"]]
    deployment("backup", "db")
    assert len(listed(deployment)) == 2


@pytest.mark.slow
def test_progress_tells_bytes_rate_and_the_time_left(project, protected):
    deployment = project(compose(), name="watched")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    shown = Terminal([str(program.BUILD / "berth"), "backup", "--full", "--max-rate", "16m"], deployment.folder, deployment.berth.environment)
    assert shown.end() == 0
    told = re.findall(r"([\d.]+)MB/([\d.]+)MB ([\d.]+)MB/s, (\d+)s left", shown.text)
    assert told, shown.text
    done, total, rate, left = map(float, told[-1])
    size = listed(deployment)[-1]["size_bytes"] / 1e6
    assert done < total and abs(total - size) < size / 10 and rate < 20 and left <= (total - done) / rate + 2


@pytest.mark.slow
def test_ctrl_c_while_a_restore_stops_the_service_leaves_it_running(project, protected):
    deployment = project(compose(), name="called_off")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS n")
    process = deployment.start("restore", "db", "--yes")
    assert "Stopping" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Healthy" in told, told
    assert deployment.ps()["called_off-db-1"]["Health"] == "healthy" and sql(deployment, "SELECT n FROM t") == "1"


def test_off_leaves_nothing(project, protected):
    deployment = project(compose(more=", backup: off"), name="off")
    deployment("up", "-d", "--wait")
    deployment("exec", "-T", "db", "sleep", "1")
    assert not (protected.run / "projects/off/receivers").exists()
    assert not (protected.data / "backups").exists()
    assert sql(deployment, "SELECT count(*) FROM pg_replication_slots") == "0"
    assert sql(deployment, "SHOW max_slot_wal_keep_size") == "-1"
    assert "has no backup" in deployment.fails("restore", "db", "--yes")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(13, 19))
def test_other_majors(project, protected, images, number):
    """Both forms of the protocol, tablespaces, unlogged tables, a point in time, on images of every major."""
    images(f"postgres:{number}")
    text = compose(image=f"postgres:{number}", images="registry", initdb="-k")
    deployment = project(text.replace("/var/lib/postgresql/data", "/var/lib/postgresql") if number >= 18 else text, name=f"m{number}")
    deployment("up", "-d", "--wait")
    deployment.exec("db", "sh", "-c", "mkdir -p /srv/space && chown postgres: /srv/space")
    sql(deployment, "CREATE TABLESPACE space LOCATION '/srv/space'")
    sql(deployment, "CREATE TABLE far TABLESPACE space AS SELECT generate_series(1, 1000) AS i")
    sql(deployment, "CREATE UNLOGGED TABLE loose AS SELECT 1 AS i")
    first_backup(protected, deployment)
    deployment("backup", "db")  # the first one may have begun before the tablespace was there
    sql(deployment, "INSERT INTO far VALUES (5000)")
    when = sql(deployment, "SELECT clock_timestamp()")
    sql(deployment, "DELETE FROM far")
    received(protected, deployment)
    deployment("restore", "db", "--to", when, "--yes")
    assert sql(deployment, "SELECT count(*), max(i) FROM far") == "1001|5000"
    assert sql(deployment, "SELECT count(*) FROM loose") == "0"
    if number >= 14 and sql(deployment, "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") == "1":
        sql(deployment, "CREATE EXTENSION amcheck")
        assert sql(deployment, "SELECT count(*) FROM pg_class c, verify_heapam(c.oid) WHERE relkind = 'r' AND relpersistence = 'p'") == "0"
    deployment("backup", "db")
    assert json.loads(deployment("backup", "verify", "--format", "json").stdout)["faults"] == []
    kept = deployment("volume", "ls", "--format", "{{.Name}}").stdout.split()
    deployment("volume", "rm", "--yes", *[name for name in kept if ".before-" in name], check=False)
