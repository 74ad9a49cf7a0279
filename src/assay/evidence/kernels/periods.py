"""Traces of interpolation: where in the spectrum of a prediction error's size stand lines that come in right angles?"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Predicts a pixel from its eight neighbours: the weights that fit most interpolated pictures (Kirchner 2008).
PREDICTOR = np.array([[-0.25, 0.5, -0.25], [0.5, -1.0, 0.5], [-0.25, 0.5, -0.25]], np.float32)
SOFT = 2.0  # grey levels of error at which a pixel counts as badly predicted
AROUND = 15  # bins over which the background of a line is averaged


def errors(luma: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far does each pixel lie from what its neighbours predict, and how well predicted is it?

    Parameters
    ----------
    luma : ndarray of uint8, shape (H, W)
        Not modified.

    Returns
    -------
    error : ndarray of float32, shape (H, W)
        Prediction minus pixel, in grey levels, within -20 and 20.
    fit : ndarray of float32, shape (H, W)
        1 for a perfect prediction, falling to 0: the probability map of Popescu and Farid up to its scale.
    """
    cv2.setNumThreads(1)
    error = cv2.filter2D(luma.astype(np.float32), -1, PREDICTOR, borderType=cv2.BORDER_REFLECT_101)
    fit = np.exp(-np.abs(error) / np.float32(SOFT))
    return error.clip(-20, 20), fit


def whitened(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power spectra in units of their surroundings: of noise every bin is 1 in the mean, exponentially distributed.

    Parameters
    ----------
    windows : ndarray of float32, shape (B, N, N)
        N even. Not modified.

    Returns
    -------
    power : ndarray of float32, shape (B, N, N // 2 + 1)
        Rows are vertical frequencies in the order of the FFT, columns horizontal ones from 0 to Nyquist.
    """
    n, half = windows.shape[-1], AROUND // 2
    taper = np.hanning(n + 1)[:n].astype(np.float32)
    taper = taper[:, None] * taper
    out = np.empty((len(windows), n, n // 2 + 1), np.float32)
    for window, power in zip(windows, out, strict=True):
        # numpy's transform takes twenty times as long.
        spectrum = cv2.dft((window - window.mean()) * taper, flags=cv2.DFT_COMPLEX_OUTPUT)
        real, imaginary = cv2.split(spectrum)
        full = real * real + imaginary * imaginary
        wide = cv2.copyMakeBorder(full, half, half, half, half, cv2.BORDER_WRAP)
        near = cv2.boxFilter(wide, -1, (AROUND, AROUND))[half : half + n, half : half + n // 2 + 1]
        np.divide(full[:, : n // 2 + 1], np.maximum(near, np.float32(1e-6)), out=power)
    return out


def crossed(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weaker one of each two lines at right angles: an interpolated picture has both, a striped one has not.

    Parameters
    ----------
    power : ndarray of float32, shape (..., N, N // 2 + 1)
        As `whitened` returns it. Not modified.

    Returns
    -------
    pairs : ndarray of float32, shape (..., N // 2 + 1, N // 2 + 1)
        At (y, x) the minimum of frequency (y, x) and of the same turned by 90 degrees, both in bins.
    """
    n = power.shape[-2]
    half = n // 2 + 1
    turned = power[..., (-np.arange(half)) % n, :].swapaxes(-1, -2)
    return np.minimum(power[..., :half, :], turned)


def admissible(n: int, *, lowest: float = 0.07) -> NDArray[np.bool_]:
    """Which pairs can speak: (N // 2 + 1, N // 2 + 1), false where JPEG, the colour filter or the scene have lines.

    JPEG's blocks put lines on multiples of 1/8 in both axes, colour filters on 1/2; below `lowest` (cycles a pixel) the
    scene itself is strong.
    """
    bins = np.arange(n // 2 + 1)
    beside = np.minimum(bins % (n // 8), -bins % (n // 8)) <= 1
    y, x = np.meshgrid(bins, bins, indexing="ij")
    allowed: NDArray[np.bool_] = ~(beside[:, None] & beside) & (np.hypot(y, x) >= lowest * n) & (x > 0)
    return allowed
