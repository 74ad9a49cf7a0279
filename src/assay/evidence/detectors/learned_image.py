"""Synthetic pictures as a frozen CLIP encoder sees them, judged by two small linear maps of our own.

The encoder's last layer describes what the whole picture looks like; a middle layer, on a window at the picture's own
resolution, its texture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.evidence.detector import Card
from assay.media.views import Image, upright
from assay.types import Finding, Kind, Outcome, Reason

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ENCODER = "clip_vit_b16_int8"
LAYER = "/vision_model/encoder/layers.7/Add_1_output_0"  # tokens after block 8 of 12, (1, 197, 768)
SIDE = 224  # pixels: what the encoder takes
LOOK = 2 / 3  # share of the last layer's score in the sum, the rest is the middle layer's
PATCHES = 14  # a side, of 16 pixels each
SMALLEST = 64  # pixels of the short side; nothing smaller was trained or measured
LONGEST = 4.0  # long side over short side
FLATTEST = 2.0  # grey levels: standard deviation of the reduced picture
# The encoder's own normalisation of red, green and blue (CLIP, OpenAI 2021).
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


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


def window(pixels: NDArray[np.uint8], orientation: int = 1) -> NDArray[np.uint8]:
    """Cut the encoder's square out of a picture without resizing it: fine texture does not survive a squash.

    Of nine places on a 3 x 3 grid the one with the most detail is taken. A picture with a side below 224 gives the
    largest square, enlarged.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        As coded, sRGB-like. Not modified.
    orientation : int
        EXIF orientation, 1 to 8; applied to the square.

    Returns
    -------
    square : ndarray of uint8, shape (224, 224, 3)
        Upright.
    """
    side = min(SIDE, *pixels.shape[:2])
    rows, columns = ([0, (n - side) // 2, n - side] for n in pixels.shape[:2])
    places = dict.fromkeys(
        (y, x) for y in (rows[1], rows[0], rows[2]) for x in (columns[1], columns[0], columns[2])
    )
    y, x = max(places, key=lambda p: _detail(pixels[p[0] : p[0] + side, p[1] : p[1] + side, 1]))
    square = np.ascontiguousarray(pixels[y : y + side, x : x + side])
    if side < SIDE:
        square = np.asarray(Pillow.fromarray(square).resize((SIDE, SIDE), Pillow.Resampling.BICUBIC))
    return np.ascontiguousarray(upright(square, orientation))


def _detail(green: NDArray[np.uint8]) -> float:
    """Mean difference of neighbours; each counts at most 16 grey levels, so that one hard edge does not win."""
    wide = green.astype(np.int16)
    return float(sum(np.minimum(np.abs(np.diff(wide, axis=axis)), 16).mean() for axis in (0, 1)))


def pooled(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the tokens of a middle layer.

    Parameters
    ----------
    tokens : ndarray of float32, shape (197, 768)
        The class token, then 14 x 14 patches in rows.

    Returns
    -------
    features : ndarray of float32, shape (2304,)
        Mean of the inner 9 x 8 patches, mean of the others, standard deviation over all.
    """
    grid = tokens[1:].reshape(PATCHES, PATCHES, -1)
    inner = np.zeros((PATCHES, PATCHES), bool)
    inner[3:12, 3:11] = True
    parts = (grid[inner].mean(axis=0), grid[~inner].mean(axis=0), tokens[1:].std(axis=0))
    return np.concatenate(parts).astype(np.float32)


