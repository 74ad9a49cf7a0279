from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from assay.evidence.detectors.double_jpeg import DoubleJpeg
from assay.media import views
from assay.media.coefficients import read_jpeg
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = REPOSITORY.parent / "shared"
sys.path.insert(0, str(REPOSITORY / "tools"))
import forge  # noqa: E402


def examined(data: bytes, orientation: int = 1) -> Finding:
    planes = read_jpeg(data, pixels=10**8).planes if data[:2] == b"\xff\xd8" else ()
    return DoubleJpeg().examine(Image(coded=forge.pixels_of(data), planes=planes, orientation=orientation))


def codes(found: Finding) -> set[str]:
    return {reason.code for reason in found.reasons}


def box(found: Finding) -> tuple[float, float, float, float]:
    corners = found.regions[0].points
    return (*corners[0], corners[2][0] - corners[0][0], corners[2][1] - corners[0][1])


def forged(first: int, second: int, last: int, *, size: int = 128) -> forge.Forgery:
    background, source = images.scene(512, 448, seed=1), images.scene(512, 448, seed=2)
    return forge.splice(background, source, seed=3, size=size, qualities=(first, second, last))


@pytest.mark.parametrize("qualities", [(80, 75, 95), (75, 90, 92), (70, 0, 95), (60, 0, 85)])
def test_a_region_that_was_saved_once_is_boxed(qualities: tuple[int, int, int]) -> None:
    made = forged(*qualities)
    found = examined(made.forged)
    assert codes(found) == {"local_inconsistency"}
    assert found.score is not None
    assert found.score > 20
    assert forge.overlap(box(found), made.box) > 0.6


@pytest.mark.parametrize("qualities", [(80, 75, 95), (75, 90, 92), (60, 0, 85)])
def test_a_picture_that_was_saved_twice_is_nothing(qualities: tuple[int, int, int]) -> None:
    found = examined(forged(*qualities).clean)
    assert (found.score, found.regions, codes(found)) == (0.0, (), {"recompressed"})


@pytest.mark.parametrize("quality", [98, 90, 75, 50])
def test_a_picture_that_was_saved_once_shows_no_comb(quality: int) -> None:
    found = examined(forge.jpeg(images.scene(512, 448, seed=4), quality))
    assert (found.score, codes(found)) == (0.0, {"compressed_once"})


@pytest.mark.parametrize("seed", range(5, 9))
def test_three_saves_and_aligned_crops_are_nothing(seed: int) -> None:
    sent = forge.pixels_of(forge.jpeg(images.scene(512, 448, seed=seed), 70))
    again = forge.pixels_of(forge.jpeg(np.ascontiguousarray(sent[8:, 16:]), 82))
    assert examined(forge.jpeg(again, 94)).score == 0.0


def test_overexposed_places_are_nothing() -> None:
    bright = np.clip(images.scene(512, 448, seed=10).astype(np.int16) * 2 - 40, 0, 255).astype(np.uint8)
    sent = forge.pixels_of(forge.jpeg(bright, 75))
    assert examined(forge.jpeg(sent, 93)).score == 0.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_and_heat_are_upright(orientation: int) -> None:
    data = forged(75, 90, 92).forged
    plain, turned = examined(data), examined(data, orientation)
    assert box(turned) == views.upright_box(box(plain), forge.pixels_of(data).shape[:2], orientation)
    assert plain.heat is not None
    assert turned.heat is not None
    assert np.array_equal(turned.heat, views.upright(plain.heat, orientation))


def test_what_is_no_jpeg_is_not_applicable() -> None:
    found = examined(forge.png(images.scene(200, 200)))
    assert (found.outcome, codes(found)) == (Outcome.NOT_APPLICABLE, {"no_coefficients"})


def test_a_tiny_jpeg_is_not_applicable() -> None:
    assert codes(examined(forge.jpeg(images.scene(80, 300), 80))) == {"too_small"}


@pytest.mark.parametrize("size", [(513, 449), (505, 447)])
def test_sizes_that_are_no_multiple_of_8_are_examined(size: tuple[int, int]) -> None:
    found = examined(forge.jpeg(forge.pixels_of(forge.jpeg(images.scene(*size, seed=11), 75)), 92))
    assert (found.score, codes(found)) == (0.0, {"recompressed"})


def test_it_keeps_the_promises_of_a_detector() -> None:
    check_detector(DoubleJpeg())


@pytest.mark.shared
def test_camera_photographs_are_silent() -> None:
    folder = SHARED / "data" / "images" / "bona_fide" / "camera"
    if not folder.is_dir():
        pytest.skip("the shared photographs are not here")
    small = [p for p in sorted(folder.iterdir()) if p.stat().st_size < 150_000]
    assert small
    for path in small:
        assert not examined(path.read_bytes()).score, path.name
