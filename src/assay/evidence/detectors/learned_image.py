"""Synthetic pictures as a frozen CLIP encoder sees them in one pass, judged by two small linear maps of our own.

The class token of the late blocks says what the whole picture looks like; the patches of the middle blocks, averaged,
what its surfaces are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors._clip import ENCODER, squared, tensor, tokens_after
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LATE = (8, 9, 10, 11)  # blocks of 12 whose class token is read
MIDDLE = (7, 8, 9)  # blocks whose patches are averaged
BLOCKS = tuple(sorted({*LATE, *MIDDLE}))
WIDTH = 768  # of a token
LOOK = 0.8  # share of the late blocks' score in the sum, the rest is the middle blocks'
SMALLEST = 64  # pixels of the short side; nothing smaller was trained or measured


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
    """The maps of both depths."""

    late: Part  # of 3,072 numbers
    middle: Part  # of 2,304
    notable: (
        float  # score that 1 % of bona fide pictures reach, out of fold: where the reason changes its words
    )


@cache
def shipped_head() -> Head:
    """The head that lies in the package."""
    with resources.files("assay.evidence.weights").joinpath("learned_image.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        late, middle = (
            Part(stored[name].astype(np.float64), float(bias))
            for name, bias in zip(("late", "middle"), stored["biases"], strict=True)
        )
        return Head(late, middle, float(stored["notable"]))


class LearnedImage:
    """Does the picture look like those of known generators, as a whole or in its surfaces?"""

    card: ClassVar[Card] = Card(
        name="learned_image",
        version=5,
        reads=Image,
        family="learned",
        claims=frozenset({Kind.FULL_SYNTHESIS}),
        summary="Compares the picture's look and its surfaces with generated pictures and with photographs.",
        source="doi:10.48550/arXiv.2302.10174 (Ojha, Li, Lee: frozen CLIP features and a linear head)",
        licence="Apache-2.0 (head); MIT (encoder)",
        models=(ENCODER,),
        frames=True,
    )

    def __init__(self, sessions: Mapping[str, InferenceSession], head: Head | None = None) -> None:
        self._encoder = sessions[ENCODER]
        self._input: str = self._encoder.get_inputs()[0].name
        self._head = head or shipped_head()

    def examine(self, view: Image, /) -> Finding:
        square = squared(view, SMALLEST)
        if isinstance(square, Finding):
            return square
        late, middle = self.features(square.pixels)
        look, surface = self._head.late.score(late), self._head.middle.score(middle)
        score = LOOK * look + (1 - LOOK) * surface
        reason = _reason(score, look, surface, self._head.notable)
        return Finding(Outcome.SCORED, score, (reason, *square.reasons))

    def features(self, square: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What one pass says of a (224, 224, 3) picture: class tokens, shape (3072,), and mean patches, shape (2304,).

        One picture at a time: batches change the numbers.
        """
        answers: list[Any] = self._encoder.run(
            [tokens_after(block) for block in BLOCKS], {self._input: tensor(square)}
        )
        tokens = {
            block: np.asarray(answer[0], np.float32) for block, answer in zip(BLOCKS, answers, strict=True)
        }
        late = np.concatenate([tokens[block][0] for block in LATE])
        middle = np.concatenate([tokens[block][1:].mean(axis=0) for block in MIDDLE])
        return late, middle


def _reason(score: float, look: float, surface: float, notable: float) -> Reason:
    if score < notable:
        return Reason(
            "learned_nothing",
            "The picture as a whole does not stand out from photographs. That clears nothing: small edits, face swaps and "
            "generators that were not learned look the same here.",
        )
    if surface > look:
        return Reason(
            "learned_texture_like",
            "The surfaces and small patterns of the picture resemble those of generated pictures more than those of "
            "photographs. Drawings, heavy retouching and unusual cameras can have such surfaces too.",
        )
    return Reason(
        "learned_synthetic_like",
        "As a whole the picture looks more like those of known image generators than like photographs. "
        "This is an impression of style and content: it points at no place, and studio pictures, drawings and heavy "
        "retouching can give it too.",
    )