def tensor(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalise a (224, 224, 3) picture into the encoder's input, shape (1, 3, 224, 224)."""
    scaled = (square.astype(np.float32) / np.float32(255) - MEAN) / DEVIATION
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


@dataclass(frozen=True, slots=True)
class Part:
    """One linear map to a score, which counts in standard deviations of bona fide pictures above their mean."""

    weight: NDArray[np.float64]  # (D,)
    bias: float

    def score(self, features: NDArray[np.float32]) -> float:
        # A sum, not a product of vectors: that one's order depends on the machine.
        return float((features.astype(np.float64) * self.weight).sum() + self.bias)


@dataclass(frozen=True, slots=True)
class Head:
    """The maps of both layers."""

    last: Part
    middle: Part
    notable: (
        float  # score that 1 % of bona fide pictures reach, out of fold: where the reason changes its words
    )

    def scores(self, last: NDArray[np.float32], middle: NDArray[np.float32]) -> tuple[float, float]:
        """Each in standard deviations of bona fide pictures, higher for synthetic; no calibrated weight."""
        length = float(np.sqrt((last.astype(np.float64) ** 2).sum()))
        return self.last.score(last / np.float32(length or 1.0)), self.middle.score(middle)


@cache
def shipped_head() -> Head:
    """The head that lies in the package."""
    with resources.files("assay.evidence.weights").joinpath("learned_image.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        last, middle = (
            Part(stored[name].astype(np.float64), float(bias))
            for name, bias in zip(("last", "middle"), stored["biases"], strict=True)
        )
        return Head(last, middle, float(stored["notable"]))


class LearnedImage:
    """Does the picture look like those of known generators, as a whole or in its texture?"""

    card: ClassVar[Card] = Card(
        name="learned_image",
        version=3,
        reads=Image,
        family="learned",
        claims=frozenset({Kind.FULL_SYNTHESIS}),
        summary="Compares the picture's look and its fine texture with generated pictures and with photographs.",
        source="doi:10.48550/arXiv.2302.10174 (Ojha, Li, Lee: frozen CLIP features and a linear head)",
        licence="Apache-2.0 (head); MIT (encoder)",
        models=(ENCODER,),
        frames=True,
    )

    def __init__(self, sessions: Mapping[str, InferenceSession], head: Head | None = None) -> None:
        self._encoder = sessions[ENCODER]
        self._input: str = self._encoder.get_inputs()[0].name
        self._last: str = self._encoder.get_outputs()[0].name
        self._head = head or shipped_head()

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if min(height, width) < SMALLEST:
            text = f"The picture is {width} x {height} pixels: below {SMALLEST} nothing was learned."
            return Finding.not_applicable("too_small", text)
        if max(height, width) > LONGEST * min(height, width):
            text = "The picture is a narrow strip: no such picture was among those learned from."
            return Finding.not_applicable("too_narrow", text)
        square = reduced(view.coded, view.orientation)
        if float(square.mean(axis=2).std()) < FLATTEST:
            return Finding.not_applicable(
                "too_flat", "The picture is of nearly one tone: there is nothing to compare."
            )
        last, _ = self.layers(square)
        _, middle = self.layers(window(view.coded, view.orientation))
        look, texture = self._head.scores(last, middle)
        score = LOOK * look + (1 - LOOK) * texture
        return Finding(Outcome.SCORED, score, (_reason(score, look, texture, self._head.notable),))

    def layers(self, square: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The embedding, shape (512,), and the pooled tokens of the middle layer, shape (2304,), from one pass.

        One picture at a time: batches change the numbers.
        """
        answers: list[Any] = self._encoder.run([self._last, LAYER], {self._input: tensor(square)})
        return np.asarray(answers[0][0], np.float32), pooled(np.asarray(answers[1][0], np.float32))


def _reason(score: float, look: float, texture: float, notable: float) -> Reason:
    if score < notable:
        return Reason(
            "learned_nothing",
            "The picture as a whole does not stand out from photographs. That clears nothing: small edits, face swaps and "
            "generators that were not learned look the same here.",
        )
    if texture > look:
        return Reason(
            "learned_texture_like",
            "The fine texture of the picture, seen at its own resolution, resembles that of generated pictures more than "
            "that of photographs. Drawings, heavy retouching and unusual cameras can have such a texture too.",
        )
    return Reason(
        "learned_synthetic_like",
        "As a whole the picture looks more like those of known image generators than like photographs. "
        "This is an impression of style and content: it points at no place, and studio pictures, drawings and heavy "
        "retouching can give it too.",
    )
