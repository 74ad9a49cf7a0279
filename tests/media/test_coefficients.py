"""The entropy decoder against Pillow's pixels, and against bytes that lie."""

from __future__ import annotations

import io
import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.errors import Failed, SampleError, Unsupported
from assay.media.coefficients import read_jpeg
from assay.testing import images

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FREQUENCY = np.arange(8)
BASIS = np.sqrt(2 / 8) * np.cos((2 * FREQUENCY[None] + 1) * FREQUENCY[:, None] * np.pi / 16)
BASIS[0] /= np.sqrt(2)
MODES = {1: "L", 3: "YCbCr", 4: "CMYK"}


def samples(plane):
    """Dequantise and transform back: the component's samples as coded."""
    blocks = plane.coefficients.astype(np.float64) * plane.quantisation
    pixels = np.einsum("ky,abkl,lx->aybx", BASIS, blocks, BASIS, optimize=True)
    rows, columns = blocks.shape[:2]
    return np.clip(np.rint(pixels.reshape(rows * 8, columns * 8) + 128), 0, 255)


def decoded(data, *, scale=1):
    """Pillow's samples in the file's own colour space; at half scale chroma of 4:2:0 comes without upsampling."""
    picture = Image.open(io.BytesIO(data))
    picture.draft(
        "YCbCr" if picture.mode == "RGB" else None, (picture.width // scale, picture.height // scale)
    )
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def differences(data):
    """Largest difference of each component from Pillow's samples; subsampled ones where they can be compared."""
    read = read_jpeg(data, pixels=10**8)
    whole = decoded(data)
    most_h, most_v = (max(getattr(p, n) for p in read.planes) for n in ("horizontal", "vertical"))
    found = []
    for n, plane in enumerate(read.planes):
        ratio = (most_h // plane.horizontal, most_v // plane.vertical)
        if ratio not in ((1, 1), (2, 2)):
            continue
        reference = (whole if ratio == (1, 1) else decoded(data, scale=2))[..., n].astype(float)
        ours = samples(plane)[: reference.shape[0], : reference.shape[1]]
        if len(read.planes) == 4:  # Adobe's are stored inverted
            ours = 255 - ours
        found.append(float(np.abs(ours - reference).max()))
    return found


@pytest.mark.parametrize(
    ("subsampling", "progressive", "restart_blocks"),
    list(product(("4:4:4", "4:2:2", "4:2:0"), (False, True), (0, 1, 7))),
)
def test_coefficients_give_the_pixels_that_pillow_decodes(subsampling, progressive, restart_blocks):
    data = images.jpeg(
        images.scene(93, 61),
        subsampling=subsampling,
        progressive=progressive,
        restart_blocks=restart_blocks,
        quality=95,
    )
    found = differences(data)
    assert len(found) == (1 if subsampling == "4:2:2" else 3)
    assert max(found) <= 1  # rounding of the inverse transform


@pytest.mark.parametrize("quality", [1, 30, 75, 100])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 9), (64, 128)])
def test_every_size_and_quality_agrees(size, quality):
    assert max(differences(images.jpeg(images.noise(*size), quality=quality, subsampling="4:4:4"))) <= 1


def test_grey_and_optimised_tables_agree():
    grey = images.scene(70, 50)[..., 0].copy()
    for progressive in (False, True):
        assert differences(images.jpeg(grey, progressive=progressive, optimize=True)) <= [1]


def test_four_components_agree():
    data = images.cmyk_jpeg(images.scene(50, 40), quality=98)
    assert len(read_jpeg(data, pixels=10**6).planes) == 4
    assert max(differences(data)) <= 1


def test_planes_have_the_size_of_the_component_in_blocks():
    read = read_jpeg(images.jpeg(images.scene(93, 61), subsampling="4:2:0"), pixels=10**6)
    assert [p.coefficients.shape for p in read.planes] == [(8, 12, 8, 8), (4, 6, 8, 8), (4, 6, 8, 8)]
    assert [(p.horizontal, p.vertical) for p in read.planes] == [(2, 2), (1, 1), (1, 1)]
    assert read.size == (93, 61)
    assert not read.warnings


def test_quantisation_is_in_natural_order():
    data = images.jpeg(images.scene(32, 32), quality=50)
    tables = Image.open(io.BytesIO(data)).quantization
    plane = read_jpeg(data, pixels=10**6).planes[0]
    assert plane.quantisation.ravel().tolist() == tables[0]  # Pillow's are in natural order too


