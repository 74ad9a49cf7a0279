"""Super-resolution networks as decoders: with a tiny network that the tests write, and with the pulled ones if they are here."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.errors import AssayError, ModelError
from assay.evidence.models import catalogue, path_of
from assay.range import corpus, marking, photos, reconstruct, super_resolution, verification
from assay.range.forge import Settings
from assay.range.generator import Parent, generator
from assay.range.reconstruct import Reconstruct, decoded, decoders, spectrum_matched
from assay.range.super_resolution import NETWORKS, Network, enlarged, loaded, restored
from assay.testing import images
from face_weights import FOLDER

TINY = "tiny_2"
GRAPH = """7767517
3 3
Input in 0 1 data
Convolution conv 1 1 data deep 0=12 1=3 4=1 5=1 6=324
PixelShuffle up 1 1 deep output 0=2
"""
SIDES = ((-1, -1), (-1, 1), (1, -1), (1, 1))  # the neighbour that each of four new pixels leans to


@pytest.fixture
def net(tmp_path: Path):
    """Every pixel becomes four: three quarters of itself and a quarter of the neighbour at that corner."""
    pytest.importorskip("ncnn", reason="needs ncnn: pip install 'assay[superresolution]'")
    kernels = np.zeros((12, 3, 3, 3), "<f4")
    for channel in range(3):
        for corner, (down, across) in enumerate(SIDES):
            kernels[4 * channel + corner, channel, 1, 1] = 0.75
            kernels[4 * channel + corner, channel, 1 + down, 1 + across] = 0.25
    (tmp_path / "tiny.param").write_text(GRAPH)
    # A tag of 0 says float32; twelve biases end the file.
    (tmp_path / "tiny.bin").write_bytes(bytes(4) + kernels.tobytes() + bytes(48))
    return loaded(tmp_path / "tiny.param", tmp_path / "tiny.bin")


@pytest.fixture
def tiny(net, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tiny network, under a name."""
    monkeypatch.setitem(NETWORKS, TINY, Network("none", "none", 2, "shuffle"))
    monkeypatch.setattr(super_resolution, "network", lambda _name: net)
    return TINY


