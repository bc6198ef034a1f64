"""Damage here is mended from the copy elsewhere, and damage of the copy from here: every kind, with the damaged objects kept."""
import json
import pathlib
import shutil
import subprocess

import pytest

from support import backups, database, program, worker
from support.backups import copied, sql
from support.program import BUILD, wait_until

MAKE_SAMPLE = BUILD / "tests" / "unit" / "repository" / "make_sample"
FOLDER = "shop/db/7412345678901234567"
LONG = {"keep": "3000d"}  # the sample's backups have days of their own

pytestmark = pytest.mark.skipif(not MAKE_SAMPLE.exists(), reason="unit tests are not built")


class Pair:
    """A repository with two backups, and its copy."""

    def __init__(self, berth, place, key):
        self.berth, self.place = berth, place
        self.key = {"key": str(key)} if key else {}
        made = [] if not key else [key]
        folder = berth.root / "backups"
        for day, first in ((0, 0), (1, 50)):
            done = subprocess.run([MAKE_SAMPLE, folder, str(day), str(first), "6", *made], check=True, text=True, capture_output=True)
            made = []
        self.path = pathlib.Path(done.stdout.split()[0])
        self.good = self.path.with_name("good")
        worker.run(berth, "repository-copy", repository=str(self.path), copy=place, **LONG, **self.key)
        shutil.copytree(self.path, self.good)

    def mend(self):
        shutil.rmtree(self.path)
        shutil.copytree(self.good, self.path)

    def verify(self, **which):
        return worker.run(self.berth, "repository-verify", **(which or {"repository": str(self.path)})).result

    def verify_copy(self):
        return self.verify(copy=self.place, folder=FOLDER, **self.key)

    def repair(self, **more):
        return worker.run(self.berth, "repository-repair", repository=str(self.path), copy=self.place, **self.key, **more).result

    def contents(self, *kinds):
        return {path.relative_to(self.path).as_posix(): path.read_bytes() for kind in kinds
                for path in (self.path / kind).rglob("*") if path.is_file()}


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int((len(content) - 1) * at)] ^= 0x10
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def one(folder, pattern):
    return sorted(folder.glob(pattern))[-1]


DAMAGES = [
    ("pack flipped", "packs/*.pack", flip),
    ("pack cut", "packs/*.pack", cut),
    ("pack gone", "packs/*.pack", pathlib.Path.unlink),
    ("index gone", "packs/*.index", pathlib.Path.unlink),
    ("index cut", "packs/*.index", cut),
    ("list flipped", "backups/*/files.zst", flip),
    ("list gone", "backups/*/files.zst", pathlib.Path.unlink),
    ("record flipped", "backups/*/backup.json", lambda path: flip(path, 0)),
    ("record gone", "backups/*/backup.json", pathlib.Path.unlink),
    ("segment flipped", "wal/*/*.zst", flip),
    ("segment cut", "wal/*/*.zst", cut),
    ("last segment gone", "wal/*/*.zst", pathlib.Path.unlink),
]


def mends(pair):
    """Each kind of damage by itself, with what was damaged kept aside."""
    for name, pattern, damage in DAMAGES:
        victim = one(pair.path, pattern)
        damage(victim)
        damaged = victim.read_bytes() if victim.exists() else None
        time = victim.stat().st_mtime if "segment" in name and damaged else None
        result = pair.repair()
        assert result["faults"] == [] and result["mended"], (name, result)
        assert pair.verify()["faults"] == [], name
        assert pair.contents("backups", "wal").keys() == {path.relative_to(pair.good).as_posix() for kind in ("backups", "wal")
                                                          for path in (pair.good / kind).rglob("*") if path.is_file()}, name
        if damaged is not None:
            kept = pathlib.Path(result["kept"]) / victim.relative_to(pair.path)
            assert kept.read_bytes() == damaged, name
        if time is not None:
            assert victim.stat().st_mtime == time, "points in time are found by it"
        assert not (pair.path / ".repair").exists()
        pair.mend()


