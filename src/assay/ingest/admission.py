"""Admission: open what arrives, check its size, hash it. From here on a sample is a descriptor, never a path again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from assay.errors import Failed, Refused, SampleError

CHUNK = 1 << 20
HEAD = 1 << 16
TAIL = 1 << 12


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
        """Was the file written to since it was hashed?"""
        if self.before is None:
            return False
        now = os.fstat(self.descriptor)
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (
            self.before.st_size,
            self.before.st_mtime_ns,
            self.before.st_ctime_ns,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A path to screen, or why a path on the way cannot be."""

    path: str
    problem: SampleError | None = None


def walk(paths: list[str]) -> Iterator[Found]:
    """All files below `paths`, sorted by name. Symbolic links inside of folders are not followed; a path that is
    named itself may be one. Devices, sockets and pipes inside of folders are passed over."""
    for path in paths:
        if os.path.isdir(path):
            yield from _walk_folder(path, frozenset())
        else:
            yield Found(path)


def _walk_folder(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[Found]:
    try:
        here = os.stat(folder)
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as e:
        yield Found(folder, _unreadable(e))
        return
    identity = (here.st_dev, here.st_ino)
    if identity in above:  # a bind mount of a folder into itself
        yield Found(
            folder, Refused("this folder contains itself", code="folder_loop", hint="It is passed over.")
        )
        return
    for entry in inside:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk_folder(entry.path, above | {identity})
        elif entry.is_file():
            yield Found(entry.path)


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
    except OSError as e:
        raise _unreadable(e) from e
    with _closing(descriptor):
        status = os.fstat(descriptor)
        if stat.S_ISFIFO(status.st_mode):
            os.set_blocking(descriptor, True)
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
        try:
            yield _measure(descriptor, path, status)
        except OSError as e:
            raise _unreadable(e) from e


@contextmanager
def admit_stream(stream: BinaryIO, name: str, size_limit: int) -> Iterator[Arrival]:
    """Spool a stream into memory, at most `size_limit` bytes, and hash it."""
    descriptor = os.memfd_create("assay-sample", os.MFD_CLOEXEC)
    with _closing(descriptor):
        total = 0
        while chunk := stream.read(CHUNK):
            total += len(chunk)
            _check_size(total, size_limit)
            _write_all(descriptor, chunk)
        yield _measure(descriptor, name, None)


@contextmanager
def admit_bytes(data: bytes | memoryview, name: str, size_limit: int) -> Iterator[Arrival]:
    """Admit bytes that are in memory already: a member of an archive, or a caller's own."""
    _check_size(len(data), size_limit)
    descriptor = os.memfd_create("assay-sample", os.MFD_CLOEXEC)
    with _closing(descriptor):
        _write_all(descriptor, data)
        yield _measure(descriptor, name, None)


def sha256_of_descriptor(descriptor: int) -> tuple[str, int]:
    """Hash from the first byte, without moving the descriptor's position. Returns the digest and the size."""
    digest, offset = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest(), offset


def _measure(descriptor: int, path: str, before: os.stat_result | None) -> Arrival:
    sha256, size = sha256_of_descriptor(descriptor)
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


def _unreadable(e: OSError) -> Failed:
    hints = {
        "PermissionError": "Check its permissions, or run as a user who may read it.",
        "FileNotFoundError": "It may have been moved or removed; check the name.",
    }
    message = f"cannot be read: {(e.strerror or str(e)).lower()}"
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
