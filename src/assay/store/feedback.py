"""What reviewers and clients said, and what was drawn for review, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from assay.store.tables import labels, notes, records, reviews, storable

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from assay.store.database import Database

Chosen = Literal["quarantine", "review"]
CHOSEN: tuple[Chosen, ...] = ("quarantine", "review")


@dataclass(frozen=True, slots=True)
class Label:
    """What a reviewer said of a sample."""

    id: int
    sha256: str
    said: str  # fake | bona_fide
    actor: str
    labelled_at: datetime
    chosen: str  # how it came before the reviewer: quarantine, review; "" before this was kept
    share: float  # of such samples that were offered, over 0 to 1
    used_in: str | None  # the calibration that it went into; None: pending


@dataclass(frozen=True, slots=True)
class Offer:
    """A delivered sample that was drawn for review."""

    record_id: str
    sha256: str
    path: str
    media_type: str
    share: float
    offered_at: datetime


@dataclass(frozen=True, slots=True)
class Note:
    """What a client said of a verdict."""

    sha256: str
    said: str
    client: str
    text: str
    noted_at: datetime


class Feedback:
    """Rows of feedback. Writers take the caller's connection."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def labels(self, *, pending: bool = False) -> list[Label]:
        """Reviewers' labels, oldest first; those that went into no calibration yet, if asked."""
        query = sa.select(labels).order_by(labels.c.id)
        if pending:
            query = query.where(labels.c.used_in.is_(None))
        with self.database.read() as connection:
            return [
                Label(
                    r.id, r.sha256, r.label, r.actor, r.labelled_at, r.chosen or "", r.share or 1.0, r.used_in
                )
                for r in connection.execute(query)
            ]

    def offers(self) -> list[Offer]:
        """What waits for review, oldest first."""
        query = (
            sa.select(reviews, records.c.sha256, records.c.path, records.c.media_type)
            .join(records, records.c.id == reviews.c.record_id)
            .where(reviews.c.answered_at.is_(None))
            .order_by(reviews.c.offered_at, reviews.c.record_id)
        )
        with self.database.read() as connection:
            return [
                Offer(r.record_id, r.sha256, r.path, r.media_type, r.share, r.offered_at)
                for r in connection.execute(query)
            ]

    def notes(self, sha256: str | None = None) -> list[Note]:
        """What clients said, oldest first."""
        query = sa.select(notes).order_by(notes.c.id)
        if sha256 is not None:
            query = query.where(notes.c.sha256 == sha256)
        with self.database.read() as connection:
            return [Note(r.sha256, r.said, r.client, r.text, r.noted_at) for r in connection.execute(query)]

    @staticmethod
    def offer(connection: Connection, record_id: str, share: float, now: datetime) -> None:
        """Offer a record for review, once."""
        connection.execute(reviews.delete().where(reviews.c.record_id == record_id))
        connection.execute(reviews.insert().values(record_id=record_id, share=share, offered_at=now))

    @staticmethod
    def answer(connection: Connection, sha256: str, now: datetime) -> float | None:
        """Close what is offered of a sample; returns the share by which it was drawn, None where it was not."""
        own = sa.select(records.c.id).where(records.c.sha256 == sha256)
        mine = reviews.c.record_id.in_(own) & reviews.c.answered_at.is_(None)
        share: float | None = connection.execute(sa.select(sa.func.min(reviews.c.share)).where(mine)).scalar()
        connection.execute(reviews.update().where(mine).values(answered_at=now))
        return share

    @staticmethod
    def note(connection: Connection, sha256: str, said: str, client: str, text: str) -> None:
        """Keep what a client said; it is no label and changes nothing."""
        row = {
            "sha256": sha256,
            "said": storable(said)[:32],
            "client": storable(client),
            "text": storable(text),
        }
        connection.execute(notes.insert().values(row | {"noted_at": datetime.now(UTC)}))

    @staticmethod
    def mark_used(connection: Connection, ids: list[int], calibration: str) -> None:
        """Note that labels went into a calibration."""
        for at in range(0, len(ids), 400):
            mine = labels.c.id.in_(ids[at : at + 400])
            connection.execute(labels.update().where(mine).values(used_in=calibration))

    @staticmethod
    def remove(connection: Connection, sha256: str) -> int:
        """Remove what clients said of a sample."""
        return connection.execute(notes.delete().where(notes.c.sha256 == sha256)).rowcount
