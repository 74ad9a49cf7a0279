"""Pictures that show a finding by themselves: the preview with its regions drawn and its heat map laid over it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from assay.report.pictures import QUALITY, RED, Shot, heat_png

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.types import Screening

LINE = 3  # pixels
GREY = (110, 110, 110)


def marked(shot: Shot) -> bytes:
    """Draw what a page lays over a picture into it, as a JPEG; b"" where nothing is marked."""
    from PIL import Image, ImageDraw

    if not shot.marks and not shot.heat:
        return b""
    with Image.open(io.BytesIO(shot.jpeg)) as opened:
        image = opened.convert("RGB")
    if shot.heat:
        with Image.open(io.BytesIO(shot.heat)) as opened:
            heat = opened.convert("RGBA").resize(image.size)
        image.paste(heat.convert("RGB"), (0, 0), heat.getchannel("A"))
    draw = ImageDraw.Draw(image)
    for mark in shot.marks:
        region = mark.region
        if not region.width or not region.height or len(region.points) < 2:
            continue
        corners = [
            (x * image.width / region.width, y * image.height / region.height) for x, y in region.points
        ]
        draw.line([*corners, corners[0]], fill=RED if mark.counted else GREY, width=LINE)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def heats(screening: Screening) -> Iterator[tuple[str, bytes]]:
    """Yield each detector that has a heat map, and that map as a PNG with alpha."""
    for evidence in screening.verdict.evidence if screening.verdict else ():
        heat = evidence.finding.heat
        if heat is not None and heat.ndim == 2 and heat.size:
            yield evidence.detector, heat_png(heat)
