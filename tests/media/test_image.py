"""Pictures of every type and mode, whole, damaged and lying."""

from __future__ import annotations

import io
import random
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.errors import Failed, Refused, SampleError
from assay.media.image import preview, read_image
from assay.testing import images

LIMITS = {"pixels": 10**6, "frames": 64}
SCENE = images.scene(90, 60)
LOSSLESS = {
    "PNG": images.png(SCENE),
    "BMP": images.encoded(SCENE, "BMP"),
    "TIFF": images.encoded(SCENE, "TIFF"),
    "TIFF, LZW": images.encoded(SCENE, "TIFF", compression="tiff_lzw"),
    "WEBP": images.webp(SCENE, lossless=True),
}
LOSSY = {
    "JPEG": images.jpeg(SCENE),
    "progressive JPEG": images.jpeg(SCENE, progressive=True),
    "WEBP": images.webp(SCENE),
    "AVIF": images.encoded(SCENE, "AVIF"),
    "HEIC": images.heic(SCENE),
    "GIF": images.encoded(SCENE, "GIF"),
}


def read(data, limits=LIMITS):
    return read_image(io.BytesIO(data), limits)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_pixels_come_back(kind):
    assert np.array_equal(read(LOSSLESS[kind]).view.coded, SCENE)


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_pixels_come_back_nearly(kind):
    decoded = read(LOSSY[kind])
    assert decoded.view.coded.shape == SCENE.shape
    assert np.abs(decoded.view.coded.astype(int) - SCENE).mean() < 12
    assert not decoded.warnings


def test_the_media_type_is_what_was_decoded():
    assert read(LOSSY["HEIC"]).view.media_type == "image/heic"
    assert read(LOSSY["AVIF"]).view.media_type == "image/avif"
    assert read(LOSSY["JPEG"]).view.media_type == "image/jpeg"


def test_only_a_jpeg_has_planes():
    assert len(read(LOSSY["JPEG"]).view.planes) == 3
    assert read(LOSSLESS["PNG"]).view.planes == ()


def test_coefficients_that_cannot_be_read_are_a_warning():
    data = bytearray(LOSSY["JPEG"])
    scan = data.index(b"\xff\xda")
    extra = (
        b"\xff\xc4\x00\x14\x00" + bytes([255] * 16) + b"\x00"
    )  # a table that lies, behind the picture's data
    data[len(data) - 2 :] = extra + b"\xff\xd9"
    assert scan > 0
    decoded = read(bytes(data))
    assert decoded.view.planes == ()
    assert any("coefficients" in w for w in decoded.warnings)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_the_picture_upright(orientation):
    marked = images.flat(64, 32, value=40)
    marked[:8, :8] = 250
    turned = read(images.jpeg(marked, orientation=orientation, quality=100)).view
    assert turned.orientation == orientation
    reference = Pillow.open(io.BytesIO(images.jpeg(marked, orientation=orientation, quality=100)))
    from PIL import ImageOps

    assert np.array_equal(turned.upright, np.asarray(ImageOps.exif_transpose(reference)))


@pytest.mark.parametrize("orientation", [0, 9, 77, 65535])
def test_an_impossible_orientation_is_none(orientation):
    assert read(images.jpeg(SCENE, orientation=orientation)).view.orientation == 1


def test_heic_is_turned_by_its_decoder():
    view = read(images.heic(SCENE, orientation=6)).view
    assert view.orientation == 1
    assert view.coded.shape == (90, 60, 3)


