from __future__ import annotations

import io
import os
import subprocess
import threading
from pathlib import Path

import pytest

from assay.errors import Failed, Refused
from assay.ingest import admission
from assay.ingest.admission import admit_bytes, admit_path, admit_stream, walk
from assay.types import sha256_of

LIMIT = 1 << 20


class FolderAsStream:
    """What `assay screen - < /tmp` reads from."""

    def read(self, _: int) -> bytes:
        raise IsADirectoryError(21, "Is a directory")


def test_a_file_is_hashed_and_its_ends_are_read(tmp_path: Path) -> None:
    data = bytes(range(256)) * 300
    file = tmp_path / "a.bin"
    file.write_bytes(data)
    with admit_path(str(file), LIMIT) as arrival:
        assert (arrival.size, arrival.sha256) == (len(data), sha256_of(data))
        assert arrival.head == data[: admission.HEAD]
        assert arrival.tail == data[-admission.TAIL :]
        assert not arrival.changed()


def test_a_file_that_is_written_to_meanwhile_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"before")
    with admit_path(str(file), LIMIT) as arrival:
        file.write_bytes(b"after!!")
        assert arrival.changed()


def test_a_file_that_is_removed_meanwhile_can_still_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"still here")
    with admit_path(str(file), LIMIT) as arrival:
        file.unlink()
        assert os.pread(arrival.descriptor, 100, 0) == b"still here"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda _: None, "unreadable"),
        (lambda p: p.write_bytes(bytes(LIMIT + 1)), "over_size"),
        (lambda p: p.symlink_to(p), "unreadable"),
    ],
    ids=["empty", "missing", "too large", "a link to itself"],
)
def test_what_cannot_be_admitted_says_why_and_what_to_do(tmp_path: Path, make, code: str) -> None:
    file = tmp_path / "sample"
    make(file)
    with pytest.raises((Failed, Refused)) as e, admit_path(str(file), LIMIT):
        pass
    assert e.value.code == code
    assert e.value.hint


def test_a_device_is_refused() -> None:
    with pytest.raises(Refused, match="not a file"), admit_path("/dev/zero", LIMIT):
        pass


def test_a_pipe_that_is_named_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"through a pipe"))
    writer.start()
    with admit_path(str(pipe), LIMIT) as arrival:
        assert os.pread(arrival.descriptor, 100, 0) == b"through a pipe"
    writer.join()


def test_a_stream_over_the_limit_is_refused_before_it_ends() -> None:
    endless = io.BytesIO(bytes(LIMIT + 1))
    with pytest.raises(Refused, match="limit"), admit_stream(endless, "-", LIMIT):
        pass


def test_bytes_in_memory_are_admitted_too() -> None:
    with admit_bytes(b"abc", "a.txt", LIMIT) as arrival:
        assert arrival.sha256 == sha256_of(b"abc")
        assert not arrival.changed()


def test_folders_are_walked_in_order_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"x")
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "b" / "2").write_bytes(b"x")
    (root / "a").write_bytes(b"x")
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "file_link").symlink_to(outside / "secret")
    os.mkfifo(root / "pipe")
    assert [f.path for f in walk([str(root)])] == [str(root / "a"), str(root / "b" / "2")]


def test_a_folder_that_cannot_be_read_is_reported_and_the_rest_goes_on(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "z").write_bytes(b"x")
    real = os.scandir

    def scandir(path: str):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    locked, z = walk([str(tmp_path)])
    assert locked.problem is not None
    assert locked.problem.code == "unreadable"
    assert z.path.endswith("z")


def test_names_that_are_not_utf8_are_walked(tmp_path: Path) -> None:
    name = os.fsencode(str(tmp_path)) + b"/caf\xe9\n.jpg"
    Path(os.fsdecode(name)).write_bytes(b"x")
    (found,) = walk([str(tmp_path)])
    assert os.fsencode(found.path) == name


def test_a_file_that_is_only_renamed_or_touched_has_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"the same")
    with admit_path(str(file), LIMIT) as arrival:
        os.utime(file, (1, 1))
        file.rename(tmp_path / "b.bin")
        assert not arrival.changed()
        assert "moved or removed" in arrival.moved()


def test_a_name_that_another_file_took_is_told(tmp_path: Path) -> None:
    file, other = tmp_path / "a.bin", tmp_path / "b.bin"
    file.write_bytes(b"one")
    other.write_bytes(b"two")
    with admit_path(str(file), LIMIT) as arrival:
        assert arrival.moved() == ""
        os.replace(other, file)
        assert "another file took its name" in arrival.moved()


def test_a_file_that_grows_as_fast_as_it_is_read_is_refused(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"x")
    monkeypatch.setattr(os, "pread", lambda _fd, size, _offset: bytes(size))
    with pytest.raises(Refused, match="limit"), admit_path(str(file), LIMIT):
        pass


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(admission, "PIPE_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failed, match="nobody wrote"), admit_path(str(tmp_path / "pipe"), LIMIT):
        pass


def test_a_writer_that_is_late_is_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Timer(0.2, lambda: pipe.write_bytes(b"late"))
    writer.start()
    with admit_path(str(pipe), LIMIT) as arrival:
        assert arrival.size == 4
    writer.join()


def test_a_standard_input_that_is_closed_or_a_folder_is_trouble_of_one_sample(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="closed"), admit_stream(None, "-", LIMIT):
        pass
    with pytest.raises(Failed, match="cannot be read"), admit_stream(FolderAsStream(), "-", LIMIT):  # type: ignore[arg-type]
        pass


def test_folders_nested_deeper_than_python_recurses_are_walked(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("a", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    (found,) = walk([str(tmp_path)])
    assert found.path.endswith("/d/d/a")
    assert found.problem is None
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # shutil recurses
