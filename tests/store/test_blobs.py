import errno
import os
from datetime import UTC, datetime, timedelta

import pytest
from obstore.store import MemoryStore

from assay.errors import StoreError
from assay.store.blobs import Blobs
from assay.types import sha256_of

CONTENT = b"a medium" * 1000
DIGEST = sha256_of(CONTENT)


@pytest.fixture(params=["folder", "memory"])
def blobs(request, tmp_path):
    return Blobs(tmp_path / "media" if request.param == "folder" else MemoryStore())


@pytest.fixture
def descriptor(tmp_path):
    (tmp_path / "sample").write_bytes(CONTENT)
    opened = os.open(tmp_path / "sample", os.O_RDONLY)
    yield opened
    os.close(opened)


def test_what_is_kept_comes_back(blobs, descriptor):
    assert not blobs.holds(DIGEST)
    for _ in range(2):
        blobs.put_descriptor(descriptor, DIGEST)
    assert blobs.holds(DIGEST)
    assert b"".join(blobs.read(DIGEST)) == CONTENT
    assert [(b.sha256, b.size) for b in blobs.blobs()] == [(DIGEST, len(CONTENT))]


def test_looking_makes_nothing(tmp_path):
    blobs = Blobs(tmp_path / "media")
    assert not blobs.holds(DIGEST)
    assert list(blobs.blobs()) == []
    assert blobs.sweep() == 0
    assert blobs.expire(datetime.now(UTC)) == 0
    assert not (tmp_path / "media").exists()


def test_large_media_pass_through_in_pieces(blobs, tmp_path):
    content = os.urandom(12_000_000)
    (tmp_path / "large").write_bytes(content)
    with open(tmp_path / "large", "rb") as file:
        blobs.put_descriptor(file.fileno(), sha256_of(content))
    assert b"".join(blobs.read(sha256_of(content))) == content


def test_bytes_that_changed_are_not_kept(blobs, descriptor):
    with pytest.raises(StoreError) as error:
        blobs.put_descriptor(descriptor, "0" * 64)
    assert error.value.code == "changed"
    assert list(blobs.blobs()) == []


def test_only_the_owner_can_look_into_the_folder(tmp_path, descriptor):
    Blobs(tmp_path / "media").put_descriptor(descriptor, DIGEST)
    assert (tmp_path / "media").stat().st_mode & 0o077 == 0


def test_an_altered_blob_is_noticed(tmp_path, descriptor):
    blobs = Blobs(tmp_path / "media")
    blobs.put_descriptor(descriptor, DIGEST)
    (tmp_path / "media" / DIGEST[:2] / DIGEST).write_bytes(b"altered")
    with pytest.raises(StoreError, match="altered"):
        list(blobs.read(DIGEST))


def test_a_blob_that_is_not_there_is_said_to_be_missing(blobs):
    with pytest.raises(StoreError) as error:
        list(blobs.read(DIGEST))
    assert error.value.code == "not_found"
    assert not blobs.remove(DIGEST)
    with pytest.raises(StoreError):
        blobs.holds("../../etc/passwd")


def test_removed_and_expired_blobs_are_gone(blobs, descriptor):
    blobs.put_descriptor(descriptor, DIGEST)
    assert blobs.remove(DIGEST)
    blobs.put_descriptor(descriptor, DIGEST)
    assert blobs.expire(datetime.now(UTC) - timedelta(days=1)) == 0
    assert blobs.expire(datetime.now(UTC) + timedelta(minutes=1)) == 1
    assert not blobs.holds(DIGEST)


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path, descriptor, monkeypatch):
    blobs = Blobs(tmp_path / "media")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError) as error:
        blobs.put_descriptor(descriptor, DIGEST)
    assert error.value.code == "store_full"
    assert [p for p in (tmp_path / "media").rglob("*") if p.is_file()] == []


def test_the_sweep_clears_what_a_kill_left_but_not_what_is_being_written(tmp_path, descriptor):
    blobs = Blobs(tmp_path / "media")
    blobs.put_descriptor(descriptor, DIGEST)
    left = [tmp_path / "media" / "incoming" / "a1", tmp_path / "media" / "incoming" / "a2#1"]
    for path in left:
        path.write_bytes(b"half")
    assert blobs.sweep() == 0
    for path in left:
        os.utime(path, (1, 1))
    assert blobs.sweep() == 2
    assert blobs.holds(DIGEST)
    assert not any(path.exists() for path in left)
