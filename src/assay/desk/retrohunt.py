"""Retrohunt: what was screened before is asked again whenever signatures, the calibration or detectors have changed.

Stored fingerprints are looked up in today's signatures and stored scores weighed by today's calibration. Where pixels
must be compared, a kept copy is decoded; one in quarantine needs an identity, one that was not kept needs the sample: the
record then says so. Each record is a step of its own under the name of what it is asked with (the *cause*); a step that was
done changes nothing when it is done again, so a hunt may be killed at any moment and goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from assay.action.policy import decide, effective
from assay.case import strictest
from assay.desk.history import screening_of
from assay.errors import SampleError
from assay.report.contract import to_json
from assay.signatures import matching
from assay.signatures.audio import AudioPrint
from assay.signatures.pdq import ImagePrint
from assay.signatures.prints import CLIP, PICTURE, SOUND, restored
from assay.store.tables import fingerprints, records, verdict_changes
from assay.types import Evidence, Screening
from assay.verdict.calibration import shipped
from assay.verdict.members import verdict_of_members

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection

    from assay.desk.stores import Stores
    from assay.settings import Settings
    from assay.signatures.library import Library
    from assay.signatures.matching import Matched
    from assay.store.records import Record
    from assay.types import JSON, Verdict

Outcome = Literal["same", "changed", "needs_identity", "needs_sample", "passed_over"]
KNOWN = frozenset({"known_digest", "known_picture", "known_video", "known_sound"})
COMPARED = ("label", "action", "rule")
BATCH = 500
Tell = Callable[["Connection", str, "JSON", "JSON"], None]  # connection, source, the record before and after
Pixels = Callable[["Record"], "NDArray[Any]"]  # raises SampleError where it cannot be had


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one record."""

    record_id: str
    outcome: Outcome
    before: JSON
    after: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """What records are asked with.

    Parameters
    ----------
    library
        The signatures in force.
    fuse
        Today's calibration (`assay.desk.judging.fusing`).
    kept_pixels, held_pixels
        Decode a kept copy, or one in quarantine with an identity; None: that cannot be done here.
    screen
        Examine a kept copy of a record with today's detectors: for detectors that changed. None: stored scores are used.
    tell
        Called inside of the transaction that notes a change (`Webhooks.changed`).
    """

    stores: Stores
    library: Library
    fuse: Callable[[Screening], Verdict]
    kept_pixels: Pixels | None = None
    held_pixels: Pixels | None = None
    screen: Callable[[Record], Screening] | None = None
    tell: Sequence[Tell] = ()
    detectors: str = ""  # names detectors and versions, where `screen` is given

    @property
    def settings(self) -> Settings:
        return self.stores.settings

    @property
    def cause(self) -> str:
        """The digest of everything that a verdict of this hunt depends on."""
        known = shipped(self.settings.reasons, self.settings.paths.calibration).version
        policy = effective(self.settings.policy).digest
        opened = "identity" if self.held_pixels else ""
        parts = (str(self.library.serial), known, policy, str(self.settings.prior), self.detectors, opened)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def run(self, since: datetime | None = None) -> Iterator[Step]:
        """Take every record that is no member of another, the oldest first, and yield what is not the same."""
        cause = self.cause
        for record_id in self.waiting(since):
            done = self.step(record_id, cause)
            if done is not None and done.outcome not in ("same", "passed_over"):
                yield done

    def waiting(self, since: datetime | None = None) -> list[str]:
        """Ids of the records to ask, oldest first: what a queue is given, one step each."""
        query = sa.select(records.c.id).where(records.c.parent_id.is_(None), records.c.label.is_not(None))
        if since is not None:
            query = query.where(records.c.screened_at >= since)
        with self.stores.database.read() as connection:
            found = connection.execute(query.order_by(records.c.screened_at, records.c.id))
            return [str(i) for i in found.scalars()]

    def step(self, record_id: str, cause: str | None = None) -> Step | None:
        """Ask one record. None where it is gone, or was asked with the same before."""
        from assay.errors import StoreError

        named = cause or self.cause
        with self.stores.database.read() as connection:
            mine = (verdict_changes.c.record_id == record_id) & (verdict_changes.c.cause == named)
            if connection.execute(sa.select(verdict_changes.c.id).where(mine)).first() is not None:
                return None
        try:
            record = self.stores.records.find(record_id)
        except StoreError as e:
            if e.code != "not_found":
                raise
            return None
        return self._asked(record, named)

    def _asked(self, record: Record, cause: str) -> Step:
        before = latest(self.stores, record)
        needs: list[Outcome] = []
        after = to_json(self._judged(record, needs))
        changed = any(before[name] != after[name] for name in COMPARED)
        outcome: Outcome = "changed" if changed else needs[0] if needs else "same"
        if "needs_identity" in needs:
            outcome = "needs_identity"  # it lies in quarantine: nothing is said of it before it was looked at
        if outcome == "same":
            return Step(record.id, outcome, before, after)
        with self.stores.database.write() as connection:
            mine = (verdict_changes.c.record_id == record.id) & (verdict_changes.c.cause == cause)
            if connection.execute(sa.select(verdict_changes.c.id).where(mine)).first() is not None:
                return Step(record.id, "passed_over", before, after)  # another one was faster
            row = {
                "record_id": record.id, "cause": cause, "changed_at": datetime.now(UTC), "outcome": outcome,
                "before": json.dumps(before), "after": json.dumps(after if outcome != "needs_identity" else before),
            }  # fmt: skip
            connection.execute(verdict_changes.insert().values(row))
            for tell in self.tell if outcome == "changed" else ():
                tell(connection, record.source, before, after)
        return Step(record.id, outcome, before, after)

    def _judged(self, record: Record, needs: list[Outcome]) -> Screening:
        """Judge a record and what was found inside of it."""
        screening = self._examined(record, needs)
        if screening.verdict is None:
            return screening
        own = [e for e in screening.verdict.evidence if e.detector not in KNOWN]
        told = self._looked_up(record, needs)
        if any(e.detector == "known_digest" for e in told):
            own = []  # as in screening: it decides
        evidence = tuple(replace(e, llr=None) for e in [*told, *own])
        verdict = self.fuse(replace(screening, verdict=replace(screening.verdict, evidence=evidence)))
        inside = [self._judged(r, needs) for r in self.stores.records.inside(record.id)]
        members = [(s.path, s.verdict) for s in inside if s.verdict is not None]
        if members:
            verdict = verdict_of_members(verdict, members)
        others = [s.decision for s in inside if s.decision is not None]
        decision = strictest(decide(verdict, self.settings.policy), others)
        return replace(screening, verdict=verdict, decision=decision)

    def _examined(self, record: Record, needs: list[Outcome]) -> Screening:
        """Findings of today's detectors where a copy was kept and that is wanted, else those that were stored."""
        stored = screening_of(record)
        if self.screen is None:
            return stored
        if not self.stores.blobs.holds(record.sha256):
            needs.append("needs_identity" if record.quarantine_id else "needs_sample")
            return stored
        fresh = self.screen(record)
        kept = replace(fresh.sample, id=stored.sample.id, source=stored.sample.source)
        return replace(fresh, sample=kept, path=stored.path, quarantine_id=stored.quarantine_id)

    def _looked_up(self, record: Record, needs: list[Outcome]) -> list[Evidence]:
        known = matching.of_digest(self.library, self.stores.judgements.known, record.sha256)
        if known is not None:
            return [known]
        found: list[Matched | None] = []
        for name, data in prints_of(self.stores, record.id).items():
            taken = restored(name, data)
            if isinstance(taken, ImagePrint):
                found.append(self._picture(record, taken, needs))
            elif isinstance(taken, AudioPrint):
                found.append(matching.of_sound(self.library, taken))
            else:
                found.append(matching.of_clip(self.library, taken))
        return [m.evidence for m in found if m is not None]

    def _picture(self, record: Record, taken: ImagePrint, needs: list[Outcome]) -> Matched | None:
        pixels = None
        if matching.needs_pixels(self.library, taken):
            wanted = self._source(record)
            if isinstance(wanted, str):
                needs.append(wanted)
            else:
                try:
                    pixels = wanted(record)
                except SampleError:
                    needs.append("needs_sample")
        return matching.of_picture(self.library, taken, pixels)

    def _source(self, record: Record) -> Pixels | Outcome:
        """Where the pixels of a record can be had, or what is missing for it."""
        if self.kept_pixels is not None and self.stores.blobs.holds(record.sha256):
            return self.kept_pixels
        if record.quarantine_id == record.sha256:
            return self.held_pixels or "needs_identity"
        return "needs_identity" if record.quarantine_id else "needs_sample"


