from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from assay.testing import images


@pytest.fixture(scope="session")
def photos_folder(tmp_path_factory) -> Path:
    """Four photos of two cameras and one without a name, in two folders, one of them lying on its side."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "deep" / "er").mkdir(parents=True)
    for n, (name, make, model) in enumerate(
        [
            ("a.jpg", "Pinhole", "One"),
            ("b.jpg", "Pinhole", "One"),
            ("deep/c.jpg", "Camera", "Camera Obscura"),
            ("deep/er/d.png", "", ""),
        ]
    ):
        exif = Image.Exif()
        if make:
            exif[0x010F], exif[0x0110] = make, model
        if name == "deep/c.jpg":
            exif[0x0112] = 6
        Image.fromarray(images.scene(320, 240, seed=10 + n)).save(folder / name, exif=exif, quality=95)
    return folder
