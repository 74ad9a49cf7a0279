"""Traces of a learned decoder in the spectrum of the whole picture: lines of its upsampling layers.

A generator's decoder doubles its maps step by step, and each doubling favours every second pixel. In the spectrum of
what a median filter takes away this stands as lines at 1/2 and 1/4 of the sampling rate. JPEG's blocks have lines there,
too, but as strong ones at 1/8 and 3/8, so that these are the measure: what counts is by how much the former exceed them.
"""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.kernels import grid
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

SIDE = 128  # of the windows, in pixels
MOST = 1024  # pixels on a side that are examined: of larger pictures the middle
SMALLEST = 256
FLAT = 0.05  # grey levels squared: less residual than that is rounding
NOTABLE = 1.5  # nats of excess from which the words change; no decision hangs on it


class UpsamplingSpectrum:
    card: ClassVar[Card] = Card(
        name="upsampling_spectrum",
        version=1,
        reads=Image,
        family="spectrum",
        claims=frozenset({Kind.FULL_SYNTHESIS}),
        summary="Lines in the spectrum where the upsampling layers of image generators leave them",
        source="https://doi.org/10.1109/WIFS47025.2019.9035107",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if min(height, width) < SMALLEST:
            return Finding.not_applicable(
                "too_small", f"A side is under {SMALLEST} pixels: too little to average a spectrum."
            )
        top, left = max(0, height - MOST) // 16 * 8, max(0, width - MOST) // 16 * 8
        part = np.ascontiguousarray(view.coded[top : top + MOST, left : left + MOST])
        power = averaged(grid.luma(part))
        if power is None:
            return Finding.not_applicable(
                "no_texture", "The picture is too smooth: nothing is left to look at."
            )
        score = excess(power)
        return Finding(Outcome.SCORED, score, (_reason(score),))


def averaged(luma: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """The mean power spectrum of the residual of a 3 x 3 median over windows, each brought to the same power.

    Parameters
    ----------
    luma : ndarray of uint8, shape (H, W), at least 128 x 128
        Not modified.

    Returns
    -------
    power : ndarray of float32, shape (128, 128), or None
        In the order of the FFT, 1 in the mean. None where fewer than two windows hold more than rounding.
    """
    cv2.setNumThreads(1)
    residual = luma.astype(np.float32) - cv2.medianBlur(luma, 3)
    taper = np.hanning(SIDE + 1)[:SIDE].astype(np.float32)
    taper = taper[:, None] * taper
    total, number = np.zeros((SIDE, SIDE), np.float32), 0
    for y in range(0, luma.shape[0] - SIDE + 1, SIDE):
        for x in range(0, luma.shape[1] - SIDE + 1, SIDE):
            window = residual[y : y + SIDE, x : x + SIDE]
            if float(window.var()) < FLAT:
                continue
            real, imaginary = cv2.split(
                cv2.dft((window - window.mean()) * taper, flags=cv2.DFT_COMPLEX_OUTPUT)
            )
            power = real * real + imaginary * imaginary
            total += power / power.mean()
            number += 1
    return total / np.float32(number) if number >= 2 else None


def line(power: NDArray[np.float32], at: int) -> float:
    """How far do the peaks at `at` eighths of the sampling rate stand out, in nats?

    The mean over the peak on either axis and the one on the diagonal, each against the bins 3 and 4 away from it.
    """
    n = power.shape[0]
    k = at * n // 8
    logs = np.log(power + np.float32(1e-6))
    off = np.array([-4, -3, 3, 4])
    beside = (k + off) % n
    on_axes = logs[0, k] - logs[0, beside].mean(), logs[k, 0] - logs[beside, 0].mean()
    on_diagonal = logs[k, k] - logs[np.ix_(beside, beside)].mean()
    return float(on_axes[0] + on_axes[1] + on_diagonal) / 3


def excess(power: NDArray[np.float32]) -> float:
    """By how much the lines of doubling (1/2, 1/4) exceed those that JPEG would explain (1/8, 3/8), in nats."""
    doubling = max(line(power, 4), line(power, 2))
    blocks = (line(power, 1) + line(power, 3)) / 2
    return doubling - max(0.0, blocks)


def fall_off(power: NDArray[np.float32]) -> float:
    """log of the power of the highest frequencies (over 0.4 cycles a pixel) over that of the middle ones (0.2 to 0.3)."""
    n = power.shape[0]
    f = np.abs(np.fft.fftfreq(n))
    radius = np.hypot(f[:, None], f)
    beside = np.minimum(np.arange(n) % (n // 8), -np.arange(n) % (n // 8)) > 1
    clear = beside[:, None] & beside
    high = power[clear & (radius > 0.4) & (radius < 0.5)].mean()
    return float(np.log(high / power[clear & (radius > 0.2) & (radius < 0.3)].mean()))


def _reason(score: float) -> Reason:
    if score >= NOTABLE:
        return Reason(
            "spectrum_lines",
            "The spectrum has lines where the upsampling layers of image generators leave them. Enlarged pictures and "
            "camera colour filters can have them, too.",
        )
    return Reason(
        "spectrum_nothing",
        "The spectrum shows no lines beyond those of JPEG. Many generators, and every resize after them, leave none.",
    )
