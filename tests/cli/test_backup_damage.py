"""Damage of every kind that pg_verifybackup's own tests know, done to a repository: `backup verify` finds it, a restore refuses it and
says what can be restored instead. Nothing is ever laid out that is not what the server sent."""
import json
import pathlib
import shutil

import pytest

from support import backups, database, worker
from support.backups import sql
from support.program import wait_until

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")


class Repository:
    """A real one: two backups, and complete segments of the log behind each. Taken out of its project, damaged and put back."""

    def __init__(self, berth, deployment, path):
        self.berth, self.deployment, self.path = berth, deployment, path
        self.good = path.with_name("good")
        shutil.copytree(path, self.good)
        self.ids = sorted(record.parent.name for record in path.glob("backups/*/backup.json"))
        self.number = 0

    def mend(self):
        shutil.rmtree(self.path)
        shutil.copytree(self.good, self.path)

    def pack(self):
        """The one with most of the newest backup's content."""
        return max(self.path.glob("packs/*.pack"), key=lambda path: path.stat().st_size)

    def list(self):
        return self.path / "backups" / self.ids[-1] / "files.zst"

    def segments(self):
        """Complete ones, in order."""
        return sorted(self.path.glob("wal/*/*.zst"))

    def faults(self):
        result = self.deployment("backup", "verify", "--format", "json", check=False)
        return result.returncode, result.stdout + result.stderr

    def restore(self, **more):
        """The error of laying it out, with its hint, or None; and the folder."""
        self.number += 1
        folder = self.berth.root / f"laid{self.number}"
        folder.mkdir()
        job = worker.Job(self.berth, "restore", repository=str(self.path), directory=str(folder), **{"to": "latest", **more}).end()
        shutil.rmtree(folder)
        return job.error


@pytest.fixture
def repository(project, protected):
    deployment = project(backups.compose(database.major()), name="worn")
    deployment("up", "-d", "--wait")
    first = backups.first_backup(protected, deployment)
    for number in range(2):
        sql(deployment, f"CREATE TABLE t{number} AS SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i")
        if number:
            deployment("backup", "db")
        for _ in range(3):
            sql(deployment, "CREATE TABLE IF NOT EXISTS u(i int); INSERT INTO u SELECT generate_series(1, 100)")
            sql(deployment, "SELECT pg_switch_wal()")
    backups.received(protected, deployment)
    deployment("stop")
    path = pathlib.Path(first["repository"])
    wait_until(lambda: not backups.receiver(protected, "worn").get("pid") or not pathlib.Path(
        f"/proc/{backups.receiver(protected, 'worn')['pid']}").exists())
    return Repository(protected, deployment, path)


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int((len(content) - 1) * at)] ^= 0x10
    path.write_bytes(content)


def replace(path):
    """As long as it was, and something else."""
    size = path.stat().st_size
    path.write_bytes(bytes(i * 7 % 251 for i in range(4096)) * (size // 4096) + bytes(size % 4096))


def append(path):
    path.write_bytes(path.read_bytes() + b"berth")


def cut(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def hide(path):
    """Not to be opened: not by root either."""
    path.unlink()
    path.mkdir()


def index_of(repository):
    return repository.pack().with_suffix(".index")


def record_of(repository):
    return repository.list().with_name("backup.json")


def last_segment(repository):
    return repository.segments()[-2]  # the newest backup needs it, and more comes behind


# By the names of the cases in PostgreSQL's src/bin/pg_verifybackup/t/003_corruption.pl: what a data folder suffers there, the objects of a
# repository suffer here. (what, which object, what the fault names, what a restore says)
CASES = [
    ("extra_file", lambda r: append(r.list()), "files.zst", "files.zst"),
    ("extra_tablespace_file", lambda r: append(last_segment(r)), "wal/", "is damaged"),
    ("missing_file", lambda r: r.pack().unlink(), "packs/", "chunk"),
    ("missing_tablespace", lambda r: index_of(r).unlink(), "", "has lost chunk"),
    ("append_to_file", lambda r: append(index_of(r)), "packs/", "packs/"),
    ("truncate_file", lambda r: cut(r.pack()), "packs/", "chunk"),
    ("replace_file", lambda r: replace(r.pack()), "packs/", "is damaged at"),
    ("bad_manifest", lambda r: replace(r.list()), "files.zst", "files.zst"),
    ("open_file_fails", lambda r: hide(r.pack()), "packs/", "chunk"),
    ("open_directory_fails", lambda r: (shutil.rmtree(r.path / "packs"), (r.path / "packs").write_text("")), "", ""),
    ("search_directory_fails", lambda r: hide(r.list()), "files.zst", "files.zst"),
    ("flipped_file", lambda r: flip(r.pack(), 0.4), "packs/", "is damaged at"),
    ("flipped_segment", lambda r: flip(last_segment(r)), "wal/", "is damaged"),
    ("truncated_segment", lambda r: cut(last_segment(r)), "wal/", "is damaged"),
    ("missing_segment", lambda r: last_segment(r).unlink(), "wal/", "gap"),
]


@pytest.mark.slow
def test_damage_of_every_kind_is_found_and_refused(repository):
    status, said = repository.faults()
    assert status == 0, said
    assert repository.restore() is None, "whole"
    for name, damage, fault, refusal in CASES:
        damage(repository)
        status, said = repository.faults()
        error = repository.restore()
        assert status != 0 and fault in said, f"{name}: verify said {said}"
        assert error is not None, f"{name}: laid out"
        assert refusal in error["message"], f"{name}: {error}"
        if "segment" in name or name == "extra_tablespace_file":
            until = error["hint"].partition("--to '")[2].partition("'")[0]
            assert until, f"{name}: {error}"
            assert repository.restore(to=until) is None, f"{name}: what was offered is none ({until})"
        repository.mend()
    assert repository.faults()[0] == 0
    a_damaged_record_is_no_backup(repository)
    the_repository_of_another_cluster(repository)


def a_damaged_record_is_no_backup(repository):
    flip(record_of(repository), 0)
    status, said = repository.faults()
    assert status != 0 and repository.ids[-1] in said
    assert repository.restore() is None, "the one before it leads to the same point"
    assert repository.restore(backup=repository.ids[-1]) is not None
    repository.mend()


def the_repository_of_another_cluster(repository):
    description = json.loads((repository.path / "repository.json").read_text())
    description["system_identifier"] = "7000000000000000001"
    (repository.path / "repository.json").write_text(json.dumps(description))
    status, said = repository.faults()
    assert status != 0 and "another cluster, 7000000000000000001" in said
    error = repository.restore()
    assert error is not None and "7000000000000000001" in error["message"], error
    repository.mend()
