"""Admission: open what arrives, check its size, hash it. From here on a sample is a descriptor, never a path again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from assay.errors import Failed, Refused, SampleError

CHUNK = 1 << 20
HEAD = 1 << 16
TAIL = 1 << 12
PIPE_S = 60.0  # to wait for the first writer of a pipe that somebody named


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes that were admitted: an open descriptor, read-only, and what was measured from it."""

    descriptor: int
    path: str  # as given, for people; "-" for standard input
    size: int
    sha256: str
    head: bytes
    tail: bytes
    before: os.stat_result | None  # of a file on disk: to notice that it changed meanwhile

    def changed(self) -> bool:
        """Are its bytes others than those that were hashed? Being renamed or removed is no change of a file."""
        if self.before is None or _stamp(os.fstat(self.descriptor)) == _stamp(self.before):
            return False
        try:
            return sha256_of_descriptor(self.descriptor, self.size)[0] != self.sha256
        except Refused:  # it has grown
            return True

    def moved(self) -> str:
        """What became of its name meanwhile, in words; "" if it still is that file."""
        if self.before is None:
            return ""
        try:
            now = os.stat(self.path)
        except OSError:
            return "it was moved or removed while it was screened; what is said here is of the file as it was"
        if (now.st_dev, now.st_ino) == (self.before.st_dev, self.before.st_ino):
            return ""
        return "another file took its name while it was screened, and was not examined: screen it again"


@dataclass(frozen=True, slots=True)
class Found:
    """A path to screen, or why a path on the way cannot be."""

    path: str
    problem: SampleError | None = None


def walk(paths: list[str]) -> Iterator[Found]:
    """All files below `paths`, sorted by name. Symbolic links inside of folders are not followed; a path that is
    named itself may be one. Devices, sockets and pipes inside of folders are passed over."""
    for path in paths:
        if _is_folder(path):
            yield from _walk_folder(path)
        else:
            yield Found(path)


