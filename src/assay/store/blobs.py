"""Kept media, addressed by their SHA-256: in a local folder, in an S3 bucket where that is outgrown.

A blob appears under its digest only when all of it was written and hashed, in one step: nobody sees half of one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import StoreError
from assay.objects import chunks, objects

if TYPE_CHECKING:
    from obstore.store import ObjectStore

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
        self._objects = objects(place, "media")

    def put_descriptor(self, descriptor: int, sha256: str) -> None:
        """Keep the bytes behind a descriptor, if they still have this digest. Its position is not moved.

        Of several who keep the same content at once any one may be last: they write the same bytes.

        Raises
        ------
        StoreError
            If the bytes are others by now, or the disk is full; nothing half-written stays.
        """
        if not self.holds(sha256):
            self._objects.put(_path(sha256), _checked(chunks(descriptor), sha256))

    def holds(self, sha256: str) -> bool:
        """Is this content kept?"""
        return self._objects.size(_path(sha256)) is not None

    def read(self, sha256: str) -> Iterator[bytes]:
        """Yield the content in pieces, and check its digest at the end.

        Raises
        ------
        StoreError
            If it is not kept, or was altered.
        """
        digest = hashlib.sha256()
        try:
            for piece in self._objects.pieces(_path(sha256)):
                digest.update(piece)
                yield piece
        except StoreError as e:
            if e.code == "not_found":
                raise StoreError(f"{sha256[:12]} is not kept", code="not_found") from None
            raise
        if digest.hexdigest() != sha256:
            raise StoreError(
                f"the kept medium {sha256[:12]} was altered", code="altered", hint="restore a backup"
            )

    def remove(self, sha256: str) -> bool:
        """Remove a blob; False if there was none."""
        return self._objects.remove(_path(sha256))

    def blobs(self) -> Iterator[Blob]:
        """Yield all blobs, in no order."""
        for one in self._objects.listed():
            if re.fullmatch("[0-9a-f]{2}/[0-9a-f]{64}", one.path):
                yield Blob(one.path[3:], one.size, one.stored_at)

    def expire(self, before: datetime) -> int:
        """Remove what was kept before a moment; returns how many."""
        old = [blob.sha256 for blob in self.blobs() if blob.kept_at < before]
        return sum(self.remove(sha256) for sha256 in old)

    def sweep(self, now: datetime | None = None) -> int:
        """Clear away what a kill left half-written; returns how many."""
        return self._objects.sweep((now or datetime.now(UTC)) - STALE)


def _path(sha256: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise StoreError(f"{sha256!r} is not a SHA-256", code="not_a_digest")
    return f"{sha256[:2]}/{sha256}"


def _checked(pieces: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    """Pass pieces on, and fail at the end where they are not those that were screened."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise StoreError("it changed after it was screened; it is not kept", code="changed")
