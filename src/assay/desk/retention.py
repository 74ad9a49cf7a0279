"""Removing what is older than the operator wants it kept, class by class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from assay.desk.quarantine import purge
from assay.desk.stores import Deed, Stores
from assay.desk.webhooks import Webhooks
from assay.store.promises import Promises
from assay.store.tables import chores

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from assay.settings import Settings

ACTOR = "retention"
EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Enforced:
    """How many of each class were removed."""

    records: int = 0
    kept: int = 0
    quarantined: int = 0
    audit: int = 0

    @property
    def anything(self) -> bool:
        return bool(self.records or self.kept or self.quarantined or self.audit)


def enforce(settings: Settings, now: datetime | None = None) -> Enforced:
    """Apply ``[retention]`` now; a class of 0 days is kept. Half-written leftovers of kept media go, too.

    Records of what still lies in quarantine stay as long as it does.
    """
    moment = now or datetime.now(UTC)
    if not settings.stored:
        return Enforced()
    with Stores.open(settings) as stores:
        _note(stores, moment)
        return _enforce(stores, moment)


def enforce_daily(settings: Settings, now: datetime | None = None) -> Enforced | None:
    """Apply ``[retention]`` unless that was done within a day: for the end of any other work.

    Returns None where nothing was due.
    """
    moment = now or datetime.now(UTC)
    if not settings.stored:
        return None
    with Stores.open(settings) as stores:
        if not _note(stores, moment, unless_within=EVERY):
            return None
        return _enforce(stores, moment)


def _enforce(stores: Stores, now: datetime) -> Enforced:
    days = stores.settings.retention
    quarantined = 0
    if days.quarantine_days:
        limit = now - timedelta(days=days.quarantine_days)
        deed = Deed(ACTOR, f"older than {days.quarantine_days} days")
        for holding in [h for h in stores.quarantine.vault.holdings() if h.taken_at < limit]:
            purge(stores, holding, deed)
            quarantined += 1
    records = kept = audit = 0
    if days.records_days:
        held = {holding.id for holding in stores.quarantine.vault.holdings()}
        records = stores.records.expire(now - timedelta(days=days.records_days), held)
        Promises(stores.database).expire(now - timedelta(days=days.records_days))
    Webhooks(stores.database).expire(now)
    stores.pictures.sweep(stores.records.existing, now)
    if days.kept_days:
        kept = stores.blobs.expire(now - timedelta(days=days.kept_days))
    if records or kept:
        stores.audit.record(ACTOR, "expire", "-", f"{records} records, {kept} kept media")
    if days.audit_days:
        audit = stores.audit.trim(now - timedelta(days=days.audit_days), ACTOR)
    stores.blobs.sweep(now)
    return Enforced(records, kept, quarantined, audit)


def _note(stores: Stores, now: datetime, unless_within: timedelta | None = None) -> bool:
    """Note that the job runs now; False if another run is recent enough. Of two at once, one gets True."""
    with stores.database.write() as connection:
        last = _last(connection)
        if last is not None and unless_within is not None and timedelta(0) <= now - last < unless_within:
            return False
        connection.execute(chores.delete().where(chores.c.name == ACTOR))
        connection.execute(chores.insert().values(name=ACTOR, done_at=now))
    return True


def _last(connection: Connection) -> datetime | None:
    found: datetime | None = connection.execute(
        sa.select(chores.c.done_at).where(chores.c.name == ACTOR)
    ).scalar()
    return found
