"""Reviewers' labels as rows of a calibration, each weighed by how its sample came before the reviewer.

What was drawn at random stands for the others that were not drawn: 1 over the share. What was quarantined was chosen by the
very verdict that is calibrated: it says something of how scores relate to truth, but it cannot measure how often the panel
is wrong. So it goes into the maps with the weight 1, and into no pool that a threshold is set on or a recall counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.bench.rows import Row, Scores
from assay.media.identify import family_of
from assay.store.feedback import Feedback
from assay.store.records import Filter
from assay.types import JSON, Kind
from assay.verdict.calibration import Calibration, Context, panel_llr

if TYPE_CHECKING:
    from assay.desk.stores import Stores
    from assay.store.feedback import Label
    from assay.store.records import Record

NO_KIND = frozenset({str(Kind.KNOWN_FAKE), str(Kind.TAMPERED_CREDENTIAL)})


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits to be calibrated with."""

    rows: tuple[Row, ...]
    ids: tuple[int, ...]  # of the labels that the rows are made of
    left_out: Mapping[str, int]  # why labels were not used, and how many

    @property
    def drawn(self) -> tuple[Row, ...]:
        """Those that were drawn at random."""
        return tuple(r for r in self.rows if r.drawn)


def pending(stores: Stores, cards: Mapping[str, JSON]) -> Pending:
    """Make rows of the pending labels whose samples were scored by these versions of the detectors.

    The newest label of a sample counts. Weights are scaled so that a label weighs 1 on average, as a source does.
    """
    newest = {label.sha256: label for label in Feedback(stores.database).labels(pending=True)}
    rows: list[Row] = []
    ids: list[int] = []
    left_out: dict[str, int] = {}
    for sha256, label in newest.items():
        found = _row(stores, label, cards)
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
            continue
        rows.append(found)
        ids.append(label.id)
        assert found.source == f"feedback:{sha256}"
    total = sum(r.weight for r in rows)
    scaled = tuple(replace(r, weight=r.weight * len(rows) / total) for r in rows)
    return Pending(scaled, tuple(ids), left_out)


def joined(scores: Scores, found: Pending) -> Scores:
    """The scores of a bench run with feedback beside them."""
    labels = ",".join(map(str, sorted(found.ids)))
    return Scores((*scores.rows, *found.rows), scores.cards, {**scores.inputs, "feedback": labels})


def alarms(known: Calibration, rows: Sequence[Row], budget: float) -> tuple[int, int]:
    """How many bona fide rows a calibration would call fake at the budget, and how many it has a threshold for."""
    over = judged = 0
    for row in rows:
        if row.fake:
            continue
        llrs = {
            name: llr
            for name, score in row.scores.items()
            if name in known.maps
            and (llr := known.llr_of_score(name, known.maps[name].version, score, row.context)) is not None
        }
        limit = known.threshold(row.context, llrs, budget) if llrs else None
        if limit is not None:
            judged += 1
            over += panel_llr(llrs, row.context.media_family, known) >= limit.value
    return over, judged


def _row(stores: Stores, label: Label, cards: Mapping[str, JSON]) -> Row | str:
    record = next(iter(stores.records.select(Filter(sha256=label.sha256))), None)
    if record is None:
        return "no record of the sample is left"
    scores = _scores(record, cards)
    if not scores:
        return "no detector of these versions scored it"
    fake = label.said == "fake"
    kind = next((k for k in record.document["kinds"] if k not in NO_KIND), "") if fake else ""
    if fake and not kind:
        return "it is a fake of no kind that was named"
    d = record.document
    size = (int(d["width"]), int(d["height"])) if d["width"] else None
    context = Context(media_family=family_of(d["media_type"]), size_px=size, quality=record.quality)
    return Row(
        name=f"feedback:{label.sha256}", source=f"feedback:{label.sha256}", fake=fake, kind=kind,
        context=context, scores=scores, generator="", laundering="as it came", family="feedback",
        weight=1 / max(label.share, 1e-6), drawn=label.chosen == "review",
    )  # fmt: skip


def _scores(record: Record, cards: Mapping[str, JSON]) -> dict[str, float]:
    """Scores of the detectors that are calibrated, of their versions; a detector's mean where it spoke several times."""
    said: dict[str, list[float]] = {}
    for e in record.document["evidence"]:
        card = cards.get(e["detector"])
        if card is not None and card["version"] == e["version"] and e["score"] is not None:
            said.setdefault(e["detector"], []).append(float(e["score"]))
    return {name: sum(values) / len(values) for name, values in said.items()}
