import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import StoreError
from assay.store.audit import ORIGIN, Audit, Entry
from assay.store.database import Database


@pytest.fixture
def audit(database):
    audit = Audit(database)
    for n in range(5):
        audit.record("ann", "released", f"q{n}", "a mistake")
    return audit


def _tamper(database, *statements):
    """Write as one who has the file: the triggers are no obstacle to him."""
    with closing(sqlite3.connect(database.path)) as raw, raw:
        raw.execute("drop trigger audit_no_update")
        raw.execute("drop trigger audit_no_delete")
        raw.execute("drop trigger audit_no_insert")
        for statement in statements:
            raw.execute(statement)


def test_an_empty_chain_is_whole(database):
    assert Audit(database).verify().faults == ()
    assert Audit(database).head() == ORIGIN


def test_an_untouched_chain_is_whole_and_ends_in_its_head(audit):
    verified = audit.verify(audit.head())
    assert (verified.entries, verified.head, verified.faults) == (5, audit.head(), ())


def test_entries_come_back_in_order(audit):
    assert [e.target for e in audit.entries(limit=2)] == ["q3", "q4"]


def test_the_database_refuses_changes_and_removals(audit):
    for statement in (
        "update audit set actor = 'x'",
        "delete from audit",
        "insert or replace into audit select * from audit",
    ):
        with pytest.raises(StoreError, match="append-only"), audit.database.write() as connection:
            connection.exec_driver_sql(statement)
    assert audit.verify().faults == ()


def test_a_changed_entry_is_found(audit):
    _tamper(audit.database, "update audit set actor = 'bob' where seq = 3")
    assert audit.verify().faults == ("entry 3 was changed",)


def test_a_changed_entry_with_a_fitting_hash_is_found(audit):
    third = audit.entries()[2]
    forged = Entry(
        3, third.at, "bob", third.action, third.target, third.reason, third.previous, ""
    ).computed()
    _tamper(audit.database, f"update audit set actor = 'bob', hash = '{forged}' where seq = 3")
    assert "entry 4 does not continue entry 3" in audit.verify().faults[0]


def test_a_removed_entry_is_found(audit):
    _tamper(audit.database, "delete from audit where seq = 2")
    assert "entries 2 to 2 are missing" in audit.verify().faults[0]


def test_a_removed_entry_is_found_after_renumbering(audit):
    _tamper(audit.database, "delete from audit where seq = 2", "update audit set seq = seq - 1 where seq > 2")
    assert audit.verify().faults


def test_a_removed_beginning_is_found(audit):
    _tamper(audit.database, "delete from audit where seq <= 2")
    assert audit.verify().faults


def test_a_beginning_cut_with_a_forged_start_is_found(audit):
    second = audit.entries()[1]
    _tamper(
        audit.database,
        "delete from audit where seq <= 2",
        f"insert into audit_start values (2, '{second.hash}')",
    )
    assert "no entry says" in audit.verify().faults[0]


def test_reordered_entries_are_found(audit):
    _tamper(
        audit.database,
        "update audit set seq = 99 where seq = 2",
        "update audit set seq = 2 where seq = 3",
        "update audit set seq = 3 where seq = 99",
    )
    assert audit.verify().faults


def test_a_cut_tail_is_found_against_a_noted_head(audit):
    noted = audit.head()
    _tamper(audit.database, "delete from audit where seq >= 4")
    assert audit.verify().faults == ()
    assert "cut off" in audit.verify(noted).faults[0]


def test_an_older_head_is_still_part_of_a_chain_that_grew(audit):
    noted = audit.head()
    audit.record("ann", "purged", "q9", "old")
    assert audit.verify(noted.upper()).faults == ()


def test_the_chain_survives_retention(audit):
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert audit.trim(later, "retention") == 5
    audit.record("ann", "purged", "q9", "old")
    verified = audit.verify(audit.head())
    assert verified.faults == ()
    assert verified.entries == 2
    assert audit.trim(datetime.now(UTC) + timedelta(seconds=1), "retention") == 2
    assert audit.verify().faults == ()


def test_retention_without_old_entries_changes_nothing(audit):
    head = audit.head()
    assert audit.trim(datetime.now(UTC) - timedelta(days=1), "retention") == 0
    assert audit.head() == head


def test_an_entry_goes_with_the_deed_that_it_describes(database):
    audit = Audit(database)
    with pytest.raises(RuntimeError), database.write() as connection:
        audit.append(connection, "ann", "purged", "q1", "")
        raise RuntimeError("the deed failed")
    assert audit.entries() == []


@given(st.text(st.characters(categories=None, codec=None), max_size=20))
def test_the_hash_depends_on_every_field_and_on_their_borders(text):
    one = Entry(1, "t", "a" + text, "b", "c", "d", ORIGIN, "")
    two = Entry(1, "t", "a", text + "b", "c", "d", ORIGIN, "")
    assert (one.computed() == two.computed()) == (text == "")


def test_hostile_text_is_kept_and_verifies(tmp_path):
    with Database(tmp_path / "a.db") as database:
        audit = Audit(database)
        audit.record("ann\udce9\0", "released", "q", "why\n\x1b[31m\u202e")
        assert audit.verify().faults == ()