@pytest.fixture
def mount(tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    return place


def test_every_damage_is_mended_from_a_folder(berth, mount):
    pair = Pair(berth, {"url": str(mount)}, None)
    mends(pair)
    sound = pair.repair()
    assert sound["mended"] == [] and sound["fetched_bytes"] == 0 and "kept" not in sound
    # All at once.
    for name, pattern, damage in DAMAGES:
        if name in ("pack flipped", "list flipped", "segment flipped"):
            damage(one(pair.path, pattern))
    result = pair.repair()
    assert result["faults"] == [], result
    assert pair.contents("wal") == {path.relative_to(pair.good).as_posix(): path.read_bytes() for path in (pair.good / "wal").rglob("*") if path.is_file()}


def test_every_damage_is_mended_from_an_encrypted_bucket(berth, s3):
    mends(Pair(berth, s3.location("repair"), berth.root / "keys" / "shop.json"))


def test_chunks_come_from_other_packs_and_what_neither_has_is_told(berth, mount):
    """Packs of a copy are rewritten by its own expiry: chunks are found by their names."""
    pair = Pair(berth, {"url": str(mount)}, None)
    copy = mount / FOLDER
    for path in copy.glob("packs/*"):
        path.rename(path.with_name("f" + path.name[1:]))
    flip(one(pair.path, "packs/*.pack"))
    assert pair.repair()["faults"] == []
    pair.mend()
    # The same place damaged on both sides: told, nothing false is reported, and what is whole stays whole.
    victim = one(pair.path, "packs/*.pack")
    for path in (victim, copy / "packs" / ("f" + victim.name[1:])):
        flip(path)
    result = pair.repair()
    assert result["faults"] and result["damaged"] and any("neither" in text for text in result["failed"]), result
    assert [fault["object"] for fault in pair.verify()["faults"]] == [f"backups/{name}" for name in result["damaged"]]
    segment = one(pair.path, "wal/*/*.zst")
    before = flip(segment), segment.read_bytes()
    flip(copy / segment.relative_to(pair.path), 0.6)
    result = pair.repair()
    assert any(segment.name in text for text in result["failed"]), result
    assert segment.read_bytes() == before[1], "a damaged one does not replace it"


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_damaged_copy_is_sent_again(berth, mount, request, kind):
    if kind == "folder":
        pair, files = Pair(berth, {"url": str(mount)}, berth.root / "keys" / "shop.json"), mount / FOLDER
    else:
        s3 = request.getfixturevalue("s3")
        pair, files = Pair(berth, s3.location("sent-again"), None), s3.files() / "sent-again" / FOLDER
    for name, pattern, damage in DAMAGES:
        if kind == "s3" and ("gone" in name or "cut" in name):
            continue  # its server keeps facts about objects beside them
        path = one(files, pattern + ("._S3rver_object" if kind == "s3" else ""))
        damage(path)
        if name != "last segment gone" and name != "record gone" and name != "index gone":
            assert pair.verify_copy()["faults"], name
        before = {path: path.read_bytes() for path in pair.path.rglob("*") if path.is_file() and path.name not in ("copies.json", "verify.json")}
        result = pair.repair(elsewhere=True)
        assert result["faults"] == [] and result["mended"], (name, result)
        found = pair.verify_copy()
        assert found["faults"] == [] and found["backups"] == 2 and found["segments"] == pair.verify()["segments"], name
        assert {path: path.read_bytes() for path in before} == before, "what is here is not touched"


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_description_of_a_copy_is_written_anew(berth, mount, encrypted):
    """Which key it is encrypted with what lies there says itself; one of another time is left alone."""
    pair, path = Pair(berth, {"url": str(mount)}, berth.root / "keys" / "shop.json" if encrypted else None), mount / FOLDER / "repository.json"
    whole = json.loads(path.read_text())
    assert ("encryption" in whole) == encrypted
    for damage in ("", '{"format": 1, "encr', None):
        path.unlink() if damage is None else path.write_text(damage)
        worker.fails(berth, "repository-verify", copy=pair.place, folder=FOLDER, **pair.key)
        result = pair.repair(elsewhere=True)
        assert "repository.json" in result["mended"] and result["faults"] == [], result
        assert {**json.loads(path.read_text()), "created_ns": 0} == {**whole, "created_ns": 0}
        assert pair.verify_copy()["backups"] == 2
    for text in ('{"format": 99}', '{"format": 99, "encr'):
        path.write_text(text)
        worker.fails(berth, "repository-repair", repository=str(pair.path), copy=pair.place, elsewhere=True, **pair.key)
        assert path.read_text() == text
    if encrypted:
        path.write_text("")
        error = worker.fails(berth, "repository-repair", repository=str(pair.path), copy=pair.place, elsewhere=True)
        assert whole["encryption"]["key"] in error["message"] and "give the key file" in error["hint"], error
        assert path.read_text() == ""


def offsite_compose(place, more=""):
    return backups.compose(database.major(), more=f", backup: {{offsite: {{url: {place}, schedule: 1s{more}}}}}")


def worn(deployment, protected):
    """A database with a backup and complete segments behind it, all of it copied; its repository."""
    deployment("up", "-d", "--wait")
    first = backups.first_backup(protected, deployment)
    for number in range(3):
        sql(deployment, f"CREATE TABLE t{number} AS SELECT i, md5(i::text) FROM generate_series(1, 5000) AS i")
        sql(deployment, "SELECT pg_switch_wal()")
    sql(deployment, "CREATE TABLE last AS SELECT 42 AS i")
    copied(protected, deployment)
    return pathlib.Path(first["repository"])


@pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
def test_verify_mends_a_running_database_s_backups(project, protected, mount):
    deployment = project(offsite_compose(mount), name="worn")
    repository = worn(deployment, protected)
    deployment("backup", "verify")
    deployment("backup", "verify", "--copy")
    flip(max(repository.glob("packs/*.pack"), key=lambda path: path.stat().st_size))
    segment = sorted(repository.glob("wal/*/*.zst"))[1]
    segment.unlink()
    told = deployment("backup", "verify", check=False)
    assert told.returncode and "--repair" in told.stderr and "gap" in told.stdout
    mended = deployment("backup", "verify", "--repair").stdout
    assert f"mended from {mount}" in mended and segment.name in mended and "are kept in" in mended
    deployment("backup", "verify")
    copy = one(mount, "worn/db/*/packs/*.pack")
    flip(copy)
    assert "--copy --repair" in deployment.fails("backup", "verify", "--copy")
    assert "mended from here" in deployment("backup", "verify", "--copy", "--repair").stdout
    deployment("backup", "verify", "--copy")
    # Without a copy it says so.
    deployment.write("compose.yaml", backups.compose(database.major()))
    assert "x-berth.backup.offsite" in deployment.fails("backup", "verify", "--repair")


@pytest.mark.slow
@pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
def test_restore_and_drill_take_what_is_damaged_from_the_copy(project, protected, mount):
    told = protected.root / "told"
    alert = program.Project(protected, protected.root / "bin").write("tell", f'#!/bin/sh\necho "$BERTH_ALERT_WHAT" >>{told}\n', mode=0o755)
    deployment = project(offsite_compose(mount) + f"x-berth: {{alerts: {{command: [{alert}]}}}}\n", name="worn")
    repository = worn(deployment, protected)
    damaged = (max(repository.glob("packs/*.pack"), key=lambda path: path.stat().st_size), sorted(repository.glob("wal/*/*.zst"))[-1],
               one(repository, "backups/*/files.zst"))
    for path in damaged:
        flip(path)
    done = deployment("restore", "db", "--yes")
    for path in damaged:
        assert f"{path.relative_to(repository)} is damaged here, and was taken from the copy" in done.stderr, done.stderr
    assert sql(deployment, "SELECT i FROM last") == "42" and sql(deployment, "SELECT count(*) FROM t2") == "5000"
    assert deployment("backup", "verify", check=False).returncode, "a restore mends nothing"
    sql(deployment, "INSERT INTO last VALUES (43)")
    copied(protected, deployment)
    report = json.loads(deployment("drill", "db", "--format", "json").stdout)
    assert {str(path.relative_to(repository)) for path in damaged} <= set(report["mended"]), report
    wait_until(lambda: told.exists() and "damaged backup" in told.read_text())
    deployment("backup", "verify")
    # Where damage hides the way to the point, it is mended before.
    history = one(repository, "wal/*.history")
    history.write_text("not a history\n")
    done = deployment("restore", "db", "--yes")
    assert "objects were mended from their copy" in done.stderr and sql(deployment, "SELECT count(*) FROM last") == "2"
    # What neither has is refused, as ever.
    copied(protected, deployment)
    for path in (damaged[1], mount / "worn" / "db" / repository.name / damaged[1].relative_to(repository)):
        flip(path)
    assert "is damaged" in deployment.fails("restore", "db", "--yes")
