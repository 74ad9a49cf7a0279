import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from assay.errors import StoreError
from assay.store.database import MIGRATIONS, Database
from assay.store.tables import REVISION, metadata


def _set_revision(path, revision):
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("update alembic_version set version_num = ?", (revision,))


def test_the_first_use_creates_the_schema_without_asking(tmp_path):
    with Database(tmp_path / "deep" / "assay.db") as db:
        with db.read() as connection:
            assert connection.execute(sa.text("select count(*) from records")).scalar() == 0
        assert db.status().current


def test_only_the_owner_can_read_the_file_and_its_log(tmp_path):
    with Database(tmp_path / "data" / "assay.db") as db:
        with db.write() as connection:
            connection.exec_driver_sql("insert into audit_start values (1, 'x')")
        for path in (tmp_path / "data").iterdir():
            assert path.stat().st_mode & 0o077 == 0, path


def test_asking_for_the_status_creates_nothing(tmp_path):
    with Database(tmp_path / "assay.db") as db:
        assert db.status().found is None
    assert list(tmp_path.iterdir()) == []


def test_the_migrations_and_the_tables_say_the_same(database):
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_migration_is_the_revision_that_the_program_expects():
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == REVISION


def test_an_older_program_refuses_a_newer_schema_and_changes_nothing(tmp_path):
    path = tmp_path / "assay.db"
    with Database(path) as db, db.read():
        pass
    _set_revision(path, "9999")
    with Database(path) as db:
        with pytest.raises(StoreError) as refusal, db.read():
            pass
        assert refusal.value.code == "store_newer"
        assert refusal.value.hint
        with pytest.raises(StoreError):
            db.upgrade(tmp_path / "backups")
    assert not (tmp_path / "backups").exists()


def test_an_older_schema_asks_for_the_upgrade(tmp_path):
    path = tmp_path / "assay.db"
    with Database(path) as db, db.read():
        pass
    _set_revision(path, "0000")
    with Database(path) as db, pytest.raises(StoreError, match="schema 0000") as refusal, db.read():
        pass
    assert "assay db upgrade" in refusal.value.hint


def test_an_upgrade_copies_the_database_first(tmp_path, monkeypatch):
    path = tmp_path / "assay.db"
    with Database(path) as db, db.write() as connection:
        connection.exec_driver_sql("insert into audit_start values (7, 'kept')")
    _set_revision(path, "0000")
    monkeypatch.setattr(
        "assay.store.database._migrate", lambda c: c.exec_driver_sql("drop table audit_start")
    )
    with Database(path) as db:
        done = db.upgrade(tmp_path / "backups", datetime(2026, 1, 2, tzinfo=UTC))
    assert done.before == "0000"
    assert "20260102" in done.backup.name
    assert done.backup.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(done.backup)) as raw:
        assert raw.execute("select hash from audit_start").fetchone() == ("kept",)
    assert [p.name for p in (tmp_path / "backups").iterdir()] == [done.backup.name]


def test_an_upgrade_that_fails_leaves_the_old_schema(tmp_path, monkeypatch):
    path = tmp_path / "assay.db"
    with Database(path) as db, db.read():
        pass
    _set_revision(path, "0000")

    def broken(connection):
        connection.exec_driver_sql("drop table chores")
        raise StoreError("broken")

    monkeypatch.setattr("assay.store.database._migrate", broken)
    with Database(path) as db:
        with pytest.raises(StoreError, match="broken"):
            db.upgrade(tmp_path / "backups")
        assert db.status().found == "0000"
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("select count(*) from chores").fetchone() == (0,)


def test_a_current_schema_needs_no_upgrade_and_no_copy(database, tmp_path):
    with database.read():
        pass
    assert database.upgrade(tmp_path / "backups").backup is None


def test_a_database_of_something_else_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as raw, raw:
        raw.execute("create table music (id int)")
    with Database(tmp_path / "other.db") as db, pytest.raises(StoreError, match="something else"), db.read():
        pass


def test_a_file_that_is_no_database_says_what_to_do(tmp_path):
    path = tmp_path / "assay.db"
    path.write_bytes(b"not a database at all" * 100)
    with Database(path) as db, pytest.raises(StoreError) as error, db.read():
        pass
    assert error.value.code == "store_corrupt"
    assert "restore" in error.value.hint
    assert path.read_bytes().startswith(b"not a database")


