"""What people said of a sample: labels of reviewers, and digests known to be fake or original."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import sqlalchemy as sa

from assay.store.tables import known_digests, labels, storable

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from assay.store.database import Database

Standing = Literal["known_fake", "known_original"]
Said = Literal["fake", "bona_fide"]


@dataclass(frozen=True, slots=True)
class Known:
    """A digest that a person vouched for, one way or the other."""

    sha256: str
    standing: Standing
    actor: str
    reason: str
    added_at: datetime


class Judgements:
    """Labels and known digests. Writers take the caller's connection, so that the audit commits with them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def known(self, sha256: str) -> Standing | None:
        """Look an exact digest up: the lookup behind `known_digest`."""
        query = sa.select(known_digests.c.standing).where(known_digests.c.sha256 == sha256)
        with self.database.read() as connection:
            return cast("Standing | None", connection.execute(query).scalar())

    def all_known(self) -> list[Known]:
        query = sa.select(known_digests).order_by(known_digests.c.added_at.desc())
        with self.database.read() as connection:
            return [_known(row) for row in connection.execute(query)]

    def labels_of(self, sha256: str) -> list[str]:
        """Labels said of a digest, oldest first."""
        query = sa.select(labels.c.label).where(labels.c.sha256 == sha256).order_by(labels.c.id)
        with self.database.read() as connection:
            return [str(label) for label in connection.execute(query).scalars()]

    @staticmethod
    def mark_known(
        connection: Connection, sha256: str, standing: Standing, *, actor: str, reason: str
    ) -> None:
        """Enter a digest; a later word replaces an earlier one."""
        connection.execute(known_digests.delete().where(known_digests.c.sha256 == sha256))
        connection.execute(
            known_digests.insert().values(
                sha256=sha256,
                standing=standing,
                actor=storable(actor),
                reason=storable(reason),
                added_at=datetime.now(UTC),
            )
        )

    @staticmethod
    def label(
        connection: Connection,
        sha256: str,
        label: Said,
        *,
        actor: str,
        reason: str,
        chosen: str = "quarantine",
        share: float = 1.0,
    ) -> None:
        """Keep a reviewer's word as a pending label.

        Parameters
        ----------
        chosen
            How the sample came before the reviewer: "quarantine", or "review" if it was drawn at random.
        share
            Of such samples that were offered: the label stands for 1 over it.
        """
        connection.execute(
            labels.insert().values(
                sha256=sha256,
                label=label,
                actor=storable(actor),
                reason=storable(reason),
                labelled_at=datetime.now(UTC),
                chosen=chosen,
                share=share,
            )
        )

    @staticmethod
    def remove_known(connection: Connection, sha256: str) -> int:
        return connection.execute(known_digests.delete().where(known_digests.c.sha256 == sha256)).rowcount

    @staticmethod
    def remove_labels(connection: Connection, sha256: str) -> int:
        return connection.execute(labels.delete().where(labels.c.sha256 == sha256)).rowcount


def _known(row: Row[Any]) -> Known:
    return Known(row.sha256, row.standing, row.actor, row.reason, row.added_at)