def by_hand(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the tiny network makes of a picture, mirrored at its edges."""
    height, width = pixels.shape[:2]
    framed = np.pad(pixels.astype(float), ((1, 1), (1, 1), (0, 0)), mode="symmetric")
    large = np.empty((2 * height, 2 * width, 3))
    for corner, (down, across) in enumerate(SIDES):
        beside = framed[1 + down : 1 + down + height, 1 + across : 1 + across + width]
        large[corner // 2 :: 2, corner % 2 :: 2] = 0.75 * pixels + 0.25 * beside
    return large


def parent(pixels: NDArray[np.uint8]) -> Parent:
    pixels.setflags(write=False)
    return Parent(pixels, "a.jpg", "0" * 64, "camera", {})


@pytest.mark.parametrize("size", [(300, 140), (128, 128), (129, 1), (3, 5)])
def test_tiles_give_what_the_whole_picture_gives_edges_included(net, size: tuple[int, int]) -> None:
    pixels = images.noise(*size, seed=1)
    large = enlarged(pixels, net, 2)
    assert large.dtype == np.uint8
    assert np.abs(large - by_hand(pixels)).max() <= 0.51


def test_tiles_fade_into_each_other() -> None:
    overlap = 2 * super_resolution.MARGIN * 3
    ramp = super_resolution._fade(400, 3)
    assert ramp[-overlap:] + ramp[:overlap] == pytest.approx(1)
    assert not ramp[: super_resolution.LOST * 3].any()
    assert ramp[overlap:-overlap] == pytest.approx(1)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (37, 64), (61, 259)])
def test_any_size_comes_back_as_it_was_and_unmodified(net, size: tuple[int, int]) -> None:
    pixels = images.scene(*size, seed=3)
    before = pixels.copy()
    again = restored(pixels, net, 2)
    assert again.shape == pixels.shape
    assert np.array_equal(pixels, before)


def test_a_picture_is_shrunk_to_means(net) -> None:
    pixels = images.noise(64, 48, seed=5)
    means = pixels.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    expected = by_hand(np.floor(means + 0.5).astype(np.uint8))
    assert np.abs(restored(pixels, net, 2) - expected).max() <= 1.01  # halves may be rounded either way


def test_the_same_picture_gives_the_same_bytes(net) -> None:
    pixels = images.scene(270, 141, seed=2)
    assert restored(pixels, net, 2).tobytes() == restored(pixels, net, 2).tobytes()


def test_a_network_of_another_factor_is_an_error(net) -> None:
    with pytest.raises(ModelError) as caught:
        enlarged(images.scene(20, 20), net, 4)
    assert caught.value.code == "model_unusable"


def test_files_that_ncnn_cannot_read_are_an_error(net, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    (tmp_path / "bad.param").write_text("nothing")
    with pytest.raises(ModelError, match=r"bad\.param"):
        loaded(tmp_path / "bad.param", tmp_path / "tiny.bin")
    capfd.readouterr()  # ncnn says why by itself


def test_the_maker_draws_from_the_chosen_decoders_alone(tiny: str) -> None:
    host = parent(images.scene(70, 61, seed=4))
    maker = Reconstruct(decoders=[tiny, "shuffle_2"])
    made = [maker.make([host], np.random.default_rng(seed)) for seed in range(8)]
    assert {m.parameters["decoder"] for m in made} == {tiny, "shuffle_2"}
    one = next(m for m in made if m.parameters["decoder"] == tiny)
    assert (one.parameters["upsampling"], one.parameters["factor"]) == ("shuffle", 2)
    expected = decoded(host.pixels, tiny)
    if one.parameters["spectrum_matched"]:
        expected = spectrum_matched(expected, host.pixels)
    assert np.array_equal(one.pixels, expected)


def test_without_a_choice_the_shipped_decoders_are_drawn_as_ever() -> None:
    host = parent(images.scene(32, 32))
    for seed in range(6):
        made = Reconstruct().make([host], np.random.default_rng(seed))
        assert made is not None
        assert made.parameters["decoder"] == decoders()[int(np.random.default_rng(seed).integers(8))]


def test_no_super_resolution_network_is_among_the_default_decoders() -> None:
    assert not set(NETWORKS) & set(decoders())
    assert {reconstruct.layer(name)[0] for name in NETWORKS} <= set(reconstruct.KINDS)


def test_a_corpus_names_its_decoder_and_is_made_again_from_its_recipes(
    tiny: str, photos_folder: Path, tmp_path: Path
) -> None:
    found, _ = photos.scan(photos_folder)
    out = tmp_path / "out"
    corpus.prepared(out)
    chosen = Settings("reconstruct", seed=3, choices={"decoders": [tiny]}, marked=False)
    work = corpus.Work(photos_folder, out, chosen, found, marking.authority())
    assert [m.state for m in corpus.build(work, 2, 1)] == ["made"] * 2
    assert [m.state for m in corpus.build(work, 2, 1)] == ["kept"] * 2
    recipes = [d["recipe"] for d in corpus.documents(out)]
    assert [r["choices"] for r in recipes] == [{"decoders": [tiny]}] * 2
    assert [r["parameters"]["decoder"] for r in recipes] == [tiny] * 2
    assert [v.state for v in verification.verify(out, 2, 0)] == ["same"] * 2
    others = replace(work, settings=replace(chosen, choices={}))
    assert corpus.make(others, 0).state == "made"  # another choice, another sample


def test_unknown_decoders_and_choices_are_errors() -> None:
    with pytest.raises(AssayError, match="magic") as caught:
        generator("reconstruct", {"decoders": ["shuffle_2", "magic"]})
    assert "realesrgan_x4plus" in caught.value.hint
    with pytest.raises(AssayError, match="no such choice"):
        generator("splice", {"decoders": ["shuffle_2"]})
    with pytest.raises(AssayError, match="magic"):
        super_resolution.network("magic")


def test_without_ncnn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    super_resolution.network.cache_clear()
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(ModelError) as caught:
        decoded(images.scene(16, 16), "realesrgan_x4plus")
    assert caught.value.code == "no_ncnn"
    assert "assay[superresolution]" in caught.value.hint


def test_without_weights_the_error_says_how_to_pull_them(
    net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    super_resolution.network.cache_clear()
    monkeypatch.setenv("ASSAY_PATHS_DATA", str(tmp_path / "none"))
    with pytest.raises(ModelError) as caught:
        decoded(images.scene(16, 16), "realesr_animevideov3_x2")
    assert caught.value.code == "model_missing"
    assert caught.value.hint == "assay models pull realesr_animevideov3_x2_graph realesr_animevideov3_weights"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_in_the_catalogue_and_pulled_by_name_alone(name: str) -> None:
    for part in (NETWORKS[name].graph, NETWORKS[name].weights):
        assert catalogue()[part].on_request


@cache
def pulled(name: str):
    pytest.importorskip("ncnn", reason="needs ncnn: pip install 'assay[superresolution]'")
    parts = (NETWORKS[name].graph, NETWORKS[name].weights)
    paths = [p for p in (path_of(part, FOLDER) for part in parts) if p]
    if len(paths) < 2:
        pytest.skip(f"needs weights: assay models pull {' '.join(parts)}")
    return loaded(*paths)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pulled_network_gives_back_a_soft_picture(name: str) -> None:
    network = pulled(name)
    factor = NETWORKS[name].factor
    blobs = Pillow.fromarray(images.noise(5, 5, seed=8)).resize((45, 41), Pillow.Resampling.BICUBIC)
    pixels = (100 + np.asarray(blobs) / 5).astype(np.uint8)  # pale: they repaint small garish pictures
    again = restored(pixels, network, factor)
    assert again.shape == pixels.shape
    assert again.tobytes() == restored(pixels, network, factor).tobytes()
    assert np.abs(again.astype(int) - pixels).mean() < 20
    assert (again != pixels).any()
