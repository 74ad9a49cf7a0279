"""All that is stored, on this machine or where several share it, opened together for people's work with it."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from assay.action.quarantine import Quarantine
from assay.desk.pictures import Pictures
from assay.objects import place
from assay.report.contract import to_json
from assay.store.audit import Audit
from assay.store.blobs import Blobs
from assay.store.database import Database
from assay.store.judgements import Judgements
from assay.store.locks import Locks
from assay.store.records import Records
from assay.store.waiting import Waiting

if TYPE_CHECKING:
    from assay.settings import Settings


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one installation; close it, or use it as a context manager."""

    settings: Settings
    database: Database
    records: Records
    judgements: Judgements
    audit: Audit
    blobs: Blobs
    quarantine: Quarantine
    waiting: Waiting
    pictures: Pictures

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the stores; nothing is made or read before it is needed."""
        database = Database(settings.database)
        paths, url = settings.paths, settings.store.media
        return cls(
            settings,
            database,
            Records(database, to_json),
            Judgements(database),
            Audit(database),
            Blobs(place(url, paths.media)),
            quarantine(settings, database),
            Waiting(place(url, paths.spool)),
            Pictures(place(url, paths.pictures)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()


def quarantine(settings: Settings, database: Database) -> Quarantine:
    """Open the quarantine: in its folder, or in the bucket that all machines of this database share."""
    folder, url = settings.paths.quarantine, settings.store.media
    if not url:
        return Quarantine(folder)
    lock = Locks(database) if database.path is None else None  # with SQLite there is one machine
    return Quarantine(folder, place=place(url, folder), lock=lock)


@dataclass(frozen=True, slots=True)
class Deed:
    """Who does something, and why: what the audit keeps."""

    actor: str
    reason: str


def person() -> str:
    """Name the person at the terminal, as the system knows them; behind sudo the one who called it."""
    name = os.environ.get("SUDO_USER", "")
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
