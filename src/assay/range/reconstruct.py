"""Reconstructions: a bona fide picture sent through a learned decoder, which leaves nothing but the decoder's traces.

Content, size and codec stay those of the parent. The decoders are small autoencoders trained on photographs by
`tools/train/decoders.py`, one for each kind of upsampling layer at each factor: what large image generators end with.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError
from assay.range.generator import Made, Parent
from assay.types import Kind

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

KINDS = ("transposed", "nearest", "bilinear", "shuffle")  # of upsampling layer
FACTORS = (2, 4)  # pixels of the picture, for one of the latent grid
TILE = 512  # pixels of a side: bounds the memory, whatever the picture's size
MARGIN = 32  # pixels around a tile that are computed and thrown away: more than any layer reaches


class Reconstruct:
    name: ClassVar[str] = "reconstruct"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.FULL_SYNTHESIS
    count: ClassVar[int] = 1
    faces: ClassVar[bool] = False
    area: ClassVar[tuple[float, float]] = (0.0, 1.0)
    digital_source_type: ClassVar[str] = "trainedAlgorithmicMedia"
    summary: ClassVar[str] = (
        "A photo sent through a learned decoder: same content, only the decoder's traces."
    )

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        """Reconstruct the host; every pixel counts as changed, also where the decoder hit the same value."""
        (host,) = parents
        drawn = decoders()[int(rng.integers(len(decoders())))]
        whole = np.ones(host.pixels.shape[:2], np.bool_)
        kind, factor = drawn.rsplit("_", 1)
        parameters = {"decoder": drawn, "upsampling": kind, "factor": int(factor)}
        return Made(decoded(host.pixels, drawn), whole, whole.copy(), parameters, (host,))


def decoders() -> tuple[str, ...]:
    """The shipped decoders, by kind and factor: "transposed_2"."""
    return tuple(f"{kind}_{factor}" for factor in FACTORS for kind in KINDS)


def decoded(pixels: NDArray[np.uint8], decoder: str) -> NDArray[np.uint8]:
    """Send a picture through a learned encoder and decoder, tile by tile.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        sRGB-like. Not modified.
    decoder : str
        One of `decoders()`.

    Returns
    -------
    reconstruction : ndarray of uint8, shape (H, W, 3)
        Tiles overlap by more than the networks reach and lie on the latent grid, so that no seam shows. Beyond the edges
        the picture is mirrored.

    Raises
    ------
    AssayError
        If no decoder has that name.
    """
    if decoder not in decoders():
        hint = f"There are {', '.join(decoders())}."
        raise AssayError(f"there is no decoder {decoder[:80]!r}", code="decoder", hint=hint)
    height, width = pixels.shape[:2]
    grid = max(FACTORS)
    framed = np.pad(
        pixels,
        ((MARGIN, MARGIN + -height % grid), (MARGIN, MARGIN + -width % grid), (0, 0)),
        mode="symmetric",
    )
    output = np.empty_like(framed)
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            tile = framed[y : y + TILE + 2 * MARGIN, x : x + TILE + 2 * MARGIN]
            inner = _through(tile, decoder)[MARGIN:-MARGIN, MARGIN:-MARGIN]
            output[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return np.ascontiguousarray(output[:height, :width])


def _through(tile: NDArray[np.uint8], decoder: str) -> NDArray[np.uint8]:
    value = np.ascontiguousarray((tile.astype(np.float32) / np.float32(127.5) - 1).transpose(2, 0, 1)[None])
    for network in (f"encoder_{decoder.rsplit('_', 1)[1]}", decoder):
        (value,) = _session(network).run(None, {"x": value})
    levels = np.rint((value[0].transpose(1, 2, 0) + 1) * 127.5)
    return np.asarray(np.clip(levels, 0, 255).astype(np.uint8))


@cache
def _session(name: str) -> InferenceSession:
    import onnxruntime

    from assay.evidence.models import session_options

    data = resources.files("assay.range").joinpath("weights", f"{name}.onnx").read_bytes()
    return onnxruntime.InferenceSession(data, session_options(), providers=["CPUExecutionProvider"])