def test_broken_exif_is_no_trouble():
    data = images.saved(Pillow.fromarray(SCENE), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read(data).view.orientation == 1


def test_a_colour_profile_is_kept_up_to_a_mebibyte():
    whole = read(images.encoded(SCENE, "PNG", icc_profile=b"p" * 1000))
    assert whole.view.icc == b"p" * 1000
    over = read(images.encoded(SCENE, "TIFF", icc_profile=b"p" * (1 << 20 | 1)))
    assert over.view.icc == b""
    assert any("profile" in w for w in over.warnings)


@pytest.mark.parametrize(
    ("data", "depth"),
    [
        (images.png16(SCENE.astype(np.uint16) * 257), 16),
        (LOSSLESS["PNG"], 8),
        (images.saved(Pillow.fromarray(SCENE).convert("1"), "PNG"), 1),
        (images.saved(Pillow.fromarray(SCENE[..., 0].astype(np.float32)), "TIFF"), 32),
        (LOSSLESS["TIFF"], 8),
        (LOSSY["HEIC"], 8),
        (LOSSY["AVIF"], 8),
    ],
)
def test_bit_depth_is_as_coded(data, depth):
    assert read(data).view.bit_depth == depth


def test_900_megapixels_are_refused_by_the_header():
    data = images.png_from_chunks(30_000, 30_000, zlib.compress(bytes(1000)), depth=1, colour=0)
    with pytest.raises(Refused) as refused:
        read(data, {"pixels": 10**8, "frames": 64})
    assert refused.value.code == "over_pixels"
    assert "limits.pixels" in refused.value.hint


@pytest.mark.parametrize("data", [*LOSSLESS.values(), *LOSSY.values()])
def test_every_type_is_refused_over_the_limit(data):
    with pytest.raises(Refused) as refused:
        read(data, {"pixels": 90 * 60 - 1, "frames": 64})
    assert refused.value.code == "over_pixels"


def test_an_animated_webp_is_refused_before_its_canvas_is_made():
    data = bytearray(images.animation([SCENE, SCENE[::-1].copy()], "WEBP"))
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xff\xff\xff\xff\xff\xff"
    with pytest.raises(Refused):
        read(bytes(data))


@pytest.mark.parametrize("data", [b"", b"x", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(5000)])
def test_what_is_no_picture_is_undecodable(data):
    with pytest.raises(Failed) as failed:
        read(data)
    assert failed.value.code == "undecodable"


def test_a_truncated_picture_is_read_as_far_as_it_goes():
    for kind in ("PNG", "BMP"):
        data = LOSSLESS[kind]
        part = read(data[: len(data) // 2])
        assert np.array_equal(part.view.coded[5], SCENE[5] if kind == "PNG" else part.view.coded[5])
        assert any("damaged" in w for w in part.warnings)
    part = read(LOSSY["JPEG"][: len(LOSSY["JPEG"]) * 8 // 10])
    assert part.view.planes
    assert len(part.warnings) == 2  # of the pixels and of the coefficients


def test_a_picture_that_breaks_off_before_its_pixels_is_undecodable():
    data = LOSSY["JPEG"]
    with pytest.raises(Failed) as failed:
        read(data[: data.index(b"\xff\xda") + 14])
    assert failed.value.code == "undecodable"


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_every_truncation_is_read_or_fails_typed(kind):
    data = (LOSSLESS | LOSSY)[kind]
    for twentieth in range(20):
        try:
            view = read(data[: len(data) * twentieth // 20]).view
        except SampleError:
            continue
        assert view.coded.shape == SCENE.shape


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_flipped_bytes_are_read_or_fail_typed(kind):
    rng = random.Random(7)
    for _ in range(15):
        data = bytearray((LOSSLESS | LOSSY)[kind])
        for _ in range(rng.choice((1, 4, 30))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            view = read(bytes(data)).view
        except SampleError:
            continue
        assert view.coded.dtype == np.uint8
        assert view.coded.ndim == 3


def test_an_animation_says_how_many_frames_it_has():
    assert read(images.animation([SCENE, SCENE[::-1].copy()])).frames == 2
    assert read(LOSSY["JPEG"]).frames == 1


def test_the_preview_is_small_and_upright():
    assert preview(images.gradient(1000, 500), 6).shape == (480, 240, 3)
    assert preview(images.gradient(100, 50), 1).shape == (50, 100, 3)
    assert preview(images.gradient(2000, 1), 1).shape == (1, 480, 3)
