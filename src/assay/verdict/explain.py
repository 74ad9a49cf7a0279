"""The sentences a person reads first: how strong, what, where, why, how sure, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.settings import Settings
from assay.types import Kind, Label, Outcome, Problem, Reason, Region, Status, Verdict, Why
from assay.verdict.calibration import ANEW, Context, Weight
from assay.verdict.conformal import Threshold, sources_needed, wilson
from assay.verdict.coverage import WORDS, Lack

NOTABLE = 1.0  # nats: from here on an inconclusive verdict says that something was found
WEAK, STRONG = 2.0, 4.6  # nats: under the first evidence is weak, from the second on it is strong
CLAIMS: dict[Kind, str] = {
    Kind.FULL_SYNTHESIS: "made entirely by a machine",
    Kind.INPAINTING: "filled in or blotted out in part",
    Kind.SPLICE: "put together from different sources",
    Kind.COPY_MOVE: "altered by copying parts of itself",
    Kind.RETOUCH: "retouched",
    Kind.FACE_SWAP: "given another face",
    Kind.REENACTMENT: "given another face's movements",
    Kind.SPEECH_SYNTHESIS: "spoken by a machine",
    Kind.VOICE_CONVERSION: "given another voice",
    Kind.KNOWN_FAKE: "listed as a fake",
    Kind.TAMPERED_CREDENTIAL: "changed after its credential was signed",
}
NOUNS = {"image": "pictures", "video": "videos", "audio": "recordings"}
SIZES = {
    "small": "with a short side under 256 pixels",
    "medium": "with a short side of 256 to 1023 pixels",
    "large": "with a short side of 1024 pixels or more",
}
# Said first though they make nothing a fake: why it is held, and what was found and is no manipulation of what it shows.
STATED = frozenset({"near_fake_unclear", "near_fake_unchecked", "scene_of_known_fake", "decoder_traces"})
SEVERAL = "No single trace stands out: several weak ones add up."
Told = Sequence[tuple[Reason, Weight]]
Recalls = Mapping[Kind, tuple[int, int]]


def strength(llr: float) -> str:
    """Name the strength of evidence of `llr` nats, in either direction."""
    size = abs(llr)
    return "weak" if size < WEAK else "moderate" if size < STRONG else "strong"


def summarise(
    verdict: Verdict,
    told: Told,
    recalls: Recalls,
    context: Context,
    threshold: Threshold | None,
    settings: Settings,
    lack: Lack | None = None,
) -> str:
    """Say a verdict in a few sentences.

    Parameters
    ----------
    verdict
        Its summary is not read.
    told
        The reasons that counted, with their weights. Only the table's words are used: a detector's own may quote
        the sample, and a sample must not speak in a verdict.
    recalls
        For each measured kind, how many calibration sources were found at this threshold, and of how many.
    context, threshold, settings
        As the verdict was made with.
    lack
        Why there is no threshold, where there is none.
    """
    if verdict.label is Label.FAKE:
        parts = [
            _fake(verdict),
            _strongest(told, verdict, 1),
            _odds(verdict),
            _promise(verdict, context, threshold),
        ]
    elif verdict.label is Label.BONA_FIDE:
        parts = ["Strong evidence that it is bona fide.", _strongest(told, verdict, -1), _odds(verdict)]
    else:
        parts = [
            *_inconclusive(verdict, told, lack, _uncovered(lack, context, settings)),
            _recall(verdict, context, recalls),
            _unseen(verdict),
        ]
    return " ".join(p for p in parts if p)


def explain_problem(problem: Problem, status: Status) -> str:
    """Say why there is no verdict and what to do, in sentences."""
    opening = {
        Status.REFUSED: "Not examined",
        Status.UNSUPPORTED: "Not examined, since Assay does not read this type",
        Status.FAILED: "Could not be examined",
    }.get(status, "No verdict")
    return " ".join(_sentence(p) for p in (f"{opening}: {problem.message}", problem.hint) if p)


def _fake(verdict: Verdict) -> str:
    if Kind.KNOWN_FAKE in verdict.kinds:
        return "It is a known fake."
    word = strength(verdict.llr).capitalize()
    what = _either([CLAIMS[k] for k in verdict.kinds if k is not Kind.TAMPERED_CREDENTIAL])
    declared = ", as it declares itself" if verdict.disclosed else ""
    return f"{word} evidence that it was {what or 'manipulated'}{declared}{_where(verdict)}."


def _either(claims: Sequence[str]) -> str:
    """Join claims with "or": a trace that several kinds leave is evidence of one of them."""
    *first, last = claims or [""]
    return f"{', '.join(first)}{',' * (len(first) > 1)} or {last}" if first else last


def _strongest(told: Told, verdict: Verdict, sign: int) -> str:
    """Give the table's words for the reason that weighs most on one side, be it by the table or by a score."""
    return next(iter(_traces(told, verdict, sign)), "")


