"""Classical inpainting: something is taken out of a photograph and the hole is filled from what surrounds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.range import blending, shapes
from assay.range.generator import Made, Parent, changed, visible
from assay.types import JSON, Kind

LARGEST = {
    "telea": 0.06,
    "navier_stokes": 0.06,
    "exemplar": 0.20,
}  # share of the picture: the first two smear
LOOSE = 5  # pixels: a hole is drawn wider than what is taken out, or its rim colours the fill
SHIFTS = 400  # candidates of the exemplar fill


class Inpaint:
    name: ClassVar[str] = "inpaint"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.INPAINTING
    count: ClassVar[int] = 1
    faces: ClassVar[bool] = False
    area: ClassVar[tuple[float, float]] = (0.01, 0.25)
    digital_source_type: ClassVar[str] = "compositeSynthetic"
    summary: ClassVar[str] = "Something taken out of a photo, and the hole filled from its surroundings."

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        cv2.setNumThreads(1)
        (host,) = parents
        drawn = self._draw(rng)
        height, width = host.pixels.shape[:2]
        hole = shapes.outline(host.pixels, drawn["outline"], drawn["share"] * height * width, rng)
        if hole is None:
            return None
        if drawn["method"] == "exemplar":
            hole |= shapes.ring(hole, LOOSE)
            found = _exemplar(host.pixels, hole, rng)
            if found is None:
                return None
            pixels, drawn["shift"] = found
        else:
            pixels = _diffused(host.pixels, hole, drawn)
        if drawn["grain"]:
            level = blending.grain(host.pixels, shapes.ring(hole, 12))
            drawn["grain_level"] = round(level, 3)
            pixels = _grained(pixels, hole, level, rng)
        made = Made(pixels, changed(pixels, host.pixels, hole), hole, drawn, (host,))
        return visible(made)

    @staticmethod
    def _draw(rng: np.random.Generator) -> JSON:
        method = str(rng.choice(tuple(LARGEST), p=(0.25, 0.25, 0.5)))
        return {
            "method": method,
            "outline": str(rng.choice(shapes.OUTLINES, p=(0.4, 0.15, 0.45))),
            "share": round(float(np.exp(rng.uniform(np.log(0.015), np.log(LARGEST[method])))), 4),
            "radius": round(float(rng.uniform(3, 8)), 1),
            # A fill by diffusion is smoother than any photo: half of the forgers put grain over it.
            "grain": bool(method != "exemplar" and rng.random() < 0.5),
        }


def _diffused(pixels: NDArray[np.uint8], hole: NDArray[np.bool_], drawn: JSON) -> NDArray[np.uint8]:
    """Telea's marching or the Navier-Stokes fill, in a window around the hole.

    References
    ----------
    A. Telea, JGT 9(1), 2004, doi:10.1080/10867651.2004.10487596; M. Bertalmio, A. Bertozzi, G. Sapiro, CVPR 2001,
    doi:10.1109/CVPR.2001.990497.
    """
    x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
    margin = 2 * int(np.ceil(drawn["radius"])) + 2
    part = np.s_[max(0, y - margin) : y + h + margin, max(0, x - margin) : x + w + margin]
    how = cv2.INPAINT_TELEA if drawn["method"] == "telea" else cv2.INPAINT_NS
    filled = cv2.inpaint(
        np.ascontiguousarray(pixels[part]), hole[part].astype(np.uint8) * 255, drawn["radius"], how
    )
    out = pixels.copy()
    out[part] = np.where(hole[part][..., None], filled, pixels[part])
    return out


def _exemplar(
    pixels: NDArray[np.uint8], hole: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[int]] | None:
    """Fill with the part of the picture whose border fits best, blended by its gradients.

    Candidates are shifts of the whole picture; each is judged by the ring around the hole at a quarter of the size.

    References
    ----------
    Y. Pritch, E. Kav-Venaki, S. Peleg, "Shift-map image editing", ICCV 2009, doi:10.1109/ICCV.2009.5459159, with one
    shift for the hole.
    """
    height, width = hole.shape
    quarter = (max(1, width // 4), max(1, height // 4))
    small = cv2.resize(pixels, quarter, interpolation=cv2.INTER_AREA).astype(np.int16)
    gap = cv2.resize(hole.astype(np.uint8), quarter, interpolation=cv2.INTER_NEAREST) > 0
    edge = np.argwhere(shapes.ring(gap, 4))
    within = np.argwhere(gap)
    if not len(edge) or not len(within):
        return None
    edge, within = edge[:: max(1, len(edge) // 400)], within[:: max(1, len(within) // 400)]
    limits = np.array(gap.shape)
    taboo = cv2.dilate(gap.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # nothing of what is taken out
    best: tuple[float, NDArray[np.int64]] | None = None
    for shift in rng.integers(-limits, limits, (SHIFTS, 2)):
        there, source = edge + shift, within + shift
        if (source < 1).any() or (source >= limits - 1).any() or taboo[tuple(source.T)].any():
            continue
        usable = ((there >= 0) & (there < limits)).all(axis=1)
        if usable.mean() < 0.8:
            continue
        error = float(np.abs(small[tuple(there[usable].T)] - small[tuple(edge[usable].T)]).mean())
        if best is None or error < best[0]:
            best = error, shift
    if best is None:
        return None
    dy, dx = (int(v) * 4 for v in best[1])
    shifted = blending.moved(pixels, np.array([[1.0, 0, -dx], [0, 1.0, -dy]]), (width, height), "linear")
    return blending.poisson(shifted, pixels, hole), [dx, dy]


def _grained(
    pixels: NDArray[np.uint8], hole: NDArray[np.bool_], level: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    noise = rng.standard_normal((int(hole.sum()), 1), dtype=np.float32) * np.float32(level)
    out = pixels.copy()
    out[hole] = np.clip(np.rint(out[hole] + noise), 0, 255).astype(np.uint8)
    return out
