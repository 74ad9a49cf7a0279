"""Seams and mismatches around faces, as a middle layer of a frozen encoder shows them to a linear head of our own.

The head learned from self-blended and swapped portraits in pairs that share person, camera, size and every later save, so
that nothing but the blend tells the two of a pair apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors._clip import ENCODER, PATCHES, SIDE, tensor, tokens_after
from assay.media import faces
from assay.media.faces import Face, Mesh
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason, Region

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LAYER = tokens_after(8)
SMALLEST = 48  # pixels of a face's box: nothing smaller was learned
MOST = 3  # faces that are examined, the largest ones
SURE = 0.5  # the mesh's own probability, under which something is no face
ROOM = 1.3  # of the mesh's longer side: what the encoder sees
BETWEEN = 160  # pixels: every face is brought to this size first, so that large and small ones look alike
INNER = (0.31, 0.38)  # half axes of the ellipse that is "inside", as shares of the crop's width and height
FLATTEST = 2.0  # grey levels: standard deviation of the crop
CORNERS = 64  # of a region's outline at most


def crop(pixels: NDArray[np.uint8], mesh: Mesh) -> NDArray[np.uint8]:
    """Cut a face out and bring it to the encoder's square. Training and use go through this one function.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Upright. Not modified.
    mesh : Mesh
        On the face.

    Returns
    -------
    square : ndarray of uint8, shape (224, 224, 3)
        1.3 times the mesh, at most 160 pixels of detail; mirrored where it leaves the picture.
    """
    flat = mesh.points[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    side = max(2, round(ROOM * float((high - low).max())))
    x, y = (round(float(v)) for v in (low + high - side) / 2)
    part = _window(pixels, x, y, side)
    how = cv2.INTER_AREA if side > BETWEEN else cv2.INTER_CUBIC
    small = cv2.resize(part, (BETWEEN, BETWEEN), interpolation=how)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def _window(pixels: NDArray[np.uint8], x: int, y: int, side: int) -> NDArray[np.uint8]:
    """Cut a square that may reach over the edges: there the edge's own pixels are repeated."""
    height, width = pixels.shape[:2]
    rows = np.clip(np.arange(y, y + side), 0, height - 1)
    columns = np.clip(np.arange(x, x + side), 0, width - 1)
    inner = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(inner[rows - rows[0]][:, columns - columns[0]])


def pooled(tokens: NDArray[np.float32]) -> NDArray[np.float64]:
    """Summarise the encoder's tokens of one face.

    Parameters
    ----------
    tokens : ndarray of float32, shape (1, 197, D)
        The class token, then 14 x 14 patches row by row. Not modified.

    Returns
    -------
    features : ndarray of float64, shape (3 D,)
        Mean over the patches inside of an ellipse on the face, mean over those outside, standard deviation over all.
    """
    patches = tokens[0, 1:].astype(np.float64)
    inside = _inside()
    return np.concatenate([patches[inside].mean(axis=0), patches[~inside].mean(axis=0), patches.std(axis=0)])


@cache
def _inside() -> NDArray[np.bool_]:
    at = (np.arange(PATCHES) + 0.5) / PATCHES - 0.5
    x, y = np.meshgrid(at / INNER[0], at / INNER[1])
    inside: NDArray[np.bool_] = (x * x + y * y < 1).ravel()
    return inside


@dataclass(frozen=True, slots=True)
class Head:
    """A linear head on the pooled features."""

    weight: NDArray[np.float64]  # (3 D,)
    bias: float
    notable: (
        float  # score that 5 % of held-out persons' untouched faces reach: where the reason changes its words
    )

    def score(self, features: NDArray[np.float64]) -> float:
        """Log odds between the training set's classes, higher for blended; no probability, no calibrated weight."""
        return float((features * self.weight).sum() + self.bias)


