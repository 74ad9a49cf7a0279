"""docs/scoreboard.md, from scores files alone: the same files give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from assay.bench.calibrate import QUALITIES, REPLICATES, Calibrated, calibrate
from assay.bench.cells import AS_IS
from assay.bench.rows import Row, read_scores
from assay.bench.scoreboard import (
    Judged,
    alarms_table,
    contributions,
    contributions_table,
    detectors_table,
    judge,
    panel_table,
    parts_by,
    regions_table,
)
from assay.types import JSON

CAMERA = "camera"  # the family of camera files as they are
BASE = "jpeg95"  # what pictures that are no forgeries are brought to before anything else
RANGE = 85  # the JPEG quality at which the range saves unless it is told otherwise
FORGERIES: dict[str, Callable[[Row], bool]] = {
    "saved once at JPEG 85": lambda r: r.context.quality == RANGE,
    "saved at other JPEG qualities": lambda r: r.context.quality not in (None, 0, RANGE),
    "of large size, saved as JPEG": lambda r: bool(r.context.quality) and r.context.size_bin == "large",
    "saved as PNG": lambda r: not r.context.quality,
}


def page(paths: Sequence[Path], *, replicates: int = REPLICATES) -> str:
    """Write docs/scoreboard.md from scores files alone; the same files give the same bytes.

    Parameters
    ----------
    paths
        docs/scoreboard/*.parquet.
    replicates
        Bootstrap samples by which the calibration chooses its maps.
    """
    scores = read_scores(paths)
    found = calibrate(scores, replicates=replicates)
    judged = judge(found)
    abouts = [about(p) for p in paths]
    return "\n".join((*_head(paths, abouts, judged), *_body(judged, found), *_drawn(abouts), ""))


def about(path: Path) -> JSON:
    """What a scores file says of how it was made."""
    from pyarrow import parquet

    told: JSON = json.loads(parquet.ParquetFile(path).schema_arrow.metadata[b"assay"])
    return told


def _head(paths: Sequence[Path], abouts: Sequence[JSON], judged: Sequence[Judged]) -> Iterator[str]:
    yield from (
        "# The scoreboard",
        "",
        "Written by `make scoreboard` from the scores beside it; [how to read it, and what it does not say](calibrate.md).",
        "Metadata, credentials and their detectors are off. Nothing that judges a row saw its source: heads of",
        "`learned_image` also nothing of its generator; maps and thresholds are cross-fitted over sources. Brackets hold 95 %",
        "intervals, sources (cameras, persons, pictures) drawn anew; n is rows, then sources. Thresholds allow 1 % false alarms.",
        "ECE and Cllr are at a prior of one half. Judgement of our own entered: methods, rules and the choice of heads were made",
        "while looking at these sources. Reconstructions count as retouched pictures, by a choice made after their effect was seen.",
        "`learned_edit` learned from other forgeries by the same makers of the range: of forgeries by others this page says nothing.",
        "`decoder_residual` learned from decoders that are built and trained like those of the range, and from none of these.",
        "",
        "| corpus | samples | rows | settings | SHA-256 |",
        "|---|---|---|---|---|",
    )
    for path, told in zip(paths, abouts, strict=True):
        own = ", ".join(f"{k} {v}" for k, v in sorted(told.get("settings", {}).items()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        yield f"| [{path.stem}](scoreboard/{path.name}) | {told.get('samples', '')} | {told.get('rows', '')} | {own} | `{digest}` |"
    honest = sum(not j.row.fake for j in judged)
    yield f"\n{honest} bona fide and {len(judged) - honest} fake renditions. Assay {abouts[0]['assay']}, launderings of version {abouts[0]['laundering_version']}."


def _body(judged: Sequence[Judged], found: Calibrated) -> Iterator[str]:
    coded = [j for j in judged if j.row.family != CAMERA]  # both classes written by one encoder
    twins = {"splice", "copy_move", "inpaint", "reconstruct"}
    yield "\n## Detectors, peers and the panel\n\nAll launderings together, camera files as they are left out.\n"
    yield from detectors_table(coded, found)
    yield "\n## What each detector adds\n\nThe fused result with it less that without it, paired over the same drawn sources.\n"
    yield from contributions_table(contributions(found, lambda r: r.family != CAMERA))
    yield "\n## The panel by kind\n\nFakes of a kind against all bona fide renditions. *Blind spots*: of kinds that no detector looked for there.\n"
    first = [j for j in coded if _not_sent_on(j.row, twins)]
    unseen = {j.row.name for j in coded if j.row.fake and not found.looks_for(j.row.kind, j.llrs)}
    yield from panel_table(
        {
            "all": coded,
            "all, before launderings": first,
            "all, without blind spots": [j for j in coded if j.row.name not in unseen],
            "blind spots": [j for j in coded if not j.row.fake or j.row.name in unseen],
            **parts_by(coded, lambda r: r.kind, shared_bona_fide=True),
        },
        "kind",
    )
    yield "\n## The panel by generator\n\nEach was new to every head that judged it. Against all bona fide renditions.\n"
    yield from panel_table(parts_by(coded, _maker, shared_bona_fide=True), "generator")
    yield "\n## Forgeries against their own twins\n\nSame content, size and saves: what is left is the forgery.\n"
    matched = [j for j in first if j.row.family in twins]
    yield from panel_table(parts_by(matched, lambda r: r.family, shared_bona_fide=False), "made by")
    yield "\n## The panel by laundering\n"
    yield from panel_table(parts_by(coded, lambda r: r.laundering, shared_bona_fide=False), "laundering")
    forged = [j for j in coded if not j.row.fake or j.row.family in twins - {"reconstruct"}]
    sent = parts_by(
        [j for j in forged if j.row.laundering != AS_IS], lambda r: r.laundering, shared_bona_fide=False
    )
    yield "\n## Forgeries by laundering\n\nSplices, copy-moves and inpaintings that were sent on, against all bona fide renditions sent the same way.\n"
    yield from panel_table({k: v for k, v in sent.items() if any(j.row.fake for j in v)}, "laundering")
    yield "\n## The panel by size\n"
    yield from panel_table(
        parts_by(coded, lambda r: r.context.size_bin or "", shared_bona_fide=False), "short side"
    )
    yield "\n## False alarms\n\nSources drawn anew.\n"
    camera = [j for j in judged if j.row.family == CAMERA]
    sources = {j.row.source for j in camera}
    cells = [j for j in coded if not j.row.fake and j.row.source in sources]
    parts = {"camera files as they are": camera, "camera photos x launderings": cells}
    yield from alarms_table(
        parts | {f"of {k}": v for k, v in parts_by(coded, lambda r: r.family, shared_bona_fide=False).items()}
    )
    for name, chosen in FORGERIES.items():
        own = [j for j in matched if chosen(j.row)]
        yield f"\n## Forgeries {name}\n\nAgainst their own twins. Region F1 is over pixels, 0 where no region was shown; *panel*: of the detector that said most for a fake.\n"
        parts = parts_by(own, lambda r: r.family, shared_bona_fide=False)
        if "other" in name:
            parts |= parts_by(own, _saved, shared_bona_fide=False)
        yield from panel_table(parts, "made by")
        yield ""
        yield from regions_table([j for j in own if j.row.fake and j.row.family != "reconstruct"])


def _not_sent_on(r: Row, forged: Collection[str]) -> bool:
    """Is it as its corpus codes all of its samples, by no drawn laundering?"""
    return r.laundering == AS_IS or (r.laundering == BASE and r.family not in forged)


def _maker(r: Row) -> str:
    return r.generator


def _saved(r: Row) -> str:
    """The range of its last JPEG quality."""
    low, high = next(q for q in QUALITIES if q[0] <= (r.context.quality or 0) <= q[1])
    return f"any, last save at {low}-{high}"


def _drawn(abouts: Sequence[JSON]) -> Iterator[str]:
    from assay.range.distribution import rows

    for told in abouts:
        if told.get("distribution"):
            yield f"\n## What {told['corpus']} was drawn from\n\n| generator | drawn | least [quarters] largest, or how often |\n|---|---|---|"
            yield from (f"| {' | '.join(cells)} |" for cells in rows(told["distribution"]))
