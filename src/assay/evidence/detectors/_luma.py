"""What every reader of a JPEG's luma coefficients must ask first."""

from __future__ import annotations

from assay.media.views import Image
from assay.types import Finding


def unread(view: Image, smallest: int) -> Finding | None:
    """Say why the luma coefficients of a view serve no statistics; None where they do.

    Parameters
    ----------
    smallest
        Blocks on the shorter side.
    """
    if not view.planes:
        return Finding.not_applicable(
            "no_coefficients", "It is no JPEG, or its coefficients could not be read."
        )
    plane = view.planes[0]
    if min(plane.coefficients.shape[:2]) < smallest:
        return Finding.not_applicable("too_small", f"A side is under {smallest * 8} pixels: too few blocks.")
    if plane.horizontal < max(p.horizontal for p in view.planes) or not plane.quantisation.all():
        return Finding.not_applicable(
            "unusual_sampling", "Luma is not coded at the picture's full resolution."
        )
    return None