def _walk_folder(folder: str) -> Iterator[Found]:
    """Depth first, with a stack of its own: folders may be nested deeper than Python may recurse."""
    waiting: list[tuple[str | Found, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        path, above = waiting.pop()
        if isinstance(path, Found):
            yield path
            continue
        try:
            here = os.stat(path)
            with os.scandir(path) as entries:
                inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as e:
            yield Found(path, _unreadable(e))
            continue
        identity = (here.st_dev, here.st_ino)
        if identity in above:  # a bind mount of a folder into itself
            hint = "It is passed over; what lies in it is screened once."
            yield Found(path, Refused("this folder contains itself", code="folder_loop", hint=hint))
            continue
        for entry in inside:
            kind = _kind(entry)
            if kind == "folder":
                waiting.append((entry.path, above | {identity}))
            elif kind == "file":
                waiting.append((Found(entry.path), frozenset()))


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        return "file" if entry.is_file(follow_symlinks=False) else ""
    except OSError:
        return "file"  # opening it will tell what is wrong


def _is_folder(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:  # a NUL in it
        return False


@contextmanager
def admit_path(path: str, size_limit: int) -> Iterator[Arrival]:
    """Open and hash a file; a pipe or device that is named itself is read to its end into memory.

    Raises
    ------
    Failed
        If it cannot be read, or is empty.
    Refused
        If it is larger than `size_limit` bytes, or not a file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except (OSError, ValueError) as e:
        raise _unreadable(e) from e
    with _closing(descriptor):
        status = os.fstat(descriptor)
        if stat.S_ISFIFO(status.st_mode):
            _await_writer(descriptor)
            with (
                os.fdopen(os.dup(descriptor), "rb") as stream,
                admit_stream(stream, path, size_limit) as arrival,
            ):
                yield arrival
            return
        if not stat.S_ISREG(status.st_mode):
            raise Refused(
                "this is not a file", code="not_a_file", hint="Name a file, a folder, a pipe or - ."
            )
        _check_size(status.st_size, size_limit)
        yield _measure(descriptor, path, status, size_limit)


@contextmanager
def admit_stream(stream: BinaryIO | None, name: str, size_limit: int) -> Iterator[Arrival]:
    """Spool a stream into memory, at most `size_limit` bytes, and hash it. None is a standard input that is closed."""
    if stream is None:
        hint = "Pipe the sample in, or name a file."
        raise Failed("standard input is closed", code="unreadable", hint=hint)
    descriptor = os.memfd_create("assay-sample", os.MFD_CLOEXEC)
    with _closing(descriptor):
        total = 0
        try:
            while chunk := stream.read(CHUNK):
                total += len(chunk)
                _check_size(total, size_limit)
                _write_all(descriptor, chunk)
        except (OSError, ValueError) as e:  # a folder as standard input; a stream that was closed
            raise _unreadable(e) from e
        yield _measure(descriptor, name, None, size_limit)


@contextmanager
def admit_bytes(data: bytes | memoryview, name: str, size_limit: int) -> Iterator[Arrival]:
    """Admit bytes that are in memory already: a member of an archive, or a caller's own."""
    _check_size(len(data), size_limit)
    descriptor = os.memfd_create("assay-sample", os.MFD_CLOEXEC)
    with _closing(descriptor):
        _write_all(descriptor, data)
        yield _measure(descriptor, name, None, size_limit)


@contextmanager
def admit_descriptor(descriptor: int, name: str, size_limit: int) -> Iterator[Arrival]:
    """Admit what somebody else opened and closes: a sample that waited. `name` is for people, no path."""
    yield _measure(descriptor, name, None, size_limit)


def sha256_of_descriptor(descriptor: int, size_limit: int) -> tuple[str, int]:
    """Hash from the first byte, without moving the descriptor's position. Returns the digest and the size.

    Raises
    ------
    Refused
        If there are more than `size_limit` bytes: a file may grow as fast as it is read.
    """
    digest, offset = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
        _check_size(offset, size_limit)
    return digest.hexdigest(), offset


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _await_writer(descriptor: int) -> None:
    """A pipe that nobody has opened for writing yet looks as if it had ended: wait until somebody does."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(1000 * PIPE_S):
        raise Failed(
            f"nobody wrote to this pipe within {PIPE_S:g} s",
            code="unreadable",
            hint="Start the program that writes to it, then screen it again.",
        )
    os.set_blocking(descriptor, True)


def _measure(descriptor: int, path: str, before: os.stat_result | None, size_limit: int) -> Arrival:
    """Hash it and keep both its ends; for one kind of trouble, what the disk says while it is read."""
    try:
        return _measured(descriptor, path, before, size_limit)
    except OSError as e:
        raise _unreadable(e) from e


def _measured(descriptor: int, path: str, before: os.stat_result | None, size_limit: int) -> Arrival:
    sha256, size = sha256_of_descriptor(descriptor, size_limit)
    if size == 0:
        raise Failed(
            "the file is empty", code="empty", hint="It may have been cut off on its way: ask for it again."
        )
    head = os.pread(descriptor, HEAD, 0)
    tail = os.pread(descriptor, TAIL, max(0, size - TAIL))
    return Arrival(descriptor, path, size, sha256, head, tail, before)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise Refused(
            f"larger than the limit of {limit / 2**20:,.0f} MiB",
            code="over_size",
            hint="Raise limits.size_bytes in assay.toml if such samples are expected.",
        )


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _unreadable(e: OSError | ValueError) -> Failed:
    hints = {
        "PermissionError": "Check its permissions, or run as a user who may read it.",
        "FileNotFoundError": "It may have been moved or removed; check the name.",
        "IsADirectoryError": "Name the folder itself to screen what lies in it.",
        "ValueError": "Check the name.",
    }
    message = f"cannot be read: {(getattr(e, 'strerror', None) or str(e)).lower()}"
    return Failed(
        message, code="unreadable", hint=hints.get(type(e).__name__, "Check the disk and the path.")
    )


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
