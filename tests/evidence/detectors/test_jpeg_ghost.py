from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from assay.evidence.detectors import jpeg_ghost
from assay.evidence.detectors.jpeg_ghost import JpegGhost
from assay.evidence.kernels import ghosts
from assay.media import views
from assay.media.coefficients import read_jpeg
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome

BOX = (200, 160, 328, 288)  # left, top, right, bottom of the pasted part


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    with Pillow.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def saved(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    return pixels_of(images.jpeg(pixels, quality=quality))


def examined(pixels: NDArray[np.uint8], quality: int = 85, orientation: int = 1) -> Finding:
    data = images.jpeg(pixels, quality=quality)
    planes = read_jpeg(data, pixels=10**7).planes
    view = Image(coded=pixels_of(data), planes=planes, orientation=orientation, media_type="image/jpeg")
    return JpegGhost().examine(view)


def spliced(first: int, donor: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture saved at `first` with a part of another one, and without."""
    host, other = (images.scene(512, 448, seed=s) for s in (41, 42))
    clean = saved(host, first)
    left, top, right, bottom = BOX
    forged = clean.copy()
    forged[top:bottom, left:right] = saved(other, donor)[top - 3 : bottom - 3, left - 5 : right - 5]
    return forged, clean


def mask_of(found: Finding, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    canvas = Pillow.new("L", (shape[1], shape[0]))
    for region in found.regions:
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in region.points], fill=1)
    return np.asarray(canvas) > 0


def f1(found: Finding, shape: tuple[int, ...]) -> float:
    truth = np.zeros(shape[:2], bool)
    truth[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    mask = mask_of(found, shape)
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


@pytest.mark.parametrize(("first", "donor"), [(75, 90), (80, 75), (90, 80)])
def test_a_part_of_another_picture_is_outlined_after_a_last_save_at_85(first: int, donor: int) -> None:
    forged, clean = spliced(first, donor)
    found, twin = examined(forged), examined(clean)
    assert [r.code for r in found.reasons] == ["ghost_missing_region"]
    assert f1(found, forged.shape) > 0.6
    assert (found.score or 0) > 3 * (twin.score or 0)
    assert twin.regions == ()
    assert all(len(r.points) <= 64 for r in found.regions)


def test_the_first_quality_is_named_roughly() -> None:
    assert "quality 7" in examined(spliced(75, 90)[0]).reasons[0].text  # within a few steps of 75


@pytest.mark.parametrize("first", [75, 82, 90, 95])
@pytest.mark.parametrize("last", [85, 95])
def test_a_picture_saved_twice_is_no_forgery(first: int, last: int) -> None:
    assert examined(saved(images.scene(512, 400, seed=43), first), last).regions == ()


@pytest.mark.parametrize("last", [75, 85, 95])
def test_a_picture_saved_once_is_no_forgery(last: int) -> None:
    found = examined(images.scene(512, 400, seed=44), last)
    assert found.regions == ()
    assert found.outcome is Outcome.SCORED


def test_a_crop_between_two_saves_is_no_forgery() -> None:
    assert examined(np.ascontiguousarray(saved(images.scene(512, 400, seed=45), 75)[3:, 5:])).regions == ()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_regions_and_heat_are_upright(orientation: int) -> None:
    forged, _ = spliced(75, 90)
    plain, turned = examined(forged), examined(forged, orientation=orientation)
    assert plain.heat is not None
    assert turned.heat is not None
    assert np.array_equal(turned.heat, views.upright(plain.heat, orientation))
    expected = views.upright(mask_of(plain, forged.shape).astype(np.uint8), orientation) > 0
    mask = mask_of(turned, expected.shape)
    assert (mask & expected).sum() > 0.95 * (mask | expected).sum()


def test_a_grey_jpeg_says_nothing_since_clipped_colours_cannot_be_told_there() -> None:
    forged, clean = spliced(75, 90)
    for pixels in (forged, clean):
        buffer = io.BytesIO()
        Pillow.fromarray(pixels).convert("L").save(buffer, "JPEG", quality=85)
        data = buffer.getvalue()
        view = Image(
            coded=pixels_of(data), planes=read_jpeg(data, pixels=10**7).planes, media_type="image/jpeg"
        )
        found = JpegGhost().examine(view)
        assert (found.outcome, found.reasons[0].code) == (Outcome.NOT_APPLICABLE, "no_colour")


def faded(share: float) -> NDArray[np.uint8]:
    """A picture with a part whose blue is clipped, saved at 75, of whose colour this share is left."""
    rng = np.random.default_rng(3)
    host = images.scene(512, 448, seed=41).astype(np.float64)
    left, top, right, bottom = BOX
    texture = np.kron(rng.normal(0, 18, (64, 64)), np.ones((2, 2))) + rng.normal(0, 6, (128, 128))
    y = host[top:bottom, left:right].mean(axis=-1) * 0.4 + texture + 60
    host[top:bottom, left:right] = np.stack([0.6 * y, y, 255 + rng.normal(0, 25, y.shape)], axis=-1)
    once = saved(host.clip(0, 255).round().astype(np.uint8), 75)
    luma = once @ np.array([0.299, 0.587, 0.114])
    return (share * once + (1 - share) * luma[..., None]).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("share", [1.0, 0.75, 0.5, 0.3, 0.0])
def test_a_picture_whose_colours_were_faded_after_they_had_been_clipped_is_no_forgery(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examined(faded(share), 92)
    assert (found.score or 0.0) < 30
    assert not found.regions
    monkeypatch.setattr(jpeg_ghost, "FULL", -1.0)  # without looking at how saturated blocks are ...
    monkeypatch.setattr(jpeg_ghost, "FADED", -1.0)
    if share < 1:
        assert (examined(faded(share), 92).score or 0.0) > 50  # ... the clipped part stands out


def test_saturation_is_the_way_to_a_clipped_channel() -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:] = 128
    pixels[:8, :8] = (128, 128, 255)  # blue is clipped
    pixels[8:, 8:16] = (128, 128, 192)
    found = ghosts.saturation(pixels, 2, 3)
    assert found.dtype == np.float32
    assert found[0, 0] == pytest.approx(1.0)
    assert found[1, 1] == pytest.approx((192 - 135.3) / (255 - 135.3), abs=0.01)
    assert found[0, 2] < 0.01
    assert ghosts.saturation(pixels, 3, 3)[2].max() == 0.0  # beyond the picture


def test_without_coefficients_it_is_not_applicable() -> None:
    assert JpegGhost().examine(Image(coded=images.scene(256, 256))).outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("pixels", [images.flat(256, 256), images.noise(64, 400)])
def test_flat_and_tiny_pictures_are_not_applicable(pixels: NDArray[np.uint8]) -> None:
    assert examined(pixels).outcome is Outcome.NOT_APPLICABLE


def test_of_a_large_picture_the_middle_is_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.evidence.detectors import jpeg_ghost

    forged, _ = spliced(75, 90)
    monkeypatch.setattr(jpeg_ghost, "MOST_BLOCKS", 1800)
    found = examined(forged)
    assert f1(found, forged.shape) > 0.6


def test_it_keeps_the_promises_of_a_detector() -> None:
    check_detector(JpegGhost())


def test_a_line_at_the_border_is_no_forgery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras and editors leave rows at the border that were not compressed as the rest was."""
    lined = saved(images.scene(1024, 448, seed=41), 78).copy()
    lined[:8] = images.scene(1024, 448, seed=44)[:8]
    found = examined(lined)
    assert found.regions == ()
    monkeypatch.setattr(jpeg_ghost, "_without_border", lambda ratio, _blocks, _shape: ratio)
    assert (examined(lined).score or 0) > 2 * (found.score or 0)


def test_steps_of_their_own_must_be_carried_by_most_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that was never saved before gets no table of another maker, however many steps were free."""
    data = images.jpeg(images.scene(512, 448, seed=41), quality=85)
    view = Image(coded=pixels_of(data), planes=read_jpeg(data, pixels=10**7).planes, media_type="image/jpeg")
    blocks = jpeg_ghost.window_of(view.planes[0], view.coded)
    monkeypatch.setattr(jpeg_ghost, "OWN", -1e9)  # every frequency has a step of its own
    monkeypatch.setattr(jpeg_ghost, "FREE", -10.0)  # and gains by it
    assert jpeg_ghost.found_ghost(blocks).quality > 0
    monkeypatch.setattr(jpeg_ghost, "CARRIED", -1e9)
    assert jpeg_ghost.found_ghost(blocks).quality == 0
