"""Self-blended faces and swaps: exact masks, the same draw the same pixels, nothing outside of the face touched."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from assay.errors import Failed
from assay.media import faces
from assay.media.faces import Mesh
from assay.range import face_swap, portraits, self_blend
from assay.range.face_swap import FaceSwap, laplacian, spline, swapped
from assay.range.generator import VISIBLE, Parent
from assay.range.self_blend import SelfBlend, altered, self_blended
from assay.testing import images
from assay.types import Kind
from face_weights import astronaut, network

PLAIN = {
    "shift_rgb": [0, 0, 0],
    "hue": 0,
    "saturation": 1.0,
    "contrast": 1.0,
    "brightness": 0,
    "sharpness": "none",
    "amount": 0,
}


def disc(x: float, y: float, radius: float, *, turn: float = 0.0) -> Mesh:
    """A made-up mesh: 468 points on a disc, with the named ones where a face has them; no network is needed."""
    spiral = np.arange(468) + 0.5
    r, a = np.sqrt(spiral / 468), np.pi * (1 + 5**0.5) * spiral
    points = np.column_stack([r * np.cos(a), r * np.sin(a), np.zeros(468)])
    for index, place in (
        (portraits.LEFT, (-1, 0, 0)),
        (portraits.RIGHT, (1, 0, 0)),
        (portraits.BROW, (0, -1, 0)),
        (portraits.CHIN, (0, 1, 0)),
        (portraits.NOSE, (turn, 0, 0)),
    ):
        points[index] = place
    return Mesh(points * radius + (x, y, 0), 1.0)


def parent(pixels: NDArray[np.uint8]) -> Parent:
    pixels.flags.writeable = False
    return Parent(pixels, "a.jpg", "0" * 64, "a", {})


def host(seed: int = 5) -> NDArray[np.uint8]:
    return scene(seed).copy()


@cache
def scene(seed: int) -> NDArray[np.uint8]:
    return images.scene(260, 220, seed=seed)


def test_the_faces_own_axes_go_from_edge_to_edge() -> None:
    own = portraits.axes(disc(100, 80, 40))
    at = np.array([(60.0, 80), (140, 80), (100, 40), (100, 120), (100, 80)])
    assert own.of(at) == pytest.approx(np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)]))


def test_a_turned_head_is_told_by_its_nose() -> None:
    assert portraits.turned(disc(0, 0, 50)) == pytest.approx(0)
    assert portraits.turned(disc(0, 0, 50, turn=0.5)) > 1
    assert portraits.turned(disc(0, 0, 50, turn=-0.5)) < -1


@pytest.mark.parametrize("alter_host", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_what_was_meant_to_change_holds_all_that_did(seed: int, alter_host: bool) -> None:
    picture = host()
    made = self_blended(picture, disc(130, 110, 60), np.random.default_rng(seed), alter_host=alter_host)
    assert made is not None
    visibly = np.abs(made.pixels.astype(int) - made.host).max(axis=2) > 3 * VISIBLE
    assert visibly.any()
    assert not (visibly & ~made.intended).any()
    assert np.array_equal(made.host, picture) is not alter_host


def test_the_same_draw_gives_the_same_pixels_and_the_host_stays_as_it_was() -> None:
    picture = host()
    before = picture.copy()
    one, two = (self_blended(picture, disc(130, 110, 60), np.random.default_rng(3)) for _ in range(2))
    assert one is not None
    assert two is not None
    assert np.array_equal(one.pixels, two.pixels)
    assert one.parameters == two.parameters
    assert np.array_equal(picture, before)


def test_draws_differ_in_region_and_opacity() -> None:
    rng = np.random.default_rng(0)
    drawn = [m.parameters for _ in range(30) if (m := self_blended(host(), disc(130, 110, 60), rng))]
    assert {d["region"] for d in drawn} == set(self_blend.REGIONS)
    assert len({d["opacity"] for d in drawn}) > 1


def test_a_flat_picture_gives_nothing_or_a_visible_patch() -> None:
    for seed in range(8):
        made = self_blended(images.flat(200, 200), disc(100, 100, 50), np.random.default_rng(seed))
        if made is not None:
            inside = made.pixels[made.intended].astype(int) - made.host[made.intended]
            assert np.abs(inside).mean() >= self_blend.FAINTEST


def test_a_face_at_the_edge_or_too_small_is_no_error() -> None:
    rng = np.random.default_rng(0)
    self_blended(host(), disc(5, 5, 60), rng)
    assert self_blended(host(), disc(100, 100, 4), rng) is None
    assert self_blended(host(), disc(-500, -500, 40), rng) is None


def test_an_alteration_of_nothing_changes_nothing() -> None:
    picture = host()
    assert np.abs(altered(picture, PLAIN, 100).astype(int) - picture).max() <= 1


@pytest.mark.parametrize(
    ("change", "softer"),
    [
        ({"sharpness": "blurred", "amount": 1.0}, True),
        ({"sharpness": "smaller", "amount": 2.5}, True),
        ({"sharpness": "sharper", "amount": 0.6}, False),
    ],
)
def test_sharpness_goes_the_way_it_says(change: dict[str, object], softer: bool) -> None:
    picture = host()
    detail = [
        cv2.Laplacian(p.astype(np.float32), -1).std()
        for p in (picture, altered(picture, PLAIN | change, 160))
    ]
    assert bool(detail[1] < detail[0]) is softer


def test_the_spline_passes_near_its_points_and_keeps_straight_maps() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 200, (60, 2))
    straight = points @ np.array([[0.9, 0.2], [-0.2, 0.9]]) + (5, 7)
    where = rng.uniform(0, 200, (40, 2))
    assert spline(points, straight, where) == pytest.approx(
        where @ np.array([[0.9, 0.2], [-0.2, 0.9]]) + (5, 7), abs=1e-6
    )
    bent = points + 8 * np.sin(points / 40)
    assert np.abs(spline(points, bent, points) - bent).max() < 1.0


def test_a_laplacian_mix_takes_each_side_far_from_the_seam() -> None:
    upper, below = images.flat(128, 128), np.full((128, 128, 3), 30, np.uint8)
    mask = np.zeros((128, 128), np.float32)
    mask[:, 64:] = 1
    mixed = laplacian(upper, below, mask, 3)
    assert np.abs(mixed[:, 120:].astype(int) - upper[:, 120:]).max() <= 1
    assert np.abs(mixed[:, :8].astype(int) - 30).max() <= 1
    assert np.array_equal(laplacian(upper, below, np.ones_like(mask), 3), upper)


@cache
def blends() -> dict[str, self_blend.Blend]:
    made = {}
    for seed in range(12):
        blend = swapped(host(5), disc(130, 110, 60), host(6), disc(120, 100, 70), np.random.default_rng(seed))
        assert blend is not None
        made.setdefault(blend.parameters["blend"], blend)
    return made


def test_every_blend_changes_the_face_and_nothing_else() -> None:
    made = blends()
    assert set(made) == set(face_swap.BLENDS)
    for name, blend in made.items():
        visibly = np.abs(blend.pixels.astype(int) - blend.host).max(axis=2) > 3 * VISIBLE
        assert visibly[blend.intended].mean() > 0.3, name
        assert not (visibly & ~blend.intended).any(), name


def test_heads_turned_differently_or_much_smaller_donors_do_not_serve() -> None:
    rng = np.random.default_rng(0)
    assert swapped(host(), disc(130, 110, 60), host(6), disc(120, 100, 60, turn=0.5), rng) is None
    assert swapped(host(), disc(130, 110, 60), host(6), disc(120, 100, 20), rng) is None


def test_makers_without_a_face_say_whose_is_missing() -> None:
    for maker in (SelfBlend(lambda _: None), FaceSwap(lambda _: None)):
        assert maker.kind is Kind.FACE_SWAP
        assert maker.faces  # the recipe must state a right to use them
        with pytest.raises(Failed, match=r"a\.jpg: no face") as e:
            maker.make([parent(host())] * maker.count, np.random.default_rng(0))
        assert e.value.code == "no_face"


@pytest.mark.parametrize("seed", range(4))
def test_a_makers_mask_is_the_difference(seed: int) -> None:
    makers = (SelfBlend(lambda _: disc(130, 110, 60)), FaceSwap(lambda _: disc(130, 110, 60)))
    for maker in makers:
        parents = [parent(host(i)) for i in range(maker.count)]
        made = maker.make(parents, np.random.default_rng(seed))
        assert made is not None
        differs = np.abs(made.pixels.astype(int) - parents[0].pixels).max(axis=2) > VISIBLE
        assert (made.mask >= differs).all()
        assert made.mask.mean() < 0.6
        assert made.pixels.shape == parents[0].pixels.shape
        assert made.parents == tuple(parents)


def test_a_real_face_is_blended_where_it_is() -> None:
    find = portraits.finder(network(faces.DETECTOR), network(faces.MESH))
    made = SelfBlend(find).make([parent(astronaut().copy())], np.random.default_rng(1))
    assert made is not None
    rows, columns = np.nonzero(made.mask)
    assert rows.min() > 30
    assert rows.max() < 210
    assert columns.min() > 140
    assert columns.max() < 310
