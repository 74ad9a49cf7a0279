import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

from assay.errors import StoreError


def test_the_status_of_an_unused_installation_makes_nothing(installation):
    assert "none yet" in installation.run("db", "status").output
    assert not installation.settings.paths.database.exists()


def test_the_status_of_a_current_database_is_good(installation):
    installation.add()
    assert "as this program wants it" in installation.run("db", "status").output
    assert "nothing to do" in installation.run("db", "upgrade").output


def test_a_newer_database_is_refused_with_what_to_do(installation):
    installation.add()
    with closing(sqlite3.connect(installation.settings.paths.database)) as raw, raw:
        raw.execute("update alembic_version set version_num = '9999'")
    assert "newer than this program" in installation.run("db", "status", code=2).output
    for command in (["db", "upgrade"], ["history"]):
        assert installation.run(*command, code=StoreError).exception.code == "store_newer"


def test_the_first_upgrade_makes_the_schema(installation):
    assert "The schema is now" in installation.run("db", "upgrade").output


def test_retention_says_what_it_removed(installation):
    installation.add(at=datetime.now(UTC) - timedelta(days=400))
    lines = installation.run("db", "retain").output.splitlines()
    assert lines == [
        "records     365 days; removed 1 record",
        "kept media  90 days; removed 0 kept media",
        "quarantine  kept for ever",
        "audit       kept for ever",
    ]
