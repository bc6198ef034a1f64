"""Storage elsewhere, against real servers: the same test of every storage, and what is said when things go wrong."""
import json
import os
import subprocess

import pytest

from support import offsite
from support.program import BUILD

CONTRACT = BUILD / "tests" / "unit" / "repository" / "test_repository_storage"

pytestmark = pytest.mark.skipif(not CONTRACT.exists(), reason="unit tests are not built")


def contract(location, only="test_*"):
    done = subprocess.run([str(CONTRACT)], stdin=subprocess.DEVNULL, capture_output=True, timeout=180, text=True,
                          env={**os.environ, "BERTH_TEST_LOCATION": json.dumps(location), "BERTH_TEST_ONLY": only})
    return done.returncode, done.stdout + done.stderr


def works(location):
    status, text = contract(location)
    assert status == 0, text


def refused(location):
    return contract(location, "test_nothing_is_seen_before_the_end")


def test_s3(s3):
    works(s3.location("contract/deep"))
    assert not [path for path in (s3.files() / "contract").rglob("*") if path.is_file()]


def test_sftp(sshd, tmp_path):
    works(sshd.location(str(tmp_path)))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("fault", [503, "drop", "refuse"])
def test_s3_is_tried_again(s3, fault):
    """Every request fails the first time, answered or not, carried out or not."""
    front = offsite.Faulty(s3, lambda method, path, before: fault if before % 2 == 0 else None)
    try:
        works(s3.location(f"again-{fault}", endpoint=front.endpoint))
        assert front.count
    finally:
        front.stop()


@pytest.mark.parametrize("answer", [500, 503])
def test_s3_that_stays_broken_is_given_up(s3, answer):
    front = offsite.Faulty(s3, lambda method, path, before: answer)
    try:
        status, text = refused(s3.location("broken", endpoint=front.endpoint))
    finally:
        front.stop()
    assert status != 0 and str(answer) in text and front.endpoint in text
    assert max(front.count.values()) >= 6


def test_s3_says_what_is_wrong(s3, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.write_text("S3RVER:wrong")
    front = offsite.Faulty(s3, lambda method, path, before: None)
    try:
        status, text = refused(s3.location("x", endpoint=front.endpoint, credentials=str(credentials)))
    finally:
        front.stop()
    assert status != 0 and "SignatureDoesNotMatch" in text
    assert max(front.count.values(), default=1) == 1, "it was tried again"
    credentials.write_text("NOBODY:S3RVER")
    status, text = refused(s3.location("x", credentials=str(credentials)))
    assert status != 0 and "InvalidAccessKeyId" in text
    status, text = refused({**s3.location("x"), "url": "s3://nosuchbucket/x"})
    assert status != 0 and "NoSuchBucket" in text
    status, text = refused(s3.location("x", endpoint="http://127.0.0.1:1"))
    assert status != 0 and "127.0.0.1:1" in text


def test_sftp_says_what_is_wrong(sshd, tmp_path):
    status, text = refused(sshd.location(str(tmp_path), identity=str(sshd.folder / "wrong")))
    assert status != 0 and "Permission denied" in text
    nobody = tmp_path / "known_hosts"
    nobody.write_text("")
    status, text = refused(sshd.location(str(tmp_path), known_hosts=str(nobody)))
    assert status != 0 and "host key" in text
    status, text = refused(sshd.location(str(tmp_path / "missing")))
    assert status != 0 and "missing" in text
    status, text = refused({**sshd.location("/x"), "url": "sftp://root@127.0.0.1:1/x"})
    assert status != 0 and "refused" in text
