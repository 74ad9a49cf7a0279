"""The database: SQLite in WAL mode by default, any SQLAlchemy URL where one machine is outgrown.

Writers begin with BEGIN IMMEDIATE, so that two processes queue instead of failing; commits are synced, since a
quarantine record must survive a power cut as its blob does. The first use creates the schema; later ones only look.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, inspect, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from assay.closing import Closing
from assay.errors import StoreError
from assay.store.tables import REVISION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL, Connection, Engine

BUSY_TIMEOUT_S = 10
IDLE_S = 20  # within a transaction that writes, on a database server; less than a lease
PRAGMAS = (
    f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",  # what is forgotten is overwritten, not only marked as free
)
MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The schema's revision in the database (None: empty) and the one that this program writes."""

    found: str | None
    expected: str

    @property
    def current(self) -> bool:
        return self.found == self.expected

    @property
    def newer(self) -> bool:
        return self.found is not None and self.found > self.expected


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What `Database.upgrade` did."""

    before: str | None
    after: str
    backup: Path | None


class Database(Closing):
    """Transactions on one database; safe to share between threads.

    Parameters
    ----------
    location : str or Path
        A path makes (or opens) an SQLite file, readable by its owner only; anything with ``://`` is an SQLAlchemy URL.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Database(f"{folder}/assay.db") as db:
    ...     with db.read() as connection:
    ...         connection.exec_driver_sql("select count(*) from records").scalar()
    0
    """

    def __init__(self, location: str | Path) -> None:
        text = str(location)
        self.url = make_url(text if "://" in text else f"sqlite:///{Path(text).absolute()}")
        self.path = _file_of(self.url)
        self._engine: Engine | None = None
        self._usable = False  # its schema is there, and this program's
        self._lock = threading.RLock()

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine, self._usable = None, False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a consistent view that never waits for writers."""
        with self._explained(), self._ready().connect() as raw:
            yield raw.execution_options(readonly=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction; committed and synced at the end, rolled back by any error. Keep it short."""
        with self._explained(), self._ready().begin() as connection:
            if self.path is None and connection.dialect.name == "postgresql":
                # A machine that freezes in the middle must not keep others from its rows for ever.
                connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S}s'")
            yield connection

    def status(self) -> SchemaStatus:
        """Compare the schema with this program, changing nothing."""
        if self.path is not None and not self.path.exists():
            return SchemaStatus(None, REVISION)
        with self._explained(), self._open().connect().execution_options(readonly=True) as connection:
            return SchemaStatus(_revision(connection), REVISION)

    def upgrade(self, backup_folder: Path, now: datetime | None = None) -> Upgrade:
        """Bring the schema to this program's revision; an SQLite file that holds data is copied first.

        Raises
        ------
        StoreError
            If the database is newer than this program, or cannot be read, copied or written.
        """
        with self._explained(), self._open().begin() as connection:
            found = _revision(connection)
            status = SchemaStatus(found, REVISION)
            if status.newer:
                raise _too_new(found)
            if status.current:
                return Upgrade(found, REVISION, None)
            backup = None
            if found is not None and self.path is not None:
                backup = self.copy_to(_dated(backup_folder, found, now or datetime.now(UTC)))
            _migrate(connection)
            return Upgrade(found, REVISION, backup)

    def copy_to(self, target: Path) -> Path:
        """Write a consistent copy of an SQLite database to a new file, while others go on using it."""
        if self.path is None:
            raise StoreError("only an SQLite database is copied by Assay", hint="use the server's own backup")
        with self._explained():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            try:
                with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(target)) as copy:
                    source.backup(copy)
                    copy.execute("PRAGMA journal_mode=DELETE")  # one file, without -wal and -shm beside it
                _sync(target)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
        return target

    def scrub(self) -> None:
        """Carry an SQLite log over into the file and empty it: removed rows are then on the disk no more.

        Others who read meanwhile may keep the log for as long as they do; it is no error then.
        """
        if self.url.get_backend_name() != "sqlite":
            return
        with self._explained(), closing(self._ready().raw_connection()) as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _ready(self) -> Engine:
        """Return the engine once the schema was looked at, and made where there is none; the first caller does both."""
        with self._lock:
            engine = self._open()
            if not self._usable:
                try:
                    _check(_revision_or_new(engine))
                except BaseException:
                    self.close()
                    raise
                self._usable = True
            return engine

    def _open(self) -> Engine:
        with self._lock:
            if self._engine is None:
                if self.path is not None:
                    _make_private(self.path)
                self._engine = create_engine(self.url)
                if self.url.get_backend_name() == "sqlite":
                    event.listen(self._engine, "connect", _configure)
                    event.listen(self._engine, "begin", _begin)
            return self._engine

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the driver's errors into one sentence and a way out."""
        try:
            yield
        except DBAPIError as e:
            raise _explain(e.orig, self.name) from e
        except (sqlite3.Error, OSError) as e:
            raise _explain(e, self.name) from e
        except SQLAlchemyError as e:
            raise StoreError(f"the database {self.name} cannot be used: {e}") from e

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return str(self.path) if self.path is not None else self.url.render_as_string(hide_password=True)


def _file_of(url: URL) -> Path | None:
    name = url.database if url.get_backend_name() == "sqlite" else None
    return Path(name) if name and name != ":memory:" else None


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():  # SQLite gives the mode of the main file to -wal and -shm too
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # sqlite3 starts no transactions of its own; _begin does
    for pragma in PRAGMAS:
        _patiently(connection, f"PRAGMA {pragma}")


def _patiently(connection: Any, statement: str) -> None:
    """Wait where SQLite does not: of several who turn a new file to WAL, all but one are told at once that it is locked."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(connection: Connection) -> None:
    readonly = connection.get_execution_options().get("readonly")
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _revision_or_new(engine: Engine) -> str:
    """The revision that is there; the schema is made where there is none."""
    with engine.connect().execution_options(readonly=True) as connection:
        found = _revision(connection)
    if found is None:
        with engine.begin() as connection:
            found = _revision(
                connection
            )  # again, inside of the transaction: another process may have made it
            if found is None:
                _refuse_foreign(connection)
                _migrate(connection)
    return found or REVISION


def _refuse_foreign(connection: Connection) -> None:
    tables = inspect(connection).get_table_names()
    if tables:
        raise StoreError(
            f"the database holds tables of something else ({', '.join(sorted(tables)[:3])})",
            code="store_foreign",
            hint="point `database` in assay.toml to a file of Assay's own",
        )


def _check(found: str) -> None:
    if found > REVISION:
        raise _too_new(found)
    if found < REVISION:
        raise StoreError(
            f"the database has schema {found}, this program needs {REVISION}",
            code="store_old",
            hint="run `assay db upgrade`; it makes a backup first",
        )


def _too_new(found: str | None) -> StoreError:
    return StoreError(
        f"the database has schema {found}, newer than this program's {REVISION}",
        code="store_newer",
        hint="use the newer Assay that wrote it, or `assay restore` a backup from before the upgrade",
    )


def _migrate(connection: Connection) -> None:
    """Run the migrations inside of the caller's transaction: all or nothing."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _dated(folder: Path, revision: str, now: datetime) -> Path:
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    return folder / f"assay-schema{revision}-{stamp}.db"


def _sync(path: Path) -> None:
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


FULL = "free space on the disk, then try again; nothing was lost"
PERMISSION = (
    "check the owner and the mode of the file and its folder, and that the disk is not mounted read-only"
)
EXPLANATIONS: dict[int, tuple[str, str, str]] = {
    sqlite3.SQLITE_FULL: ("store_full", "the disk is full", FULL),
    sqlite3.SQLITE_READONLY: ("store_readonly", "it cannot be written", PERMISSION),
    sqlite3.SQLITE_CANTOPEN: ("store_unopened", "it cannot be opened", PERMISSION),
    sqlite3.SQLITE_PERM: ("store_readonly", "it cannot be written", PERMISSION),
    sqlite3.SQLITE_BUSY: (
        "store_busy",
        f"another process kept it locked for {BUSY_TIMEOUT_S} s",
        "try again; if it stays so, look for a stopped `assay` process",
    ),
    sqlite3.SQLITE_IOERR: (
        "store_io",
        "the disk reports an error",
        "check the disk; copy the folder away first",
    ),
    sqlite3.SQLITE_NOTADB: (
        "store_corrupt",
        "the file is not a database",
        "move it aside and run `assay restore FILE` with a backup; without one, Assay starts anew",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "store_corrupt",
        "the file is damaged",
        "move it aside and run `assay restore FILE` with a backup; `sqlite3 FILE .recover` may save rows",
    ),
}


def _explain(error: BaseException | None, name: str) -> StoreError:
    number = getattr(error, "sqlite_errorcode", None)
    if number is not None and number & 0xFF in EXPLANATIONS:
        code, what, hint = EXPLANATIONS[number & 0xFF]
        return StoreError(f"the database {name}: {what}", code=code, hint=hint)
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        code, hint = ("store_full", FULL) if full else ("store_unopened", PERMISSION)
        return StoreError(f"the database {name}: {error.strerror or error}", code=code, hint=hint)
    return StoreError(f"the database {name} cannot be used: {error}")
