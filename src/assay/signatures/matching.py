"""From matches in a library to one piece of evidence: what a near match is worth, and what it shows.

A near match weighs by its distance (`likelihood`), and only for what the comparison of pictures leaves: the copy of a
known fake's original is as near to the fake as the fake's own copy is. So where nothing could be compared the ratio
counts `UNCOMPARED` at most, and the policy holds. Signatures on trial are named and weigh nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.media.views import upright_box
from assay.signatures import digests, likelihood, testfile
from assay.signatures.audio import AudioMatch, AudioPrint
from assay.signatures.difference import Difference, Shown, against_fake, against_original, against_whole
from assay.signatures.library import Known, Library, PictureMatch
from assay.signatures.pdq import ImagePrint
from assay.signatures.references import UNIT, Box
from assay.signatures.video import VideoMatch, VideoPrint
from assay.types import Evidence, Finding, Kind, Outcome, Reason, Region, Segment

VERSION = 1
UNCOMPARED = 2.3  # nats, 10 to 1
COMPARED = 8  # matches of each sort whose pictures are compared, the nearest
LONGEST = 2048  # pixels of a candidate that is compared; larger ones are brought to it
# What leaves no original that most of it could have been taken from: the fingerprint compared all that is fake in it.
WHOLE = frozenset({Kind.FULL_SYNTHESIS, Kind.SPEECH_SYNTHESIS, Kind.VOICE_CONVERSION})
INVERSE = {6: 8, 8: 6}  # orientations that are not their own inverse
HEARD, UNHEARD = 90, 179  # excerpts found, and other recordings none of which was: docs/signatures.md
FAKE_CODES = {
    Shown.FAKE: "shows_known_fake",
    Shown.ORIGINAL: "shows_original_of_fake",
    Shown.OTHER: "scene_of_known_fake",
    Shown.UNCLEAR: "near_fake_unclear",
    Shown.UNCHECKED: "near_fake_unchecked",
}
ORIGINAL_CODES = {
    Shown.ORIGINAL: "shows_known_original",
    Shown.ALTERED: "altered_original",
    Shown.UNCLEAR: "near_original_unclear",
    Shown.UNCHECKED: "near_original_unchecked",
}
# What is believed where several signatures are near, first come first: a fake's content was seen; an original was seen
# whole; something was changed in it; nothing could be told.
ORDER = (
    "shows_known_fake", "shows_known_original", "altered_original", "scene_of_known_fake", "near_fake_unclear",
    "near_fake_unchecked", "shows_original_of_fake", "near_original_unclear", "near_original_unchecked",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Matched:
    """What a library says of one sample."""

    evidence: Evidence
    signatures: tuple[tuple[str, str], ...]  # every one that is near: list and id


@dataclass(frozen=True, slots=True)
class _Said:
    """What one signature says."""

    code: str
    known: Known
    finding: Finding


def of_digest(library: Library, judged: Callable[[str], str | None], sha256: str) -> Evidence | None:
    """Look a digest up wherever one can be known: the test file's, those that people judged, the library's.

    Parameters
    ----------
    judged : callable
        What people of this installation said of a digest, as `digests.known` wants it.
    """
    return digests.known(sha256, lambda s: testfile.known(s) or judged(s) or _listed(library, s))


def _listed(library: Library, sha256: str) -> str | None:
    known = library.digest(sha256)
    return f"{known.about}:{known.listed}" if known is not None and known.counts else None


def of_picture(library: Library, asked: ImagePrint, pixels: NDArray[np.uint8] | None) -> Matched | None:
    """Look a picture up, and compare it with what it is near to.

    Parameters
    ----------
    asked : ImagePrint
        Of the picture.
    pixels : ndarray of uint8, shape (H, W, 3), or None
        The picture, upright. None: only its fingerprint is left, so that nothing can be compared.

    Returns
    -------
    matched : Matched or None
        None where no signature is near.
    """
    matches = library.near_picture(asked)
    counting = [m for m in matches if m.known.counts]
    said: list[_Said] = []
    shown = None if pixels is None else _brought_down(pixels)
    for about in ("known_fake", "known_original"):
        near = [m for m in counting if m.known.about == about]
        near.sort(key=lambda m: (m.known.signature.reference is None, m.distance))
        for match in near[:COMPARED]:
            said.append(_of_one(match, shown, library.pictures, pixels))
            if said[-1].code == "shows_known_fake":
                break
    return _told("known_picture", said, [m.known for m in matches])


def needs_pixels(library: Library, asked: ImagePrint) -> bool:
    """Is it near to a signature whose pictures it could be compared with?"""
    return any(m.known.counts and m.known.signature.reference for m in library.near_picture(asked))


def of_clip(library: Library, asked: VideoPrint) -> Matched | None:
    """Look a clip's frames up."""
    found = library.near_clip(asked)
    said = [_of_clip(known, m, library.frames) for known, m in found if known.counts]
    return _told("known_video", said, [known for known, _ in found])


def of_sound(library: Library, asked: AudioPrint) -> Matched | None:
    """Look a recording up, or any stretch of it."""
    found = library.near_sound(asked)
    said = [_of_sound(known, m, library.recordings) for known, m in found if known.counts]
    return _told("known_sound", said, [known for known, _ in found])


