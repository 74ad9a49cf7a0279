"""Parts that do not belong: what a frozen CLIP encoder's middle blocks say of each patch, weighed by a small linear map.

A patch that was pasted, copied or filled differs from its surroundings in light, sharpness, scale or sense, and its edges cut through
things. The middle blocks see that at any JPEG quality; the map was fitted on forgeries and on their honest twins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors._clip import ENCODER, PATCHES, SIDE, Square, squared, tensor, tokens_after
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason, Region

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

BLOCKS = (7, 9)  # of 12
SMALLEST = 256  # pixels of the short side; no smaller forgery was learned from
SMOOTH = 3  # patches: a side of the mean that the score is the maximum of
FINE = 8  # a patch's cells a side, for outlines


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear map of one patch, in standard deviations of the strongest patches of honest pictures."""

    of: NDArray[np.float64]  # (1536,)
    bias: float
    notable: float = 0.0  # score that 1 % of honest pictures reach, out of fold
    edge: float = 0.0  # where a region ends: a patch's value between changed and not

    def patches(self, tokens: NDArray[np.float32]) -> NDArray[np.float64]:
        """Each patch's value, shape (14, 14), from tokens of shape (196, 1536)."""
        # A sum, not a product: that one's order depends on the machine.
        values: NDArray[np.float64] = (tokens.astype(np.float64) * self.of).sum(axis=1) + self.bias
        return values.reshape(PATCHES, PATCHES)


@cache
def shipped() -> Weights:
    """The map that lies in the package."""
    with resources.files("assay.evidence.weights").joinpath("learned_edit.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        bias, notable, edge = (float(v) for v in stored["numbers"][0])
        return Weights(stored["weights"][0].astype(np.float64), bias, notable, edge)


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over neighbouring patches; at the border the last ones count again. Shape (14, 14) or a stack of it."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(SMOOTH // 2, SMOOTH // 2)] * 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SMOOTH, SMOOTH), axis=(-2, -1))
    mean: NDArray[np.float64] = windows.mean(axis=(-2, -1))
    return mean


class LearnedEdit:
    """Is there a part that was pasted, copied or filled?"""

    card: ClassVar[Card] = Card(
        name="learned_edit",
        version=2,
        reads=Image,
        family="composition",
        claims=frozenset({Kind.SPLICE, Kind.INPAINTING, Kind.COPY_MOVE}),
        summary="Looks for a part that does not belong to the picture around it, as an encoder sees it.",
        source="doi:10.48550/arXiv.2402.19091 (Koutlis, Papadopoulos: tokens of CLIP's intermediate blocks), on patches",
        licence="Apache-2.0 (map); MIT (encoder)",
        models=(ENCODER,),
    )

    def __init__(self, sessions: Mapping[str, InferenceSession], weights: Weights | None = None) -> None:
        self._encoder = sessions[ENCODER]
        self._input: str = self._encoder.get_inputs()[0].name
        self._weights = weights or shipped()

    def examine(self, view: Image, /) -> Finding:
        square = squared(view, SMALLEST)
        if isinstance(square, Finding):
            return square
        values = smoothed(self._weights.patches(self.tokens(square.pixels)))
        score = float(values.max())
        if score < self._weights.notable:
            text = "No part stands out from the picture around it. That clears nothing: small and careful edits look the same."
            return Finding(Outcome.SCORED, score, (Reason("edit_nothing", text), *square.reasons))
        text = (
            "A part of the picture does not seem to belong to what is around it: its light, sharpness, scale or edges differ. "
            "Reflections, cut-outs, posters and strong blur in the background can look so, too."
        )
        reasons = (Reason("edit_part", text), *square.reasons)
        found = regions(values, self._weights.edge, square, view.upright.shape[:2], score)
        heat = _heat(values, self._weights, square, view.upright.shape[:2])
        return Finding(Outcome.SCORED, score, reasons, found, heat=heat)

    def tokens(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What one pass says of each patch of a (224, 224, 3) picture, shape (196, 1536), row by row."""
        answers: list[Any] = self._encoder.run(
            [tokens_after(b) for b in BLOCKS], {self._input: tensor(square)}
        )
        return np.concatenate([np.asarray(a[0][1:], np.float32) for a in answers], axis=1)


def regions(
    values: NDArray[np.float64], edge: float, square: Square, shape: tuple[int, int], score: float
) -> tuple[Region, ...]:
    """Outline the connected part, above `edge`, around the strongest patch.

    Parameters
    ----------
    values : ndarray of float64, shape (14, 14)
        Upright.
    edge : float
        Where the part ends. Above the greatest value, half of that one takes its place.
    square : Square
        Where the patches lie.
    shape : tuple of int
        Height and width of the upright picture in pixels.
    """
    fine = cv2.resize(values, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_LINEAR)
    _, labels = cv2.connectedComponents((fine >= min(edge, score / 2)).astype(np.uint8), connectivity=4)
    top = int(labels.flat[int(fine.argmax())])
    contours, _ = cv2.findContours(
        (labels == top).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    left, upper, wide, high = square.box
    scale = np.array([wide, high]) / (PATCHES * FINE)
    found = []
    for contour in contours:
        points = tuple(
            (float(x), float(y)) for x, y in (contour.reshape(-1, 2) + 0.5) * scale + (left, upper)
        )
        if len(points) >= 3:
            found.append(Region(points, shape[1], shape[0], score=score))
    return tuple(found)


def _heat(
    values: NDArray[np.float64], weights: Weights, square: Square, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """The values, 0 at the edge of a region and 255 at the notable score and above, at 224 cells a side of the whole picture."""
    span = max(weights.notable - weights.edge, 1e-6)
    shades = (np.clip((values - weights.edge) / span, 0, 1) * 255).astype(np.float32)
    heat = np.zeros((SIDE, SIDE), np.uint8)
    x, y, wide, high = square.box
    left, right = (round(SIDE * v / shape[1]) for v in (x, x + wide))
    top, bottom = (round(SIDE * v / shape[0]) for v in (y, y + high))
    heat[top:bottom, left:right] = cv2.resize(
        shades, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR
    )
    return heat
