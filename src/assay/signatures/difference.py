"""Does a near match show the fake or its original? The pictures behind a signature decide.

A splice lies near its original: a face changed in a wide scene moves few of PDQ's 256 bits. So a near match says only
"this scene". The candidate is turned as the match says, laid over the stored frame (`alignment`), and looked at where the
two can differ:

- against a known *fake*: in its changed regions, compared with the stored patches of fake and original;
- against a known *original*: everywhere, since a splice of it may lie anywhere.

Without stored pictures nothing is decided: such a match is held at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.media.views import upright
from assay.signatures.alignment import Alignment, Luma, align, luma_of, resized
from assay.signatures.references import UNIT, Box, Patch, Reference, boxed, reduced

ALIGNED = 0.8  # correlation of candidate and frame under which they are not the same scene
DRIFT = 0.15  # of the longer side: more of a move than PDQ forgives is no alignment
SHORTEST = 96  # pixels of the candidate's longer side: smaller ones do not show enough
NOISE = 2.0  # grey levels: what rounding and mild compression leave in a patch
TOLD_APART = 3.0  # times the noise, by which fake and original must differ to be told apart
LIKE = 0.6  # agreement (1: the same, 0: unrelated) from which on content is the same
UNLIKE = 0.3
STRONG = 4.0  # times the usual difference: a window changed
LEVELS = 6.0  # grey levels that a change has at least, on average over a window
WINDOW = 9  # pixels of the frame: the smallest change that is looked for


class Shown(StrEnum):
    """What a candidate shows, beside what is known."""

    FAKE = "fake"  # the known fake's content
    ORIGINAL = "original"  # the original's content
    ALTERED = "altered"  # the known original, with something changed
    OTHER = "other"  # the scene of a known fake without its content; not its original's either, where that is known
    UNCLEAR = "unclear"  # it could not be compared well enough: hold
    UNCHECKED = "unchecked"  # nothing is stored to compare with: hold at most


WORDS = {
    Shown.FAKE: "It shows what a known fake shows where that was changed.",
    Shown.ORIGINAL: "It shows the original's content where a known fake was changed.",
    Shown.OTHER: "It is the scene of a known fake, but does not show the fake's content where that was changed.",
    Shown.UNCLEAR: "It is the scene of a known fake; whether it shows the changed content cannot be told.",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """The answer, with where the candidate differs from what is stored."""

    shown: Shown
    text: str
    regions: tuple[Box, ...] = ()  # of the upright stored picture
    correlation: float = 0.0  # of the aligned frames


def against_fake(pixels: NDArray[np.uint8], orientation: int, stored: Reference | None) -> Difference:
    """Compare a candidate with a known fake that it is near to.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        The candidate, upright. Not modified.
    orientation : int
        EXIF's, 1 to 8: which of the candidate's eight codes matched.
    stored : Reference or None
        What the signature keeps.

    Returns
    -------
    difference : Difference
        FAKE, ORIGINAL, OTHER, UNCLEAR or UNCHECKED.
    """
    if stored is None or not stored.patches:
        return Difference(
            Shown.UNCHECKED, "The signature keeps no picture of what was changed: compare by eye."
        )
    candidate = luma_of(upright(pixels, orientation))
    frame = _frames(candidate, stored.frame, _outside(stored))
    if isinstance(frame, Difference):
        return frame
    seen = [_patch_shown(candidate, frame, p) for p in stored.patches]
    for shown in (Shown.FAKE, Shown.OTHER, Shown.UNCLEAR):
        places = tuple(p.region for p, s in zip(stored.patches, seen, strict=True) if s is shown)
        if places:
            return Difference(shown, WORDS[shown], places, frame.correlation)
    return Difference(Shown.ORIGINAL, WORDS[Shown.ORIGINAL], (), frame.correlation)


def against_original(pixels: NDArray[np.uint8], orientation: int, stored: Reference | None) -> Difference:
    """Compare a candidate with a known original that it is near to: ORIGINAL, ALTERED, UNCLEAR or UNCHECKED."""
    if stored is None:
        return Difference(Shown.UNCHECKED, "The signature keeps no picture of the original: compare by eye.")
    frame = _frames(luma_of(upright(pixels, orientation)), stored.frame, None)
    if isinstance(frame, Difference):
        return frame
    reference = resized(stored.frame.astype(np.float32), *frame.warped.shape[::-1])
    regions = _changed(frame, reference)
    if regions:
        text = f"It is a known original with something changed in {len(regions)} place(s)."
        return Difference(Shown.ALTERED, text, regions, frame.correlation)
    text = "It shows a known original; no change of it was found at the size that is stored."
    return Difference(Shown.ORIGINAL, text, (), frame.correlation)


def against_whole(pixels: NDArray[np.uint8], orientation: int, stored: Reference) -> Difference:
    """Compare a candidate with a known fake all of which is fake: FAKE where it shows that picture, OTHER where
    something in it was changed, or UNCLEAR."""
    found = against_original(pixels, orientation, stored)
    shown = {Shown.ORIGINAL: Shown.FAKE, Shown.ALTERED: Shown.OTHER}.get(found.shown, found.shown)
    words = {
        Shown.FAKE: "It shows a known fake that is fake as a whole.",
        Shown.OTHER: f"It is a known fake with something changed in {len(found.regions)} place(s).",
    }
    return Difference(shown, words.get(shown, found.text), found.regions, found.correlation)


def _frames(
    candidate: Luma, stored: NDArray[np.uint8], mask: NDArray[np.bool_] | None
) -> Alignment | Difference:
    """Lay the candidate over the stored frame, at the smaller of both sizes."""
    height, width = stored.shape
    longer = min(max(candidate.shape), max(stored.shape))
    if longer < SHORTEST:
        return Difference(Shown.UNCLEAR, f"At {longer} pixels it is too small to be compared.")
    size = reduced(width, height, longer)
    whole = None if mask is None else resized(mask.astype(np.float32), *size) > 0.5
    found = align(resized(candidate, *size), resized(stored.astype(np.float32), *size), whole)
    if found.correlation < ALIGNED or found.drift > DRIFT:
        text = "It cannot be laid over the known picture: it is another scene, or cut too differently."
        return Difference(Shown.UNCLEAR, text, (), found.correlation)
    return found


def _outside(stored: Reference) -> NDArray[np.bool_]:
    """Where a fake's frame shows what its original shows."""
    height, width = stored.frame.shape
    mask = np.ones((height, width), np.bool_)
    for patch in stored.patches:
        left, top, right, bottom = patch.region
        mask[
            top * height // UNIT : -(-bottom * height // UNIT),
            left * width // UNIT : -(-right * width // UNIT),
        ] = False
    return mask if mask.mean() > 0.1 else np.ones_like(mask)


