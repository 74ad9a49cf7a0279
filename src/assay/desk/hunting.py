"""Retrohunts by themselves: whenever signatures, calibration or policy changed, what was delivered is asked again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from assay.desk import judging, pulling
from assay.desk.retrohunt import Hunt, Tell
from assay.desk.stores import Deed
from assay.errors import AssayError
from assay.store.tables import chores

if TYPE_CHECKING:
    from assay.desk.stores import Stores
    from assay.signatures.library import Library

log = logging.getLogger(__name__)

BACK = timedelta(days=30)  # of records that are asked; `assay retrohunt` goes as far back as it is told
ACTOR = "gateway"


def hunt_if_due(
    stores: Stores, library: Library, tell: Sequence[Tell], *, stopping: Callable[[], bool] = lambda: False
) -> int | None:
    """Ask the records of the last month again, if that was not done under the rules of today; returns how many changed.

    None where nothing was due. A hunt that is stopped, or killed, begins anew; records that were asked are passed over.
    Several gateways that hunt at once find the same, and note it once.
    """
    hunt = Hunt(stores=stores, library=library, fuse=judging.fusing(stores.settings), tell=tell)
    cause = hunt.cause
    name = f"hunt:{cause[:32]}"
    with stores.database.read() as connection:
        if connection.execute(sa.select(chores.c.name).where(chores.c.name == name)).first():
            return None
    changed = 0
    for record_id in hunt.waiting(datetime.now(UTC) - BACK):
        if stopping():
            return changed
        step = hunt.step(record_id, cause)
        changed += step is not None and step.outcome == "changed"
    with stores.database.write() as connection:
        connection.execute(chores.delete().where(chores.c.name == name))
        connection.execute(chores.insert().values(name=name, done_at=datetime.now(UTC)))
    if changed:
        log.info("a retrohunt changed %d verdicts", changed)
    return changed


def pull_all(stores: Stores) -> None:
    """Pull every pack again that was pulled before; one that cannot be had leaves the older issue in force."""
    for name, url in pulling.sources(stores):
        try:
            issue = pulling.pull(stores, url, Deed(ACTOR, "pulled on schedule"), name=name)
        except AssayError as e:
            log.warning("the pack %s was not pulled: %s", name, e.message)
        else:
            log.info("the pack %s has the serial %d", name, issue.header.serial)
