"""What people say of verdicts: reviewers' labels, which wait until somebody calibrates with them, and clients' notes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assay.errors import StoreError
from assay.store.audit import Audit
from assay.store.feedback import Feedback
from assay.store.judgements import Judgements
from assay.types import Action

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from assay.desk.stores import Deed, Stores
    from assay.settings import Settings
    from assay.store.judgements import Said
    from assay.types import Screening

PASSED = (Action.DELIVER, Action.LABEL)


def draw(connection: Connection, screening: Screening, settings: Settings) -> bool:
    """Offer a delivered sample for review, with the probability ``signatures.review_share``, in the transaction that
    records it; says if it was drawn.

    The draw is made of the screening's id, which is random: repeated, it has the same outcome.
    """
    share = settings.signatures.review_share
    decided = screening.decision
    if decided is None or decided.action not in PASSED or screening.verdict is None:
        return False
    if not drawn(screening.sample.id, share):
        return False
    Feedback.offer(connection, screening.sample.id, share, datetime.now(UTC))
    return True


def drawn(record_id: str, share: float) -> bool:
    """Does this id fall into the share?"""
    number = int.from_bytes(hashlib.sha256(b"review:" + record_id.encode()).digest()[:8], "big")
    return number < share * 2.0**64


def label(connection: Connection, sha256: str, said: Said, deed: Deed) -> None:
    """Keep a reviewer's word as a pending label, with how the sample came before them."""
    share = Feedback.answer(connection, sha256, datetime.now(UTC))
    Judgements.label(
        connection, sha256, said, actor=deed.actor, reason=deed.reason,
        chosen="quarantine" if share is None else "review", share=1.0 if share is None else share,
    )  # fmt: skip


def review(stores: Stores, record_id: str, said: Said, deed: Deed) -> str:
    """Answer for a sample that was drawn for review; returns its digest.

    Raises
    ------
    StoreError
        If there is no such record.
    """
    record = stores.records.find(record_id)
    if not record.sha256:
        raise StoreError("nothing was read of it: there is nothing to judge", code="no_digest")
    with stores.database.write() as connection:
        label(connection, record.sha256, said, deed)
        Audit.append(connection, deed.actor, f"review-{said}", record.sha256, deed.reason)
    return record.sha256


def note(stores: Stores, sha256: str, said: str, client: str, text: str = "") -> None:
    """Keep what a client says of a verdict. It is a note: no label, no signature, and nothing is judged by it."""
    with stores.database.write() as connection:
        Feedback.note(connection, sha256, said, client, text[:4000])
