"""The invisible mark that the reference code of common open image generators writes into its pictures.

Stable Diffusion, SDXL and FLUX as their makers publish them embed a fixed, public message by the method "dwtDct" of the
package `invisible-watermark`. Whoever knows the message can look for it: this module reads the blocks anew, without that
package, and asks how probable so good an agreement would be by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

SMALLEST = 256 * 256  # pixels: the embedder refuses less
MOST = 2_000_000  # pixels read: blocks are numbered row by row, so that the upper rows are enough
STEP = 36.0  # of the quantisation, in units of the low band
FOUND = 5.0  # one false alarm in 10 ** FOUND pictures, if their blocks knew nothing of the message
# The embedder adds 128 to the colour difference of whole numbers, 0.5 to that of fractions; the low band doubles it.
OFFSETS = {"whole numbers": 256.0, "fractions": 1.0}
# Some callers hand over red, green, blue where the package expects blue, green, red.
ORDERS = {"blue first": (2, 1, 0), "red first": (0, 1, 2)}


@dataclass(frozen=True, slots=True)
class Message:
    """What a generator embeds, and what people call that generator."""

    generator: str
    bits: tuple[int, ...]
    period: int = 1  # bits that far apart are compared with each other alone

    @classmethod
    def text(cls, generator: str, text: str) -> Message:
        """A mark in ASCII, eight bits a letter.

        All letters begin with the same bits: in a long text these would agree with any other text, so that each of the
        eight places is judged on its own. A text of four letters has too few for that.
        """
        bits = tuple(int(b) for byte in text.encode() for b in f"{byte:08b}")
        return cls(generator, bits, 8 if len(text) > 8 else 1)

    @classmethod
    def binary(cls, generator: str, digits: str) -> Message:
        return cls(generator, tuple(int(b) for b in digits))


# Public constants of the generators' reference code.
MESSAGES = (
    Message.text("Stable Diffusion 1", "StableDiffusionV1"),
    Message.text("Stable Diffusion 1 (inpainting)", "StableDiffusionV1-Inpainting"),
    Message.text("Stable Diffusion 2", "SDV2"),
    Message.binary("Stable Diffusion XL", "101100111110110010010000011110111011000110011110"),
    # The constant has 48 digits, but the code that embeds it loses the two zeros in front.
    Message.binary("FLUX", "1010101111111010000111100111001111010100101110"),
)


@dataclass(frozen=True, slots=True)
class Match:
    """How well a picture agrees with one message."""

    message: Message
    agreeing: int  # bits
    strength: float  # -log10 of the probability that chance agrees so well, for this message alone


class InvisibleWatermark:
    card: ClassVar[Card] = Card(
        name="invisible_watermark",
        version=1,
        reads=Image,
        family="watermark",
        claims=frozenset({Kind.FULL_SYNTHESIS}),
        summary="Looks for the invisible mark of Stable Diffusion, SDXL and FLUX as their makers publish them",
        source="https://github.com/ShieldMnt/invisible-watermark (method dwtDct), read anew",
        licence="Apache-2.0",
    )

    def __init__(self, messages: tuple[Message, ...] = MESSAGES) -> None:
        self._messages = messages

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if height * width < SMALLEST or min(height, width) < 8:
            text = (
                "The picture has fewer than 65,536 pixels: the known generators do not mark such small ones."
            )
            return Finding.not_applicable("too_small", text)
        if not _coloured(view.coded):
            return Finding.not_applicable(
                "no_colour", "The picture is grey: the mark lies in colour and cannot be there."
            )
        tests = math.log10(len(self._messages) * len(OFFSETS) * len(ORDERS))
        best = max(matches(view.coded, self._messages), key=lambda m: m.strength)
        score = best.strength - tests
        return Finding(Outcome.SCORED, score, (_reason(best, score),))


def matches(rgb: NDArray[np.uint8], messages: tuple[Message, ...] = MESSAGES) -> Iterator[Match]:
    """Compare a picture with every message, under each way in which embedders are called.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        As stored: the mark does not survive a resize, a turn or a crop. Not modified.
    messages : tuple of Message
        What to look for.
    """
    height, width = rgb.shape[:2]
    seen = rgb[: max(8, min(height, MOST // width) // 8 * 8)]
    for order in ORDERS.values():
        low = low_band(seen, order)
        for offset in OFFSETS.values():
            votes = block_votes(low + np.float32(offset))
            for message in messages:
                yield compared(votes, message)


def low_band(rgb: NDArray[np.uint8], order: tuple[int, int, int]) -> NDArray[np.float32]:
    """Sum the colour difference "first channel minus luma" over 2 x 2 pixels, as the Haar transform's low band has it.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        Not modified.
    order : tuple of int
        Which channels are taken for blue, green and red.

    Returns
    -------
    low : ndarray of float32, shape (H // 4 * 2, W // 4 * 2)
        Half of the sum of four differences, each times 0.492 (PAL's U), in grey levels; without offset.
    """
    height, width = rgb.shape[0] // 4 * 4, rgb.shape[1] // 4 * 4
    part = rgb[:height, :width].astype(np.float32)
    weights = np.zeros(3, np.float32)
    weights[list(order)] = np.array([0.114, 0.587, 0.299], np.float32) * np.float32(-0.492)
    weights[order[0]] += np.float32(0.492)
    rows = part[::2] + part[1::2]
    pairs = rows[:, ::2] + rows[:, 1::2]
    low: NDArray[np.float32] = (pairs[..., 0] * weights[0] + pairs[..., 1] * weights[1]) + pairs[
        ..., 2
    ] * weights[2]
    return low * np.float32(0.5)


def block_votes(low: NDArray[np.float32]) -> NDArray[np.float32]:
    """Read one bit of each block of 4 x 4 coefficients, row by row: where in its step lies the greatest one?

    A quarter up (0, written as -1) or three quarters up (1); in between the sine says how surely. The package cuts at a
    half instead. The first coefficient of a block is never used, as the embedder leaves it alone.
    """
    rows, columns = low.shape[0] // 4, low.shape[1] // 4
    blocks = np.abs(low[: rows * 4, : columns * 4])
    flat = blocks.reshape(rows, 4, columns, 4).transpose(0, 2, 1, 3).reshape(rows * columns, 16)
    greatest = flat[:, 1:].max(axis=1)
    votes: NDArray[np.float32] = -np.sin(greatest * np.float32(2 * math.pi / STEP))
    return votes


def compared(votes: NDArray[np.float32], message: Message) -> Match:
    """Count the agreeing bits, of which as many are called 1 as the message has ones.

    So the count does not depend on the picture's bias towards 0 or 1, and its chance is hypergeometric, exactly.
    """
    bits = np.array(message.bits)
    n = bits.size
    where = np.arange(votes.size) % n
    tried = np.bincount(where, minlength=n)
    mean = np.bincount(where, weights=votes, minlength=n) / np.maximum(tried, 1)
    hits, strata = 0, []
    for first in range(message.period):
        own = bits[first :: message.period]
        ones = int(own.sum())
        called = np.argsort(-mean[first :: message.period], kind="stable")[:ones]
        hits += int(own[called].sum())
        strata.append((own.size, ones))
    return Match(message, n - 2 * (int(bits.sum()) - hits), -log10_overlap(hits, tuple(strata)))


@cache
def log10_overlap(hits: int, strata: tuple[tuple[int, int], ...]) -> float:
    """log10 of the chance that random sets share at least `hits` members with given ones of the same sizes.

    Parameters
    ----------
    hits : int
        Shared members, over all strata.
    strata : tuple of (int, int)
        How many places a stratum has, and how many of them are members in either set.

    Returns
    -------
    log10 : float
        The tail of a sum of hypergeometric numbers, counted exactly in whole numbers.
    """
    ways, every = [1], 1
    for n, ones in strata:
        own = [math.comb(ones, k) * math.comb(n - ones, ones - k) for k in range(ones + 1)]
        sums = [0] * (len(ways) + ones)
        for i, a in enumerate(ways):
            for k, b in enumerate(own):
                sums[i + k] += a * b
        ways, every = sums, every * math.comb(n, ones)
    return math.log10(sum(ways[hits:])) - math.log10(every)


def _coloured(rgb: NDArray[np.uint8]) -> bool:
    """Do the channels differ anywhere?"""
    return bool((rgb[..., 0] != rgb[..., 1]).any() or (rgb[..., 1] != rgb[..., 2]).any())


def _reason(best: Match, score: float) -> Reason:
    if score < FOUND:
        return Reason(
            "watermark_none",
            "None of the known generators' invisible marks was found. Most generators write none, and a resize, a crop or "
            "strong compression removes it.",
        )
    n = len(best.message.bits)
    return Reason(
        "watermark_generator",
        f"The picture carries the invisible mark that {best.message.generator} writes: {best.agreeing} of its {n} bits "
        f"agree, chance would do so once in 10^{score:.0f} pictures.",
    )