def _of_one(
    match: PictureMatch,
    shown: NDArray[np.uint8] | None,
    searched: int,
    pixels: NDArray[np.uint8] | None,
) -> _Said:
    signature = match.known.signature
    found = _compared(match, shown)
    codes = FAKE_CODES if signature.about == "known_fake" else ORIGINAL_CODES
    code = codes[found.shown]
    nats = max(0.0, likelihood.llr(match.distance, searched=searched))
    words = f"{found.text} Distance {match.distance} of 256 bits; {_named(match.known)}."
    regions = () if pixels is None else _regions(found.regions, match.orientation, pixels.shape[:2])
    score = _worth(code, nats)
    return _Said(code, match.known, Finding(Outcome.SCORED, score, (Reason(code, words),), regions))


def _compared(match: PictureMatch, shown: NDArray[np.uint8] | None) -> Difference:
    signature = match.known.signature
    if shown is None:
        return Difference(Shown.UNCHECKED, "Only its fingerprint is kept: it could not be compared.")
    if signature.about == "known_original":
        return against_original(shown, match.orientation, signature.reference)
    if signature.reference and not signature.reference.patches and _whole(signature.kinds):
        return against_whole(shown, match.orientation, signature.reference)
    return against_fake(shown, match.orientation, signature.reference)


def _worth(code: str, nats: float) -> float:
    """Nats of a near match, by what was seen: for fake, for bona fide (less than 0), or for neither."""
    if code in ("shows_known_fake", "copy_of_known_fake"):
        return nats
    if code == "shows_known_original":
        return -nats
    if code in ("near_fake_unclear", "near_fake_unchecked"):
        return min(nats, UNCOMPARED)
    return 0.0


def _of_clip(known: Known, match: VideoMatch, searched: int) -> _Said:
    nats = max(0.0, likelihood.llr(match.distance, searched=searched))
    if match.distinct < 2:
        nats = min(nats, UNCOMPARED)  # one picture, shown for long
    words = (
        f"{match.agreeing} of its {match.compared} frames agree with {match.start_s:.1f} to {match.end_s:.1f} s of a "
        f"known clip, {match.distance:.0f} of 256 bits away; {_named(known)}."
    )
    start = max(0.0, (match.start_s - match.offset_s) / match.speed)
    end = max(start, (match.end_s - match.offset_s) / match.speed)
    return _of_stretch(known, nats, words, Segment(start, end), sure=match.distinct >= 2)


def _of_sound(known: Known, match: AudioMatch, searched: int) -> _Said:
    """No table was measured for sound: the counts of excerpts found, and of others none of which was, bound it."""
    by_chance = min(1.0, 3 / UNHEARD * max(1, searched))
    nats = max(0.0, float(np.log(HEARD / (HEARD + 1)) - np.log(by_chance)))
    words = (
        f"{match.end_s - match.start_s:.1f} s of it agree with {match.start_s:.1f} to {match.end_s:.1f} s of a known "
        f"recording, with {100 * match.errors:.0f} % of bits wrong; {_named(known)}."
    )
    start = max(0.0, match.start_s - match.offset_s)
    return _of_stretch(known, nats, words, Segment(start, start + match.end_s - match.start_s), sure=True)


def _of_stretch(known: Known, nats: float, words: str, segment: Segment, *, sure: bool) -> _Said:
    """What an agreeing stretch says: a copy where all of the known medium is fake; else it may be what was left as it was."""
    if known.about == "known_original":
        code = "near_original_unchecked"
    elif sure and _whole(known.signature.kinds):
        code = "copy_of_known_fake"
    else:
        code = "near_fake_unchecked"
    return _Said(
        code,
        known,
        Finding(Outcome.SCORED, _worth(code, nats), (Reason(code, words),), segments=(segment,)),
    )


def _told(detector: str, said: Sequence[_Said], near: Sequence[Known]) -> Matched | None:
    """The finding that is believed, with a note for signatures on trial."""
    if not near:
        return None
    order = ("copy_of_known_fake", *ORDER)
    best = min(said, key=lambda s: order.index(s.code), default=None)
    trial = [k for k in near if not k.counts]
    note: tuple[Reason, ...] = ()
    if trial:
        words = f"Near to {len(trial)} signature(s) on trial, which weigh nothing: {_named(trial[0])}."
        note = (Reason("signature_on_trial", words),)
    finding = (
        Finding(Outcome.SCORED, 0.0, note)
        if best is None
        else replace(best.finding, reasons=(*best.finding.reasons, *note))
    )
    evidence = Evidence(detector, VERSION, digests.FAMILY, finding)
    return Matched(evidence, tuple(dict.fromkeys(k.name for k in near)))


def _whole(kinds: Sequence[Kind]) -> bool:
    """Is all of a known fake fake?"""
    return bool(kinds) and set(kinds) <= WHOLE


def _named(known: Known) -> str:
    return f"signature {known.signature.id} of the list {known.listed}"


def _brought_down(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA), np.uint8)


def _regions(boxes: Sequence[Box], orientation: int, shape: tuple[int, ...]) -> tuple[Region, ...]:
    """Carry boxes of the stored picture into pixels of the asked one, which is turned against it."""
    height, width = (shape[1], shape[0]) if orientation >= 5 else (shape[0], shape[1])
    found = []
    for left, top, right, bottom in boxes:
        box = (
            left * width / UNIT,
            top * height / UNIT,
            (right - left) * width / UNIT,
            (bottom - top) * height / UNIT,
        )
        x, y, w, h = upright_box(box, (height, width), INVERSE.get(orientation, orientation))
        found.append(Region.box(x, y, w, h, width=shape[1], height=shape[0]))
    return tuple(found)
