from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from assay.errors import AssayError, Failed
from assay.range import photos
from assay.testing import images


def test_photos_are_found_below_with_their_cameras_and_upright_sizes(photos_folder) -> None:
    found, skipped = photos.scan(photos_folder)
    assert [(p.path, p.source) for p in found] == [
        ("a.jpg", "Pinhole One"),
        ("b.jpg", "Pinhole One"),
        ("deep/c.jpg", "Camera Obscura"),
        ("deep/er/d.png", "deep/er/d"),
    ]
    assert (found[2].width, found[2].height) == (240, 320)
    assert skipped == ()


def test_what_cannot_be_used_is_named_and_the_rest_is_used(tmp_path) -> None:
    (tmp_path / "good.jpg").write_bytes(images.jpeg(images.scene(200, 200)))
    (tmp_path / "broken.jpg").write_bytes(b"nonsense")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "small.png").write_bytes(images.png(images.noise(30, 30)))
    (tmp_path / "notes.txt").write_text("no picture")
    found, skipped = photos.scan(tmp_path)
    assert [p.path for p in found] == ["good.jpg"]
    assert [s.partition(":")[0] for s in skipped] == ["broken.jpg", "empty.png", "small.png"]
    assert any("smaller than 160" in s for s in skipped)


def test_a_folder_without_photos_is_an_error(tmp_path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"nonsense")
    with pytest.raises(AssayError, match="no photo") as e:
        photos.scan(tmp_path)
    assert "1 unreadable" in e.value.message


def test_a_photo_cut_short_fails_when_it_is_decoded(tmp_path) -> None:
    data = images.jpeg(images.scene(400, 300), quality=95)
    (tmp_path / "short.jpg").write_bytes(data[: len(data) // 3])
    photo = photos.scan(tmp_path)[0][0]
    prepared = photos.preparation(photo, 200, np.random.default_rng(0))
    with pytest.raises(Failed, match=r"^short\.jpg: unreadable"):
        photos.parent(tmp_path, photo.path, photo.source, prepared)


@pytest.mark.parametrize("seed", range(8))
def test_a_parent_has_the_size_that_was_drawn(photos_folder, seed) -> None:
    photo = photos.scan(photos_folder)[0][2]  # the one on its side
    prepared = photos.preparation(photo, 250, np.random.default_rng(seed))
    one = photos.parent(photos_folder, photo.path, photo.source, prepared)
    assert list(one.pixels.shape) == [prepared["size"][1], prepared["size"][0], 3]
    assert not one.pixels.flags.writeable
    assert max(prepared["size"]) <= 250


def test_saves_and_sizes_are_drawn_from_the_same_distribution_for_all() -> None:
    photo = photos.Photo("a.jpg", "a", 4000, 3000)
    drawn = [photos.preparation(photo, 1000, np.random.default_rng(s)) for s in range(300)]
    assert {d["mode"] for d in drawn} == {"cut", "shrunk"}
    qualities = [d["quality"] for d in drawn]
    assert min(qualities) >= 75
    assert max(qualities) <= 98
    assert 600 <= min(max(d["size"]) for d in drawn) <= max(max(d["size"]) for d in drawn) <= 1000
    assert all(x % 16 == 0 for d in drawn if d["mode"] == "cut" for x in d["at"])


def test_a_cut_keeps_the_photo_s_own_pixels(tmp_path) -> None:
    data = images.jpeg(images.scene(640, 480, seed=4), quality=90)
    (tmp_path / "a.jpg").write_bytes(data)
    prepared = {"mode": "cut", "size": [320, 240], "at": [32, 16], "quality": 98, "subsampling": "4:4:4"}
    one = photos.parent(tmp_path, "a.jpg", "a", prepared)
    whole = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(one.pixels.astype(int) - whole[16:256, 32:352]).mean() < 1


def test_another_file_than_the_recipe_s_is_refused(photos_folder) -> None:
    prepared = {"mode": "whole", "size": [320, 240], "quality": 90, "subsampling": "4:2:0"}
    with pytest.raises(Failed, match="another file") as e:
        photos.parent(photos_folder, "a.jpg", "", prepared, sha256="0" * 64)
    assert e.value.code == "altered"
