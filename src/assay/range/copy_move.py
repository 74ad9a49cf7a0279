"""Copy-moves: something of a photograph, laid down once more somewhere else in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.range import blending, shapes
from assay.range.generator import Made, Parent, changed, visible
from assay.types import JSON, Kind

OVERLAP = 0.1  # of the copy with what it was copied from, at most
PLACES = 24  # tries to lay it down


class CopyMove:
    name: ClassVar[str] = "copy_move"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.COPY_MOVE
    count: ClassVar[int] = 1
    faces: ClassVar[bool] = False
    area: ClassVar[tuple[float, float]] = (0.01, 0.25)
    digital_source_type: ClassVar[str] = "compositeCapture"
    summary: ClassVar[str] = "A part of a photo copied to another place in it."

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        cv2.setNumThreads(1)
        (host,) = parents
        drawn = self._draw(rng)
        height, width = host.pixels.shape[:2]
        wanted = drawn["share"] * height * width / drawn["scale"] ** 2
        part = shapes.outline(host.pixels, drawn["outline"], wanted, rng)
        if part is None:
            return None
        placed = _placed(part, (width, height), drawn, rng)
        if placed is None:
            return None
        matrix, inside = placed
        patch = blending.moved(host.pixels, matrix, (width, height), drawn["interpolation"])
        if drawn["gain"] != 1.0:
            patch = np.clip(np.rint(patch * np.float32(drawn["gain"])), 0, 255).astype(np.uint8)
        pixels = blending.alpha(patch, host.pixels, shapes.feathered(inside, drawn["feather"]))
        parameters = drawn | {"from": shapes.polygon_of(part), "matrix": np.round(matrix, 6).tolist()}
        made = Made(pixels, changed(pixels, host.pixels, inside), inside, parameters, (host,))
        return visible(made)

    @staticmethod
    def _draw(rng: np.random.Generator) -> JSON:
        turn = rng.choice(("none", "some", "right"), p=(0.4, 0.45, 0.15))
        degrees = {
            "none": 0.0,
            "some": float(rng.uniform(-30, 30)),
            "right": float(rng.choice((90, 180, 270))),
        }
        return {
            "outline": str(rng.choice(shapes.OUTLINES, p=(0.45, 0.2, 0.35))),
            "share": round(float(np.exp(rng.uniform(np.log(0.015), np.log(0.15)))), 4),
            "scale": round(float(rng.uniform(0.7, 1.4)), 3) if rng.random() < 0.5 else 1.0,
            "degrees": round(degrees[str(turn)], 2),
            "interpolation": str(rng.choice(tuple(blending.INTERPOLATION))),
            "blend": "alpha",
            "feather": round(float(rng.uniform(0, 5)), 2),
            "gain": round(float(rng.uniform(0.88, 1.12)), 3) if rng.random() < 0.25 else 1.0,
        }


def _placed(
    part: NDArray[np.bool_], size: tuple[int, int], drawn: JSON, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Draw a place inside of the picture and away from the original; None where there is none."""
    _, _, w, h = cv2.boundingRect(part.astype(np.uint8))
    turned = shapes.similarity((0, 0), (0, 0), scale=drawn["scale"], degrees=drawn["degrees"])[:, :2]
    reach = np.abs(turned) @ np.array([w, h]) / 2
    if (2 * reach > size).any():
        return None
    centre = np.asarray(shapes.centre_of(part))
    exact = drawn["scale"] == 1.0 and drawn["degrees"] % 90 == 0
    expected = part.sum() * drawn["scale"] ** 2
    for _ in range(PLACES):
        target = rng.uniform(reach, np.maximum(np.array(size) - reach, reach + 1e-6))
        # A turn by a right angle lands on whole pixels where centre and target both lie on (or between) them.
        target = centre + np.rint(target - centre) if exact else target
        matrix = shapes.similarity(
            tuple(centre), tuple(target), scale=drawn["scale"], degrees=drawn["degrees"]
        )
        if exact:
            matrix = np.rint(matrix)
        inside = blending.moved_mask(part, matrix, size)
        if inside.sum() >= 0.9 * expected and (inside & part).sum() <= OVERLAP * inside.sum():
            return matrix, inside
    return None
