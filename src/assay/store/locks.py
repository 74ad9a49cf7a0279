"""Locks that every machine sees: PostgreSQL's advisory locks. They end with the connection of whoever holds them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from assay.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from assay.store.database import Database

LOOK_S = 0.1  # between two attempts
PATIENCE_S = 60.0  # a machine that froze keeps its locks until its connection is given up


class Locks:
    """The locks of one PostgreSQL database; each is held on a connection of its own.

    Examples
    --------
    ``with locks("quarantine 0a1b...", alone=True): ...``
    """

    def __init__(self, database: Database) -> None:
        self._url = database.url
        self._engine: Engine | None = None

    @contextmanager
    def __call__(self, name: str, *, alone: bool = False, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of a name, shared or alone; yields False where it is taken and `wait` is not wanted.

        Raises
        ------
        StoreError
            If the database cannot be asked, or somebody holds the lock for longer than a minute (``busy``).
        """
        kind = "" if alone else "_shared"
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        with self._connected() as connection:
            end = time.monotonic() + (PATIENCE_S if wait else 0.0)
            while not (held := self._asked(connection, f"pg_try_advisory_lock{kind}", key)):
                if time.monotonic() >= end:
                    break
                time.sleep(LOOK_S)
            if wait and not held:
                raise StoreError(
                    f"another machine holds the lock of {name[:40]}",
                    code="busy",
                    hint="try again; look for a machine that stands still",
                )
            yield held  # closing the connection ends the lock, whatever became of it

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        if self._engine is None:
            self._engine = sa.create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as e:
            raise _lost(e) from e
        try:
            yield connection
        finally:
            connection.close()

    @staticmethod
    def _asked(connection: sa.Connection, function: str, key: int) -> bool:
        try:
            return bool(connection.execute(sa.text(f"SELECT {function}(:key)"), {"key": key}).scalar_one())
        except SQLAlchemyError as e:
            raise _lost(e) from e


def _lost(e: SQLAlchemyError) -> StoreError:
    return StoreError(f"the database cannot be asked for a lock: {e}", hint="check the database")
