"""Faces: decoding on made-up answers of a network, then the real networks on a public-domain portrait."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.media import faces
from assay.testing import images
from face_weights import astronaut, network

SIDE = 192
CELLS = (SIDE // 4) ** 2


class Made:
    """A detector that sees a face of `size` pixels of its square wherever a bright red spot is."""

    def __init__(self, size: float = 24.0) -> None:
        self.size, self.calls = size, 0

    def get_inputs(self):
        return [SimpleNamespace(name="input", shape=(1, SIDE, SIDE, 3))]

    def run(self, names, feeds, /):
        self.calls += 1
        square = feeds["input"][0]
        assert square.dtype == np.float32
        assert -1 <= square.min() <= square.max() <= 1
        spot = square[..., 0] - square[..., 1:].max(axis=2)
        raw, logits = np.zeros((1, CELLS, 16), np.float32), np.full((1, CELLS, 1), -9, np.float32)
        if spot.max() > 0.5:
            y, x = np.unravel_index(int(spot.argmax()), spot.shape)
            cell = (y // 4) * (SIDE // 4) + x // 4
            raw[0, cell, 2:4] = self.size
            logits[0, cell] = 3
        return [raw, logits]


def spotted(height: int, width: int, x: int, y: int, size: int = 8) -> NDArray[np.uint8]:
    pixels = np.full((height, width, 3), 90, np.uint8)
    pixels[y : y + size, x : x + size] = (255, 0, 0)
    return pixels


def centre(face: faces.Face) -> tuple[float, float]:
    x, y, w, h = face.box
    return x + w / 2, y + h / 2


def test_anchors_are_the_middles_of_cells_row_by_row() -> None:
    at = faces.anchors(SIDE)
    assert at.shape == (CELLS, 2)
    assert at[0].tolist() == [2, 2]
    assert at[1].tolist() == [6, 2]
    assert at[-1].tolist() == [190, 190]


def test_offsets_are_added_to_the_anchor() -> None:
    raw, logits = np.zeros((CELLS, 16), np.float32), np.full(CELLS, -9, np.float32)
    raw[49] = [1, 2, 10, 20, *range(12)]
    logits[49] = 2
    found, probability = faces.decoded(raw, logits, SIDE)
    assert found[0].tolist() == [6 + 1 - 5, 6 + 2 - 10, 6 + 1 + 5, 6 + 2 + 10, *(6 + i for i in range(12))]
    assert probability[0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_extreme_logits_are_no_problem() -> None:
    raw = np.zeros((CELLS, 16), np.float32)
    for value, n in ((1e30, CELLS), (-1e30, 0)):
        assert len(faces.decoded(raw, np.full(CELLS, value, np.float32), SIDE)[1]) == n


@pytest.mark.parametrize(("height", "width"), [(300, 500), (500, 300), (192, 192), (60, 40)])
def test_a_spot_is_found_where_it_is(height: int, width: int) -> None:
    found = faces.detect(spotted(height, width, width // 2, height // 3), Made())
    assert len(found) == 1
    x, y = centre(found[0])
    step = 4 + 4 * max(height, width) / SIDE  # half of the spot and a cell
    assert abs(x - width // 2 - 4) <= step
    assert abs(y - height // 3 - 4) <= step
    assert found[0].side == pytest.approx(24 * max(height, width) / SIDE, rel=0.05)


@pytest.mark.parametrize(("height", "width"), [(768, 961), (2000, 3000), (9000, 500), (4000, 6000)])
def test_tiles_cover_the_picture_and_share_their_edges(height: int, width: int) -> None:
    parts = list(faces.squares(height, width))
    assert parts[0] == (0, 0, width, height)
    assert len(parts) <= 1 + faces.MOST_TILES
    seen = np.zeros((height, width), bool)
    for x, y, w, h in parts[1:]:
        assert x >= 0
        assert y >= 0
        seen[y : y + h, x : x + w] = True
        assert x + w <= width
        assert y + h <= height
    assert seen.all()
    lefts = sorted({(x, w) for x, _, w, _ in parts[1:]})
    for (x, w), (following, _) in pairwise(lefts):
        assert x + w - following >= faces.OVERLAP


def test_a_picture_of_one_tile_is_looked_at_once() -> None:
    assert list(faces.squares(500, 720)) == [(0, 0, 720, 500)]


@pytest.mark.parametrize(("x", "y"), [(10, 10), (700, 700), (760, 1300), (1900, 1400), (1000, 20)])
def test_a_face_in_several_tiles_is_one_face(x: int, y: int) -> None:
    made = Made(size=24)
    found = faces.detect(spotted(1500, 2000, x, y, 60), made)
    assert made.calls == len(list(faces.squares(1500, 2000)))
    assert len(found) == 1
    assert abs(centre(found[0])[0] - x - 30) < 60


def test_smaller_faces_are_left_out_on_request() -> None:
    pixels = spotted(300, 300, 100, 100)
    assert faces.detect(pixels, Made(), smallest=10)
    assert not faces.detect(pixels, Made(), smallest=100)


def test_two_that_stand_apart_stay_two() -> None:
    boxes = np.zeros((3, 16))
    boxes[0, :4], boxes[1, :4], boxes[2, :4] = (0, 0, 10, 10), (100, 0, 110, 10), (1, 0, 11, 10)
    merged = list(faces._merged(boxes, np.array([0.9, 0.8, 0.7])))
    assert len(merged) == 2
    assert merged[0].score == 0.9
    assert 0 < merged[0].box[0] < 1  # between the two that are one face


def test_the_mesh_comes_back_into_the_picture() -> None:
    """A network that answers with the four corners of its square: they are a turned square around the face."""

    class Corners:
        def get_inputs(self):
            return [SimpleNamespace(name="x", shape=(1, 100, 100, 3))]

        def run(self, names, feeds, /):
            points = np.zeros((468, 3), np.float32)
            points[:4, :2] = [(0, 0), (100, 0), (100, 100), (0, 100)]
            points[4, 2] = 10
            return [points.reshape(1, 1, 1, -1), np.array([[0.0]], np.float32)]

    eyes = np.array([(90.0, 100), (110, 120), (100, 110), (100, 110), (100, 110), (100, 110)])
    face = faces.Face((80.0, 90, 40, 40), 0.9, eyes)
    mesh = faces.mesh(images.flat(300, 200), face, Corners())
    half = 40 * faces.MESH_ROOM / np.sqrt(2)  # the square stands on its corner: the eyes fall by 45 degrees
    assert mesh.points[0, :2] == pytest.approx([100, 110 - half])
    assert mesh.points[1, :2] == pytest.approx([100 + half, 110])
    assert mesh.points[4, 2] == pytest.approx(10 * 40 * faces.MESH_ROOM / 100)
    assert mesh.presence == 0.5
    assert len(mesh.outline()) == 4


def test_a_portrait_has_one_face_and_its_mesh_lies_on_it() -> None:
    detector, landmarks = network(faces.DETECTOR), network(faces.MESH)
    picture = astronaut()
    found = faces.detect(picture, detector)
    assert len(found) == 1
    assert found[0].box == pytest.approx((173, 68, 107, 107), abs=4)
    (right, left, nose, mouth, *_ears) = found[0].keypoints
    assert right[0] < nose[0] < left[0]
    assert nose[1] < mouth[1]
    mesh = faces.mesh(picture, found[0], landmarks)
    assert mesh.points.shape == (468, 3)
    assert mesh.presence > 0.9
    assert np.hypot(*(mesh.points[1, :2] - nose)) < 12  # point 1 is the tip of the nose


def test_a_small_face_in_a_large_picture_is_found_by_a_tile() -> None:
    detector = network(faces.DETECTOR)
    pixels = np.full((2000, 3000, 3), 128, np.uint8)
    pixels[1200:1456, 2100:2356] = np.asarray(Image.fromarray(astronaut()).resize((256, 256)))
    found = faces.detect(pixels, detector)
    assert len(found) == 1
    assert found[0].box == pytest.approx((2100 + 86, 1200 + 34, 54, 54), abs=6)


@pytest.mark.parametrize("make", [lambda: images.flat(400, 300), lambda: images.scene(640, 480, seed=3)])
def test_where_nobody_is_nobody_is_found(make) -> None:
    assert faces.detect(make(), network(faces.DETECTOR)) == ()


def test_the_same_picture_gives_the_same_faces_and_stays_as_it_was() -> None:
    detector, landmarks = network(faces.DETECTOR), network(faces.MESH)
    picture = astronaut()  # read-only
    one, two = (faces.detect(picture, detector)[0] for _ in range(2))
    assert one.box == two.box
    meshes = [faces.mesh(picture, one, landmarks).points for _ in range(2)]
    assert np.array_equal(*meshes)
