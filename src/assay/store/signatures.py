"""Signatures, packs and what they matched, as rows. What a line means is not known here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from assay.store.tables import packs, signature_changes, signature_matches, signatures, storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy.engine import Connection, Row

    from assay.store.database import Database

FIRST = datetime(2026, 1, 1, tzinfo=UTC)  # of an edition in which nothing was ever changed
BATCH = 400  # ids in one IN (...)


@dataclass(frozen=True, slots=True)
class StoredSignature:
    """One signature of this installation, or of an imported list."""

    listed: str
    id: str
    about: str
    format: str
    state: str
    actor: str
    added_at: datetime
    line: str  # canonical JSON


@dataclass(frozen=True, slots=True)
class StoredPack:
    """An installed pack; its lines lie in a file."""

    name: str
    serial: int
    digest: str
    key: str
    issued_at: datetime
    expires_at: datetime
    installed_at: datetime
    count: int
    state: str
    url: str
    refused: int  # no serial up to this one is installed again


@dataclass(frozen=True, slots=True)
class Tally:
    """How often one signature matched."""

    listed: str
    id: str
    matches: int
    since: datetime
    suspended_at: datetime | None


class Signatures:
    """Rows of signatures. Writers take the caller's connection, so that the audit commits with them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def edition(self) -> tuple[int, datetime]:
        """The serial of the newest change of what is in force, and when it was."""
        query = sa.select(signature_changes).order_by(signature_changes.c.serial.desc()).limit(1)
        with self.database.read() as connection:
            row = connection.execute(query).first()
        return (0, FIRST) if row is None else (row.serial, row.changed_at)

    def rows(
        self, listed: str | None = None, *, states: Sequence[str] = (), but: Iterable[tuple[str, str]] = ()
    ) -> Iterator[StoredSignature]:
        """Yield signatures by list and id, without those of a list and a format in `but`."""
        query = sa.select(signatures).order_by(signatures.c.list, signatures.c.id)
        if listed is not None:
            query = query.where(signatures.c.list == listed)
        if states:
            query = query.where(signatures.c.state.in_(states))
        for name, kind in but:
            query = query.where(~((signatures.c.list == name) & (signatures.c.format == kind)))
        with self.database.read() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield _signature(row)

    def texts(
        self, listed: str, kind: str, *, first: str = "", before: str | None = None
    ) -> Iterator[tuple[str, str, str]]:
        """Yield id, state and text of a list's signatures of one format by id, from the id `first` on, up to `before`."""
        c = signatures.c
        query = sa.select(c.id, c.state, c.line).where(c.list == listed, c.format == kind, c.id >= first)
        if before is not None:
            query = query.where(c.id < before)
        with self.database.read() as connection:
            for row in connection.execution_options(yield_per=10_000).execute(query.order_by(c.id)):
                yield row[0], row[1], row[2]

    def sizes(self, kind: str) -> dict[str, int]:
        """How many signatures of one format each list has, whatever their state."""
        query = sa.select(signatures.c.list, sa.func.count()).where(signatures.c.format == kind)
        with self.database.read() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(query.group_by(signatures.c.list))}

    def serial_of(self, listed: str) -> int:
        """The serial of the newest change of one list; 0: it was never changed."""
        changes = signature_changes.c
        query = sa.select(sa.func.max(changes.serial)).where(changes.list == listed)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def counts(self) -> dict[tuple[str, str], int]:
        """How many signatures each list has in each state."""
        query = sa.select(signatures.c.list, signatures.c.state, sa.func.count()).group_by(
            signatures.c.list, signatures.c.state
        )
        with self.database.read() as connection:
            return {(row[0], row[1]): int(row[2]) for row in connection.execute(query)}

    def packs(self) -> list[StoredPack]:
        with self.database.read() as connection:
            return [_pack(row) for row in connection.execute(sa.select(packs).order_by(packs.c.name))]

    def tallies(self, *, suspended: bool = False) -> list[Tally]:
        """What matched, most often first; of those suspended only, if asked."""
        query = sa.select(signature_matches).order_by(
            signature_matches.c.matches.desc(), signature_matches.c.list, signature_matches.c.id
        )
        if suspended:
            query = query.where(signature_matches.c.suspended_at.is_not(None))
        with self.database.read() as connection:
            return [_tally(row) for row in connection.execute(query)]

    @staticmethod
    def changed(connection: Connection, listed: str, what: str) -> int:
        """Note that something else is in force from now on; returns the new serial."""
        newest = connection.execute(sa.select(sa.func.max(signature_changes.c.serial))).scalar() or 0
        connection.execute(
            signature_changes.insert().values(
                serial=newest + 1, changed_at=datetime.now(UTC), list=listed, what=storable(what)
            )
        )
        return int(newest) + 1

    @staticmethod
    def put(connection: Connection, rows: Iterable[StoredSignature]) -> int:
        """Enter signatures, replacing those of the same list and id; returns how many."""
        given = {(r.listed, r.id): r for r in rows}
        if not given:
            return 0
        for listed in sorted({name for name, _ in given}):
            Signatures.remove(connection, listed, [i for name, i in given if name == listed])
        connection.execute(signatures.insert(), [_values(r) for r in given.values()])
        return len(given)

    @staticmethod
    def remove(connection: Connection, listed: str, ids: Sequence[str] | None = None) -> int:
        """Remove signatures of a list, all of them or those of these ids; returns how many."""
        mine = signatures.c.list == listed
        if ids is None:
            return connection.execute(signatures.delete().where(mine)).rowcount
        return sum(
            connection.execute(
                signatures.delete().where(mine, signatures.c.id.in_(ids[at : at + BATCH]))
            ).rowcount
            for at in range(0, len(ids), BATCH)
        )

    @staticmethod
    def restate(connection: Connection, listed: str, state: str, *, id: str | None = None) -> int:  # noqa: A002 - the column's name
        """Put a list, or one signature of it, into another state; returns how many rows that were."""
        mine = signatures.c.list == listed
        own = mine if id is None else mine & (signatures.c.id == id)
        count = connection.execute(signatures.update().where(own).values(state=state)).rowcount
        if id is None:
            named = packs.c.name == listed
            count += connection.execute(packs.update().where(named).values(state=state)).rowcount
        if state == "active":  # whoever activates it has looked at what it matched
            matched = signature_matches.c.list == listed
            if id is not None:
                matched &= signature_matches.c.id == id
            count += connection.execute(signature_matches.delete().where(matched)).rowcount
        return count

    @staticmethod
    def note_matches(
        connection: Connection, matched: Iterable[tuple[str, str]], now: datetime
    ) -> list[Tally]:
        """Count one more match of each, and return how many there are."""
        found = []
        for listed, name in sorted(set(matched)):
            mine = (signature_matches.c.list == listed) & (signature_matches.c.id == name)
            more = {"matches": signature_matches.c.matches + 1}
            if not connection.execute(signature_matches.update().where(mine).values(more)).rowcount:
                first = {"list": listed, "id": name, "matches": 1, "since": now}
                connection.execute(signature_matches.insert().values(first))
            found.append(_tally(connection.execute(sa.select(signature_matches).where(mine)).one()))
        return found

    @staticmethod
    def suspend(connection: Connection, listed: str, id: str, now: datetime) -> None:  # noqa: A002 - the column's name
        """Let one signature, of whatever list, count no more."""
        mine = (signature_matches.c.list == listed) & (signature_matches.c.id == id)
        connection.execute(signature_matches.update().where(mine).values(suspended_at=now))

    @staticmethod
    def put_pack(connection: Connection, pack: StoredPack) -> None:
        connection.execute(packs.delete().where(packs.c.name == pack.name))
        connection.execute(packs.insert().values({name: getattr(pack, name) for name in _PACK}))

    @staticmethod
    def remove_pack(connection: Connection, name: str) -> int:
        return connection.execute(packs.delete().where(packs.c.name == name)).rowcount


_PACK = tuple(column.name for column in packs.columns)


def _values(row: StoredSignature) -> dict[str, Any]:
    names = ("id", "about", "format", "state", "added_at", "line")
    return {n: getattr(row, n) for n in names} | {"list": row.listed, "actor": storable(row.actor)}


def _signature(row: Row[Any]) -> StoredSignature:
    return StoredSignature(
        row[0], row.id, row.about, row.format, row.state, row.actor, row.added_at, row.line
    )


def _pack(row: Row[Any]) -> StoredPack:
    return StoredPack(
        **{name: getattr(row, name) if name != "count" else row[_PACK.index(name)] for name in _PACK}
    )


def _tally(row: Row[Any]) -> Tally:
    return Tally(row[0], row.id, row.matches, row.since, row.suspended_at)
