"""Samples that wait for their verdict: one file (or object) a job, durable before its sender is answered, gone after."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import StoreError
from assay.objects import chunks, objects

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class Waiting:
    """What waits, in one folder of this machine or in any obstore store that all workers reach.

    Parameters
    ----------
    place : Path or ObjectStore
        A folder is made on first use, for its owner only.
    """

    def __init__(self, place: Path | ObjectStore) -> None:
        self.folder = place if isinstance(place, Path) else None
        self._objects = objects(place, "waiting")

    def put(self, job_id: str, descriptor: int) -> None:
        """Keep the bytes behind a descriptor under a job's id; they are on the disk when this returns.

        Raises
        ------
        StoreError
            If the disk is full or the store cannot be reached; nothing half-written stays.
        """
        with _explained(self):
            if self.folder is not None:
                self._write(_checked(job_id), descriptor)
            else:
                self._objects.put(_checked(job_id), chunks(descriptor))

    @contextmanager
    def open(self, job_id: str) -> Iterator[int]:
        """Open what waits, read-only; an object is brought to a nameless local file first.

        Raises
        ------
        StoreError
            If it is not there (``not_found``) or cannot be read.
        """
        with _explained(self):
            descriptor = self._local(_checked(job_id)) if self.folder else self._fetched(_checked(job_id))
        try:
            yield descriptor
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def remove(self, job_id: str) -> None:
        """Remove what waited; nothing happens if it is gone already."""
        with _explained(self):
            if self.folder is not None:
                (self.folder / _checked(job_id)).unlink(missing_ok=True)
            else:
                self._objects.remove(_checked(job_id))

    def ids(self, older_than_s: float, now: float) -> list[str]:
        """Name what has been waiting for longer than so many seconds, half-written leftovers among it."""
        with _explained(self):
            return [name for name, at in self._listed() if now - at > older_than_s]

    def _listed(self) -> Iterator[tuple[str, float]]:
        if self.folder is None:
            for one in self._objects.listed():
                yield one.path, one.stored_at.timestamp()
            return
        if not self.folder.is_dir():
            return
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    yield entry.name, found.st_mtime

    def _write(self, name: str, descriptor: int) -> None:
        assert self.folder is not None
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        staged = self.folder / f"{name}.part"
        if _linked(descriptor, staged):
            os.rename(staged, self.folder / name)
            _sync(self.folder)
            return
        target = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for piece in chunks(descriptor):
                view = memoryview(piece)
                while view:
                    view = view[os.write(target, view) :]
            os.fsync(target)
            os.rename(staged, self.folder / name)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        finally:
            os.close(target)
        _sync(self.folder)

    def _local(self, name: str) -> int:
        assert self.folder is not None
        return os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def _fetched(self, name: str) -> int:
        with tempfile.TemporaryFile() as file:
            try:
                for piece in self._objects.pieces(name):
                    file.write(piece)
            except StoreError as e:
                raise FileNotFoundError if e.code == "not_found" else e from e
            file.flush()
            return os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)


class _explained:  # noqa: N801 - used like a function
    def __init__(self, waiting: Waiting) -> None:
        self._name = str(waiting.folder or "the object store")

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise StoreError("what waited is gone", code="not_found") from error
        if isinstance(error, OSError):
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            full = getattr(error, "errno", None) == 28
            raise StoreError(
                f"samples cannot wait in {self._name}: {text}",
                code="store_full" if full else "store_media",
                hint="free space on the disk" if full else "check the store's owner, mode and disk",
            ) from error


def _linked(descriptor: int, target: Path) -> bool:
    """Give a nameless file of this file system a name, synced, instead of copying it; False where that cannot be.

    Never a file that has a name: its owner could go on writing to it.
    """
    found = os.fstat(descriptor)
    if found.st_nlink or not stat.S_ISREG(found.st_mode):
        return False
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # with folders given, Python follows the link in /proc, without it names the link itself
        source = f"/proc/self/fd/{descriptor}"
        os.link(source, target.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
    except OSError:  # another file system, a memfd, no /proc
        return False
    finally:
        os.close(folder)
    os.fsync(descriptor)
    return True


def _checked(job_id: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{32}(\.part)?", job_id):
        raise StoreError(f"{job_id!r} is not the id of a job", code="not_found")
    return job_id


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
