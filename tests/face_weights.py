"""The face networks, for tests that need them: skipped with a reason where they were not pulled."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.evidence.litert import LiteSession
from assay.evidence.models import path_of

FOLDER = Path("~/.local/share/assay/models").expanduser()


@cache
def _opened(name: str) -> LiteSession | None:
    path = path_of(name, FOLDER)
    return LiteSession(path) if path else None


def network(name: str) -> LiteSession:
    session = _opened(name)
    if session is None:
        pytest.skip(f"needs a weight: assay models pull {name}")
    return session


@cache
def astronaut() -> NDArray[np.uint8]:
    """A public-domain portrait (NASA), 512 x 512, read-only; one face of 107 pixels at (173, 68)."""
    data = pytest.importorskip("skimage.data", reason="the portrait comes with scikit-image")
    with Image.open(Path(data.__file__).parent / "astronaut.png") as picture:
        pixels = np.array(picture.convert("RGB"))
    pixels.flags.writeable = False
    return pixels