def _patch_shown(candidate: Luma, frame: Alignment, patch: Patch) -> Shown:
    """What the candidate shows in one region."""
    fake = patch.fake.astype(np.float32)
    part = _taken(candidate, frame, patch.around, fake.shape)
    inner = _inner(patch, fake.shape)
    if part is None or not inner.any():
        return Shown.UNCLEAR
    laid = part
    if (~inner).mean() > 0.2:
        closer = align(part, fake, ~inner)
        laid = closer.warped if closer.drift < DRIFT else part
    there = ~np.isnan(laid)
    ring, inner = ~inner & there, inner & there
    if inner.mean() < 0.02:
        return Shown.UNCLEAR
    if patch.original is None:
        return _like_fake(laid, fake, inner, ring)
    noise = max(NOISE, _rms((laid - fake)[ring]) if ring.any() else NOISE)
    return _nearer(laid[inner], fake[inner], patch.original.astype(np.float32)[inner], noise)


def _nearer(seen: Luma, fake: Luma, original: Luma, noise: float) -> Shown:
    """Fake or original: by projection on the line from one to the other, and by what lies off that line."""
    change = fake - original
    if _rms(change) < TOLD_APART * noise:
        return Shown.UNCLEAR
    share = float((change * (seen - original)).sum() / (change**2).sum())
    off = _rms(seen - original - share * change)
    if off > max(TOLD_APART * noise, 0.35 * _rms(change)):
        return Shown.OTHER
    return Shown.FAKE if share > 0.6 else Shown.ORIGINAL if share < 0.4 else Shown.UNCLEAR


def _like_fake(seen: Luma, fake: Luma, inner: NDArray[np.bool_], ring: NDArray[np.bool_]) -> Shown:
    """The fake's content or not, where the original's is unknown: by agreement, measured by that around."""
    around = agreement(seen[ring], fake[ring]) if ring.any() else 0.0
    inside = agreement(seen[inner], fake[inner])
    if around < LIKE:
        return Shown.UNCLEAR
    return Shown.FAKE if inside >= LIKE else Shown.OTHER if inside <= UNLIKE else Shown.UNCLEAR


def agreement(a: Luma, b: Luma) -> float:
    """How alike two equally long rows of grey levels are: 1 the same, about 0 unrelated, less if as different in mean.

    One minus the squared difference over both variances, with `NOISE` added to them: of flat parts too.
    """
    spread = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
    return 1 - float(((a - b) ** 2).sum()) / (spread + 8 * NOISE**2 * len(a))


