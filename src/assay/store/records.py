"""Records: one row a screening, with its line of the JSON contract and what people search it by."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from assay.errors import StoreError
from assay.store.record_rows import digest_row, dumped, finding_rows, print_rows, record_row
from assay.store.tables import findings, fingerprints, records, storable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from assay.store.database import Database
    from assay.types import JSON, Screening

BATCH = 500  # values in one IN (...): under every database's limit of parameters


@dataclass(frozen=True, slots=True)
class Record:
    """A stored screening: where it came from and its line of the JSON contract."""

    id: str
    sha256: str
    source: str
    screened_at: datetime
    quarantine_id: str | None
    quality: int | None  # JPEG quality, which calibration needs beside the findings
    document: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records; what is None does not restrict."""

    label: str | None = None
    action: str | None = None
    status: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    sha256: str | None = None  # a beginning is enough
    source: str | None = None
    evidence: str | None = None  # name of a detector that scored, or the code of a reason
    quarantine_id: str | None = None
    outermost: bool = False  # nothing that was found inside of something else
    name: str | None = None  # a part of it
    after: tuple[datetime, str] | None = (
        None  # behind the record of this time and id, in the order of `select`
    )
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """What went: so many records, and what other stores may hold of them."""

    records: int
    fingerprints: int
    digests: frozenset[str]
    carriers: frozenset[str]  # digests of what they were found inside of: their bytes lie in there, too
    quarantine_ids: frozenset[str]  # of both
    ids: frozenset[str] = frozenset()  # of the records


