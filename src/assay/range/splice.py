"""Splices: something cut out of one photograph, pasted into another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.range import blending, shapes
from assay.range.generator import Made, Parent, changed, visible
from assay.types import JSON, Kind

TURNED = 0.5  # share of pastes that are scaled and turned; the others are shifted by whole pixels
MATCHED = 0.5  # share whose colours are matched
POISSON = 0.25


class Splice:
    name: ClassVar[str] = "splice"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.SPLICE
    count: ClassVar[int] = 2
    faces: ClassVar[bool] = False
    area: ClassVar[tuple[float, float]] = (0.01, 0.25)
    digital_source_type: ClassVar[str] = "compositeCapture"
    summary: ClassVar[str] = "A part of one photo pasted into another."

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        cv2.setNumThreads(1)
        host, donor = parents
        drawn = self._draw(rng)
        height, width = host.pixels.shape[:2]
        wanted = drawn["share"] * height * width / drawn["scale"] ** 2
        if wanted > 0.5 * donor.pixels.shape[0] * donor.pixels.shape[1]:
            return None
        part = shapes.outline(donor.pixels, drawn["outline"], wanted, rng)
        if part is None:
            return None
        matrix = _placed(part, (width, height), drawn, rng)
        inside = blending.moved_mask(part, matrix, (width, height))
        if inside.sum() < 0.8 * part.sum() * drawn["scale"] ** 2:  # it does not fit
            return None
        patch = blending.moved(donor.pixels, matrix, (width, height), drawn["interpolation"])
        pixels = _pasted(patch, inside, host.pixels, drawn)
        parameters = drawn | {"from": shapes.polygon_of(part), "matrix": np.round(matrix, 6).tolist()}
        made = Made(pixels, changed(pixels, host.pixels, inside), inside, parameters, (host, donor))
        return visible(made)

    @staticmethod
    def _draw(rng: np.random.Generator) -> JSON:
        turned = bool(rng.random() < TURNED)
        return {
            "outline": str(rng.choice(shapes.OUTLINES, p=(0.35, 0.2, 0.45))),
            "share": round(float(np.exp(rng.uniform(np.log(0.015), np.log(0.20)))), 4),
            "scale": round(float(rng.uniform(0.7, 1.3)), 3) if turned else 1.0,
            "degrees": round(float(rng.uniform(-25, 25)), 2) if turned else 0.0,
            "interpolation": str(rng.choice(tuple(blending.INTERPOLATION))),
            "blend": "poisson" if rng.random() < POISSON else "alpha",
            "feather": round(float(rng.uniform(0, 5)), 2),
            "colour_match": round(float(rng.uniform(0.4, 1.0)), 2) if rng.random() < MATCHED else 0.0,
        }


def _placed(
    part: NDArray[np.bool_], size: tuple[int, int], drawn: JSON, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw where the part goes: its box inside of the host, as far as it fits."""
    _, _, w, h = cv2.boundingRect(part.astype(np.uint8))
    reach = drawn["scale"] * np.array([w, h]) / 2
    low = np.minimum(reach, np.array(size) / 2)
    target = rng.uniform(low, np.maximum(np.array(size) - low, low + 1e-6))
    centre = shapes.centre_of(part)
    if drawn["scale"] == 1.0 and drawn["degrees"] == 0.0:
        target = np.asarray(centre) + np.rint(target - np.asarray(centre))
    return shapes.similarity(centre, tuple(target), scale=drawn["scale"], degrees=drawn["degrees"])


def _pasted(
    patch: NDArray[np.uint8], inside: NDArray[np.bool_], host: NDArray[np.uint8], drawn: JSON
) -> NDArray[np.uint8]:
    if drawn["colour_match"]:
        around = shapes.ring(inside, max(8, round(0.04 * max(host.shape))))
        patch = blending.colours_matched(patch, inside, host, around, drawn["colour_match"])
    if drawn["blend"] == "poisson":
        return blending.poisson(patch, host, inside)
    return blending.alpha(patch, host, shapes.feathered(inside, drawn["feather"]))