def _taken(candidate: Luma, frame: Alignment, around: Box, shape: tuple[int, ...]) -> Luma | None:
    """Read a patch's surroundings out of the candidate, at the patch's size; None where they are cut off."""
    corners = np.array([[around[0], around[1]], [around[2], around[1]], [around[0], around[3]]], np.float64)
    there = _moved(corners / UNIT, frame) * candidate.shape[::-1]
    scale = float(np.hypot(*(there[1] - there[0]))) / shape[1]
    smooth = candidate
    if scale > 1.5:  # means of what lies under a pixel, before single pixels are read
        smooth = resized(candidate, *(max(8, round(side / scale)) for side in candidate.shape[::-1]))
        there = there * np.divide(smooth.shape[::-1], candidate.shape[::-1])
    places = np.vstack([there, there[1] + there[2] - there[0]])
    limit = 0.02 * np.array(smooth.shape[::-1])
    if (places < -limit).any() or (places > smooth.shape[::-1] + limit).any():
        return None
    target = np.array([[0, 0], [shape[1], 0], [0, shape[0]]], np.float32)
    matrix = cv2.getAffineTransform(target - np.float32(0.5), (there - 0.5).astype(np.float32))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(smooth, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(part, np.float32)


def _moved(places: NDArray[np.float64], frame: Alignment) -> NDArray[np.float64]:
    """Carry places of the stored picture, as shares of its sides, into the candidate's."""
    size = np.array(frame.warped.shape[::-1], np.float64)
    pixels = places * size - 0.5
    moved: NDArray[np.float64] = (pixels @ frame.affine[:, :2].T + frame.affine[:, 2] + 0.5) / size
    return moved


def _inner(patch: Patch, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which pixels of a patch lie in its changed region."""
    height, width = shape
    left, top, right, bottom = patch.around
    x = left + (np.arange(width) + 0.5) / width * (right - left)
    y = top + (np.arange(height) + 0.5) / height * (bottom - top)
    a, b, c, d = patch.region
    inner: NDArray[np.bool_] = ((y >= b) & (y <= d))[:, None] & ((x >= a) & (x <= c))[None, :]
    return inner


def _changed(frame: Alignment, reference: Luma) -> tuple[Box, ...]:
    """Where a frame laid over a known original differs from it by more than it does elsewhere.

    Compression and small moves leave differences along edges and in texture: they are measured in proportion to the
    reference's local contrast, by their median over the whole frame, which a changed part does not move.
    """
    there = ~np.isnan(frame.warped)
    gap = np.abs(_gap(frame, reference))
    gap[~there] = 0
    gap = _mean(gap)
    smooth = _smooth(reference)
    contrast = _mean(np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)) / 8)
    weight = contrast + _median(contrast) + np.float32(0.5)
    usual = _median((gap / weight)[there])
    strong = there & (gap > STRONG * usual * weight) & (gap > LEVELS)
    return _boxes(strong)


def _gap(frame: Alignment, reference: Luma) -> Luma:
    """What the candidate has more than the reference, in the reference's grey levels; fine texture left out.

    The reference is cut to the candidate's darkest and brightest level first: highlights that an edit has burnt out are
    no change of content.
    """
    own = frame.gain * frame.warped + frame.offset
    there = own[~np.isnan(own)]
    places = [round(share * (there.size - 1)) for share in (0.001, 0.999)]
    low, high = np.partition(there, places)[places].tolist()
    expected = np.clip(frame.gain * reference + frame.offset, low, high)
    gap = np.where(np.isnan(own), 0, np.clip(own, low, high) - expected).astype(np.float32)
    return _smooth(gap) / np.float32(frame.gain)


def _boxes(strong: NDArray[np.bool_]) -> tuple[Box, ...]:
    height, width = strong.shape
    count, _, found, _ = cv2.connectedComponentsWithStats(strong.astype(np.uint8), connectivity=8)
    return tuple(
        boxed(x, y, x + w, y + h, width=width, height=height)
        for x, y, w, h, area in sorted(found[1:count].tolist())
        if area >= WINDOW
    )


def _smooth(luma: Luma) -> Luma:
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), 1.2), np.float32)


def _median(values: Luma) -> float:
    """The lower of both medians."""
    middle = (values.size - 1) // 2
    return float(np.partition(values, middle, axis=None)[middle]) if values.size else 0.0


def _mean(luma: NDArray[np.floating]) -> Luma:
    return np.asarray(cv2.blur(luma.astype(np.float32), (WINDOW, WINDOW)), np.float32)


def _rms(values: Luma) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0