class Records:
    """The records of one database.

    Parameters
    ----------
    database : Database
    encode : callable
        Turns a screening into its JSON contract (`assay.report.contract.to_json`); the store does not know the form of
        reports, only the keys ``id, sha256, path, media_type, status, label, llr, action, screened_at, ...`` it
        searches by.
    """

    def __init__(self, database: Database, encode: Callable[[Screening], JSON]) -> None:
        self.database = database
        self._encode = encode

    def add(self, screenings: Iterable[Screening]) -> None:
        """Store screenings and all that was found inside of them in one short transaction.

        A screening whose id is stored already replaces it, so that a repeated step changes nothing.
        """
        with self.database.write() as connection:
            self.add_within(connection, screenings)

    def add_within(self, connection: Connection, screenings: Iterable[Screening]) -> None:
        """Do as `add` does, in the caller's transaction."""
        flat = {s.sample.id: s for outer in screenings for s in _with_children(outer)}
        rows = [(self._encode(s), s) for s in flat.values()]
        parents = [record_row(document, s) for document, s in rows]
        evidence = [row for document, _ in rows for row in finding_rows(document)]
        digests = [digest_row(s.sample.id, s.sample.sha256) for _, s in rows if s.sample.sha256]
        digests += [row for _, s in rows if s.traces for row in print_rows(s.sample.id, s.traces.prints)]
        if not rows:
            return
        for ids in _batches(list(flat)):
            connection.execute(records.delete().where(records.c.id.in_(ids)))
        connection.execute(records.insert(), parents)
        if evidence:
            connection.execute(findings.insert(), evidence)
        if digests:
            connection.execute(fingerprints.insert(), digests)

    def fingerprint(self, record_id: str, kind: str, values: Sequence[bytes]) -> None:
        """Replace the fingerprints of one kind that belong to a record."""
        mine = (fingerprints.c.record_id == record_id) & (fingerprints.c.kind == kind)
        with self.database.write() as connection:
            connection.execute(fingerprints.delete().where(mine))
            if values:
                connection.execute(
                    fingerprints.insert(),
                    [
                        {"record_id": record_id, "kind": kind, "position": n, "value": value}
                        for n, value in enumerate(values)
                    ],
                )

    def find(self, prefix: str) -> Record:
        """Return the one record whose id begins with `prefix`.

        Raises
        ------
        StoreError
            If there is none (``not_found``) or more than one (``ambiguous``).
        """
        query = (
            sa.select(records)
            .where(records.c.id.startswith(prefix, autoescape=True))
            .order_by(records.c.id)
            .limit(2)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).all() if prefix else []
        exact = [row for row in rows if row.id == prefix]
        if not rows:
            raise StoreError(
                f"no record {prefix}",
                code="not_found",
                hint="`assay history` lists the records with their ids",
            )
        if len(rows) > 1 and not exact:
            raise StoreError(
                f"more than one record begins with {prefix}", code="ambiguous", hint="give more of it"
            )
        return _record((exact or rows)[0])

    def select(self, wanted: Filter | None = None) -> Iterator[Record]:
        """Yield records, newest first."""
        query = sa.select(records).where(*_conditions(wanted or Filter()))
        query = query.order_by(records.c.screened_at.desc(), records.c.id)
        if wanted and wanted.limit is not None:
            query = query.limit(wanted.limit)
        if wanted and wanted.offset:
            query = query.offset(wanted.offset)
        with self.database.read() as connection:
            for row in connection.execution_options(yield_per=200).execute(query):
                yield _record(row)

    def count(self, wanted: Filter | None = None) -> int:
        query = sa.select(sa.func.count()).select_from(records).where(*_conditions(wanted or Filter()))
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def actions(self, ids: Iterable[str]) -> Counter[str]:
        """Count what was decided on these records."""
        told: Counter[str] = Counter()
        with self.database.read() as connection:
            for batch in _batches(sorted(ids)):
                query = sa.select(records.c.action, sa.func.count()).where(records.c.id.in_(batch))
                for action, n in connection.execute(query.group_by(records.c.action)):
                    told[str(action)] += int(n)
        return told

    def held(self, quarantine_id: str) -> list[Record]:
        """Return what was screened of a content in quarantine: its own records and those of all found inside."""
        with self.database.read() as connection:
            ids = _descendants(connection, records.c.quarantine_id == quarantine_id)
            found = [
                _record(row)
                for batch in _batches(sorted(ids))
                for row in connection.execute(sa.select(records).where(records.c.id.in_(batch)))
            ]
        return sorted(found, key=lambda r: (r.screened_at, r.id))

    def existing(self, ids: Iterable[str]) -> set[str]:
        """Tell which of these ids are records."""
        found: set[str] = set()
        with self.database.read() as connection:
            for batch in _batches(list(ids)):
                query = sa.select(records.c.id).where(records.c.id.in_(batch))
                found |= {str(i) for i in connection.execute(query).scalars()}
        return found

    def inside(self, record_id: str) -> list[Record]:
        """Return what was found directly inside of a record's sample, in the order of the paths."""
        query = sa.select(records).where(records.c.parent_id == record_id).order_by(records.c.path)
        with self.database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    @staticmethod
    def note_release(connection: Connection, quarantine_id: str) -> None:
        """Note that nothing lies in quarantine under this id any more."""
        for row in connection.execute(
            sa.select(records).where(records.c.quarantine_id == quarantine_id)
        ).all():
            document = json.loads(row.document) | {"quarantine_id": None}
            connection.execute(
                records.update()
                .where(records.c.id == row.id)
                .values(quarantine_id=None, document=dumped(document))
            )

    def remove(self, *, sha256: str | None = None, source: str | None = None) -> Removed:
        """Remove the records of a digest or a source, with what was found inside of them."""
        if (sha256 is None) == (source is None):
            raise ValueError("either a digest or a source")
        condition = (
            records.c.sha256 == sha256 if sha256 is not None else records.c.source == storable(source or "")
        )
        return self._remove(condition)

    def expire(self, before: datetime, held: Iterable[str] = ()) -> int:
        """Remove every record older than `before`, its findings and fingerprints; returns how many.

        What lies in quarantine under an id in `held` keeps its records, and those of what was found inside.
        """
        with self.database.write() as connection:
            needed: set[str] = set()
            for batch in _batches(sorted(held)):
                needed |= _descendants(connection, records.c.quarantine_id.in_(batch))
            query = sa.select(records.c.id).where(records.c.screened_at < before)
            gone = {str(i) for i in connection.execute(query).scalars()} - needed
            for batch in _batches(sorted(gone)):
                connection.execute(records.delete().where(records.c.id.in_(batch)))
        return len(gone)

    def _remove(self, condition: sa.ColumnElement[bool]) -> Removed:
        with self.database.write() as connection:
            ids = _descendants(connection, condition)
            digests: set[str] = set()
            carriers, held = _carriers(connection, condition)
            prints = 0
            for batch in _batches(sorted(ids)):
                mine = records.c.id.in_(batch)
                for row in connection.execute(
                    sa.select(records.c.sha256, records.c.quarantine_id).where(mine)
                ):
                    digests.add(row.sha256)
                    held |= {row.quarantine_id} if row.quarantine_id else set()
                owned = fingerprints.c.record_id.in_(batch)
                prints += connection.execute(
                    sa.select(sa.func.count()).select_from(fingerprints).where(owned)
                ).scalar_one()
                connection.execute(records.delete().where(mine))
            return Removed(
                len(ids),
                prints,
                frozenset(digests - {""}),
                frozenset(carriers - {""}),
                frozenset(held),
                frozenset(ids),
            )


