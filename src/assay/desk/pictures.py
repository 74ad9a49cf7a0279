"""Derived pictures of screenings: previews, heat maps, marked regions. They live as long as their record.

Of what lies in quarantine, or was found inside of it, none are made: they would show in plain what is encrypted.

They are made and stored before the transaction that writes the record, under a name that nobody knows yet; inside of it
only their list is written. A worker whose job was taken over meanwhile thus shows nothing, and takes its pictures back.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import StoreError
from assay.objects import objects
from assay.report import overlay
from assay.report.contract import flatten
from assay.report.pictures import shots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from obstore.store import ObjectStore

    from assay.types import Screening

log = logging.getLogger(__name__)

INDEX = "index.json"
NAME = re.compile(r"[a-z0-9_]{1,80}(-[0-9]{1,2})?\.(jpg|png)")
IDENTITY = re.compile(r"[0-9A-Za-z_-]{1,64}")
YOUNG = timedelta(hours=1)  # pictures are written shortly before their record: nobody sweeps them between


@dataclass(frozen=True, slots=True)
class Picture:
    """One derived picture, without its bytes."""

    name: str
    shows: str  # preview | marked | heat
    media_type: str
    detector: str | None = None  # of a heat map
    time_s: float | None = None  # in a clip


@dataclass(frozen=True, slots=True)
class Made:
    """The pictures of one screening, stored and not yet listed."""

    record_id: str
    folder: str  # below the record's
    pictures: tuple[Picture, ...]


class Pictures:
    """The pictures below one folder, made on first use for its owner only, or in a bucket.

    Parameters
    ----------
    place : Path or ObjectStore
    """

    def __init__(self, place: Path | ObjectStore) -> None:
        self._objects = objects(place, "pictures")

    def make(self, screening: Screening, same: Callable[[str], Iterable[str]]) -> tuple[Made, ...]:
        """Make and store the pictures of a screening and all that was found inside of it; `keep` lists them.

        A verdict that is given again has no view to make them of: it gets copies of those that the same content has.
        A disk that is full costs the pictures, not the verdict.

        Parameters
        ----------
        same : callable
            Names the records of a content, the newest first.
        """
        family = list(flatten(screening))
        if any(s.quarantine_id for s in family):
            return ()
        made = []
        for one in family:
            try:
                again = one.preview is None and not one.children
                rows = self._copied(one, same) if again else _made(one)
                made += [kept] if (kept := self._store(one.sample.id, rows)) else []
            except (StoreError, OSError, ValueError) as e:
                log.warning("no pictures of %s: %s", one.sample.id, e)
        return tuple(made)

    def keep(self, made: Iterable[Made]) -> None:
        """List what was made: for the transaction that writes the record, once it is certain to be written."""
        for one in made:
            rows = [asdict(picture) | {"folder": one.folder} for picture in one.pictures]
            try:
                self._objects.put(f"{one.record_id}/{INDEX}", (json.dumps(rows).encode(),))
            except StoreError as e:
                log.warning("no pictures of %s: %s", one.record_id, e)

    def discard(self, made: Iterable[Made]) -> None:
        """Take back what was made for a record that is not written."""
        for one in made:
            try:
                for picture in one.pictures:
                    self._objects.remove(f"{one.record_id}/{one.folder}/{picture.name}")
            except StoreError as e:
                log.warning("pictures of %s are left to the sweep: %s", one.record_id, e)

    def listed(self, record_id: str) -> tuple[Picture, ...]:
        """Name the pictures of a record; none where it has none."""
        return tuple(picture for picture, _ in self._index(record_id))

    def read(self, record_id: str, name: str) -> bytes | None:
        """Return one picture; None if there is none of that name."""
        path = next((path for picture, path in self._index(record_id) if picture.name == name), None)
        return self._content(path) if path is not None else None

    def remove(self, record_ids: Iterable[str]) -> int:
        """Remove all pictures of these records; returns how many records had some."""
        removed = 0
        for record_id in record_ids:
            if IDENTITY.fullmatch(record_id):
                there = [one.path for one in self._objects.listed(record_id)]
                removed += bool(there)
                for path in there:
                    self._objects.remove(path)
        return removed

    def sweep(self, existing: Callable[[list[str]], set[str]], now: datetime | None = None) -> int:
        """Remove pictures whose record is gone; `existing` says which of some ids still have one."""
        limit = (now or datetime.now(UTC)) - YOUNG
        self._objects.sweep(limit)
        latest: dict[str, datetime] = {}
        for one in self._objects.listed():
            record_id = one.path.partition("/")[0]
            latest[record_id] = max(latest.get(record_id, one.stored_at), one.stored_at)
        old = sorted(record_id for record_id, at in latest.items() if at < limit)
        gone = [
            name for start in range(0, len(old), 500) for name in _without(existing, old[start : start + 500])
        ]
        return self.remove(gone)

    def _store(self, record_id: str, rows: Iterable[tuple[Picture, bytes]]) -> Made | None:
        if not IDENTITY.fullmatch(record_id):
            return None
        folder, stored = secrets.token_hex(4), []
        try:
            for picture, content in rows:
                self._objects.put(f"{record_id}/{folder}/{picture.name}", (content,))
                stored.append(picture)
        except (StoreError, OSError, ValueError):
            self.discard((Made(record_id, folder, tuple(stored)),))
            raise
        return Made(record_id, folder, tuple(stored)) if stored else None

    def _copied(
        self, screening: Screening, same: Callable[[str], Iterable[str]]
    ) -> Iterator[tuple[Picture, bytes]]:
        for other in same(screening.sample.sha256):
            index = self._index(other) if other != screening.sample.id else ()
            for picture, path in index:
                if (content := self._content(path)) is not None:
                    yield picture, content
            if index:
                return

    def _index(self, record_id: str) -> tuple[tuple[Picture, str], ...]:
        """The pictures of a record, and where each lies."""
        content = self._content(f"{record_id}/{INDEX}") if IDENTITY.fullmatch(record_id) else None
        found = []
        for row in json.loads(content) if content else ():
            folder = row.pop("folder", "")  # those of older versions lie beside the list
            picture = Picture(**row)
            if NAME.fullmatch(picture.name):
                found.append((picture, "/".join(p for p in (record_id, folder, picture.name) if p)))
        return tuple(found)

    def _content(self, path: str) -> bytes | None:
        try:
            return self._objects.read(path)
        except StoreError as e:
            if e.code == "not_found":
                return None
            raise


def _made(screening: Screening) -> Iterator[tuple[Picture, bytes]]:
    taken = shots(screening)
    for number, shot in enumerate(taken):
        suffix = f"-{number}" if len(taken) > 1 else ""
        yield Picture(f"preview{suffix}.jpg", "preview", "image/jpeg", time_s=shot.time_s), shot.jpeg
        if drawn := overlay.marked(shot):
            yield Picture(f"marked{suffix}.jpg", "marked", "image/jpeg", time_s=shot.time_s), drawn
    for detector, png in overlay.heats(screening):
        name = f"heat_{detector}.png"
        if png and NAME.fullmatch(name):
            yield Picture(name, "heat", "image/png", detector), png


def _without(existing: Callable[[list[str]], set[str]], names: list[str]) -> list[str]:
    there = existing(names)
    return [name for name in names if name not in there]
