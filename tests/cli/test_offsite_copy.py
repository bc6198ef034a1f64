"""Copies of repositories elsewhere by the worker's jobs: there, checked, and back; and by hand with the recipe of the docs."""
import json
import re
import shutil
import socket
import subprocess
import time

import pytest

from support import offsite, worker
from support.program import BUILD, ROOT

MAKE_SAMPLE = BUILD / "tests" / "unit" / "repository" / "make_sample"
FOLDER = "shop/db/7412345678901234567"
LONG = {"keep": "3000d"}  # the sample's backups have days of their own

pytestmark = pytest.mark.skipif(not MAKE_SAMPLE.exists(), reason="unit tests are not built")


class Repository:
    def __init__(self, berth):
        self.berth = berth
        self.folder = berth.root / "backups"
        self.key = berth.root / "keys" / "shop.json"

    def add(self, day, first, count=6):
        key = [] if self.key.exists() else [self.key]
        done = subprocess.run([MAKE_SAMPLE, self.folder, str(day), str(first), str(count), *key], check=True, text=True,
                              capture_output=True)
        self.path, self.last = done.stdout.split()

    def copy(self, place, **more):
        return worker.run(self.berth, "repository-copy", repository=self.path, copy=place, **{**LONG, **more}).result


@pytest.fixture
def repository(berth):
    made = Repository(berth)
    made.add(0, 0)
    return made


def files(folder, *kinds):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for kind in kinds
            for path in (folder / kind).rglob("*") if path.is_file()}


def there_and_back(berth, repository, place, **key):
    assert repository.copy(place, **key)["backups"] == 1
    repository.add(1, 3)
    assert repository.copy(place, **key)["packs"] == 1
    assert repository.copy(place, **key)["bytes"] == 0
    found = worker.run(berth, "repository-verify", copy=place, folder=FOLDER, **key).result
    assert found["faults"] == [] and found["backups"] == 2 and found["segments"] == 2
    into = berth.root / "recovered"
    worker.run(berth, "repository-fetch", copy=place, folder=FOLDER, into=str(into), **key)
    kinds = ("packs", "backups", "wal")
    assert files(into / "7412345678901234567", *kinds) == files(repository.folder / "7412345678901234567", *kinds)


def test_s3_encrypted(berth, repository, s3):
    there_and_back(berth, repository, s3.location("encrypted"), key=str(repository.key))


def test_sftp(berth, repository, sshd):
    place = berth.root / "remote"
    place.mkdir()
    there_and_back(berth, repository, sshd.location(str(place)))


def test_unreachable_for_a_while(berth, repository, s3):
    """What came meanwhile is sent once the place is back; the local repository does not mind."""
    broken = True
    front = offsite.Faulty(s3, lambda method, path, before: 503 if broken else None)
    place = s3.location("outage", endpoint=front.endpoint)
    try:
        error = worker.fails(berth, "repository-copy", repository=repository.path, copy=place, **LONG)
        assert error["kind"] == "unavailable", error
        repository.add(1, 50)
        repository.add(2, 100)
        broken = False
        assert repository.copy(place)["backups"] == 3
    finally:
        front.stop()
    assert worker.run(berth, "repository-verify", copy=place | {"endpoint": s3.endpoint}, folder=FOLDER).result["faults"] == []


def test_slow_and_cut_in_the_middle(berth, repository, s3):
    """An answer that ends too early is asked for again; nothing half is taken for whole."""
    def fail(method, path, before):
        time.sleep(0.02)
        return "cut" if method == "GET" and ".pack" in path and not before else "refuse" if method == "PUT" and not before else None

    front = offsite.Faulty(s3, fail)
    try:
        there_and_back(berth, repository, s3.location("slow", endpoint=front.endpoint))
    finally:
        front.stop()


