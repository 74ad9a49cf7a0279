"""What every classical maker keeps: a contract over splice, copy_move and inpaint."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from assay.range.generator import Made, Parent, generator
from assay.testing import images

MAKERS = ("splice", "copy_move", "inpaint")


def parent(seed: int, width: int = 320, height: int = 240) -> Parent:
    pixels = images.scene(width, height, seed=seed)
    pixels.setflags(write=False)
    return Parent(pixels, f"{seed}.jpg", "", f"camera {seed}", {})


@pytest.fixture(scope="module")
def parents() -> list[Parent]:
    return [parent(1), parent(2, 280, 300)]


def made(name: str, parents: list[Parent], wanted: int = 6) -> list[Made]:
    maker = generator(name)
    found = []
    for seed in range(60):
        one = maker.make(parents[: maker.count], np.random.default_rng(seed))
        if one is not None:
            found.append(one)
        if len(found) == wanted:
            return found
    raise AssertionError(f"{name} made {len(found)} of 60")


@pytest.mark.parametrize("name", MAKERS)
def test_it_changes_what_its_mask_says_and_nothing_else(name, parents) -> None:
    for one in made(name, parents):
        host = parents[0].pixels
        assert one.pixels.shape == host.shape
        differs = cv2.absdiff(one.pixels, host).max(axis=2)
        assert not (differs[~one.mask] > 2).any()
        assert (differs[one.mask] > 0).mean() > 0.5
        assert 0.003 < one.mask.mean() < 0.35
        # The feather reaches at most half of its five pixels beyond the outline, the closing of gaps a little further.
        far = cv2.dilate(one.intended.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        assert not (one.mask & ~far).any()


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_draws_make_the_same_pixels(name, parents) -> None:
    maker = generator(name)
    for seed in range(4):
        first, again = (maker.make(parents[: maker.count], np.random.default_rng(seed)) for _ in range(2))
        assert (first is None) == (again is None)
        if first is not None and again is not None:
            assert (first.pixels == again.pixels).all()
            assert first.parameters == again.parameters


@pytest.mark.parametrize("name", MAKERS)
def test_its_parameters_are_plain(name, parents) -> None:
    for one in made(name, parents, 3):
        assert json.loads(json.dumps(one.parameters, allow_nan=False)) == one.parameters
        assert one.parents[0] is parents[0]


@pytest.mark.parametrize("name", MAKERS)
def test_a_flat_picture_gives_nothing_or_an_honest_mask(name) -> None:
    flat = Parent(images.flat(320, 240), "", "", "", {})
    maker = generator(name)
    for seed in range(6):
        one = maker.make([flat] * maker.count, np.random.default_rng(seed))
        assert one is None or not (cv2.absdiff(one.pixels, flat.pixels).max(axis=2)[~one.mask] > 2).any()


def test_half_of_the_splices_are_matched_and_all_outlines_come(parents) -> None:
    from assay.range.splice import Splice

    drawn = [Splice._draw(np.random.default_rng(s)) for s in range(400)]
    assert 0.42 < np.mean([d["colour_match"] > 0 for d in drawn]) < 0.58
    assert {d["outline"] for d in drawn} == {"blob", "polygon", "segment"}
    assert max(d["feather"] for d in drawn) <= 5


def test_an_unscaled_copy_is_an_exact_copy(parents) -> None:
    exact = [
        m
        for m in made("copy_move", parents, 12)
        if m.parameters["scale"] == 1 and m.parameters["degrees"] % 90 == 0 and m.parameters["gain"] == 1
    ]
    assert exact
    for one in exact:
        matrix = np.array(one.parameters["matrix"])
        host = parents[0].pixels
        ys, xs = np.nonzero(cv2.erode(one.intended.astype(np.uint8), np.ones((9, 9), np.uint8)))
        back = np.rint(np.linalg.inv(matrix[:, :2]) @ (np.stack([xs, ys]) - matrix[:, 2:])).astype(int)
        assert (one.pixels[ys, xs] == host[back[1], back[0]]).all()


def test_inpainting_knows_three_methods(parents) -> None:
    methods = {m.parameters["method"] for m in made("inpaint", parents, 12)}
    assert methods == {"telea", "navier_stokes", "exemplar"}


def test_an_exemplar_fill_does_not_bring_back_what_was_taken_out() -> None:
    from assay.range.inpaint import _exemplar

    pixels = np.array(parent(3).pixels)
    hole = np.zeros((240, 320), bool)
    hole[95:145, 135:195] = True
    pixels[100:140, 140:190] = (255, 0, 255)
    filled = _exemplar(pixels, hole, np.random.default_rng(0))
    assert filled is not None
    out = filled[0].astype(int)
    magenta = np.minimum(out[..., 0], out[..., 2]) - out[..., 1] > 150
    assert magenta[hole].mean() < 0.01
