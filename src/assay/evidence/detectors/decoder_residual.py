"""What a learned decoder leaves in the fine detail of a whole picture, as a small network learned to see it.

Networks that enhance or re-make a picture decode a small grid of numbers into pixels. Their upsampling layers lay a texture of their own
over everything, whatever it shows. The network was trained on photographs beside themselves, sent through decoders: nothing else differed.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.media.borders import within_borders
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SMALLEST = 160  # pixels of the short side: what was learned from
WINDOW = 512  # pixels of a side, at most
MOST = 6  # windows of a picture that are looked at
FLATTEST = 2.0  # grey levels: standard deviation of what is looked at
NOTABLE = 1.64  # score that .7 % of the board's honest pictures reach, out of fold


class DecoderResidual:
    """Did a learned decoder make the pixels?"""

    card: ClassVar[Card] = Card(
        name="decoder_residual",
        version=1,
        reads=Image,
        family="decoder",
        claims=frozenset({Kind.RETOUCH}),
        summary="Looks in the fine detail of the whole picture for what a learned decoder, as of an enhancer, leaves.",
        source="doi:10.1109/TIFS.2012.2190402 (Fridrich, Kodovsky: residuals), a network of our own on them",
        licence="Apache-2.0",
    )

    def __init__(self, network: InferenceSession | None = None) -> None:
        self._network = network or shipped()

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        x, y, wide, high = within_borders(view.coded) or (0, 0, width, height)
        if min(wide, high) < SMALLEST:
            text = f"The picture is {wide} x {high} pixels: below {SMALLEST} nothing was learned."
            return Finding.not_applicable("too_small", text)
        seen = windows(view.coded[y : y + high, x : x + wide])
        if max(float(w.std()) for w in seen) < FLATTEST:
            return Finding.not_applicable(
                "too_flat", "The picture is of nearly one tone: there is no detail."
            )
        score = self.score(seen)
        if score < NOTABLE:
            text = (
                "The fine detail shows no learned decoder. That clears nothing: saves and reductions hide it."
            )
            return Finding(Outcome.SCORED, score, (Reason("decoder_nothing", text),))
        text = (
            "The fine detail, all over the picture, is like that of a learned decoder, as networks leave it that enhance, enlarge or re-make pictures. "
            "Denoising and sharpening can look so, too."
        )
        return Finding(Outcome.SCORED, score, (Reason("decoder_traces", text),))

    def score(self, seen: list[NDArray[np.uint8]]) -> float:
        """Mean logit over all cells of 8 x 8 pixels of the windows, each (h, w, 3)."""
        said = [self._network.run(None, {"x": _tensor(w)})[0] for w in seen]
        return float(sum(c.sum(dtype=np.float64) for c in said) / sum(c.size for c in said))


def windows(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Cut a picture (H, W, 3) into equal windows, and take some, evenly spread, where there are many.

    At its own resolution: what a decoder leaves is finer than any reduction keeps.
    """
    down, across = (-(-n // WINDOW) for n in pixels.shape[:2])
    rows, columns = (
        np.linspace(0, n, k + 1).round().astype(int)
        for n, k in zip(pixels.shape[:2], (down, across), strict=True)
    )
    places = [(r, c) for r in range(down) for c in range(across)]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(MOST, len(places))).round().astype(int))
    return [
        pixels[rows[r] : rows[r + 1], columns[c] : columns[c + 1]] for r, c in (places[k] for k in chosen)
    ]


def _tensor(window: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(window.transpose(2, 0, 1)[None].astype(np.float32))


@cache
def shipped() -> InferenceSession:
    """The network that lies in the package."""
    return opened(resources.files("assay.evidence.weights").joinpath("decoder_residual.onnx").read_bytes())


def opened(network: bytes) -> InferenceSession:
    import onnxruntime

    from assay.evidence.models import session_options

    return onnxruntime.InferenceSession(network, session_options(), providers=["CPUExecutionProvider"])