def test_a_place_that_never_answers_is_given_up(berth, repository, s3):
    """A connection that is taken and then silent, as behind a firewall that swallows."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = s3.location("silent", endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", stall_s=1)
        error = worker.fails(berth, "repository-copy", repository=repository.path, copy=place, **LONG)
    assert error["kind"] == "unavailable" and "reach http://127.0.0.1:" in error["message"], error
    assert worker.run(berth, "repository-verify", repository=repository.path).result["faults"] == []


def test_no_faster_than_is_wished(berth, repository, tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    began = time.monotonic()
    sent = repository.copy({"url": str(place)}, max_rate=200 << 10)["bytes"]
    took = time.monotonic() - began
    assert sent > 400 << 10 and sent / took < 230 << 10, f"{sent} bytes in {took} s"
    assert worker.run(berth, "repository-verify", copy={"url": str(place)}, folder=FOLDER).result["faults"] == []


@pytest.mark.slow
def test_a_worker_killed_in_an_upload(berth, repository, s3):
    """At one request after the other, between the parts of a large object too: what is there is whole, and the next run goes on."""
    repository.add(1, 50, 400)  # a pack of several parts
    doomed = {}

    def fail(method, path, before):
        doomed["left"] = doomed.get("left", 0) - (method in ("PUT", "POST"))
        if doomed["left"] < 0 and "job" in doomed:
            doomed["killed"] = f"{method} {path}"
            doomed.pop("job").process.kill()
            return "refuse"

    front, killed = offsite.Faulty(s3, fail), []
    place = s3.location("torn", endpoint=front.endpoint)
    try:
        for number in range(0, 14, 2):
            doomed = {"left": number}
            doomed["job"] = job = worker.Job(berth, "repository-copy", repository=repository.path, copy=place, **LONG)
            while job.next():
                pass
            job.process.wait()
            killed.append(doomed.get("killed"))
            if (s3.files() / "torn" / FOLDER).exists() and job.result is None and number > 2:
                found = worker.run(berth, "repository-verify", copy=s3.location("torn"), folder=FOLDER).result
                assert found["faults"] == [] and found["damaged"] == [], (doomed, found)
    finally:
        front.stop()
    assert any(request and "partNumber" in request for request in killed), killed
    repository.copy(s3.location("torn"))
    found = worker.run(berth, "repository-verify", copy=s3.location("torn"), folder=FOLDER).result
    assert found["faults"] == [] and found["backups"] == 2, found


def test_a_bucket_that_is_emptied_or_gone(berth, repository, s3):
    bucket = s3.folder / "data" / "shortlived"
    bucket.mkdir()
    place = {**s3.location("x"), "url": "s3://shortlived/x"}
    repository.copy(place)
    shutil.rmtree(bucket / "x")
    error = worker.fails(berth, "repository-copy", repository=repository.path, copy=place, **LONG)
    assert error["kind"] == "unavailable" and "is not at" in error["message"] and "copies.json" in error["hint"], error
    shutil.rmtree(bucket)
    error = worker.fails(berth, "repository-copy", repository=repository.path, copy=place, **LONG)
    assert "NoSuchBucket" in error["message"] or "is not at" in error["message"], error
    bucket.mkdir()
    assert not list(bucket.iterdir()), "nothing is begun anew by itself"
    bucket.rmdir()


def test_two_never_write_one_copy(berth, repository, tmp_path, s3):
    held = []

    def fail(method, path, before):
        if method == "PUT" and ".pack" in path and not held:
            held.append(worker.fails(berth, "repository-copy", repository=repository.path, copy=s3.location("twice"), **LONG))

    front = offsite.Faulty(s3, fail)
    try:
        assert repository.copy(s3.location("twice", endpoint=front.endpoint))["backups"] == 1
    finally:
        front.stop()
    assert held[0]["kind"] == "conflict" and "is at work" in held[0]["message"]
    # Another installation that has the same repository: refused until it takes the copy over, and then the first is.
    class Other:
        environment = {**berth.environment, "BERTH_DATA_DIR": str(tmp_path / "data")}

    asked = dict(repository=repository.path, copy=s3.location("twice"), **LONG)
    refused = worker.fails(Other, "repository-copy", **asked)
    assert refused["kind"] == "exists" and "--take-over" in refused["hint"], refused
    worker.run(Other, "repository-copy", take_over=True, **asked)
    worker.run(Other, "repository-copy", **asked)
    assert worker.fails(berth, "repository-copy", **asked)["kind"] == "exists"


def test_wrong_key_and_damage(berth, repository, tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    location, key = {"url": f"file://{place}"}, {"key": str(repository.key)}
    repository.copy(location, **key)
    other = Repository(berth)
    other.folder, other.key = berth.root / "other", berth.root / "keys" / "other.json"
    other.add(0, 0)
    error = worker.fails(berth, "repository-verify", copy=location, folder=FOLDER, key=str(other.key))
    identity = json.loads(repository.key.read_text())["id"]
    assert error["kind"] == "denied" and identity in error["message"], error
    assert "no key" in worker.fails(berth, "repository-verify", copy=location, folder=FOLDER)["message"]
    pack = next((place / FOLDER / "packs").glob("*.pack"))
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    report = worker.run(berth, "repository-verify", copy=location, folder=FOLDER, **key).result
    assert f"packs/{pack.name}" in [fault["object"] for fault in report["faults"]]
    assert report["damaged"] == [repository.last]


def test_copy_is_pruned_by_its_own_policy(berth, repository, tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    location = {"url": str(place)}
    repository.add(1, 50)
    repository.copy(location)
    repository.add(2, 100)
    assert repository.copy(location, keep={"last": 1}, prune=True)["backups"] == 1
    assert [path.name for path in (place / FOLDER / "backups").iterdir() if list(path.iterdir())] == [repository.last]
    assert repository.copy(location, keep={"last": 1}, prune=True)["bytes"] == 0
    dry = worker.run(berth, "repository-prune", repository=repository.path, keep={"last": 2}, dry_run=True).result
    assert len(dry["backups"]) == 1
    assert worker.run(berth, "repository-prune", repository=repository.path, keep={"last": 2}).result["backups"] == dry["backups"]
    assert worker.run(berth, "repository-verify", repository=repository.path).result["faults"] == []
    assert "keep" in worker.fails(berth, "repository-prune", repository=repository.path, keep="soon")["message"]


def test_missing_mount_is_told(berth, repository, tmp_path):
    place = tmp_path / "mount"
    location = {"url": str(place)}
    error = worker.fails(berth, "repository-copy", repository=repository.path, copy=location, **LONG)
    assert error["kind"] == "unavailable" and str(place) in error["message"] and not place.exists()
    place.mkdir()
    repository.copy(location)
    shutil.rmtree(place)
    place.mkdir()  # what a mount leaves behind
    error = worker.fails(berth, "repository-copy", repository=repository.path, copy=location, **LONG)
    assert error["kind"] == "unavailable" and "copies.json" in error["hint"], error
    assert not [path for path in place.rglob("*") if path.is_file()]


def recipe(heading):
    text = (ROOT / "docs" / "backup-format.md").read_text()
    return re.search(rf"^#+ {heading}$.*?^```sh\n(.*?)^```$", text, re.M | re.S).group(1)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_encrypted_copy_by_hand(berth, repository, tmp_path):
    place, plain = tmp_path / "mount", tmp_path / "plain"
    place.mkdir()
    repository.copy({"url": str(place)}, key=str(repository.key))
    assert not any(b"berth-files" in content for content in files(place, ".").values())
    subprocess.run(["sh", "-ec", recipe("An encrypted copy")], check=True, stdin=subprocess.DEVNULL,
                   env={"PATH": "/usr/bin:/bin", "COPY": str(place / FOLDER), "REPOSITORY": str(plain),
                        "KEY": str(repository.key)})
    kinds = ("packs", "backups", "wal")
    assert files(plain, *kinds) == files(repository.folder / "7412345678901234567", *kinds)
