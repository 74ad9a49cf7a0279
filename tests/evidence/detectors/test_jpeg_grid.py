from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from assay.evidence.detectors.jpeg_grid import JpegGrid
from assay.evidence.kernels import grid
from assay.media import views
from assay.media.coefficients import read_jpeg
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = REPOSITORY.parent / "shared"
sys.path.insert(0, str(REPOSITORY / "tools"))
sys.path.insert(0, str(REPOSITORY / "tools" / "calibration"))
import forge  # noqa: E402
import score_pixels  # noqa: E402


def examined(data: bytes, orientation: int = 1) -> Finding:
    return JpegGrid().examine(Image(coded=forge.pixels_of(data), orientation=orientation))


def codes(found: Finding) -> set[str]:
    return {reason.code for reason in found.reasons}


def boxes(found: Finding) -> list[tuple[float, float, float, float]]:
    return [
        (*r.points[0], r.points[2][0] - r.points[0][0], r.points[2][1] - r.points[0][1])
        for r in found.regions
    ]


@pytest.fixture(scope="module")
def made() -> forge.Forgery:
    background, source = images.scene(512, 448, seed=1), images.scene(512, 448, seed=2)
    return forge.splice(background, source, seed=3, size=128, qualities=(90, 85, None))


def test_a_pasted_patch_is_boxed_within_8_pixels(made: forge.Forgery) -> None:
    found = examined(made.forged)
    assert codes(found) == {"grid_foreign_region"}
    assert found.score is not None
    assert found.score > 50
    (x, y, w, h), (left, top, wide, high) = boxes(found)[0], made.box
    assert max(abs(x - left), abs(y - top), abs(x + w - left - wide), abs(y + h - top - high)) <= 8


def test_its_clean_twin_is_silent(made: forge.Forgery) -> None:
    found = examined(made.clean)
    assert (found.score, found.regions, codes(found)) == (0.0, (), {"grid_consistent"})


@pytest.mark.parametrize("quality", [98, 99])
def test_a_patch_survives_a_last_save_of_the_best_quality(quality: int) -> None:
    background, source = images.scene(512, 448, seed=1), images.scene(512, 448, seed=2)
    kept = forge.splice(background, source, seed=3, size=192, qualities=(92, 70, quality))
    assert "grid_foreign_region" in codes(examined(kept.forged))
    assert examined(kept.clean).score == 0.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_and_heat_are_upright(made: forge.Forgery, orientation: int) -> None:
    plain, turned = examined(made.forged), examined(made.forged, orientation)
    shape = forge.pixels_of(made.forged).shape[:2]
    assert boxes(turned)[0] == views.upright_box(boxes(plain)[0], shape, orientation)
    assert plain.heat is not None
    assert turned.heat is not None
    assert np.array_equal(turned.heat, views.upright(plain.heat, orientation))


def test_a_crop_only_shifts_the_grid(made: forge.Forgery) -> None:
    cropped = np.ascontiguousarray(forge.pixels_of(made.clean)[3:, 5:])
    found = examined(forge.png(cropped))
    assert (found.score, codes(found)) == (0.0, {"grid_shifted_globally"})
    assert "(3, 5)" in found.reasons[0].text


@pytest.mark.parametrize(("first", "last"), [(75, 95), (60, 90), (85, 97), (90, 90), (85, 70)])
@pytest.mark.parametrize("seed", [4, 5])
def test_a_crop_between_two_saves_is_no_forgery(first: int, last: int, seed: int) -> None:
    sent = forge.pixels_of(forge.jpeg(images.scene(512, 400, seed=seed), first))
    assert examined(forge.jpeg(np.ascontiguousarray(sent[3:, 5:]), last)).score == 0.0


@pytest.mark.parametrize("quality", [60, 80, 95])
def test_webp_in_between_is_no_forgery(quality: int) -> None:
    sent = images.webp(forge.pixels_of(forge.jpeg(images.scene(512, 400, seed=6), 85)), quality=quality)
    assert examined(sent).score == 0.0


def test_halving_is_no_forgery() -> None:
    half = forge.smaller(forge.pixels_of(forge.jpeg(images.scene(800, 640, seed=7), 85)), 400)
    assert examined(forge.jpeg(half, 85)).score == 0.0


def test_text_over_a_photograph_is_no_forgery() -> None:
    pixels = forge.pixels_of(forge.jpeg(images.scene(512, 400, seed=8), 85)).copy()
    pixels[350:370, 300:480:3] = (255, 200, 0)
    assert examined(forge.png(pixels)).score == 0.0


def test_pixels_that_were_never_compressed_have_no_grid() -> None:
    found = examined(forge.png(images.noise(256, 200)))
    assert (found.outcome, found.score, codes(found)) == (Outcome.NOT_APPLICABLE, None, {"grid_none"})


