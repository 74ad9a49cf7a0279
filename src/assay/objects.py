"""Bytes under a path, in a folder of this machine or in a bucket that many machines share: one interface for both.

An object is there as a whole or not at all, and durable when `put` returns. In a folder that takes a staged file, a
rename and two syncs; a bucket does it by itself: a put and the completion of a multipart upload are atomic.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK = 1 << 20
PART = 8 << 20  # bytes of one part of a multipart upload; 10,000 are allowed
PARTS_AT_ONCE = 2  # so much of an upload is in memory, however large it is
INCOMING = "incoming"
TRIES = 5  # to put a file into a folder that others empty and remove meanwhile


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of an object without reading it."""

    path: str
    size: int
    stored_at: datetime


class Objects(ABC):
    """Objects under paths such as ``vault/ab12/content.age``. Whatever fails is a `StoreError`."""

    shared: bool  # do other machines see it?

    @abstractmethod
    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        """Store the pieces, in place of what is there.

        What `pieces` raises is passed on as it is, and nothing appears: a check at its end decides whether it counts.
        """

    @abstractmethod
    def found(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Make a folder that is not there yet, of small objects: in a bucket in their order, in a folder all at once."""

    @abstractmethod
    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield an object's content; a `StoreError` with the code ``not_found`` where there is none."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Return an object's size in bytes, None where there is none."""

    @abstractmethod
    def remove(self, path: str) -> bool:
        """Remove an object; False where there is none."""

    @abstractmethod
    def listed(self, under: str = "") -> Iterator[Stored]:
        """Yield all objects below a folder, in no order."""

    @abstractmethod
    def folders(self, under: str) -> list[str]:
        """Name the folders directly below a folder."""

    @abstractmethod
    def sweep(self, before: datetime | None = None) -> int:
        """Clear away what a kill left half-written before a moment, or at all; returns how many."""

    @abstractmethod
    def name(self, path: str = "") -> str:
        """Where something is, for people."""

    def read(self, path: str) -> bytes:
        """Return a small object's content."""
        return b"".join(self.pieces(path))


class Folder(Objects):
    """Objects as files below one folder, which is made on first use for its owner only."""

    shared = False

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        with _explained(self.name()):
            staged = self.root / INCOMING / secrets.token_hex(8)
            _make(staged.parent)
            try:
                _write(staged, pieces)
                self._settle(staged, self.root / path)
            except BaseException:
                staged.unlink(missing_ok=True)
                raise

    def found(self, folder: str, files: Mapping[str, bytes]) -> None:
        with _explained(self.name()):
            staged = self.root / f"{folder}.{secrets.token_hex(4)}"
            _make(staged)
            try:
                for name, content in files.items():
                    _write(staged / name, (content,))
                _sync(staged)
                staged.rename(self.root / folder)
            except BaseException:
                shutil.rmtree(staged, ignore_errors=True)
                raise
            _sync(self.root)

    def pieces(self, path: str) -> Iterator[bytes]:
        with _explained(self.name()), _missing(path), open(self.root / path, "rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    def size(self, path: str) -> int | None:
        with _explained(self.name()):
            try:
                return (self.root / path).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def remove(self, path: str) -> bool:
        with _explained(self.name()):
            try:
                (self.root / path).unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
            for parent in (self.root / path).parents:  # folders are nothing by themselves
                if parent == self.root:
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break
        return True

    def listed(self, under: str = "") -> Iterator[Stored]:
        with _explained(self.name()):
            for folder, folders, names in os.walk(self.root / under):
                if not under and Path(folder) == self.root and INCOMING in folders:
                    folders.remove(INCOMING)
                for name in names:
                    with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                        path = Path(folder, name)
                        status = path.lstat()
                        at = datetime.fromtimestamp(status.st_mtime, UTC)
                        yield Stored(path.relative_to(self.root).as_posix(), status.st_size, at)

    def folders(self, under: str) -> list[str]:
        with _explained(self.name()):
            try:
                return sorted(entry.name for entry in os.scandir(self.root / under) if entry.is_dir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def sweep(self, before: datetime | None = None) -> int:
        count = 0
        if not (self.root / INCOMING).is_dir():
            return 0
        with _explained(self.name()):
            for entry in list(os.scandir(self.root / INCOMING)):
                status = entry.stat(follow_symlinks=False)
                if before is not None and status.st_mtime >= before.timestamp():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)
                count += 1
        return count

    def name(self, path: str = "") -> str:
        return str(self.root / path)

    def _settle(self, staged: Path, final: Path) -> None:
        """Give a written file its name; its folder may be removed by others, as empty, until it is in there."""
        for attempt in range(TRIES):
            _make(final.parent)
            try:
                staged.replace(final)
                break
            except FileNotFoundError:
                if attempt == TRIES - 1:
                    raise
        _sync(final.parent)


class Bucket(Objects):
    """Objects below a prefix of any obstore store."""

    shared = True

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        import obstore

        stream, head, at = iter(pieces), bytearray(), f"{self._prefix}/{path}"
        with _explained(self.name()):
            for piece in stream:
                head += piece
                if len(head) >= PART:
                    break
            else:
                obstore.put(self._store, at, bytes(head), use_multipart=False)
                return
            parts = chain((bytes(head),), stream)
            del head
            obstore.put(self._store, at, parts, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    def found(self, folder: str, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            self.put(f"{folder}/{name}", (content,))

    def pieces(self, path: str) -> Iterator[bytes]:
        import obstore

        with _explained(self.name()):
            with _missing(path):
                found = obstore.get(self._store, f"{self._prefix}/{path}")
            for piece in found.stream(min_chunk_size=CHUNK):
                yield bytes(piece)

    def size(self, path: str) -> int | None:
        import obstore

        with _explained(self.name()):
            try:
                return int(obstore.head(self._store, f"{self._prefix}/{path}")["size"])
            except FileNotFoundError:
                return None

    def remove(self, path: str) -> bool:
        import obstore

        if self.size(path) is None:
            return False
        with _explained(self.name()), contextlib.suppress(FileNotFoundError):  # another one removed it
            obstore.delete(self._store, f"{self._prefix}/{path}")
        return True

    def listed(self, under: str = "") -> Iterator[Stored]:
        import obstore

        place = f"{self._prefix}/{under}".rstrip("/")
        with _explained(self.name()):
            for batch in obstore.list(self._store, prefix=place):
                for meta in batch:
                    yield Stored(
                        meta["path"].removeprefix(f"{self._prefix}/"), meta["size"], meta["last_modified"]
                    )

    def folders(self, under: str) -> list[str]:
        import obstore

        with _explained(self.name()):
            found = obstore.list_with_delimiter(self._store, f"{self._prefix}/{under}")
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    def sweep(self, before: datetime | None = None) -> int:  # noqa: ARG002 - as a folder has it
        """Nothing is ever half there; parts of an upload that was killed are the bucket's to expire."""
        return 0

    def name(self, path: str = "") -> str:
        # What a store says of itself: S3Store(bucket="media", prefix="assay"); its `config` fails for some.
        said = dict(re.findall(r'(bucket|prefix)="([^"]*)"', repr(self._store)))
        parts = (
            said.get("bucket") or str(self._store),
            said.get("prefix", "").strip("/"),
            self._prefix,
            path,
        )
        return "/".join(part for part in parts if part)


def objects(place: Path | ObjectStore, prefix: str) -> Objects:
    """The objects of one kind: in a folder of their own, or under a prefix of a bucket."""
    return Folder(place) if isinstance(place, Path) else Bucket(place, prefix)


def place(url: str, folder: Path) -> Path | ObjectStore:
    """Where things lie: the object store that a URL names, with credentials from the environment, or a folder.

    Raises
    ------
    StoreError
        If no kind of store has such a URL.
    """
    if not url:
        return folder
    import obstore
    from obstore.store import from_url

    try:
        return from_url(url)
    except (obstore.exceptions.BaseError, ValueError) as e:
        raise StoreError(
            f"{url} names no object store: {str(e).splitlines()[0]}", hint="Write s3://bucket/folder."
        ) from e


def chunks(descriptor: int) -> Iterator[bytes]:
    """Yield what is behind a descriptor from its beginning; its position is neither used nor moved."""
    offset = 0
    while piece := os.pread(descriptor, CHUNK, offset):
        offset += len(piece)
        yield piece


class _explained:  # noqa: N801 - used like a function, in generators too
    """Turn the store's errors into one sentence and a way out."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import obstore

        if isinstance(error, OSError | obstore.exceptions.BaseError):
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            full = "os error 28" in str(error) or getattr(error, "errno", None) in (28, 122)
            raise StoreError(
                f"{self._name}: {text}",
                code="store_full" if full else "store_media",
                hint="free space on the disk" if full else "check the folder's owner, mode and disk",
            ) from error


@contextlib.contextmanager
def _missing(path: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{path} is not there", code="not_found") from None


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that must not exist yet, for its owner only, and sync it."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
