"""Promised uploads: ids that a client was given before its bytes came, and the secret that signs their addresses."""

from __future__ import annotations

import secrets as randomness
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from assay.store.tables import secrets, storable, uploads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection

    from assay.store.database import Database

SECRET = "addresses"  # noqa: S105  its name
UNUSED = timedelta(hours=1)  # after which a promise that nobody kept is removed


@dataclass(frozen=True, slots=True)
class Promise:
    """One promised upload; `job_id` once its bytes are there."""

    id: str
    key_id: str
    name: str
    job_id: str | None


class Promises:
    """The promised uploads of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._secret: bytes | None = None

    def secret(self) -> bytes:
        """The secret of this database, made when it is first needed."""
        if self._secret is not None:
            return self._secret
        query = sa.select(secrets.c.value).where(secrets.c.name == SECRET)
        with self.database.read() as connection:
            found = connection.execute(query).scalar()
        if found is None:
            with self.database.write() as connection:
                found = connection.execute(query).scalar()
                if found is None:
                    found = randomness.token_bytes(32)
                    connection.execute(secrets.insert().values(name=SECRET, value=found))
        self._secret = bytes(found)
        return self._secret

    def add(self, promise_id: str, key_id: str, name: str, now: datetime | None = None) -> None:
        """Promise an upload, and remove promises that nobody kept."""
        moment = now or datetime.now(UTC)
        with self.database.write() as connection:
            unused = uploads.c.job_id.is_(None) & (uploads.c.created_at < moment - UNUSED)
            connection.execute(uploads.delete().where(unused))
            connection.execute(
                uploads.insert().values(id=promise_id, key_id=key_id, name=storable(name), created_at=moment)
            )

    def find(self, promise_id: str) -> Promise | None:
        with self.database.read() as connection:
            row = connection.execute(sa.select(uploads).where(uploads.c.id == promise_id)).one_or_none()
        return None if row is None else Promise(row.id, row.key_id, row.name, row.job_id)

    def keep(self, promise_id: str, job_id: str) -> None:
        """Note which job an upload became; its name stands there from now on."""
        with self.database.write() as connection:
            connection.execute(
                uploads.update().where(uploads.c.id == promise_id).values(job_id=job_id, name="")
            )

    def ids_of(self, job_ids: Iterable[str]) -> dict[str, str]:
        """By which promised id each of these jobs is known to its client; the newest where there are several."""
        wanted = list(job_ids)
        query = (
            sa.select(uploads.c.job_id, uploads.c.id)
            .where(uploads.c.job_id.in_(wanted))
            .order_by(uploads.c.created_at)
        )
        with self.database.read() as connection:
            return {row.job_id: row.id for row in connection.execute(query)}

    def expire(self, before: datetime) -> None:
        """Remove what was promised before a moment."""
        with self.database.write() as connection:
            connection.execute(uploads.delete().where(uploads.c.created_at < before))

    @staticmethod
    def forget(connection: Connection, job_ids: Iterable[str]) -> None:
        wanted = list(job_ids)
        for start in range(0, len(wanted), 500):
            connection.execute(uploads.delete().where(uploads.c.job_id.in_(wanted[start : start + 500])))