@pytest.mark.parametrize("pixels", [images.flat(256, 256), images.noise(63, 400)])
def test_flat_and_tiny_pictures_are_not_applicable(pixels: np.ndarray) -> None:
    assert JpegGrid().examine(Image(coded=pixels)).outcome is Outcome.NOT_APPLICABLE


def test_two_patches_of_two_sources_are_both_found() -> None:
    pixels = forge.pixels_of(forge.jpeg(images.scene(640, 480, seed=9), 90)).copy()
    for seed, (x, y), shift in ((10, (64, 72), (3, 6)), (11, (400, 280), (5, 1))):
        donor = forge.pixels_of(forge.jpeg(images.scene(400, 400, seed=seed), 80))
        start_x, start_y = 40 + (-shift[0] % 8), 40 + (-shift[1] % 8)
        pixels[y : y + 120, x : x + 120] = donor[start_y : start_y + 120, start_x : start_x + 120]
    assert len(examined(forge.png(pixels)).regions) == 2


@pytest.fixture(scope="module")
def filled() -> forge.Forgery:
    """A patch that never was a JPEG, in a picture that was."""
    background, source = images.scene(512, 448, seed=1), images.scene(512, 448, seed=2)
    return forge.splice(background, source, seed=3, size=128, qualities=(88, 0, None))


def test_a_patch_without_the_grid_is_boxed_within_8_pixels(filled: forge.Forgery) -> None:
    found, twin = examined(filled.forged), examined(filled.clean)
    assert codes(found) == {"grid_missing_region"}
    assert (twin.score, codes(twin)) == (0.0, {"grid_consistent"})
    (x, y, w, h), (left, top, wide, high) = boxes(found)[0], filled.box
    assert max(abs(x - left), abs(y - top), abs(x + w - left - wide), abs(y + h - top - high)) <= 8


def test_it_is_found_in_a_cropped_picture_too(filled: forge.Forgery) -> None:
    found = examined(forge.png(np.ascontiguousarray(forge.pixels_of(filled.forged)[3:, 5:])))
    assert codes(found) == {"grid_missing_region", "grid_shifted_globally"}


def test_a_file_that_is_a_jpeg_itself_has_its_grid_everywhere(filled: forge.Forgery) -> None:
    saved = forge.jpeg(forge.pixels_of(filled.forged), 90)
    view = Image(coded=forge.pixels_of(saved), planes=read_jpeg(saved, pixels=10**7).planes)
    assert JpegGrid().examine(view).score == 0.0


def test_captions_and_interfaces_are_no_missing_grid() -> None:
    photograph = forge.pixels_of(forge.jpeg(images.scene(512, 400, seed=8), 85))
    assert examined(forge.png(score_pixels.captioned(photograph))).score == 0.0
    screen = np.full((640, 720, 3), (24, 26, 30), np.uint8)
    screen[128:528, 64:576] = photograph
    screen[16:100:6, 20:700:3] = (150, 155, 160)
    assert examined(forge.png(screen)).score == 0.0


@pytest.mark.parametrize("gain", [0.8, 1.2])
def test_tone_that_was_changed_everywhere_is_no_missing_grid(gain: float) -> None:
    photograph = forge.pixels_of(forge.jpeg(images.scene(512, 400, seed=8), 85))
    assert examined(forge.png((photograph * gain).clip(0, 255).astype(np.uint8))).score == 0.0


@pytest.mark.shared
def test_real_inpaintings_are_found_and_their_originals_are_silent() -> None:
    fakes, originals = (
        SHARED / "data" / "images" / p for p in ("fake/inpaint", "bona_fide/inpaint_originals")
    )
    if not fakes.is_dir():
        pytest.skip("the shared inpaintings are not here")
    found = [codes(examined(p.read_bytes())) for p in sorted(fakes.glob("*.png"))]
    assert sum("grid_missing_region" in c for c in found) >= 5
    assert all(examined(p.read_bytes()).score == 0.0 for p in originals.iterdir())


def test_it_keeps_the_promises_of_a_detector() -> None:
    check_detector(JpegGrid())


def test_chance_votes_find_nothing() -> None:
    from assay.evidence.detectors import jpeg_grid

    rng = np.random.default_rng(0)
    for _ in range(5):  # blocks of 8 x 8 pixels that vote as they like
        ballots = rng.integers(0, 65, (60, 70), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        assert jpeg_grid.examined(np.ascontiguousarray(ballots)) == (None, ())
    assert int(ballots.max()) == grid.NO_VOTE


@pytest.mark.shared
def test_camera_photographs_are_silent() -> None:
    folder = SHARED / "data" / "images" / "bona_fide" / "camera"
    if not folder.is_dir():
        pytest.skip("the shared photographs are not here")
    small = [p for p in sorted(folder.iterdir()) if p.stat().st_size < 150_000]
    assert small
    for path in small:
        assert not examined(path.read_bytes()).score, path.name
