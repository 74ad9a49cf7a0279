"""Kept media, addressed by their SHA-256: a local folder through obstore, an S3 bucket where that is outgrown.

A blob appears under its digest only when all of it was written and hashed; on a local disk it is synced, too.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK = 1 << 20
INCOMING = "incoming/"
STALE = timedelta(days=1)  # nobody writes one blob for longer


@dataclass(frozen=True, slots=True)
class Blob:
    """One kept medium."""

    sha256: str
    size: int
    kept_at: datetime


class Blobs:
    """The blobs in one folder, or in any obstore store.

    Parameters
    ----------
    place : Path or ObjectStore
        A folder is made on first use, for its owner only.
    """

    def __init__(self, place: Path | ObjectStore) -> None:
        self.folder = place if isinstance(place, Path) else None
        self._place = place

    def put_descriptor(self, descriptor: int, sha256: str) -> None:
        """Keep the bytes behind a descriptor, if they still have this digest. Its position is not moved.

        Raises
        ------
        StoreError
            If the bytes are others by now, or the disk is full; nothing half-written stays.
        """
        import obstore

        store, path, staged = self._store(), _path(sha256), INCOMING + secrets.token_hex(8)
        if self.holds(sha256):
            return
        with _explained(self._name()):
            digest = hashlib.sha256()
            try:
                obstore.put(store, staged, _chunks(descriptor, digest))
                _check(digest, sha256)
                self._sync(staged)
                obstore.rename(store, staged, path, overwrite=False)
                self._sync(os.path.dirname(path))
            except obstore.exceptions.AlreadyExistsError:
                _forget(store, staged)  # another process kept the same content first
            except BaseException:
                _forget(store, staged)
                raise

    def holds(self, sha256: str) -> bool:
        """Is this content kept?"""
        import obstore

        if self.folder is not None and not self.folder.is_dir():
            return False
        with _explained(self._name()):
            try:
                obstore.head(self._store(), _path(sha256))
            except FileNotFoundError:
                return False
        return True

    def read(self, sha256: str) -> Iterator[bytes]:
        """Yield the content in pieces, and check its digest at the end.

        Raises
        ------
        StoreError
            If it is not kept, or was altered.
        """
        import obstore

        digest = hashlib.sha256()
        with _explained(self._name()):
            try:
                found = obstore.get(self._store(), _path(sha256))
            except FileNotFoundError:
                raise StoreError(f"{sha256[:12]} is not kept", code="not_found") from None
            for piece in found.stream(min_chunk_size=CHUNK):
                digest.update(piece)
                yield bytes(piece)
        if digest.hexdigest() != sha256:
            raise StoreError(
                f"the kept medium {sha256[:12]} was altered", code="altered", hint="restore a backup"
            )

    def remove(self, sha256: str) -> bool:
        """Remove a blob; False if there was none."""
        import obstore

        if not self.holds(sha256):
            return False
        with _explained(self._name()):
            obstore.delete(self._store(), _path(sha256))
        return True

    def blobs(self) -> Iterator[Blob]:
        """Yield all blobs, in no order."""
        for path, size, modified in self._listed():
            if re.fullmatch("[0-9a-f]{2}/[0-9a-f]{64}", path):
                yield Blob(path[3:], size, modified)

    def expire(self, before: datetime) -> int:
        """Remove what was kept before a moment; returns how many."""
        old = [blob.sha256 for blob in self.blobs() if blob.kept_at < before]
        return sum(self.remove(sha256) for sha256 in old)

    def sweep(self, now: datetime | None = None) -> int:
        """Clear away what a kill left half-written; returns how many."""
        limit = (now or datetime.now(UTC)) - STALE
        left = [
            path for path, _, modified in self._listed() if path.startswith(INCOMING) and modified < limit
        ]
        for path in left:
            _forget(self._store(), path)
        return len(left) + self._sweep_folder(limit)

    def _sweep_folder(self, limit: datetime) -> int:
        """Remove obstore's own staging files (``NAME#N``), which its listing does not show."""
        if self.folder is None or not self.folder.is_dir():
            return 0
        left = [p for p in self.folder.glob("*/*#*") if p.lstat().st_mtime < limit.timestamp()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def _listed(self) -> Iterator[tuple[str, int, datetime]]:
        import obstore

        if self.folder is not None and not self.folder.is_dir():
            return
        with _explained(self._name()):
            for batch in obstore.list(self._store()):
                for meta in batch:
                    yield meta["path"], meta["size"], meta["last_modified"]

    def _store(self) -> ObjectStore:
        if not isinstance(self._place, Path):
            return self._place
        from obstore.store import LocalStore

        with _explained(self._name()):
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore(self._place)

    def _sync(self, path: str) -> None:
        if self.folder is None:
            return  # an object store answers when it is durable
        descriptor = os.open(self.folder / path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _name(self) -> str:
        return str(self.folder or self._place)


def place(url: str, folder: Path) -> Path | ObjectStore:
    """Where media lie: the object store that a URL names, with credentials from the environment, or a folder.

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


class _explained:  # noqa: N801 - used like a function, in generators too
    """Turn the store's errors into one sentence and a way out."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import obstore

        if error is None or isinstance(error, StoreError | GeneratorExit):
            return
        if isinstance(error, OSError | obstore.exceptions.BaseError):
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            full = "os error 28" in str(error) or getattr(error, "errno", None) == 28
            raise StoreError(
                f"the media in {self._name}: {text}",
                code="store_full" if full else "store_media",
                hint="free space on the disk" if full else "check the folder's owner, mode and disk",
            ) from error


def _path(sha256: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise StoreError(f"{sha256!r} is not a SHA-256", code="not_a_digest")
    return f"{sha256[:2]}/{sha256}"


def _chunks(descriptor: int, digest: hashlib._Hash) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(descriptor, CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
        yield chunk


def _check(digest: hashlib._Hash, sha256: str) -> None:
    if digest.hexdigest() != sha256:
        raise StoreError("it changed after it was screened; it is not kept", code="changed")


def _forget(store: ObjectStore, path: str) -> None:
    import obstore

    try:
        obstore.delete(store, path)
    except (OSError, obstore.exceptions.BaseError):
        return  # never begun, or left to the sweep
