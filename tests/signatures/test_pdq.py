from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.media.views import Image, upright
from assay.signatures.codes import distances, from_hex, to_hex
from assay.signatures.pdq import QUALITY, ImagePrint, image_print, pixels_print, quality_of, sampled
from assay.testing.images import checkerboard, flat, gradient, jpeg, noise, scene
from assay.types import Reason

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "signatures" / "pdq" / "data"
# Published beside the reference implementation, computed without a resize before it.
PUBLISHED = {
    "bridge-1-original": "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22",
    "bridge-2-rotate-90": "30a10efd71cc3d429013d48d0ffffc52e34e0e17ada952a9d29685211ea9e5af",
    "bridge-3-rotate-180": "adad5a64b5a142e75b62a09857da895ae63b847fc23794b766b319361bc93188",
    "bridge-4-rotate-270": "a5f0a457a48995e8c9065c275aaa5498b61ba4bdf8fcf80387c32f8b1bfc4f05",
}
# What the reference implementation (pdqhash 0.2.8) makes of pictures of `assay.testing`, without a resize.
REFERENCE = {
    (512, 384, 0): "64332b79fc192dc11d8b603ef3077b3c5f91b30ab241d26713f8d90990beadc8",
    (301, 207, 1): "7b5c0f5acfa1eae1d0c179ee3c1edd1cf986ee818020b0c1c9ef82e898de906d",
    (64, 640, 2): "27bd595b9da4853c6d0f68ab310e73a0e53049f2b5b0bca43a433de5d4444de7",
}


def read(data: bytes) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))


def printed(pixels: np.ndarray) -> ImagePrint:
    found = pixels_print(pixels)
    assert isinstance(found, ImagePrint)
    return found


@pytest.mark.shared
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_codes_are_met_bit_by_bit(name: str) -> None:
    pixels = read((VECTORS / "reg-test-input" / "dih" / f"{name}.jpg").read_bytes())
    found = printed(pixels)
    assert to_hex(found.code) == PUBLISHED[name]
    assert found.quality == 100


@pytest.mark.parametrize(("size", "code"), REFERENCE.items())
def test_codes_are_those_of_the_reference_implementation(size: tuple[int, int, int], code: str) -> None:
    width, height, seed = size
    assert to_hex(printed(scene(width, height, seed=seed)).code) == code


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_of_the_eight_codes_is_that_of_the_turned_picture(orientation: int) -> None:
    for size in ((320, 200), (131, 517)):
        pixels = scene(*size, seed=orientation)
        turned = printed(upright(pixels, orientation))
        # A coefficient may equal the median but for rounding, which sums in another order when mirrored.
        assert distances(turned.code, printed(pixels).codes[orientation - 1]) <= 1


def test_the_eight_orientations_differ_from_one_another() -> None:
    codes = printed(scene(320, 240, seed=3)).codes
    assert codes.shape == (8, 4)
    for k in range(8):
        others = distances(codes[k], np.delete(codes, k, axis=0))
        assert others.min() > 60


def test_the_orientation_that_exif_tells_is_applied() -> None:
    pixels = scene(320, 200, seed=5)
    coded = np.ascontiguousarray(upright(pixels, 8))  # 6 undoes 8
    found = image_print(Image(coded=coded, orientation=6))
    assert isinstance(found, ImagePrint)
    assert (found.codes == printed(pixels).codes).all()


def test_a_code_has_half_of_its_bits_set() -> None:
    codes = printed(scene(320, 240, seed=8)).codes
    assert (np.bitwise_count(codes).sum(axis=1) == 128).all()


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_a_re_encoded_picture_stays_near(quality: int) -> None:
    pixels = scene(500, 400, seed=1)
    again = read(jpeg(pixels, quality=quality))
    assert distances(printed(pixels).code, printed(again).code) <= 12


@pytest.mark.parametrize("size", [(480, 360), (700, 525), (1300, 975)])
def test_a_picture_at_another_size_stays_near(size: tuple[int, int]) -> None:
    pixels = scene(640, 480, seed=2)
    other = np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.LANCZOS))
    assert distances(printed(pixels).code, printed(other).code) <= 20


def test_unrelated_pictures_lie_far_apart() -> None:
    codes = np.stack([printed(scene(300, 300, seed=s)).code for s in range(12)])
    gaps = [int(distances(c, codes)[np.arange(12) != k].min()) for k, c in enumerate(codes)]
    assert min(gaps) > 60


@pytest.mark.parametrize("pixels", [flat(200, 200), flat(900, 70, value=0), gradient(300, 300)])
def test_a_picture_without_structure_has_no_fingerprint_and_a_reason(pixels: np.ndarray) -> None:
    found = pixels_print(pixels)
    assert isinstance(found, Reason)
    assert found.code == "too_flat"
    assert str(QUALITY) in found.text


@pytest.mark.parametrize("size", [(1, 1), (63, 400), (400, 63)])
def test_a_tiny_picture_has_no_fingerprint_and_a_reason(size: tuple[int, int]) -> None:
    found = pixels_print(noise(*size))
    assert isinstance(found, Reason)
    assert found.code == "too_small"


@pytest.mark.parametrize("pixels", [noise(64, 64), checkerboard(257, 129), noise(64, 3000), noise(700, 65)])
def test_awkward_pictures_are_fingerprinted_alike_each_time_and_unmodified(pixels: np.ndarray) -> None:
    before = pixels.copy()
    pixels.flags.writeable = False
    first, second = pixels_print(pixels), pixels_print(pixels)
    assert (pixels == before).all()
    if isinstance(first, ImagePrint):
        assert isinstance(second, ImagePrint)
        assert (first.codes == second.codes).all()
    else:
        assert first == second


def test_quality_is_that_of_the_reference_at_its_ends() -> None:
    assert quality_of(sampled(flat(100, 100))[0, 0]) == 0
    assert quality_of(sampled(checkerboard(640, 640, cell=80))[0, 0]) == 100


def test_samples_of_a_flat_picture_are_its_luma_up_to_the_edges() -> None:
    assert np.allclose(sampled(flat(150, 90, value=77)), 77.0)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\)"):
        pixels_print(np.zeros((80, 80), np.uint8))
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\)"):
        pixels_print(np.zeros((80, 80, 3), np.float32))  # type: ignore[arg-type]


def test_hex_and_code_agree_with_the_reference_order_of_bits() -> None:
    assert to_hex(from_hex(PUBLISHED["bridge-1-original"])) == PUBLISHED["bridge-1-original"]
