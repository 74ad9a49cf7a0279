"""Reconstructions through the shipped decoders."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter

from assay.errors import AssayError
from assay.range import reconstruct
from assay.range.generator import Parent
from assay.range.reconstruct import Reconstruct, decoded, decoders, spectrum_matched
from assay.types import Kind


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Soft blobs with some grain, as photographs are."""
    rng = np.random.default_rng(seed)
    small = Pillow.fromarray(rng.integers(0, 256, (12, 12, 3)).astype(np.uint8))
    soft = np.asarray(small.resize((width, height), Pillow.Resampling.BICUBIC)).astype(float)
    return np.clip(soft + rng.normal(0, 2, soft.shape), 0, 255).astype(np.uint8)


def parent(pixels: NDArray[np.uint8]) -> Parent:
    pixels.setflags(write=False)
    return Parent(pixels, "a.jpg", "0" * 64, "camera", {})


def quality(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """PSNR in dB."""
    return float(10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean()))


@pytest.mark.parametrize("decoder", decoders())
def test_a_reconstruction_is_near_its_parent_and_not_the_parent(decoder: str) -> None:
    pixels = scene(96, 130)
    again = decoded(pixels, decoder)
    assert again.shape == pixels.shape
    assert again.dtype == np.uint8
    assert quality(again, pixels) > 28
    assert (again != pixels).any()


def test_every_decoder_leaves_traces_of_its_own() -> None:
    pixels = scene(64, 64)
    assert len({decoded(pixels, name).tobytes() for name in decoders()}) == len(decoders())


def test_every_kind_of_upsampling_layer_is_there_at_every_factor() -> None:
    expected = {f"{k}_{f}" for k in ("transposed", "nearest", "bilinear", "shuffle") for f in (2, 4)}
    assert set(decoders()) == expected


@pytest.mark.parametrize("decoder", ["transposed_4", "nearest_4", "bilinear_2"])
def test_tiles_leave_no_seam(decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = scene(150, 170)
    whole = decoded(pixels, decoder).astype(int)
    monkeypatch.setattr(reconstruct, "TILE", 64)
    assert np.abs(decoded(pixels, decoder).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (37, 513), (64, 64)])
def test_any_size_comes_back_as_it_was(shape: tuple[int, int]) -> None:
    for decoder in ("shuffle_4", "transposed_2"):
        assert decoded(scene(*shape), decoder).shape == (*shape, 3)


def test_an_unknown_decoder_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(AssayError) as caught:
        decoded(scene(64, 64), "magic_8")
    assert "transposed_2" in caught.value.hint


def test_the_maker_names_its_decoder_and_marks_every_pixel() -> None:
    host = parent(scene(80, 70))
    made = Reconstruct().make([host], np.random.default_rng(5))
    assert made is not None
    assert made.parameters["decoder"] in decoders()
    assert made.parameters["decoder"] == f"{made.parameters['upsampling']}_{made.parameters['factor']}"
    expected = decoded(host.pixels, made.parameters["decoder"])
    if made.parameters["spectrum_matched"]:
        expected = spectrum_matched(expected, host.pixels)
    assert np.array_equal(made.pixels, expected)
    assert made.mask.all()
    assert made.mask.shape == (80, 70)
    assert made.parents == (host,)
    assert Reconstruct.kind is Kind.FULL_SYNTHESIS


def test_about_half_of_the_spectra_are_matched() -> None:
    host = parent(scene(32, 32))
    drawn = [Reconstruct().make([host], np.random.default_rng(seed)) for seed in range(12)]
    assert {m.parameters["spectrum_matched"] for m in drawn if m is not None} == {True, False}


@pytest.mark.parametrize("size", [(96, 130), (61, 47)])
def test_a_matched_spectrum_gives_back_the_detail_that_was_lost(size: tuple[int, int]) -> None:
    pixels = np.clip(scene(*size) + np.random.default_rng(1).normal(0, 8, (*size, 3)), 0, 255).astype(
        np.uint8
    )
    blurred = np.asarray(Pillow.fromarray(pixels).filter(ImageFilter.BoxBlur(0.5)))
    soft = ((blurred.astype(float) + pixels) / 2).astype(np.uint8)
    matched = spectrum_matched(soft, pixels)

    def detail(p: NDArray[np.uint8]) -> float:
        return float(np.abs(np.diff(p.astype(float), axis=1)).mean())

    assert detail(soft) < 0.9 * detail(pixels)
    assert detail(matched) == pytest.approx(
        detail(pixels), rel=0.15
    )  # corners beyond the last ring stay soft
    assert np.abs(matched.mean(axis=(0, 1)) - soft.mean(axis=(0, 1))).max() < 0.5


def test_a_matched_spectrum_of_an_equal_picture_changes_nothing() -> None:
    pixels = scene(40, 40)
    assert np.array_equal(spectrum_matched(pixels, pixels), pixels)


def test_the_same_draws_give_the_same_pixels_and_others_another_decoder() -> None:
    host = parent(scene(64, 64))
    made = [Reconstruct().make([host], np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4, 5)]
    assert all(m is not None for m in made)
    pixels = [m.pixels.tobytes() for m in made if m is not None]
    assert pixels[0] == pixels[1]
    assert len(set(pixels)) > 1
