"""Self-blended faces: a face laid over itself, altered and moved a little, as a swap leaves it without another person.

A detector that learns from these cannot learn who is shown, which camera took it or how it was saved: both pictures of
a pair share all of that. What remains is the seam, and what differs between its two sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.media.faces import Mesh
from assay.range import blending, portraits
from assay.range.generator import Made, Parent, changed
from assay.types import JSON, Kind

ROOM = 0.35  # of the face's side: how far around the face pixels are looked at
# Which points of the mesh span the region: all of the face, without the forehead, its lower half, its middle.
REGIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
    "face": lambda at: np.ones(len(at), bool),
    "below the brows": lambda at: at[:, 1] > -0.45,
    "lower half": lambda at: at[:, 1] > -0.05,
    "middle": lambda at: np.abs(at[:, 0]) < 0.72,
}
OPACITIES = (0.5, 0.75, 1.0, 1.0, 1.0)
SEEN = 0.02  # opacity: less changes a pixel by a few grey levels at most
FAINTEST = 1.5  # grey levels: mean difference inside below which nothing was made


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """A face laid over its host."""

    pixels: NDArray[np.uint8]  # (H, W, 3)
    host: NDArray[np.uint8]  # (H, W, 3): what it was laid over, which is altered where the draw said so
    intended: NDArray[np.bool_]  # (H, W)
    parameters: JSON


class SelfBlend:
    """Shiohara, Yamasaki, "Detecting deepfakes with self-blended images", CVPR 2022, doi:10.1109/CVPR52688.2022.01816."""

    name: ClassVar[str] = "self_blend"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.FACE_SWAP
    count: ClassVar[int] = 1
    faces: ClassVar[bool] = True
    area: ClassVar[tuple[float, float]] = (0.0005, 0.6)
    digital_source_type: ClassVar[str] = "compositeCapture"
    summary: ClassVar[str] = "A face laid over itself, its colours, sharpness and place changed a little."

    def __init__(self, find: portraits.Finder | None = None) -> None:
        """Take `find` to look for faces; without it, the pulled weights are opened when the first face is wanted."""
        self._find = find

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        cv2.setNumThreads(1)
        self._find = self._find or portraits.pulled()
        host = parents[0]
        made = self_blended(host.pixels, portraits.mesh_of(host, self._find), rng)
        if made is None:
            return None
        mask = changed(made.pixels, host.pixels, made.intended)
        return Made(made.pixels, mask, made.intended, made.parameters, (host,))


def self_blended(
    pixels: NDArray[np.uint8], mesh: Mesh, rng: np.random.Generator, *, alter_host: bool = False
) -> Blend | None:
    """Lay a face over itself.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Not modified.
    mesh : Mesh
        On the face.
    rng : numpy.random.Generator
    alter_host : bool
        Alter colours and sharpness of the host instead of the face that is laid over it. The pair to compare is then
        `host` and `pixels` of what is returned: the picture that came in differs from both.

    Returns
    -------
    made : Blend or None
        None where the draw changed next to nothing.
    """
    drawn = _draw(rng)
    x, y, w, h = portraits.window(mesh, ROOM, pixels.shape)
    if min(w, h) < portraits.SMALLEST:
        return None
    part = np.ascontiguousarray(pixels[y : y + h, x : x + w])
    at = mesh.points[:, :2] - (x, y)
    extent = portraits.side(mesh)
    opacity = _opacity(at, portraits.axes(mesh).of(mesh.points[:, :2]), (w, h), extent, drawn, rng)
    host = altered(pixels, drawn["alteration"], extent) if alter_host else pixels
    below = host[y : y + h, x : x + w]
    upper = part if alter_host else altered(part, drawn["alteration"], extent)
    laid = blending.alpha(_shifted(upper, at.mean(axis=0), extent, drawn), below, opacity)
    inside = opacity >= SEEN
    if not inside.any() or np.abs(laid[inside].astype(int) - below[inside]).mean() < FAINTEST:
        return None
    out, intended = host.copy(), np.zeros(pixels.shape[:2], bool)
    out[y : y + h, x : x + w], intended[y : y + h, x : x + w] = laid, inside
    return Blend(
        out, host, intended, drawn | {"face": [x, y, w, h], "altered": "host" if alter_host else "face"}
    )


def _draw(rng: np.random.Generator) -> JSON:
    return {
        "region": str(rng.choice(list(REGIONS))),
        "shift": [round(float(v), 4) for v in rng.uniform(-0.03, 0.03, 2)],  # of the face's side
        "scale": round(float(np.exp(rng.uniform(-0.05, 0.05))), 4),
        "wobble": round(float(rng.uniform(0.0, 0.035)), 4),  # of the face's side: how far the outline strays
        "grow": round(float(rng.uniform(-0.04, 0.05)), 4),
        "feather": [round(float(v), 4) for v in rng.uniform(0.008, 0.06, 2)],
        "cut": round(float(rng.uniform(0.3, 0.8)), 3),
        "opacity": float(rng.choice(OPACITIES)),
        "alteration": drawn_alteration(rng),
    }


def drawn_alteration(rng: np.random.Generator) -> JSON:
    """Draw how colours and sharpness change; the numbers are those of `altered`."""
    sharpness = str(rng.choice(["sharper", "smaller", "blurred", "none"], p=[0.3, 0.3, 0.2, 0.2]))
    low, high = {"sharper": (0.2, 0.7), "smaller": (1.5, 3.0), "blurred": (0.4, 1.2), "none": (0, 0)}[
        sharpness
    ]
    return {
        "shift_rgb": [round(float(v), 2) for v in rng.uniform(-12, 12, 3) * (rng.random() < 0.5)],
        "hue": round(float(rng.uniform(-4, 4)), 2),  # of 180
        "saturation": round(float(rng.uniform(0.82, 1.22)), 3),
        "contrast": round(float(rng.uniform(0.88, 1.12)), 3),
        "brightness": round(float(rng.uniform(-14, 14)), 2),
        "sharpness": sharpness,
        "amount": round(float(rng.uniform(low, high)), 3),
    }


def altered(pixels: NDArray[np.uint8], how: JSON, extent: float) -> NDArray[np.uint8]:
    """Change colours and sharpness of a picture.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Not modified.
    how : dict
        `shift_rgb` and `brightness` in grey levels, `contrast` about mid grey, `hue` in units of 2 degrees, `saturation`
        as a factor; `sharpness` with its `amount`: "sharper" (of the difference to a blur), "smaller" (times, and back),
        "blurred" (deviation in pixels, for a face of 160 pixels).
    extent : float
        The face's side in pixels: larger faces are blurred more.

    Returns
    -------
    altered : ndarray of uint8, shape (H, W, 3)
    """
    x = np.clip(pixels.astype(np.float32) + np.array(how["shift_rgb"], np.float32), 0, 255) / 255
    hsv = cv2.cvtColor(x.astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 2 * how["hue"]) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * how["saturation"], 0, 1)
    x = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    x = (x - 128) * how["contrast"] + 128 + how["brightness"]
    return np.rint(np.clip(_sharpness(np.asarray(x, np.float32), how, extent), 0, 255)).astype(np.uint8)


def _sharpness(x: NDArray[np.float32], how: JSON, extent: float) -> NDArray[np.float32]:
    amount, unit = how["amount"], max(0.5, extent / 160)
    if how["sharpness"] == "sharper":
        return np.asarray(x + amount * 1.5 * (x - cv2.GaussianBlur(x, (0, 0), 1.2 * unit)), np.float32)
    if how["sharpness"] == "blurred":
        return np.asarray(cv2.GaussianBlur(x, (0, 0), amount * unit), np.float32)
    if how["sharpness"] == "smaller":
        height, width = x.shape[:2]
        size = (max(1, round(width / amount)), max(1, round(height / amount)))
        small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return x


def _shifted(
    part: NDArray[np.uint8], centre: NDArray[np.float64], extent: float, drawn: JSON
) -> NDArray[np.uint8]:
    """Move and scale the face about its centre, by fractions of its side."""
    s = drawn["scale"]
    move = centre * (1 - s) + np.array(drawn["shift"]) * extent
    matrix = np.array([[s, 0, move[0]], [0, s, move[1]]])
    return blending.moved(part, matrix, (part.shape[1], part.shape[0]), "cubic")


def _opacity(
    at: NDArray[np.float64],
    own: NDArray[np.float64],
    size: tuple[int, int],
    extent: float,
    drawn: JSON,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw the region's opacity (h, w): a hull with a straying outline, blurred, cut and blurred again."""
    chosen = at[REGIONS[drawn["region"]](own)]
    middle = chosen.mean(axis=0)
    mask = portraits.hull(middle + (chosen - middle) * (1 + drawn["grow"]), size)
    stray = cv2.resize(
        rng.normal(0, 1, (5, 5, 2)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC
    ) * np.float32(drawn["wobble"] * extent)
    columns, rows = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    mask = np.asarray(cv2.remap(mask, columns + stray[..., 0], rows + stray[..., 1], cv2.INTER_LINEAR))
    first, second = (max(0.6, f * extent) for f in drawn["feather"])
    mask = cv2.GaussianBlur(mask, (0, 0), first)
    kept = np.where(mask > drawn["cut"], mask, 0) / max(1e-6, float(mask.max()))
    soft = cv2.GaussianBlur(kept.astype(np.float32), (0, 0), second / 2)
    return np.asarray(soft * drawn["opacity"], np.float32)