def test_a_horizontal_wave_lies_in_the_first_row():
    wave = 128 + 60 * np.cos((2 * np.arange(8) + 1) * 3 * np.pi / 16)
    pixels = np.tile(np.rint(wave).astype(np.uint8), (8, 1))
    block = read_jpeg(images.jpeg(pixels, quality=100), pixels=64).planes[0].coefficients[0, 0]
    assert abs(int(block[0, 3])) > 200
    assert np.abs(block).sum() - abs(int(block[0, 3])) < 12


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_file_keeps_what_was_read(progressive):
    data = images.jpeg(images.scene(128, 128), quality=95, progressive=progressive)
    whole = read_jpeg(data, pixels=10**6).planes[0].coefficients
    part = read_jpeg(data[: len(data) * 6 // 10], pixels=10**6)
    assert any("end early" in w for w in part.warnings)
    lowest_bit = 1 if progressive else 0  # is refined by a later scan
    assert np.abs(part.planes[0].coefficients[0, :4, 0, 0] - whole[0, :4, 0, 0]).max() <= lowest_bit
    if not progressive:
        assert not part.planes[0].coefficients[-1].any()


def test_a_lost_restart_interval_leaves_the_rest_in_its_place():
    data = images.jpeg(images.scene(128, 128), subsampling="4:4:4", restart_blocks=4, quality=95)
    whole = read_jpeg(data, pixels=10**6).planes[0].coefficients
    second, third = data.index(b"\xff\xd1"), data.index(b"\xff\xd2")
    cut = read_jpeg(data[:second] + data[third:], pixels=10**6).planes[0].coefficients
    assert np.array_equal(cut[0, :8], whole[0, :8])
    assert not cut[0, 8:12].any()
    assert np.array_equal(cut[0, 12:], whole[0, 12:])
    assert np.array_equal(cut[1:], whole[1:])


@pytest.mark.parametrize("twentieth", range(20))
def test_every_truncation_reads_or_fails_typed(twentieth):
    for progressive in (False, True):
        data = images.jpeg(images.scene(64, 48), progressive=progressive)
        try:
            read_jpeg(data[: len(data) * twentieth // 20], pixels=10**6)
        except SampleError as e:
            assert e.code.startswith("jpeg_")


def test_flipped_bytes_never_raise_anything_else():
    rng = random.Random(5)
    made = [
        images.jpeg(images.scene(64, 48), progressive=p, restart_blocks=r)
        for p in (False, True)
        for r in (0, 2)
    ]
    outcomes = set()
    for _ in range(400):
        data = bytearray(rng.choice(made))
        for _ in range(rng.choice((1, 5, 40))):
            data[rng.randrange(2, len(data))] = rng.randrange(256)
        try:
            read_jpeg(data, pixels=10**5)
            outcomes.add("read")
        except SampleError as e:
            outcomes.add(e.code)
    assert "read" in outcomes
    assert len(outcomes) > 3


def test_a_header_larger_than_the_picture_is_not_believed():
    data = bytearray(images.jpeg(images.scene(64, 48)))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(Failed, match="65535 x 65535"):
        read_jpeg(data, pixels=64 * 48)


def test_arithmetic_coding_is_not_supported():
    data = bytearray(images.jpeg(images.scene(64, 48)))
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    with pytest.raises(Unsupported):
        read_jpeg(data, pixels=10**6)


def test_scans_without_end_are_refused():
    data = images.jpeg(images.scene(8, 8)[..., 0].copy())
    at = data.index(b"\xff\xda")
    scan = data[at:-2]
    with pytest.raises(Failed, match="200 scans"):
        read_jpeg(data[:at] + scan * 201, pixels=64)


def test_a_file_without_huffman_tables_uses_the_standard_ones():
    data = images.jpeg(images.scene(40, 40))
    whole = read_jpeg(data, pixels=10**4).planes[0].coefficients
    bare = bytearray(data)
    while (at := bare.find(b"\xff\xc4")) >= 0:
        del bare[at : at + 2 + int.from_bytes(bare[at + 2 : at + 4], "big")]
    assert np.array_equal(read_jpeg(bare, pixels=10**4).planes[0].coefficients, whole)


@pytest.mark.shared
def test_camera_photographs_agree():
    found = sorted((SHARED / "data/images").rglob("*.jpg"))[::60]
    if not found:
        pytest.skip("the shared media are not here")
    for path in found:
        data = path.read_bytes()
        if Image.open(io.BytesIO(data)).width <= 1600:
            assert max(differences(data)) <= 1, path.name
