"""How a patch comes into a picture: its colours, its light, its edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
ERODED = 3  # pixels that the library takes off the mask it is given
RIM = 3.0  # pixels


def moved(
    pixels: NDArray[np.uint8], matrix: NDArray[np.float64], size: tuple[int, int], interpolation: str
) -> NDArray[np.uint8]:
    """Warp a picture onto a canvas of `size` (width, height); whole shifts stay exact copies."""
    how = INTERPOLATION[interpolation]
    return np.asarray(
        cv2.warpAffine(pixels, matrix, size, flags=how, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def moved_mask(
    inside: NDArray[np.bool_], matrix: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.bool_]:
    soft = cv2.warpAffine(
        inside.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )  # fmt: skip
    return np.asarray(soft >= 0.5)


def alpha(
    patch: NDArray[np.uint8], host: NDArray[np.uint8], opacity: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Lay `patch` over `host` (both (H, W, 3)) with an opacity (H, W) of 0 to 1."""
    a = opacity[..., None]
    mixed = host.astype(np.float32)
    mixed += a * (patch.astype(np.float32) - mixed)
    return np.rint(mixed, out=mixed).astype(np.uint8)


def poisson(
    patch: NDArray[np.uint8], host: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Keep the patch's gradients and the host's colours along the edge; outside of `inside` the host stays as it is.

    References
    ----------
    P. Perez, M. Gangnet, A. Blake, "Poisson image editing", ACM TOG 22(3), 2003, doi:10.1145/882262.882269.
    """
    kept = inside.copy()
    edge = ERODED + 2  # it needs a border
    kept[:edge], kept[-edge:], kept[:, :edge], kept[:, -edge:] = False, False, False, False
    if not kept.any():
        return host.copy()
    grown = cv2.dilate(kept.astype(np.uint8) * 255, np.ones((3, 3), np.uint8), iterations=ERODED)
    x, y, w, h = cv2.boundingRect(grown)
    # A window around it gives the same answer sooner.
    window = np.s_[max(0, y - 4) : y + h + 4, max(0, x - 4) : x + w + 4]
    left, top = x - max(0, x - 4), y - max(0, y - 4)
    below = np.ascontiguousarray(host[window])
    cloned = cv2.seamlessClone(
        np.ascontiguousarray(patch[window]),
        below,
        grown[window].copy(),  # it is overwritten
        (left + w // 2, top + h // 2),
        cv2.NORMAL_CLONE,
    )
    # The library solves for the whole box, and drifts a little outside of the mask too: the rim leads over to the host.
    within = cv2.distanceTransform(kept[window].astype(np.uint8), cv2.DIST_L2, 5)
    out = host.copy()
    out[window] = alpha(np.asarray(cloned, np.uint8), below, np.clip(within / RIM, 0, 1).astype(np.float32))
    return out


def colours_matched(
    patch: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    host: NDArray[np.uint8],
    around: NDArray[np.bool_],
    strength: float,
) -> NDArray[np.uint8]:
    """Bring the patch's lightness and colours towards those of the host around it.

    Parameters
    ----------
    patch, host : ndarray of uint8, shape (H, W, 3)
    inside, around : ndarray of bool, shape (H, W)
        Where the patch's statistics and the host's are taken.
    strength : float
        0 leaves the patch, 1 takes over mean and (within factors of .7 and 1.4) spread of each channel of CIELAB.
    """
    if not inside.any() or not around.any():
        return patch
    own = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).astype(np.float32)
    there = cv2.cvtColor(host, cv2.COLOR_RGB2LAB).astype(np.float32)
    mine, theirs = own[inside], there[around]
    gain = np.clip(theirs.std(axis=0) / np.maximum(mine.std(axis=0), 1.0), 0.7, 1.4)
    wanted = (own - mine.mean(axis=0)) * gain + theirs.mean(axis=0)
    lab = np.clip(own + strength * (wanted - own), 0, 255)
    return np.asarray(cv2.cvtColor(np.rint(lab).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)


def grain(pixels: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Estimate the noise of `pixels` (H, W, 3) at `where`: deviation in grey levels, robust against edges.

    References
    ----------
    J. Immerkaer, "Fast noise variance estimation", CVIU 64(2), 1996, doi:10.1006/cviu.1996.0060; with the median in
    place of the mean.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    answer = np.abs(cv2.filter2D(grey, -1, kernel))[where]
    return float(np.median(answer)) / 0.6745 / 6 if answer.size else 0.0
