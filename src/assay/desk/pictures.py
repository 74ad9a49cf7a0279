"""Derived pictures of screenings: previews, heat maps, marked regions. They live as long as their record.

Of what lies in quarantine, or was found inside of it, none are made: they would show in plain what is encrypted.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from assay.errors import StoreError
from assay.report import overlay
from assay.report.contract import flatten
from assay.report.pictures import shots
from assay.store.tables import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from obstore.store import LocalStore
    from sqlalchemy.engine import Connection

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


class Pictures:
    """The pictures below one folder, made on first use for its owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, connection: Connection, screening: Screening) -> None:
        """Make and store the pictures of a screening and all that was found inside of it.

        For the end of a screening, where its record is written. A verdict that is given again has no view to make them
        of: it gets copies of those that the same content has. A disk that is full costs the pictures, not the verdict.
        """
        family = list(flatten(screening))
        if any(s.quarantine_id for s in family):
            return
        for one in family:
            try:
                if one.preview is None and not one.children:
                    self._copy(connection, one)
                else:
                    self._keep(one)
            except (StoreError, OSError, ValueError) as e:
                log.warning("no pictures of %s: %s", one.sample.id, e)

    def listed(self, record_id: str) -> tuple[Picture, ...]:
        """Name the pictures of a record; none where it has none."""
        content = self._read(record_id, INDEX)
        return tuple(Picture(**row) for row in json.loads(content)) if content else ()

    def read(self, record_id: str, name: str) -> bytes | None:
        """Return one picture; None if there is none of that name."""
        return self._read(record_id, name) if NAME.fullmatch(name) else None

    def remove(self, record_ids: Iterable[str]) -> int:
        """Remove all pictures of these records; returns how many records had some."""
        import obstore

        removed = 0
        for record_id in record_ids:
            if not IDENTITY.fullmatch(record_id) or not (self._folder / record_id).is_dir():
                continue
            store = self._store()
            for batch in obstore.list(store, prefix=record_id):
                for meta in batch:
                    obstore.delete(store, meta["path"])
            (self._folder / record_id).rmdir()
            removed += 1
        return removed

    def sweep(self, existing: Callable[[list[str]], set[str]], now: datetime | None = None) -> int:
        """Remove pictures whose record is gone; `existing` says which of some ids still have one."""
        if not self._folder.is_dir():
            return 0
        limit = ((now or datetime.now(UTC)) - YOUNG).timestamp()
        old = [p.name for p in self._folder.iterdir() if p.is_dir() and p.stat().st_mtime < limit]
        gone = [
            name for start in range(0, len(old), 500) for name in _without(existing, old[start : start + 500])
        ]
        return self.remove(gone)

    def _keep(self, screening: Screening) -> None:
        import obstore

        made = list(_made(screening))
        if not made or not IDENTITY.fullmatch(screening.sample.id):
            return
        store, place = self._store(), screening.sample.id
        for picture, content in made:
            obstore.put(store, f"{place}/{picture.name}", content)
        rows = [asdict(picture) for picture, _ in made]
        obstore.put(store, f"{place}/{INDEX}", json.dumps(rows).encode())

    def _copy(self, connection: Connection, screening: Screening) -> None:
        import obstore

        mine = screening.sample.id
        same = (records.c.sha256 == screening.sample.sha256) & (records.c.id != mine)
        query = sa.select(records.c.id).where(same).order_by(records.c.screened_at.desc()).limit(20)
        for other in connection.execute(query).scalars().all():
            if not self.listed(other):
                continue
            store = self._store()
            for name in (*(picture.name for picture in self.listed(other)), INDEX):
                obstore.copy(store, f"{other}/{name}", f"{mine}/{name}")
            return

    def _read(self, record_id: str, name: str) -> bytes | None:
        import obstore

        if not IDENTITY.fullmatch(record_id) or not self._folder.is_dir():
            return None
        try:
            return bytes(obstore.get(self._store(), f"{record_id}/{name}").bytes())
        except FileNotFoundError:
            return None
        except (OSError, obstore.exceptions.BaseError) as e:
            raise StoreError("the pictures cannot be read", code="store_media") from e

    def _store(self) -> LocalStore:
        from obstore.store import LocalStore

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore(self._folder)


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