@cache
def shipped_head() -> Head:
    """The head that lies in the package."""
    with resources.files("assay.evidence.weights").joinpath("face_blend.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        return Head(stored["weight"].astype(np.float64), float(stored["bias"]), float(stored["notable"]))


class FaceBlend:
    """Was this face laid over the head that it is on?"""

    card: ClassVar[Card] = Card(
        name="face_blend",
        version=1,
        reads=Image,
        family="faces",
        claims=frozenset({Kind.FACE_SWAP}),
        summary="Looks for the seam and the mismatch that a face leaves which was laid over another one.",
        source="doi:10.1109/CVPR52688.2022.01816 (Shiohara, Yamasaki: self-blended images), on a frozen CLIP encoder",
        licence="Apache-2.0 (head); MIT (encoder, face networks)",
        models=(ENCODER, faces.DETECTOR, faces.MESH),
        frames=True,
    )

    def __init__(self, sessions: Mapping[str, InferenceSession], head: Head | None = None) -> None:
        self._encoder, self._detector, self._mesh = (sessions[name] for name in self.card.models)
        self._input: str = self._encoder.get_inputs()[0].name
        self._head = head or shipped_head()

    def examine(self, view: Image, /) -> Finding:
        pixels = np.ascontiguousarray(view.upright)
        found = faces.detect(pixels, self._detector)
        if not found:
            return Finding.not_applicable("no_face", "No face was found in the picture.")
        if found[0].side < SMALLEST:
            text = (
                f"The largest face measures {found[0].side:.0f} pixels: below {SMALLEST} nothing was learned."
            )
            return Finding.not_applicable("face_too_small", text)
        scored = [
            (score, place, mesh)
            for place, (face, mesh) in enumerate(self._sure(pixels, found))
            if (score := self._scored(pixels, mesh)) is not None
        ]
        if not scored:
            return Finding.not_applicable(
                "no_clear_face", "What resembles a face is turned away, covered, of one tone or none."
            )
        score, _, _ = max(scored, key=lambda s: s[0])
        return Finding(
            Outcome.SCORED,
            score,
            _reasons(scored, self._head.notable, pixels.shape[1], len(found)),
            regions=tuple(
                _outline(mesh, pixels.shape, value)
                for value, _, mesh in scored
                if value >= self._head.notable
            ),
        )

    def features(self, square: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Describe one crop (224, 224, 3) by the encoder's middle layer; in training, too."""
        tokens = self._encoder.run([LAYER], {self._input: tensor(square)})[0]
        return pooled(np.asarray(tokens))

    def _sure(self, pixels: NDArray[np.uint8], found: tuple[Face, ...]) -> list[tuple[Face, Mesh]]:
        """The largest faces on which a mesh lies well."""
        large = [f for f in found if f.side >= SMALLEST][: 3 * MOST]
        meshes = ((f, faces.mesh(pixels, f, self._mesh)) for f in large)
        return [(f, m) for f, m in meshes if m.presence >= SURE][:MOST]

    def _scored(self, pixels: NDArray[np.uint8], mesh: Mesh) -> float | None:
        square = crop(pixels, mesh)
        if float(square.mean(axis=2).std()) < FLATTEST:
            return None
        return self._head.score(self.features(square))


def _outline(mesh: Mesh, shape: tuple[int, ...], score: float) -> Region:
    height, width = shape[:2]
    hull = np.clip(mesh.outline(), 0, (width, height))
    step = -(-len(hull) // CORNERS)
    return Region(tuple((float(x), float(y)) for x, y in hull[::step].round(1)), width, height, score)


def _reasons(
    scored: list[tuple[float, int, Mesh]], notable: float, width: int, found: int
) -> tuple[Reason, ...]:
    """Which face stands out, or that none does."""
    score, place, mesh = max(scored, key=lambda s: s[0])
    which = _which(place, mesh, width, len(scored))
    left = f" {found - len(scored)} more were not examined." if found > len(scored) else ""
    if score >= notable:
        return (
            Reason(
                "face_seam",
                f"{which} looks as if it had been laid over another: its inside and its surroundings do not match. Make-up, "
                f"glasses, hard light and strong retouching can look alike.{left}",
            ),
        )
    return (
        Reason(
            "face_no_seam",
            f"{which} shows no more of a seam than untouched faces do. That clears nothing: a good swap has none.{left}",
        ),
    )


def _which(place: int, mesh: Mesh, width: int, examined: int) -> str:
    if examined == 1:
        return "The face"
    order = ("largest", "second largest", "third largest")[place]
    at = float(mesh.points[:, 0].mean()) / width
    side = "on the left" if at < 1 / 3 else "on the right" if at > 2 / 3 else "in the middle"
    return f"The {order} of {examined} faces, {side},"