def _with_children(screening: Screening) -> Iterator[Screening]:
    yield screening
    for child in screening.children:
        yield from _with_children(child)


def _record(row: Row[Any]) -> Record:
    document = json.loads(row.document)
    return Record(row.id, row.sha256, row.source, row.screened_at, row.quarantine_id, row.quality, document)


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    exact = ("label", "action", "status", "quarantine_id")
    conditions: list[sa.ColumnElement[bool]] = [
        records.c[name] == value for name in exact if (value := getattr(wanted, name)) is not None
    ]
    if wanted.source is not None:
        conditions.append(records.c.source == storable(wanted.source))
    if wanted.name is not None:
        conditions.append(records.c.path.contains(storable(wanted.name), autoescape=True))
    if wanted.after is not None:
        moment, last = wanted.after
        older = records.c.screened_at < moment
        conditions.append(older | ((records.c.screened_at == moment) & (records.c.id > last)))
    if wanted.outermost:
        conditions.append(records.c.parent_id.is_(None))
    if wanted.since is not None:
        conditions.append(records.c.screened_at >= wanted.since)
    if wanted.before is not None:
        conditions.append(records.c.screened_at < wanted.before)
    if wanted.sha256 is not None:
        conditions.append(records.c.sha256.startswith(hex_prefix(wanted.sha256)))
    if wanted.evidence is not None:
        named = (findings.c.detector == wanted.evidence) & (findings.c.outcome == "scored")
        coded = findings.c.codes.contains(f" {wanted.evidence} ", autoescape=True)
        conditions.append(records.c.id.in_(sa.select(findings.c.record_id).where(named | coded)))
    return conditions


def hex_prefix(text: str) -> str:
    """Check that `text` can be the beginning of a SHA-256 and return it in lower case."""
    if not re.fullmatch(r"[0-9a-fA-F]{1,64}", text):
        raise StoreError(
            f"{text!r} is not the beginning of a SHA-256", code="not_a_digest", hint="give hex digits"
        )
    return text.lower()


def _descendants(connection: Connection, condition: sa.ColumnElement[bool]) -> set[str]:
    """Find the ids that match and, level by level, of everything that was found inside of them."""
    found: set[str] = set()
    level = {str(i) for i in connection.execute(sa.select(records.c.id).where(condition)).scalars()}
    while level:
        found |= level
        inside: set[str] = set()
        for batch in _batches(sorted(level)):
            query = sa.select(records.c.id).where(records.c.parent_id.in_(batch))
            inside |= {str(i) for i in connection.execute(query).scalars()}
        level = inside - found
    return found


def _carriers(connection: Connection, condition: sa.ColumnElement[bool]) -> tuple[set[str], set[str]]:
    """Find the digests and quarantine ids of all that the matching records were found inside of."""
    digests: set[str] = set()
    held: set[str] = set()
    query = sa.select(records.c.parent_id).where(condition, records.c.parent_id.is_not(None))
    level, seen = {str(i) for i in connection.execute(query).scalars()}, set[str]()
    while level - seen:
        seen |= level
        above: set[str] = set()
        for batch in _batches(sorted(level)):
            columns = sa.select(records.c.sha256, records.c.quarantine_id, records.c.parent_id)
            for row in connection.execute(columns.where(records.c.id.in_(batch))):
                digests.add(row.sha256)
                held |= {row.quarantine_id} if row.quarantine_id else set()
                above |= {row.parent_id} if row.parent_id else set()
        level = above
    return digests, held


def _batches(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
