"""What was screened before, and how a time is named when asking for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from assay.errors import StoreError
from assay.report.contract import from_json

if TYPE_CHECKING:
    from assay.desk.stores import Stores
    from assay.store.records import Filter, Record
    from assay.types import Screening

SPANS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def history(stores: Stores, wanted: Filter) -> Iterator[Record]:
    """Yield records, the newest first; a store that was never used is simply empty."""
    if stores.database.path is not None and not stores.database.path.exists():
        return
    yield from stores.records.select(wanted)


def screening_of(record: Record) -> Screening:
    """Rebuild the screening that a record holds.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    try:
        decoded = from_json(record.document)
    except (KeyError, TypeError, ValueError) as e:
        raise StoreError(
            f"the record {record.id[:12]} cannot be read ({e})", code="store_corrupt", hint="restore a backup"
        ) from e
    sample = replace(decoded.sample, source=record.source)
    return replace(decoded, sample=sample, quality=record.quality)


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read a time as people name it: ``2026-03-01``, ``2026-03-01T12:00+01:00``, or ``90min``, ``24h``, ``7d``, ``2w`` ago.

    A time without an offset is local.

    Examples
    --------
    >>> moment("2d", datetime(2026, 3, 3, tzinfo=UTC)).isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    if found := re.fullmatch(r"(\d{1,6})\s*(min|h|d|w)", text.strip()):
        try:
            return (now or datetime.now(UTC)) - timedelta(**{SPANS[found[2]]: int(found[1])})
        except OverflowError as e:
            raise _not_a_moment(text) from e
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise _not_a_moment(text) from e


def _not_a_moment(text: str) -> StoreError:
    return StoreError(
        f"{text!r} is not a time", code="not_a_time", hint="write 2026-03-01, 2026-03-01T12:00, 24h or 7d"
    )
