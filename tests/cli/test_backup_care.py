"""backup verify, prune and copy: the verbs, on a made-up repository. What they do is tested with the worker's jobs."""
import json
import subprocess

import pytest

from support.program import BUILD

MAKE_SAMPLE = BUILD / "tests" / "unit" / "repository" / "make_sample"

pytestmark = pytest.mark.skipif(not MAKE_SAMPLE.exists(), reason="unit tests are not built")


@pytest.fixture
def shop(berth, project):
    """A project whose database has two backups, of 2026-11-20 and the day after."""
    berth.environment["TZ"] = "UTC"
    made = project("services: {db: {image: postgres:15}}\n", name="shop")
    made.repository = berth.data / "backups" / "shop" / "db"
    berth("volume", "ls")  # makes the folders
    made.ids = [subprocess.run([MAKE_SAMPLE, made.repository, str(day), str(40 * day), "4"], check=True, text=True,
                               capture_output=True).stdout.split()[1] for day in range(2)]
    return made


def test_verify(shop):
    report = json.loads(shop("backup", "verify", "--format", "json").stdout)
    assert report["faults"] == [] and report["backups"] == 2
    pack = next(shop.repository.glob("*/packs/*.pack"))
    pack.write_bytes(pack.read_bytes()[:1000])
    result = shop("backup", "verify", "db", check=False)
    assert result.returncode == 1
    assert f"packs/{pack.name}" in result.stdout and "faults" in result.stderr


@pytest.mark.parametrize("damage", [None, "", '{"format": 1, "system_id', "\0" * 200, "[]", "{}", '{"format": 1, "system_identifier": "0"}'])
def test_a_description_that_is_damaged_is_written_anew(shop, damage):
    """Nothing depends on it: backups are listed, and what it said is known by the folder."""
    description = next(shop.repository.glob("*/repository.json"))
    whole = json.loads(description.read_text())
    if damage is None:
        description.unlink()
    else:
        description.write_text(damage)
    listed = [json.loads(line)["id"] for line in shop("backup", "ls", "--format", "json").stdout.splitlines()]
    assert listed == shop.ids
    result = shop("backup", "verify", check=False)
    assert result.returncode == 1 and "repository.json: " in result.stdout and "1 faults" in result.stderr, result
    said = shop("backup", "verify", "--repair").stdout
    assert "repository.json: written anew" in said
    written = json.loads(description.read_text())
    assert {**written, "created_ns": 0} == {**whole, "created_ns": 0}
    assert json.loads(shop("backup", "verify", "--format", "json").stdout)["faults"] == []
    kept = [path.read_text() for path in description.parent.glob("damaged/*/repository.json")]
    assert kept == ([] if damage is None else [damage])
    assert ("damaged objects that were replaced take" in shop("backup", "ls").stdout) == bool(kept)
    # Without anything to write, and without a copy, it says what it needs.
    assert "there is no copy" in shop.fails("backup", "verify", "--repair")


@pytest.mark.parametrize("text", ['{"format": 99}', '{"format": 99, "system_id'])
def test_a_description_of_another_time_is_left_alone(shop, text):
    description = next(shop.repository.glob("*/repository.json"))
    description.write_text(text)
    for words in (["ls"], ["verify"], ["verify", "--repair"]):
        assert "repository.json" in shop.fails("backup", *words)
    assert description.read_text() == text


def test_ls_draws_what_can_be_restored(shop):
    said = shop("backup", "ls").stdout
    assert "db can be restored to any moment from 2026-11-20 00:00:00" in said
    line = said.splitlines()[-1]
    assert line.count("●") == 2 and line.startswith("  ●─") and line.endswith("─●"), "no commit is behind the last one"
    # Another one two days later, and nothing of the log between.
    subprocess.run([MAKE_SAMPLE, shop.repository, "3", "80", "4"], check=True, capture_output=True)
    said = shop("backup", "ls").stdout
    assert "a moment from 2026-11-20 00:00:00" in said and "but for:" in said
    assert "2026-11-21 00:00:00 +0000 to 2026-11-23 00:00:00 +0000 (48h0m0s)" in said
    assert "─● " in said.splitlines()[-1] and said.splitlines()[-1].count("●") == 3


def test_prune(shop):
    assert "--keep" in shop.fails("backup", "prune")
    assert "--yes" in shop.fails("backup", "prune", "--keep", "last=1")
    assert shop.ids[0] in shop("backup", "prune", "--keep", "last=1", "--dry-run").stdout
    assert len(list(shop.repository.glob("*/backups/*/backup.json"))) == 2
    assert "weeks" in shop.fails("backup", "prune", "--keep", "weeks=1", "--yes")
    assert shop.ids[0] in shop("backup", "prune", "--keep", "last=1", "--yes").stdout
    assert [path.parent.name for path in shop.repository.glob("*/backups/*/backup.json")] == shop.ids[1:]
    assert json.loads(shop("backup", "verify", "--format", "json").stdout)["faults"] == []


def test_copy(shop, tmp_path):
    assert "--to" in shop.fails("backup", "copy")
    assert "ftp://" in shop.fails("backup", "copy", "--to", "ftp://x/y")
    first = shop("backup", "copy", "--to", tmp_path, "--key", "copy.key", "--make-key")
    assert "2 backups" in first.stdout and "keep a copy" in first.stderr
    assert (shop.folder / "copy.key").stat().st_mode & 0o777 == 0o600
    again = json.loads(shop("backup", "copy", "--to", tmp_path, "--key", "copy.key", "--format", "json").stdout)
    assert again["bytes"] == 0
    assert "encrypted with the key" in shop.fails("backup", "copy", "--to", tmp_path)


def test_keep_is_read(project):
    good = project("services: {db: {image: postgres:15, x-berth: {backup: {keep: {time: 4w, monthly: 6}}}}}\n", name="good")
    good("config", "-q")
    bad = project("services: {db: {image: postgres:15, x-berth: {backup: {keep: {yearly: 1}}}}}\n", name="bad")
    assert "yearly" in bad.fails("config", "-q")
    soon = project("services: {db: {image: postgres:15, x-berth: {backup: {keep: soon}}}}\n", name="soon")
    assert "7d" in soon.fails("config", "-q")
