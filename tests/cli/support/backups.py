"""What tests of backups and copies share: a database that is protected, and what its receiver and repository tell."""
import json
import os
import pathlib
import signal
import time

from .program import wait_until


def compose(major, more="", ports="", initdb="-A scram-sha-256 -k"):
    return f"""
services:
  db:
    image: postgres:{major}
    environment: {{POSTGRES_PASSWORD: "Xk29-fjw0-w9dk", POSTGRES_INITDB_ARGS: "{initdb}"}}
    stop_grace_period: 2s
    volumes: ["data:/var/lib/postgresql/data"]
    {ports}
    x-berth: {{images: host{more}}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
"""


def sql(deployment, text, service="db", database=None):
    more = ["-d", database] if database else []
    return deployment("psql", service, "-XAtq", *more, "-c", text).stdout.strip()


def listed(deployment):
    """Backups that there are."""
    return [row for row in all_listed(deployment) if not row.get("at_work")]


def all_listed(deployment):
    """And those that are at work."""
    return [json.loads(line) for line in deployment("backup", "ls", "--format", "json").stdout.splitlines()]


def receiver(berth, name):
    path = berth.run / "projects" / name / "receivers" / "db.json"
    return json.loads(path.read_text()) if path.exists() else {}


def place(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def received(berth, deployment):
    """Waits until all that is committed now has been received and synced."""
    target = place(sql(deployment, "SELECT pg_current_wal_flush_lsn()"))
    wait_until(lambda: place(receiver(berth, deployment.name).get("flushed", "0/0")) >= target)


def filed(berth, deployment):
    """Waits until all has been received, and every segment that is complete has been compressed."""
    received(berth, deployment)
    folder = pathlib.Path(receiver(berth, deployment.name)["repository"]) / "wal"
    segment = 16 << 20

    def nothing_is_left():
        try:
            partial = [path.stat().st_size for path in folder.glob("*/*.partial")]
        except FileNotFoundError:
            return False  # it was filed this moment
        return len(partial) <= 1 and all(size < segment for size in partial)

    wait_until(nothing_is_left)


def offsite_state(berth, name):
    """How the copy elsewhere stands, as its keeper keeps it."""
    path = berth.data / "projects" / name / "offsite.json"
    return json.loads(path.read_text())["services"].get("db", {}) if path.exists() else {}


def copied(berth, deployment):
    """Waits until all that is committed now is in the copy elsewhere, backups and the project's files too."""
    target = place(sql(deployment, "SELECT pg_current_wal_flush_lsn()"))
    wait_until(lambda: place(offsite_state(berth, deployment.name).get("copied_lsn", "0/0")) >= target)
    now = time.time_ns()
    wait_until(lambda: offsite_state(berth, deployment.name).get("finished_ns", 0) >= now)


def first_backup(berth, deployment):
    wait_until(lambda: receiver(berth, deployment.name).get("phase") == "streaming")
    return wait_until(lambda: listed(deployment))[0]


def volumes(deployment):
    return deployment("volume", "ls", "--format", "{{.Name}}").stdout.split()


def containers(deployment):
    """Of the project, one-offs too."""
    return deployment("ps", "-a", "--format", "{{.Name}}").stdout.split()


def being_read(deployment, service="db"):
    """Whether a backup reads the server's files at this moment, or has them sent."""
    return sql(deployment, "SELECT (SELECT count(*) FROM pg_stat_progress_basebackup) + (SELECT count(*) FROM pg_stat_activity WHERE "
               "application_name = 'berth backup' AND state = 'idle' AND query ~ 'pg_(backup_start|start_backup)')", service) != "0"


def status(deployment, *arguments):
    return json.loads(deployment("status", "--format", "json", *arguments).stdout)[0]


def is_alive(pid):
    """Not one that has ended and was not waited for yet."""
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid):
    """Ended for certain on return."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))


def streams(berth, name):
    state = receiver(berth, name)
    return state.get("phase") == "streaming" and is_alive(state["pid"]) and state


def waits(deployment):
    """How many commits wait for a standby."""
    return int(sql(deployment, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))


def is_synchronous(berth, deployment):
    """Commits wait for the receiver, which streams."""
    return (streams(berth, deployment.name) and receiver(berth, deployment.name)["synchronous"] == "on" and
            sql(deployment, "SHOW synchronous_standby_names").startswith("berth_"))


def nobody_receives(berth, deployment, first):
    """A receiver that cannot be: its repository is of another time. Returns what makes it well again."""
    description = pathlib.Path(first["repository"]) / "repository.json"
    kept = description.read_text()
    description.write_text('{"format": 99}')
    kill(receiver(berth, deployment.name)["pid"])
    wait_until(lambda: receiver(berth, deployment.name).get("phase") == "failed")
    return lambda: description.write_text(kept)
