"""The audit: who did what, when and why, in an append-only chain of hashes. It never holds content or names of media.

Each entry's hash covers its fields and the hash before it, so that a changed, removed or reordered entry shows. A tail
that was cut off, or a chain rewritten from some point on, shows only against a head that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from assay.store.tables import audit, audit_start, storable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Row

    from assay.store.database import Database

ORIGIN = "0" * 64  # the hash before the first entry
TRIMMED = "audit_trimmed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the chain."""

    seq: int
    at: str  # RFC 3339, UTC
    actor: str
    action: str
    target: str  # an id or a digest, never a name
    reason: str
    previous: str
    hash: str

    def computed(self) -> str:
        """Hash of what this entry says, which its `hash` should equal."""
        fields = [self.seq, self.at, self.actor, self.action, self.target, self.reason, self.previous]
        return hashlib.sha256(
            json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()
        ).hexdigest()


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of walking the chain: `faults` is empty where it is whole."""

    entries: int
    head: str
    faults: tuple[str, ...]


class Audit:
    """The audit of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def record(self, actor: str, action: str, target: str, reason: str = "") -> Entry:
        """Append one entry in a transaction of its own."""
        with self.database.write() as connection:
            return self.append(connection, actor, action, target, reason)

    @staticmethod
    def append(connection: Connection, actor: str, action: str, target: str, reason: str = "") -> Entry:
        """Append one entry inside of the caller's transaction: the deed and its entry commit together."""
        seq, previous = _head(connection)
        said = {"actor": actor, "action": action, "target": target, "reason": reason}
        row: dict[str, Any] = {name: storable(text) for name, text in said.items()} | {
            "seq": seq + 1,
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "previous": previous,
        }
        entry = Entry(**row, hash=Entry(**row, hash="").computed())
        connection.execute(audit.insert().values(row | {"hash": entry.hash}))
        return entry

    def head(self) -> str:
        """Hash of the newest entry: note it elsewhere to be able to prove later that nothing was cut off."""
        with self.database.read() as connection:
            return _head(connection)[1]

    def entries(self, limit: int | None = None) -> list[Entry]:
        """Return the newest entries, oldest first."""
        query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)
        with self.database.read() as connection:
            return [_entry(row) for row in connection.execute(query)][::-1]

    def verify(self, head: str | None = None) -> Verification:
        """Walk the whole chain; `head` is a hash noted earlier that must still be part of it."""
        with self.database.read() as connection:
            seq, previous = _start(connection)
            start = (seq, previous)
            faults: list[str] = []
            seen = {previous}
            count = 0
            vouched = seq == 0
            for entry in _walk(connection):
                count += 1
                faults += _faults(entry, seq, previous)
                vouched = vouched or (entry.action == TRIMMED and entry.target == _mark(*start))
                seq, previous = entry.seq, entry.hash
                seen.add(entry.hash)
        if not vouched:
            faults.append(
                f"the chain begins after entry {start[0]}, but no entry says that retention cut it there"
            )
        if head is not None and head.lower() not in seen:
            older = (
                "" if start[0] == 0 else f" (or the head is older than entry {start[0]}, where retention cut)"
            )
            faults.append(f"the given head is not part of the chain: its end was cut off or rewritten{older}")
        return Verification(count, previous, tuple(faults))

    def trim(self, before: datetime, actor: str) -> int:
        """Cut entries older than `before` off the beginning; the chain goes on from there and says so."""
        limit = before.astimezone(UTC).isoformat(timespec="microseconds")
        with self.database.write() as connection:
            kept = connection.execute(sa.select(sa.func.min(audit.c.seq)).where(audit.c.at >= limit)).scalar()
            newest = _head(connection)[0]
            last = newest if kept is None else int(kept) - 1
            old = connection.execute(sa.select(audit).where(audit.c.seq <= last).order_by(audit.c.seq)).all()
            if not old:
                return 0
            entry = _entry(old[-1])
            # The trigger lets entries go that lie at or before the start of the chain, and no others.
            connection.execute(audit_start.delete())
            Audit.append(
                connection, actor, TRIMMED, _mark(entry.seq, entry.hash), f"retention: before {limit[:10]}"
            )
            connection.execute(audit_start.insert().values(seq=entry.seq, hash=entry.hash))
            connection.execute(audit.delete().where(audit.c.seq <= entry.seq))
            return len(old)


def _faults(entry: Entry, seq: int, previous: str) -> list[str]:
    faults = []
    if entry.seq != seq + 1:
        faults.append(f"entries {seq + 1} to {entry.seq - 1} are missing")
    elif entry.previous != previous:
        faults.append(f"entry {entry.seq} does not continue entry {seq}: one was replaced or moved")
    if entry.hash != entry.computed():
        faults.append(f"entry {entry.seq} was changed")
    return faults


def _mark(seq: int, digest: str) -> str:
    return f"{seq}:{digest}"


def _start(connection: Connection) -> tuple[int, str]:
    row = connection.execute(sa.select(audit_start).order_by(audit_start.c.seq.desc()).limit(1)).first()
    return (int(row.seq), str(row.hash)) if row else (0, ORIGIN)


def _head(connection: Connection) -> tuple[int, str]:
    query = sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return (int(row.seq), str(row.hash)) if row else _start(connection)


def _walk(connection: Connection) -> Iterator[Entry]:
    query = sa.select(audit).order_by(audit.c.seq)
    for row in connection.execution_options(yield_per=500).execute(query):
        yield _entry(row)


def _entry(row: Row[Any]) -> Entry:
    return Entry(**row._asdict())
