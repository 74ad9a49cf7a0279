"""Copy-moves that the test makes itself, their honest twins, and repeated texture."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from assay.evidence.detectors import _copy_move_direction as direction
from assay.evidence.detectors.copy_move import FOUND, CopyMove
from assay.media.views import Image, upright
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome


def pixels_of(data: bytes) -> np.ndarray:
    with Pillow.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def saved(pixels: np.ndarray, quality: int = 85) -> np.ndarray:
    return pixels_of(images.jpeg(pixels, quality=quality))


def blob(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.arctan2(y - centre[1], x - centre[0])
    return np.hypot(x - centre[0], y - centre[1]) < radius * (1 + 0.2 * np.cos(3 * angle))


def copied(
    pixels: np.ndarray, *, degrees: float = 0.0, scale: float = 1.0, radius: float = 60.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture with a place copied from its left to its right; masks of the copy and of the original."""
    source, target = np.array([130.0, 200.0]), np.array([370.0, 190.0])
    turn = scale * np.array(
        [
            [np.cos(np.deg2rad(degrees)), -np.sin(np.deg2rad(degrees))],
            [np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))],
        ]
    )
    affine = np.column_stack([turn, target - turn @ source])
    size = (pixels.shape[1], pixels.shape[0])
    original = blob(pixels.shape[:2], (source[0], source[1]), radius)
    copy = cv2.warpAffine(original.astype(np.float32), affine, size) > 0.5
    patch = cv2.warpAffine(pixels, affine, size, flags=cv2.INTER_CUBIC)
    return np.where(copy[..., None], patch, pixels), copy, original


def examined(pixels: np.ndarray) -> Finding:
    return CopyMove().examine(Image(coded=pixels))


def drawn(found: Finding) -> np.ndarray:
    first = found.regions[0]
    mask = np.zeros((first.height, first.width), np.uint8)
    for region in found.regions:
        cv2.fillPoly(mask, [np.floor(np.array(region.points)).astype(np.int32)], 1)
    return mask > 0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The F1 score of two masks."""
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return images.scene(512, 400, seed=3)


@pytest.mark.parametrize(
    ("degrees", "scale"), [(0.0, 1.0), (20.0, 1.0), (90.0, 1.0), (-12.0, 1.3), (8.0, 0.75)]
)
def test_a_copy_is_found_though_turned_and_scaled_and_saved_as_jpeg(
    scene: np.ndarray, degrees: float, scale: float
) -> None:
    forged, copy, original = copied(scene, degrees=degrees, scale=scale)
    found = examined(saved(forged))
    assert found.score is not None
    assert found.score >= FOUND
    assert [r.code for r in found.reasons] == ["copy_found"]
    assert max(overlap(drawn(found), copy), overlap(drawn(found), copy | original)) > 0.8
    assert overlap(drawn(found), original) < 0.8


def test_a_copy_that_was_interpolated_is_told_from_its_original(scene: np.ndarray) -> None:
    forged, copy, _ = copied(scene, degrees=20, scale=1.2)
    assert overlap(drawn(examined(saved(forged, 92))), copy) > 0.8


def test_the_picture_without_the_copy_is_silent(scene: np.ndarray) -> None:
    found = examined(saved(scene))
    assert found.score is not None
    assert found.score < FOUND
    assert not found.regions
    assert [r.code for r in found.reasons] == ["copies_none"]


def test_repeated_texture_with_grain_of_its_own_is_no_copy() -> None:
    tile = images.scene(64, 64, seed=5, grain=0)
    wall = np.tile(tile, (6, 8, 1)).astype(np.float64)
    wall += np.random.default_rng(6).normal(0, 12, wall.shape)
    found = examined(saved(wall.clip(0, 255).astype(np.uint8)))
    assert not found.regions


def test_regions_follow_the_orientation(scene: np.ndarray) -> None:
    forged, _, _ = copied(scene, degrees=20, scale=1.2)
    forged = saved(forged)
    straight = drawn(examined(forged))
    for orientation in (3, 6):
        found = CopyMove().examine(Image(coded=forged, orientation=orientation))
        assert overlap(drawn(found), upright(straight.astype(np.uint8), orientation) > 0) > 0.95


def test_the_heat_map_is_upright_and_shows_the_copy(scene: np.ndarray) -> None:
    forged, copy, _ = copied(scene, degrees=20)
    heat = CopyMove().examine(Image(coded=saved(forged), orientation=6)).heat
    assert heat is not None
    assert heat.shape[0] > heat.shape[1]
    shown = cv2.resize(heat, (400, 512)) > 0
    assert (shown & upright(copy, 6)).sum() > 0.8 * copy.sum()  # type: ignore[arg-type]


def test_a_grey_picture_has_copies_too(scene: np.ndarray) -> None:
    forged, _, _ = copied(scene, degrees=20)
    grey = forged.mean(axis=2).astype(np.uint8)
    assert examined(np.repeat(grey[..., None], 3, axis=2)).regions


def test_flat_noisy_and_tiny_pictures() -> None:
    assert examined(np.full((300, 300, 3), 90, np.uint8)).outcome is Outcome.NOT_APPLICABLE
    assert [r.code for r in examined(images.scene(200, 63, seed=1)).reasons] == ["too_small"]
    noisy = examined(images.noise(300, 240, seed=4))
    assert (noisy.score or 0) < FOUND


def test_planes_that_agree_have_no_outline_and_are_no_failure() -> None:
    place = np.zeros((200, 300), bool)
    place[60:120, 40:110] = True
    shift = np.array([[1.0, 0.0, 120.0], [0.0, 1.0, 10.0]])
    assert direction.outline_contrast(np.full((200, 300), 90, np.float32), shift, place) == 0.0


def test_it_keeps_the_promises_of_a_detector() -> None:
    check_detector(CopyMove())
