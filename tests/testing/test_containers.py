"""Makers of containers."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image

from assay.testing import containers


def test_samples_are_the_same_every_time():
    one, two = containers.samples(), containers.samples()
    moving = {name for name, (_, data) in one.items() if data != two[name][1]}
    assert moving == set()


def test_pictures_with_pixels_can_be_decoded():
    for data in (
        containers.camera_jpeg(),
        containers.png_with_text({"parameters": containers.A1111}),
        containers.stealth_png(),
        containers.webp(),
        containers.gif(),
        containers.bmp(),
    ):
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()


def test_pillow_reads_the_same_exif():
    data = containers.with_segments(
        containers.jpeg(), containers.exif_segment({0x010F: "Assay Optical", 0x9003: "2024"})
    )
    with Image.open(io.BytesIO(data)) as picture:
        exif = picture.getexif()
    assert exif[0x010F] == "Assay Optical"
    assert exif.get_ifd(0x8769)[0x9003] == "2024"


def test_hidden_text_moves_no_value_by_more_than_one():
    plain = containers.stealth_pixels("", channels="rgb")
    said = containers.stealth_pixels("some words", channels="rgb")
    assert np.abs(plain.astype(int) - said).max() == 1


def test_archives_open():
    with zipfile.ZipFile(io.BytesIO(containers.zipped("a.txt", first=("mimetype", b"x")))) as archive:
        assert archive.namelist() == ["mimetype", "a.txt"]
