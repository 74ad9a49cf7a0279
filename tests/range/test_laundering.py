from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from assay.errors import AssayError
from assay.range.laundering import launder, names
from assay.testing import images


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return images.scene(300, 200, seed=1)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    inside = np.zeros((200, 300), bool)
    inside[60:140, 100:220] = True
    return inside


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("name", [*names("image"), "jpeg85"])
def test_the_same_name_and_seed_give_the_same_bytes_and_a_mask_of_their_size(name, picture, mask) -> None:
    before = picture.copy()
    first, again = (launder(picture, name, seed=3, mask=mask) for _ in range(2))
    assert first.data == again.data
    assert decoded(first.data).shape[:2] == first.mask.shape
    assert first.mask.any()
    assert not first.mask.all()
    assert launder(picture, name, seed=3).data == first.data  # the mask decides nothing
    assert (picture == before).all()


@pytest.mark.parametrize("name", ["social", "screenshot", "crop"])
def test_another_seed_draws_anew(name, picture) -> None:
    assert len({launder(picture, name, seed=s).data for s in range(4)}) > 1


@pytest.mark.parametrize("name", ["half", "social", "screenshot", "crop"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mask_lies_where_the_change_lies(name, seed, mask) -> None:
    ground = np.full((200, 300, 3), (0, 0, 255), np.uint8)
    ground[mask] = (255, 0, 0)
    laundered = launder(ground, name, seed=seed, mask=mask)
    shown = decoded(laundered.data).astype(int)
    # A screenshot's interface has colours of its own: pure red, as JPEG leaves it, is in the picture alone.
    red = (shown[..., 0] > 150) & (shown[..., 1] < 70) & (shown[..., 2] < 110)
    both = (red & laundered.mask).sum() / max(1, (red | laundered.mask).sum())
    assert both > 0.9


def test_a_crop_starts_off_the_grid(picture) -> None:
    wide = np.zeros((400, 400, 3), np.uint8)
    wide[..., 0] = (np.arange(400) % 8 * 30)[None]
    for seed in range(4):
        shown = decoded(launder(wide, "crop", seed=seed).data)
        assert 0.69 * 400 <= shown.shape[1] <= 0.96 * 400
        assert shown[:, 0, 0].mean() > 15  # column 0 of the grid is black


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (300, 7)])
@pytest.mark.parametrize("name", names("image"))
def test_tiny_pictures_pass(size, name) -> None:
    height, width = size
    laundered = launder(images.noise(width, height), name, seed=0, mask=np.ones(size, bool))
    assert decoded(laundered.data).shape[:2] == laundered.mask.shape


@pytest.mark.parametrize("name", ["jpg85", "jpeg0", "jpeg101", "jpeg085", "opus", ""])
def test_an_unknown_name_says_what_there_is(name, picture) -> None:
    with pytest.raises(AssayError, match="no laundering") as e:
        launder(picture, name, seed=0)
    assert "social" in e.value.hint


def test_what_webp_cannot_hold_is_an_error() -> None:
    with pytest.raises(AssayError, match="WebP"):
        launder(np.zeros((1, 16384, 3), np.uint8), "webp", seed=0)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_shapes_are_refused(pixels) -> None:
    with pytest.raises(ValueError, match="pixels are"):
        launder(pixels, "half", seed=0)


def test_a_mask_of_another_size_is_refused(picture) -> None:
    with pytest.raises(ValueError, match="the mask is"):
        launder(picture, "half", seed=0, mask=np.zeros((3, 3), bool))


def test_there_are_no_launderings_of_mail() -> None:
    assert names("mail") == ()
