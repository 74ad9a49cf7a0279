"""Judging a stored screening again: today's calibration, fusion and policy on the findings of then.

Or, where a copy of the sample was kept, on what today's detectors find in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from assay.desk.history import screening_of
from assay.errors import StoreError
from assay.report.contract import to_json
from assay.types import JSON, Screening, Verdict
from assay.verdict.members import verdict_of_members

if TYPE_CHECKING:
    from assay.store.blobs import Blobs
    from assay.store.records import Record, Records
    from assay.types import Decision

# What a verdict consists of, in the words of the JSON contract.
COMPARED = (
    "label", "why", "llr", "probability", "prior", "threshold", "kinds", "disclosed", "action", "rule", "calibration",
    "policy_digest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs: of the verdict, or ``llr of DETECTOR``."""

    field: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Replay:
    """A screening as it was recorded, as it would be judged today, and what differs."""

    before: Screening
    after: Screening
    changes: tuple[Change, ...]


def replay(
    records: Records,
    prefix: str,
    fuse: Callable[[Screening], Verdict],
    decide: Callable[[Verdict], Decision],
) -> Replay:
    """Recompute the verdict and the decision of one record; nothing is stored.

    Parameters
    ----------
    prefix : str
        The beginning of a record's id.
    fuse : callable
        Weighs the findings of a screening, whose evidence carries no LLR any more.
    decide : callable
        Applies the policy.

    Raises
    ------
    StoreError
        If there is no such record, or it has no verdict: nothing was examined then.
    """
    record = records.find(prefix)
    before = screening_of(record)
    if before.verdict is None:
        reason = before.error.message if before.error else "it has no verdict"
        raise StoreError(
            f"nothing was examined then: {reason}", code="no_verdict", hint="screen the sample again"
        )
    verdict = _fused(records, record, fuse)
    after = replace(before, verdict=verdict, decision=decide(verdict))
    return Replay(before, after, tuple(_changes(to_json(before), to_json(after))))


def examine_again(
    records: Records, prefix: str, blobs: Blobs, screen: Callable[[BinaryIO, str], Screening]
) -> Replay:
    """Examine the kept copy of one record's sample with the detectors of today; nothing is stored.

    Parameters
    ----------
    prefix : str
        The beginning of a record's id.
    screen : callable
        Examines a stream of bytes that came by this name.

    Raises
    ------
    StoreError
        If there is no such record, or no copy of its sample.
    """
    record = records.find(prefix)
    before = screening_of(record)
    if not blobs.holds(record.sha256):
        raise StoreError(
            "no copy of this sample was kept",
            code="not_kept",
            hint="keep copies with `assay screen --keep`; release a quarantined sample and screen it again",
        )
    with tempfile.TemporaryFile() as copy:
        for piece in blobs.read(record.sha256):
            copy.write(piece)
        copy.seek(0)
        after = screen(copy, before.path)
    return Replay(before, after, tuple(_changes(to_json(before), to_json(after))))


def _fused(records: Records, record: Record, fuse: Callable[[Screening], Verdict]) -> Verdict:
    screening = screening_of(record)
    assert screening.verdict is not None
    raw = tuple(replace(e, llr=None) for e in screening.verdict.evidence)
    own = fuse(replace(screening, verdict=replace(screening.verdict, evidence=raw)))
    inside = [r for r in records.inside(record.id) if r.document["label"]]
    members = [(str(r.document["path"]), _fused(records, r, fuse)) for r in inside]
    return verdict_of_members(own, members) if members else own


def _changes(before: JSON, after: JSON) -> list[Change]:
    changes = [Change(name, before[name], after[name]) for name in COMPARED if before[name] != after[name]]
    then = {e["detector"]: e for e in before["evidence"]}
    for now in after["evidence"]:
        old = then.get(now["detector"])
        changes += [
            Change(f"{field} of {now['detector']}", old and old[field], now[field])
            for field in ("score", "llr")
            if old is None or old[field] != now[field]
        ]
    return changes
