"""Removing all that is stored of a sample or a source: records, pictures, labels, kept media, quarantine and the rest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.desk.signatures import withdraw_of
from assay.desk.webhooks import Webhooks
from assay.errors import QuarantineError
from assay.store.audit import Audit
from assay.store.feedback import Feedback
from assay.store.jobs import Jobs
from assay.store.judgements import Judgements
from assay.store.promises import Promises
from assay.store.tables import storable

if TYPE_CHECKING:
    from pathlib import Path

    from assay.desk.stores import Deed, Stores
    from assay.store.records import Removed


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed, counted; `known` tells if a digest that people entered was left as it is."""

    records: int
    fingerprints: int
    labels: int
    kept: int
    quarantined: int
    known_removed: int
    known_left: int
    copies: tuple[Path, ...]  # backups and the like below the data folder, which were not looked into


def forget_sample(stores: Stores, sha256: str, deed: Deed, *, known: bool = False) -> Forgotten:
    """Remove what is stored of one content, of what was found inside of it, and of what it was found inside of: its
    bytes lie in there, too.

    Parameters
    ----------
    sha256 : str
        In full: a beginning could name more than was meant.
    known : bool
        Remove its entry among the known digests as well; the content is judged anew then.
    """
    removed = stores.records.remove(sha256=sha256)
    return _forget(stores, removed, {sha256}, sha256, deed, known=known)


def forget_source(stores: Stores, source: str, deed: Deed, *, known: bool = False) -> Forgotten:
    """Remove what is stored of all that came from one source. The audit keeps a digest of its name only."""
    removed = stores.records.remove(source=source)
    mark = hashlib.sha256(storable(source).encode()).hexdigest()
    return _forget(stores, removed, set(), f"source:{mark}", deed, known=known, source=source)


def _forget(
    stores: Stores,
    removed: Removed,
    named: set[str],
    target: str,
    deed: Deed,
    *,
    known: bool,
    source: str | None = None,
) -> Forgotten:
    digests = sorted(removed.digests | named)
    places = sorted(set(digests) | removed.carriers)
    labels = known_removed = known_left = 0
    with stores.database.write() as connection:
        for digest in digests:
            labels += Judgements.remove_labels(connection, digest)
            Feedback.remove(connection, digest)
            if known:
                known_removed += Judgements.remove_known(connection, digest)
                withdraw_of(connection, digest, deed)
        Webhooks.forget(connection, removed.ids)
        Promises.forget(connection, removed.ids)
        jobs = Jobs.forget(connection, digests=digests, ids=removed.ids, source=source)
        Audit.append(connection, deed.actor, "forget", target, deed.reason)
    for job in jobs:  # what waits for its verdict is not examined any more
        stores.waiting.remove(job)
    stores.pictures.remove(removed.ids)
    kept = sum(stores.blobs.remove(digest) for digest in places)
    quarantined = sum(_purged(stores, digest) for digest in sorted(set(places) | removed.quarantine_ids))
    if not known:
        known_left = sum(stores.judgements.known(digest) is not None for digest in digests)
    stores.database.scrub()
    return Forgotten(
        records=removed.records,
        fingerprints=removed.fingerprints,
        labels=labels,
        kept=kept,
        quarantined=quarantined,
        known_removed=known_removed,
        known_left=known_left,
        copies=_copies(stores),
    )


def _copies(stores: Stores) -> tuple[Path, ...]:
    paths = stores.settings.paths
    return (*sorted(paths.backups.glob("*")), *sorted(paths.data.glob("before-restore-*")))


def _purged(stores: Stores, digest: str) -> bool:
    try:
        holding = stores.quarantine.vault.find(digest)
    except QuarantineError:
        return False
    stores.quarantine.vault.remove(holding)
    return True