def test_a_damaged_database_says_what_to_do(tmp_path):
    path = tmp_path / "assay.db"
    with Database(path) as db, db.write() as connection:
        for n in range(2000):
            connection.exec_driver_sql(
                "insert into chores values (?, '2026-01-01 00:00:00.000000')", (f"{n:064}",)
            )
    content = bytearray(path.read_bytes())
    content[20_000:] = b"\xff" * (len(content) - 20_000)
    path.write_bytes(content)
    for beside in ("assay.db-wal", "assay.db-shm"):
        (tmp_path / beside).unlink(missing_ok=True)
    with Database(path) as db, pytest.raises(StoreError) as error, db.read() as connection:
        connection.exec_driver_sql("select * from chores").fetchall()
    assert error.value.code == "store_corrupt"


def test_a_full_disk_says_so_and_the_transaction_is_gone(database):
    with database.write() as connection:
        connection.exec_driver_sql("insert into chores values ('before', '2026-01-01 00:00:00.000000')")
    with pytest.raises(StoreError) as error, database.write() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar()
        connection.exec_driver_sql(f"pragma max_page_count={pages}")
        for n in range(5000):
            connection.exec_driver_sql(
                "insert into chores values (?, '2026-01-01 00:00:00.000000')", (f"{n:064}",)
            )
    assert error.value.code == "store_full"
    assert "free space" in error.value.hint
    with database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from chores").scalar() == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with Database(tmp_path / "assay.db") as db, pytest.raises(StoreError, match="Permission"), db.read():
            pass
    finally:
        tmp_path.chmod(0o700)


def test_a_path_through_a_file_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with Database(tmp_path / "file" / "assay.db") as db, pytest.raises(StoreError) as error, db.read():
        pass
    assert error.value.hint


def test_threads_that_read_and_then_write_do_not_lose_counts(database):
    with database.write() as connection:
        connection.exec_driver_sql("create table counts (n int)")
        connection.exec_driver_sql("insert into counts values (0)")

    def count():
        for _ in range(20):
            with database.write() as connection:
                n = connection.exec_driver_sql("select n from counts").scalar()
                connection.exec_driver_sql("update counts set n = ?", (n + 1,))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.exec_driver_sql("select n from counts").scalar() == 60


def test_threads_that_are_the_first_at_once_all_find_the_schema(tmp_path):
    for n in range(3):
        with Database(tmp_path / str(n) / "assay.db") as db:

            def look(db=db):
                with db.read() as connection:
                    return connection.exec_driver_sql("select count(*) from records").scalar()

            with ThreadPoolExecutor(4) as pool:
                assert [f.result() for f in [pool.submit(look) for _ in range(4)]] == [0] * 4


def _open_at(start, path):
    while time.time() < start:
        pass
    try:
        with Database(path) as db, db.write() as connection:
            connection.exec_driver_sql("select 1")
    except StoreError as e:
        return f"{e.message}: {e.__cause__}"
    return ""


@pytest.mark.slow
def test_processes_that_open_a_new_database_at_the_same_moment_wait_for_each_other(tmp_path):
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        for n in range(30):
            moment = time.time() + (2.0 if n == 0 else 0.05)
            calls = [(moment, tmp_path / f"{n}.db")] * 6
            assert set(pool.starmap(_open_at, calls, chunksize=1)) == {""}


@pytest.mark.slow
def test_processes_that_start_at_once_do_not_clash(tmp_path):
    program = textwrap.dedent(f"""
        from assay.store.database import Database
        with Database({str(tmp_path / "assay.db")!r}) as db:
            for n in range(10):
                with db.write() as c:
                    c.exec_driver_sql("insert into labels (sha256, label, actor, reason, labelled_at) "
                                      "values ('', '', '', '', '2026-01-01 00:00:00.000000')")
    """)
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in running]
    assert errors == ["", "", "", ""]
    with Database(tmp_path / "assay.db") as db, db.read() as connection:
        assert connection.exec_driver_sql("select count(*) from labels").scalar() == 40
