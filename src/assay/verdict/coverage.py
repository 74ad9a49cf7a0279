"""What was examined, how well that is known to work, and what nobody looked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from assay.types import Coverage, Evidence, Kind, Outcome
from assay.verdict.calibration import Calibration, Context, Void
from assay.verdict.conformal import Threshold, wilson
from assay.verdict.groups import FEW, Group

PLAUSIBLE: dict[str, tuple[Kind, ...]] = {
    "image": (
        Kind.FULL_SYNTHESIS,
        Kind.INPAINTING,
        Kind.SPLICE,
        Kind.COPY_MOVE,
        Kind.RETOUCH,
        Kind.FACE_SWAP,
    ),
    "video": (Kind.FULL_SYNTHESIS, Kind.INPAINTING, Kind.SPLICE, Kind.FACE_SWAP, Kind.REENACTMENT),
    "audio": (Kind.SPEECH_SYNTHESIS, Kind.VOICE_CONVERSION, Kind.SPLICE),
}
WORDS: dict[Kind, str] = {
    Kind.FULL_SYNTHESIS: "fully synthetic media",
    Kind.INPAINTING: "filled-in regions",
    Kind.SPLICE: "splices",
    Kind.COPY_MOVE: "copies moved within the picture",
    Kind.RETOUCH: "retouching",
    Kind.FACE_SWAP: "swapped faces",
    Kind.REENACTMENT: "reenacted faces",
    Kind.SPEECH_SYNTHESIS: "synthetic speech",
    Kind.VOICE_CONVERSION: "converted voices",
    Kind.KNOWN_FAKE: "known fakes",
    Kind.TAMPERED_CREDENTIAL: "tampered credentials",
}


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a sample has no threshold."""

    void: tuple[Void, ...]  # maps that would have given it one, or without which no calibrated score is left
    sources: int | None  # bona fide ones to compare with; None: no calibrated detector spoke


def measure(
    findings: Sequence[Evidence],
    context: Context,
    panel: Collection[str],
    group: Group | None,
    threshold: Threshold | None,
    kinds: Sequence[Kind],
    void: Sequence[Void] = (),
) -> Coverage:
    """Say what of the sample was covered, `panel` being the detectors whose calibrated scores counted, `void` those whose did not.

    Returns
    -------
    coverage : Coverage
        `recall` is the 90 % interval of the share of fakes found, of the verdict's first measured kind; where the
        verdict names none, of the measured kind that is found least. None where it was not measured.
    """
    examined = tuple(dict.fromkeys(e.detector for e in findings if e.finding.outcome is Outcome.SCORED))
    recalls = recall_by_kind(group, threshold, claimed(context, panel))
    kind = next((k for k in kinds if k in recalls), None)
    if kind is None and recalls:
        kind = min(recalls, key=lambda k: recalls[k][0] / recalls[k][1])
    found, n = recalls[kind] if kind else (0, 0)
    return Coverage(
        examined=examined,
        recall=wilson(found, n) if n else None,
        n=n,
        blind_spots=(*_blind(context, panel), *map(str, void), *_silent(findings), *context.unread),
        recall_kind=kind,
    )


def void_maps(findings: Sequence[Evidence], context: Context, known: Calibration) -> tuple[Void, ...]:
    """Name the detectors whose scores do not count only because their maps are of other versions."""
    scored = dict.fromkeys(
        (e.detector, e.version)
        for e in findings
        if e.finding.outcome is Outcome.SCORED and e.finding.score is not None
    )
    found = (known.void_map(name, version, context) for name, version in scored)
    return tuple(one for one in found if one is not None)


def lack(
    context: Context, panel: Collection[str], void: tuple[Void, ...], budget: float, known: Calibration
) -> Lack:
    """Say why `panel` has no threshold at this budget: void maps, too few sources, or nobody calibrated spoke."""
    names = {*panel, *(v.detector for v in void)}
    blamed = void if not panel or known.threshold(context, names, budget) else ()
    compared = names if blamed else panel
    group = known.group(context, compared)
    return Lack(blamed, (group.sources if group else 0) if compared else None)


def claimed(context: Context, detectors: Iterable[str]) -> frozenset[Kind]:
    """Collect the kinds that these detectors claim to find."""
    return frozenset(k for name in detectors for k in context.claims.get(name, ()))


def recall_by_kind(
    group: Group | None, threshold: Threshold | None, kinds: Collection[Kind]
) -> dict[Kind, tuple[int, int]]:
    """Count, for each of `kinds` that was measured, the calibration sources found at this threshold, and all of them."""
    if group is None or threshold is None:
        return {}
    measured = {k: v for k, v in group.fakes.items() if k in kinds and len(v) >= FEW}
    return {k: (sum(x >= threshold.value for x in llrs), len(llrs)) for k, llrs in measured.items()}


def _blind(context: Context, panel: Collection[str]) -> tuple[str, ...]:
    """Name the kinds that make sense in such media and that no measured detector claims; who reads metadata sees none."""
    seen = claimed(context, panel)
    return tuple(WORDS[k] for k in PLAUSIBLE.get(context.media_family, ()) if k not in seen)


def _silent(findings: Sequence[Evidence]) -> tuple[str, ...]:
    """Name detectors that broke, and why; those that do not apply are no blind spot of this sample."""
    words = {Outcome.FAILED: "failed", Outcome.TIMED_OUT: "ran out of time"}
    broken = [e for e in findings if e.finding.outcome in words]
    return tuple(dict.fromkeys(f"{e.detector} {words[e.finding.outcome]}" for e in broken))