def _traces(told: Told, verdict: Verdict, sign: int) -> list[str]:
    """Give the table's words for all reasons that weigh on one side, that which weighs most first."""
    weighing = [(sign * w.llr, w.text) for _, w in told if sign * w.llr > 0 and w.text]
    if sign > 0:
        # A score's reasons weigh nothing of themselves; one without kinds says that nothing was seen.
        texts = {r.code: w.text for r, w in told if w.kinds and w.llr == 0}
        scored = [(e.llr or 0.0, r.code) for e in verdict.evidence for r in e.finding.reasons]
        weighing += [(llr, texts[code]) for llr, code in scored if llr > 0 and code in texts]
    return list(dict.fromkeys(text for _, text in sorted(weighing, reverse=True)))


def _odds(verdict: Verdict) -> str:
    return f"Probability of fake {_percent(verdict.probability)}, at a prior of {_percent(verdict.prior)}."


def _promise(verdict: Verdict, context: Context, threshold: Threshold | None) -> str:
    """State the false alarms where measured evidence decided; declarations and lists promise no rate."""
    if threshold is None or verdict.threshold != threshold.value:
        return ""
    low, high = threshold.false_alarms
    kind = _group_words(context)
    return (
        f"Of bona fide {kind}, {100 * low:.1f}-{100 * high:.1f} % reach this (90 % range, n = {threshold.n})."
    )


def _inconclusive(verdict: Verdict, told: Told, lack: Lack | None, uncovered: str) -> list[str]:
    reason = _strongest(told, verdict, 1)
    found = bool(reason) and verdict.llr >= NOTABLE
    if Kind.TAMPERED_CREDENTIAL in verdict.kinds:
        return _tampered(told, verdict)
    if verdict.why is Why.CONFLICTING:
        return [
            "The evidence conflicts.",
            f"For fake: {reason}" if reason else "",
            _against(told),
            _odds(verdict),
        ]
    if verdict.why is Why.FAILED:
        names = ", ".join(
            dict.fromkeys(e.detector for e in verdict.evidence if e.finding.outcome in _TROUBLE)
        )
        failed = f"No verdict can be given: {names} failed on it, and no measured detector spoke."
        return [failed, _sentence(_void(lack)) if lack and lack.void else "", _mend(lack)]
    if verdict.why is Why.UNSTABLE:
        return [_unstable(verdict), reason, _odds(verdict)]
    stated = next((w.text for r, w in told if r.code in STATED), "")
    if verdict.why is Why.TOO_LITTLE or (found and verdict.why is Why.NOT_COVERED):
        opening = f"{strength(verdict.llr).capitalize()} evidence, too little to call it a fake."
        rest = reason if reason != stated else ""
        several = SEVERAL if not stated and _speaking(verdict) > 1 else ""
        return [stated, opening, rest or several, _odds(verdict), uncovered]
    traces = [text for text in _traces(told, verdict, 1) if text != stated]
    weak = "That weighs too little to call it manipulated." if traces else ""
    opening = "No other sign of manipulation found." if stated or traces else "No sign of manipulation found."
    return [stated, *traces, weak, opening, uncovered]


def _speaking(verdict: Verdict) -> int:
    """Count the detectors that speak for a fake."""
    return len({e.detector for e in verdict.evidence if (e.llr or 0.0) > 0})


def _unstable(verdict: Verdict) -> str:
    """Say that the answer would change with the next save, and by how much."""
    assert verdict.stability is not None
    low, high = verdict.stability.llr
    count = len(verdict.stability.copies)
    copies = "a copy" if count == 1 else f"{count} copies"
    return (
        f"The evidence is too unstable to call it a fake: in {copies} of it that were saved again, as sending it on does, "
        f"it comes to {low:.1f} to {high:.1f} nats, on both sides of the threshold."
    )


def _tampered(told: Told, verdict: Verdict) -> list[str]:
    """Name the broken credential first; then what else there is, if it comes to anything."""
    broken = [(r, w) for r, w in told if Kind.TAMPERED_CREDENTIAL in w.kinds]
    others = [(r, w) for r, w in told if Kind.TAMPERED_CREDENTIAL not in w.kinds]
    rest = verdict.llr - sum(w.llr for _, w in broken)
    opening = [max((w.llr, w.text) for _, w in broken)[1], "That alone does not make it a fake."]
    if rest < NOTABLE:
        return [*opening, "Nothing else of weight was found."]
    more = f"There is {strength(rest)} evidence beside it, too little to call it one."
    return [*opening, more, _strongest(others, verdict, 1), _odds(verdict)]


