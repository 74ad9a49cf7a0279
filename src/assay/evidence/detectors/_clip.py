"""What the frozen CLIP encoder takes and gives: the square that it sees of a picture, and the tokens of its blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.media.borders import Box, within_borders
from assay.media.views import Image, upright, upright_box
from assay.types import Finding, Reason

ENCODER = "clip_vit_b16_int8"
SIDE = 224  # pixels: what the encoder takes
PATCHES = 14  # of a square, a side
LONGEST = 4.0  # long side over short side
FLATTEST = 2.0  # grey levels: standard deviation of the reduced picture
# The encoder's own normalisation of red, green and blue (CLIP, OpenAI 2021).
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
BORDERS = Reason(
    "within_borders",
    "The picture shows another one within plain borders, as screenshots and letterboxes do: that one alone was looked at.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Square:
    """What the encoder sees."""

    pixels: NDArray[np.uint8]  # (224, 224, 3), upright
    box: tuple[float, float, float, float]  # x, y, width, height of it in the upright picture, in pixels
    bordered: bool  # is it what stands within plain borders?

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What a finding says of the choice."""
        return (BORDERS,) if self.bordered else ()


def reduced(pixels: NDArray[np.uint8], orientation: int = 1) -> NDArray[np.uint8]:
    """Bring a picture to the encoder's square. Training and use go through this one function.

    The whole picture is squashed, not cropped: an edit at the edge stays inside, and each sample costs one pass.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        As coded, sRGB-like. Not modified.
    orientation : int
        EXIF orientation, 1 to 8; applied after the reduction, where it is cheap.

    Returns
    -------
    square : ndarray of uint8, shape (224, 224, 3)
        Upright. Pictures more than six times too large are first averaged over whole boxes (Pillow's `reducing_gap`).
    """
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    small = picture.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC, reducing_gap=3.0)
    return np.ascontiguousarray(upright(np.asarray(small), orientation))


def shown(pixels: NDArray[np.uint8], smallest: int) -> Box | None:
    """Where the picture stands within plain borders, if it is one that a detector can judge.

    The encoder would see mostly the borders and judge a screenshot by its looks, whatever it shows.
    """
    box = within_borders(pixels)
    return box if box and smallest <= min(box[2:]) and max(box[2:]) <= LONGEST * min(box[2:]) else None


def squared(view: Image, smallest: int) -> Square | Finding:
    """What the encoder sees of a picture, or why it is not for a detector that learned nothing below `smallest`."""
    height, width = view.coded.shape[:2]
    if min(height, width) < smallest:
        text = f"The picture is {width} x {height} pixels: below {smallest} nothing was learned."
        return Finding.not_applicable("too_small", text)
    box = shown(view.coded, smallest)
    if box is None and max(height, width) > LONGEST * min(height, width):
        text = "The picture is a narrow strip: no such picture was among those learned from."
        return Finding.not_applicable("too_narrow", text)
    x, y, wide, high = box or (0, 0, width, height)
    square = reduced(view.coded[y : y + high, x : x + wide], view.orientation)
    if float(square.mean(axis=2).std()) < FLATTEST:
        text = "The picture is of nearly one tone: there is nothing to compare."
        return Finding.not_applicable("too_flat", text)
    place = upright_box((x, y, wide, high), (height, width), view.orientation)
    return Square(square, place, box is not None)


def tokens_after(block: int) -> str:
    """Name of the value inside of the encoder's graph that holds the tokens after a block, shape (1, 197, 768)."""
    return f"/vision_model/encoder/layers.{block - 1}/Add_1_output_0"


def tensor(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalise a (224, 224, 3) picture into the encoder's input, shape (1, 3, 224, 224)."""
    scaled = (square.astype(np.float32) / np.float32(255) - MEAN) / DEVIATION
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
