"""Reconstructions: a bona fide picture sent through a learned decoder, which leaves nothing but the decoder's traces.

Content, size and codec stay those of the parent. The decoders are small autoencoders trained on photographs by
`tools/train/decoders.py`, one for each kind of upsampling layer at each factor: what large image generators end with.
Super-resolution networks, of others and much larger, can be asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError
from assay.range import super_resolution
from assay.range.generator import Made, Parent
from assay.types import Kind

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

KINDS = ("transposed", "nearest", "bilinear", "shuffle")  # of upsampling layer
FACTORS = (2, 4)  # pixels of the picture, for one of the latent grid
TILE = 512  # pixels of a side: bounds the memory, whatever the picture's size
MATCHED = 0.5  # share of reconstructions whose spectrum is brought to the parent's
RINGS = 48  # of spatial frequency
GAIN = (0.5, 4.0)  # of a ring, at least and at most
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

    def __init__(self, decoders: Sequence[str] = ()) -> None:
        """Take the `decoders` to draw from; without them, the shipped ones.

        Raises
        ------
        AssayError
            If one is unknown.
        """
        self._decoders = tuple(decoders)
        for name in self._decoders:
            _check(name)

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        """Reconstruct the host; every pixel counts as changed, also where the decoder hit the same value."""
        (host,) = parents
        names = self._decoders or decoders()
        drawn = names[int(rng.integers(len(names)))]
        matched = bool(rng.random() < MATCHED)
        pixels = decoded(host.pixels, drawn)
        if matched:
            pixels = spectrum_matched(pixels, host.pixels)
        whole = np.ones(host.pixels.shape[:2], np.bool_)
        kind, factor = layer(drawn)
        parameters = {
            "decoder": drawn,
            "upsampling": kind,
            "factor": factor,
            "spectrum_matched": matched,
        }
        return Made(pixels, whole, whole.copy(), parameters, (host,))


def decoders() -> tuple[str, ...]:
    """The shipped decoders, by kind and factor: "transposed_2"."""
    return tuple(f"{kind}_{factor}" for factor in FACTORS for kind in KINDS)


def layer(decoder: str) -> tuple[str, int]:
    """Tell the kind of a decoder's upsampling layers, and its factor."""
    if decoder in super_resolution.NETWORKS:
        network = super_resolution.NETWORKS[decoder]
        return network.upsampling, network.factor
    kind, factor = decoder.rsplit("_", 1)
    return kind, int(factor)


def _check(decoder: str) -> None:
    names = (*decoders(), *super_resolution.NETWORKS)
    if decoder not in names:
        hint = f"There are {', '.join(names)}."
        raise AssayError(f"there is no decoder {decoder[:80]!r}", code="decoder", hint=hint)


def decoded(pixels: NDArray[np.uint8], decoder: str) -> NDArray[np.uint8]:
    """Send a picture through a learned encoder and decoder, tile by tile.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        sRGB-like. Not modified.
    decoder : str
        One of `decoders()` or of `super_resolution.NETWORKS`.

    Returns
    -------
    reconstruction : ndarray of uint8, shape (H, W, 3)
        Tiles overlap by more than the networks reach and lie on the latent grid, so that no seam shows. Beyond the edges
        the picture is mirrored.

    Raises
    ------
    AssayError
        If no decoder has that name; a ModelError if it is a super-resolution network that is not here.
    """
    _check(decoder)
    if decoder in super_resolution.NETWORKS:
        return super_resolution.reconstructed(pixels, decoder)
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


def spectrum_matched(pixels: NDArray[np.uint8], parent: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give a reconstruction its parent's power at every spatial frequency.

    A small decoder loses fine detail, and a detector that learned this takes every sharp picture for a photograph; real
    generators are sharp. What remains is what a decoder does at equal sharpness.

    Parameters
    ----------
    pixels, parent : ndarray of uint8, shape (H, W, 3)
        Not modified.

    Returns
    -------
    matched : ndarray of uint8, shape (H, W, 3)
        Each colour channel's Fourier coefficients are scaled ring by ring, by a gain that is interpolated between rings.

    References
    ----------
    R. Chen et al., "Dual data alignment makes AI-generated image detector easier generalizable", NeurIPS 2025: pixels and
    frequencies of reconstructions are aligned there too. The method here is our own and simpler.
    """
    height, width = pixels.shape[:2]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    position = np.minimum(radius / 0.5 * RINGS, RINGS - 1)
    ring = position.astype(np.intp).ravel()
    matched = np.empty(pixels.shape)
    for c in range(3):
        own, other = (np.fft.rfft2(p[..., c].astype(np.float64)) for p in (pixels, parent))
        power = [np.bincount(ring, np.abs(f.ravel()) ** 2, RINGS) for f in (own, other)]
        gain = np.clip(np.sqrt((power[1] + 1) / (power[0] + 1)), *GAIN)
        gain[0] = 1.0  # the mean and what is nearest to it
        scale = np.interp(position, np.arange(RINGS) + 0.5, gain)
        matched[..., c] = np.fft.irfft2(own * scale, s=(height, width))
    return np.asarray(np.clip(np.rint(matched), 0, 255).astype(np.uint8))


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