_TROUBLE = (Outcome.FAILED, Outcome.TIMED_OUT)


def _against(told: Told) -> str:
    texts = [(w.llr, w.text) for _, w in told if w.llr < 0 and w.text]
    return f"Against: {min(texts)[1]}" if texts else "Against: what was measured resembles bona fide media."


def _uncovered(lack: Lack | None, context: Context, settings: Settings) -> str:
    """Say why there is no threshold, what that means, and how to mend it where that is known."""
    if lack is None:
        return ""
    causes = [_void(lack)] if lack.void else []
    need = sources_needed(settings.false_alarm_budget)
    if lack.sources is None:
        noun = NOUNS.get(context.media_family, "media")
        causes.append(f"no detector that is calibrated for such {noun} spoke")
    elif lack.sources < need:
        budget = _percent(settings.false_alarm_budget)
        causes.append(
            f"a false-alarm budget of {budget} needs {need} bona fide sources and the calibration has "
            f"{lack.sources or 'none'} to compare with"
        )
    cause = ", and since ".join(causes)
    end = "only a declared or known fake would have been called one."
    return f"There is no threshold for {_group_words(context)}, since {cause}: {end} {_mend(lack)}".strip()


def _void(lack: Lack) -> str:
    """Name the detectors whose maps are of other versions."""
    versions = "another version" if len(lack.void) == 1 else "other versions"
    return f"the calibration is void for {_listed([v.detector for v in lack.void])} (made for {versions})"


def _mend(lack: Lack | None) -> str:
    if lack is None or not lack.void:
        return ""
    again = "screen it again with the calibrated version, or " if all(v.ahead for v in lack.void) else ""
    return f"To mend that, {again}{ANEW}."


def _recall(verdict: Verdict, context: Context, recalls: Recalls) -> str:
    """Say what finding nothing is worth: the bare word would promise too much."""
    if verdict.why in {Why.CONFLICTING, Why.FAILED}:
        return ""
    if not recalls:
        noun = NOUNS.get(context.media_family, "media")
        return f"How many fakes this panel finds among such {noun} is not measured."
    shares = []
    for kind, (found, n) in recalls.items():
        low, high = wilson(found, n)
        shares.append(f"{_percent(found / n)} [{100 * low:.0f}-{100 * high:.0f}] of {WORDS[kind]} (n = {n})")
    return f"Measured on pictures of this size, this panel finds {_listed(shares)}."


def _unseen(verdict: Verdict) -> str:
    """Name what nobody looked for: kinds of fakes, broken detectors, parts that were not read."""
    spots = verdict.coverage.blind_spots
    return f"Not looked for or not seen: {_listed(spots)}." if spots else ""


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _where(verdict: Verdict) -> str:
    """Say where the strongest evidence points: the place in the picture, unless all of it was made, or the time."""
    whole = set(verdict.kinds) == {Kind.FULL_SYNTHESIS}
    for e in sorted(verdict.evidence, key=lambda e: -(e.llr or 0.0)):
        if (e.llr or 0.0) <= 0:
            break
        if e.finding.regions and not whole:
            return f", {_place(e.finding.regions)}"
        if e.finding.segments:
            s = e.finding.segments[0]
            return f", from {_clock(s.start_s)} to {_clock(s.end_s)}"
    return ""


def _place(regions: Sequence[Region]) -> str:
    largest = max(regions, key=_area)
    x = sum(p[0] for p in largest.points) / len(largest.points) / max(largest.width, 1)
    y = sum(p[1] for p in largest.points) / len(largest.points) / max(largest.height, 1)
    row = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else "middle"
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else "middle"
    place = "middle" if row == column else f"{row} {column}"
    share = _area(largest) / max(largest.width * largest.height, 1)
    more = f", and {len(regions) - 1} more" if len(regions) > 1 else ""
    part = f"{_percent(share)} of the picture" if share >= 0.005 else "under 1 % of the picture"
    return f"in a region at the {place} ({part}){more}"


def _area(region: Region) -> float:
    xs, ys = [p[0] for p in region.points], [p[1] for p in region.points]
    pairs = zip(xs, [*ys[1:], ys[0]], ys, [*xs[1:], xs[0]], strict=True)
    return abs(sum(x * y1 - y * x1 for x, y1, y, x1 in pairs)) / 2  # shoelace


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _percent(share: float) -> str:
    """Write a share in per cent, and never as 0 or 100 where it is neither."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.0f} %" if 0.01 <= share <= 0.99 or share in {0, 1} else f"{100 * share:.1f} %"


def _group_words(context: Context) -> str:
    noun = NOUNS.get(context.media_family, "media")
    size = SIZES.get(context.size_bin or "") if context.media_family == "image" else None
    return f"{noun} {size}" if size else noun


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
