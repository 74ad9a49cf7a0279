"""Objects in a folder, in memory and in a store that speaks S3: whole or not there, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import httpx
import pytest
from obstore.store import MemoryStore, S3Store

from assay.errors import StoreError
from assay.objects import PART, Bucket, Folder, chunks, objects, place

LARGE = 3 * PART + 12345


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def things(request, tmp_path):
    if request.param == "folder":
        return Folder(tmp_path / "things")
    return Bucket(MemoryStore() if request.param == "memory" else bucket(request), "things")


def bucket(request) -> S3Store:
    env = request.getfixturevalue("s3")
    return S3Store("media", prefix="assay", config={k.lower(): v for k, v in env.items()})


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, LARGE])
def test_what_is_put_comes_back_and_is_listed(things, size):
    content = os.urandom(size)
    things.put("a/b", [content[n : n + 1_000_000] for n in range(0, size, 1_000_000)])
    assert things.read("a/b") == content
    assert things.size("a/b") == size
    (one,) = things.listed()
    assert (one.path, one.size) == ("a/b", size)
    assert abs((datetime.now(UTC) - one.stored_at).total_seconds()) < 3600


@pytest.mark.parametrize("before", [0, 1000, LARGE])
def test_pieces_that_fail_leave_nothing_and_not_what_was_there_touched(things, before):
    things.put("kept", (b"old",))

    def failing():
        yield os.urandom(before)
        raise KeyError("no more")

    for name in ("fresh", "kept"):
        with pytest.raises(KeyError, match="no more"):
            things.put(name, failing())
    assert [one.path for one in things.listed()] == ["kept"]
    assert things.read("kept") == b"old"


def test_what_is_removed_is_gone_and_its_folders_with_it(things):
    things.put("a/b/c", (b"1",))
    things.put("a/d", (b"2",))
    assert things.folders("a") == ["b"]
    assert things.remove("a/b/c")
    assert not things.remove("a/b/c")
    assert things.folders("a") == []
    assert [one.path for one in things.listed("a")] == ["a/d"]
    assert things.size("a/b/c") is None
    with pytest.raises(StoreError) as error:
        things.read("a/b/c")
    assert error.value.code == "not_found"


def test_a_folder_of_several_is_found_whole(things):
    things.found("keys", {"one": b"1", "two": b"2"})
    assert {one.path: things.read(one.path) for one in things.listed("keys")} == {
        "keys/one": b"1",
        "keys/two": b"2",
    }


def test_looking_makes_nothing(tmp_path):
    folder = Folder(tmp_path / "none")
    assert (list(folder.listed()), folder.folders("x"), folder.size("x"), folder.sweep()) == ([], [], None, 0)
    assert not folder.remove("x")
    assert not (tmp_path / "none").exists()


def test_files_are_for_their_owner_only(tmp_path):
    Folder(tmp_path / "things").put("a/b", (b"1",))
    for path in (tmp_path / "things").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_store_that_cannot_be_reached_says_where():
    config = {"aws_endpoint": "http://127.0.0.1:9", "aws_region": "x", "aws_allow_http": "true"}
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    store = S3Store("media", prefix="assay", config=config | keys, retry_config={"max_retries": 0})
    with pytest.raises(StoreError, match="media/assay/things"):
        Bucket(store, "things").put("a", (b"1",))


def test_an_address_names_a_store_or_is_refused(tmp_path):
    assert place("", tmp_path) == tmp_path
    assert objects(place("memory:///", tmp_path), "x").shared
    with pytest.raises(StoreError, match="names no object store"):
        place("gopher://x", tmp_path)


UPLOAD = """
import os, re, sys
from assay.objects import Bucket, chunks, place
from pathlib import Path
things = Bucket(place("s3://media/assay", Path()), "things")
things.put("small", (b"first",))
def most():  # KiB; what getrusage says begins with that of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = most()
if sys.argv[1] == "endless":
    def pieces():
        while True:
            yield os.urandom(1 << 20)
            print("more", flush=True)
    things.put("large", pieces())
things.put("large", chunks(os.open(sys.argv[1], os.O_RDONLY)))
print(most() - before)
"""


@pytest.mark.slow
def test_an_upload_that_is_killed_shows_nothing(s3):
    env = {**os.environ, **s3}
    writer = subprocess.Popen([sys.executable, "-c", UPLOAD, "endless"], env=env, stdout=subprocess.PIPE)
    for _ in range(3 * PART >> 20):  # so that parts are there already
        assert writer.stdout.readline() == b"more\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    store = S3Store("media", prefix="assay", config={k.lower(): v for k, v in s3.items()})
    assert [one.path for one in Bucket(store, "things").listed()] == ["small"]


@pytest.mark.slow
def test_an_upload_that_fails_takes_its_parts_back(s3):
    store = S3Store("media", prefix="assay", config={k.lower(): v for k, v in s3.items()})

    def failing():
        for _ in range(3 * PART >> 20):
            yield bytes(1 << 20)
        raise KeyError("no more")

    with pytest.raises(KeyError):
        Bucket(store, "things").put("large", failing())
    listing = httpx.get(f"{s3['AWS_ENDPOINT']}/media?uploads").text
    assert "ListMultipartUploadsResult" in listing
    assert "<UploadId>" not in listing


@pytest.mark.slow
def test_a_large_upload_is_never_in_memory_as_a_whole(s3, tmp_path):
    size = int(os.environ.get("ASSAY_TEST_UPLOAD_MB", "192")) << 20
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, str(path)], env={**os.environ, **s3}, capture_output=True, check=True
    )
    print(f"{size >> 20} MiB: {int(done.stdout) / 1024:.0f} MiB of memory")
    assert 0 < int(done.stdout) * 1024 < 12 * PART, "a few parts"
    store = S3Store("media", prefix="assay", config={k.lower(): v for k, v in s3.items()})
    assert Bucket(store, "things").size("large") == size


def test_a_descriptor_is_read_from_its_beginning_and_not_moved(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb", buffering=0) as file:
        file.seek(5)
        assert b"".join(chunks(file.fileno())) == b"0123456789"
        assert file.tell() == 5