def prints_of(stores: Stores, record_id: str) -> dict[str, bytes]:
    """The stored fingerprints of a record, by format."""
    kinds = fingerprints.c.kind.in_((PICTURE, CLIP, SOUND))
    query = sa.select(fingerprints.c.kind, fingerprints.c.value)
    with stores.database.read() as connection:
        rows = connection.execute(query.where(fingerprints.c.record_id == record_id, kinds))
        return {row.kind: row.value for row in rows}


def latest(stores: Stores, record: Record) -> JSON:
    """What is said of a record today: its own document, or that of the newest change."""
    changed = changes_of(stores, [record.id])
    return changed[-1].after if changed else record.document


@dataclass(frozen=True, slots=True)
class Change:
    """What a retrohunt found of one record."""

    record_id: str
    changed_at: datetime
    outcome: Outcome
    before: JSON
    after: JSON


def changes_of(stores: Stores, ids: Iterable[str]) -> list[Change]:
    """What hunts found of these records, oldest first."""
    wanted = list(ids)
    found: list[Change] = []
    if not wanted:
        return found
    with stores.database.read() as connection:
        for at in range(0, len(wanted), BATCH):
            mine = verdict_changes.c.record_id.in_(wanted[at : at + BATCH])
            query = sa.select(verdict_changes).where(mine).order_by(verdict_changes.c.id)
            found += [
                Change(r.record_id, r.changed_at, r.outcome, json.loads(r.before), json.loads(r.after))
                for r in connection.execute(query)
            ]
    return found


def changes(stores: Stores, outcome: Outcome | None = None) -> Iterator[Change]:
    """Everything that hunts found, oldest first."""
    query = sa.select(verdict_changes).order_by(verdict_changes.c.id)
    if outcome is not None:
        query = query.where(verdict_changes.c.outcome == outcome)
    with stores.database.read() as connection:
        for r in connection.execution_options(yield_per=200).execute(query):
            yield Change(r.record_id, r.changed_at, r.outcome, json.loads(r.before), json.loads(r.after))
