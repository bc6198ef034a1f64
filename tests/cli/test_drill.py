"""Drills: a backup that is good passes, and what is wrong with one is found, told, and remembered."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from support import backups, clock, database
from support.backups import containers, first_backup, listed, received, sql, volumes
from support.program import wait_until

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
MAJOR = database.major()


def make(project, protected, name, drill=f"{{schedule: '{clock.far()}'}}", **options):
    deployment = project(name=name)
    told = deployment.folder / "told"
    tell = deployment.write("tell", f"#!/bin/sh\ncat >>{told}\necho >>{told}\n", mode=0o755)
    deployment.write("compose.yaml", backups.compose(MAJOR, more=", backup: {jitter: 0s, drill: %s}" % drill, **options) +
                     f"x-berth: {{alerts: {{command: ['{tell}']}}}}\n")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT generate_series(1, 500) AS i")
    return deployment


def remembered(protected, name):
    path = protected.data / "projects" / name / "drills/db.json"
    return json.loads(path.read_text()) if path.exists() else None


def metrics(text, **labels):
    """{name: value} of the exposition format, each line of which has to be one."""
    found, wanted = {}, ",".join(f'{name}="{value}"' for name, value in labels.items())
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# HELP [a-z_]+ .+|# TYPE [a-z_]+ gauge", line), line
            continue
        name, value = re.fullmatch(r"([a-z_]+)\{%s\} ([-+.0-9e]+)" % re.escape(wanted), line).groups()
        assert name not in found, f"twice: {name}"
        found[name] = float(value)
    return found


def told(deployment):
    path = deployment.folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


def nothing_is_left(deployment, name):
    return volumes(deployment) == [f"{name}_data"] and containers(deployment) == [f"{name}-db-1"]


def test_a_good_backup_passes(project, protected):
    deployment = make(project, protected, "good", "{checks: ['SELECT count(*) = 500 FROM t', \"SELECT current_setting('archive_mode') = 'off'\"]}")
    received(protected, deployment)
    report = json.loads(deployment("drill", "--to", "latest", "--format", "json").stdout)
    assert {check["name"].split(":")[0] for check in report["checks"]} == {"files", "verifybackup", "server", "rows", "amcheck", "sql"}
    assert all(check["good"] for check in report["checks"])
    assert next(check["rows"] for check in report["checks"] if check["name"] == "rows") == 500
    assert remembered(protected, "good") == report and report["outcome"] == "succeeded"
    assert report["rto_ms"] > 0 and report["rpo_ms"] >= 0 and report["last_good_ns"] == report["finished_ns"]
    rows = {row["Job"]: row for row in json.loads(deployment("schedule", "--format", "json").stdout)}
    assert rows["drill"]["Schedule"] == "0 4 * * sun" and rows["drill"]["Next"]
    assert nothing_is_left(deployment, "good") and not told(deployment)
    # What it measured is there for Prometheus, with all the rest.
    samples = metrics(deployment("status", "--format", "prometheus").stdout, project="good", service="db")
    assert samples["berth_drill_success"] == 1 and samples["berth_drill_recovery_time_seconds"] == report["rto_ms"] / 1000
    assert samples["berth_drill_recovery_point_seconds"] == report["rpo_ms"] / 1000
    assert abs(samples["berth_drill_timestamp_seconds"] - report["finished_ns"] / 1e9) < 0.01
    assert samples["berth_wal_streaming"] == samples["berth_database_running"] == samples["berth_backups"] == 1
    assert samples["berth_problems"] == samples["berth_unprotected_bytes"] == 0 and "berth_offsite_timestamp_seconds" not in samples
    # A moment by lot lies behind the newest backup and before the end of the log.
    deployment("backup", "db")
    sql(deployment, "INSERT INTO t SELECT 0 FROM pg_sleep(1.2)")
    received(protected, deployment)
    deployment.write("compose.yaml", (deployment.folder / "compose.yaml").read_text().replace("= 500", ">= 500"))
    deployment("up", "-d")
    by_lot = json.loads(deployment("drill", "db", "--format", "json").stdout)
    newest = listed(deployment)[-1]
    assert by_lot["backup"] == newest["id"] and newest["finished_ns"] <= by_lot["target_ns"] <= newest["until_ns"]
    assert sql(deployment, "SELECT count(*) FROM t") == "501"


@pytest.mark.slow
def test_more_tables_than_a_transaction_can_lock(project, protected):
    deployment = make(project, protected, "locks", "{amcheck: false}")
    for setting in ("max_locks_per_transaction = 10", "max_connections = 10", "max_worker_processes = 2", "autovacuum_max_workers = 1"):
        sql(deployment, f"ALTER SYSTEM SET {setting}")
    deployment("restart", "db")
    deployment("up", "-d", "--wait")
    sql(deployment, "DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE t%s (i int)', i); COMMIT; END LOOP; END $$")
    sql(deployment, "INSERT INTO t2000 VALUES (1)")
    with pytest.raises(AssertionError, match="out of shared memory"):
        sql(deployment, "BEGIN; " + "; ".join(f"LOCK t{i}" for i in range(1, 2001)) + "; COMMIT")
    received(protected, deployment)
    report = json.loads(deployment("drill", "--to", "latest", "--format", "json").stdout)
    assert "501 rows in 2001 tables" in next(check["message"] for check in report["checks"] if check["name"] == "rows")


@pytest.mark.slow
def test_a_failing_check_fails_and_is_told(project, protected):
    deployment = make(project, protected, "check", f"{{schedule: '{clock.far()}', checks: ['SELECT count(*) > 1000 FROM t', 'SELECT 1']}}")
    received(protected, deployment)
    said = deployment.fails("drill", "db", "--to", "latest")
    assert 'SELECT count(*) > 1000 FROM t: gave "f"' in said
    report = remembered(protected, "check")
    assert report["outcome"] == "failed" and report["last_good_ns"] == 0
    assert [check["good"] for check in report["checks"] if check["name"].startswith("sql")] == [False, False], "1 is not true"
    alert = wait_until(lambda: told(deployment))[0]
    assert (alert["what"], alert["state"], alert["service"]) == ("drill", "failed", "db") and "gave" in alert["message"]
    assert nothing_is_left(deployment, "check")
    # By the clock: what came due while no keeper was there.
    pid = protected.keeper_pid("check")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    path = protected.data / "projects/check/schedule.json"
    schedule = json.loads(path.read_text())
    next(job for job in schedule["jobs"] if job["kind"] == "drill")["covered_ns"] -= 8 * 24 * 3600 * 10**9
    path.write_text(json.dumps(schedule))
    deployment("up", "-d")
    row = lambda: next(row for row in json.loads(deployment("schedule", "--format", "json").stdout) if row["Job"] == "drill")
    wait_until(lambda: row()["Result"] == "failed")
    assert "SELECT count(*) > 1000 FROM t" in row()["Message"]  # by lot it may be a moment before there was one
    wait_until(lambda: len(told(deployment)) == 2)
    wait_until(lambda: nothing_is_left(deployment, "check"))


@pytest.mark.slow
def test_the_images_own_verification_counts(project, protected):
    """Its word is taken before a server starts; an image without the program is told of."""
    deployment = make(project, protected, "own")
    deployment("exec", "-T", "-u", "0", "db", "install", "-d", "-o", "postgres", "/srv/space")
    sql(deployment, "CREATE TABLESPACE space LOCATION '/srv/space'")
    sql(deployment, "CREATE TABLE far TABLESPACE space AS SELECT 1 AS i")
    deployment("backup", "db")
    received(protected, deployment)
    checks = lambda: {check["name"]: check for check in json.loads(deployment("drill", "--to", "latest", "--format", "json").stdout)["checks"]}
    done = checks()["verifybackup"]
    assert done["good"] and "skipped" not in done and done["message"] == "the files are as the backup's manifest says (pg_verifybackup)"
    program = database.program("pg_verifybackup")
    stand_in = deployment.write("stand-in", "#!/bin/sh\necho 'error: checksum mismatch for file \"PG_VERSION\"' >&2\nexit 1\n", mode=0o755)
    text = (deployment.folder / "compose.yaml").read_text().replace('volumes: ["data', f'volumes: ["./stand-in:{program}", "data')
    deployment.write("compose.yaml", text)
    deployment("up", "-d", "--wait")
    assert 'pg_verifybackup: error: checksum mismatch for file "PG_VERSION"' in deployment.fails("drill", "--to", "latest")
    stand_in.write_text("#!/bin/sh\nexit 127\n")
    skipped = checks()["verifybackup"]
    assert skipped["skipped"] and skipped["message"] == "not done: the image has no pg_verifybackup"
    assert nothing_is_left(deployment, "own")


def test_a_damaged_pack_fails(project, protected):
    deployment = make(project, protected, "pack")
    received(protected, deployment)
    first = listed(deployment)[0]
    pack = max(pathlib.Path(first["repository"]).glob("packs/*.pack"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    assert "is damaged at" in deployment.fails("drill")
    assert remembered(protected, "pack")["outcome"] == "failed" and wait_until(lambda: told(deployment))
    assert nothing_is_left(deployment, "pack") and sql(deployment, "SELECT count(*) FROM t") == "500"


@pytest.mark.slow
def test_a_broken_index_is_found(project, protected):
    """The server sends it as it is, and the backup of it is sound: only a look into it tells."""
    deployment = make(project, protected, "index")
    sql(deployment, "CREATE INDEX t_i ON t(i)")
    sql(deployment, "CHECKPOINT")
    path = protected.data / "volumes/index_data/_data" / sql(deployment, "SELECT pg_relation_filepath('t_i')")
    deployment("stop")
    subprocess.run([database.program("pg_checksums"), "--disable", "-D", protected.data / "volumes/index_data/_data"], check=True,
                   capture_output=True)
    page = bytearray(path.read_bytes())
    for at in range(8192 + 7000, 8192 + 8176):
        page[at] = 0x5a
    path.write_bytes(page)
    deployment("start")
    wait_until(lambda: deployment("psql", "db", "-XAtqc", "SELECT 1", check=False).returncode == 0)
    deployment("backup", "db")
    said = deployment.fails("drill", "db", "--to", "immediate")
    assert "amcheck" in said and "t_i" in said
    assert nothing_is_left(deployment, "index")


@pytest.mark.slow
def test_what_a_killed_keeper_left_is_cleared_away(project, protected):
    deployment = make(project, protected, "killed", "{checks: ['SELECT pg_sleep(600) IS NOT NULL']}")
    drill = deployment.start("drill", "db", "--to", "immediate")
    wait_until(lambda: "killed_data.drill" in " ".join(volumes(deployment)) or "killed_db.drill" in volumes(deployment))
    wait_until(lambda: any(name.endswith(".drill-restore") for name in containers(deployment)))
    assert "is at work" in deployment.fails("drill", "db")
    deployment("ps")  # others do not wait for it
    drill.kill()
    drill.communicate()
    os.kill(protected.keeper_pid("killed"), signal.SIGKILL)
    deployment("up", "-d")
    wait_until(lambda: nothing_is_left(deployment, "killed"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [13, 18])
def test_other_majors(project, protected, images, number):
    """13 has no pg_amcheck: amcheck's functions look at its indexes. 18 keeps its data below the volume's root."""
    images(f"postgres:{number}")
    folder = "/var/lib/postgresql" if number >= 18 else "/var/lib/postgresql/data"
    text = backups.compose(number).replace("/var/lib/postgresql/data", folder).replace("images: host", "images: registry")
    deployment = project(text, name=f"m{number}")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT generate_series(1, 500) AS i")
    received(protected, deployment)
    report = json.loads(deployment("drill", "db", "--to", "latest", "--format", "json").stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["outcome"] == "succeeded" and checks["rows"]["rows"] == 500
    assert "skipped" not in checks["verifybackup"], "every image has it, from 13 on"
    said = checks["amcheck"]["message"]
    assert "skipped" in checks["amcheck"] or ("functions" if number < 14 else "(pg_amcheck)") in said, said
    deployment("clone", "db", "second")
    assert sql(deployment, "SELECT count(*) FROM t", "second") == "500"
    deployment("restore", "db", "--to", "immediate", "--yes")
    assert sql(deployment, "SELECT to_regclass('t') IS NULL") == "t"
    deployment("restore", "db", "--forget", "--yes")
