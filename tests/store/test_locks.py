"""Locks between machines, on PostgreSQL, and what becomes of those of a machine that stands still."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from assay.errors import StoreError
from assay.store import database as database_module
from assay.store import locks as module
from assay.store.database import Database
from assay.store.locks import Locks
from assay.store.tables import chores

pytestmark = pytest.mark.slow


@pytest.fixture
def locks(postgresql):
    """Those of two machines."""
    return Locks(Database(postgresql)), Locks(Database(postgresql))


def test_sharers_meet_and_whoever_is_alone_meets_nobody(locks, monkeypatch):
    one, other = locks
    with one("a") as held, other("a", wait=False) as too, other("a", alone=True, wait=False) as alone:
        assert (held, too, alone) == (True, True, False)
    with one("a", alone=True) as held, other("a", wait=False) as shared, other("b", wait=False) as another:
        assert (held, shared, another) == (True, False, True)
        monkeypatch.setattr(module, "PATIENCE_S", 0.3)
        with pytest.raises(StoreError) as error, other("a"):
            pytest.fail("it was held")
        assert error.value.code == "busy"
    with other("a", alone=True, wait=False) as free:
        assert free


def test_who_waits_gets_it_when_it_is_free_and_a_lost_connection_frees_it(locks):
    one, other = locks
    got = threading.Event()

    def wait():
        with other("a", alone=True):
            got.set()

    with one("a"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.3)
    waiting.join()
    assert got.is_set()
    with one("a", alone=True):
        with one._engine.connect() as connection:
            others = "pid <> pg_backend_pid() AND query LIKE '%advisory%'"
            connection.exec_driver_sql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}".replace("%", "%%")
            )
        with other("a", alone=True) as free:
            assert free


def test_a_writer_that_stands_still_loses_its_rows_to_others(postgresql, monkeypatch):
    monkeypatch.setattr(database_module, "IDLE_S", 1)
    with Database(postgresql) as one, Database(postgresql) as other:
        with one.write() as connection:
            connection.execute(chores.insert().values(name="a", done_at=datetime.now(UTC)))
        with pytest.raises(StoreError), one.write() as frozen:
            frozen.execute(chores.update().values(name="mine"))
            with other.write() as connection:  # waits for the row until the frozen one is given up
                connection.execute(chores.update().values(name="theirs"))
            frozen.execute(chores.update().values(name="mine"))
        with other.read() as connection:
            assert connection.execute(sa.select(chores.c.name)).scalar() == "theirs"
