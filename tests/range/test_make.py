"""`assay range make` as a person meets it: odd folders, odd names, photos that do not serve."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from assay.bench import manifest
from assay.cli.range import group
from assay.errors import AssayError
from assay.range import portraits, verification
from assay.testing import images


@pytest.fixture
def make(tmp_path):
    """Run it on one process, and give what was said; `code` may be an error's."""

    def run(generator, folder, out, *arguments, code: int | str = 0) -> str:
        whole = ["make", generator, folder, "--out", out, "-j", "1", "--long-side", "320", *arguments]
        result = CliRunner().invoke(
            group,
            [os.fspath(a) for a in whole] + ([] if "--known" in arguments else ["--no-known"]),
            standalone_mode=False,
            env={"HOME": str(tmp_path / "home")} | dict.fromkeys(("XDG_DATA_HOME", "XDG_STATE_HOME")),
        )
        if isinstance(code, str):
            assert isinstance(result.exception, AssayError), (result.exception, result.output)
            assert result.exception.code == code
            return f"{result.output}\n{result.exception.message}\n{result.exception.hint}"
        assert result.exception is None, (result.exception, result.output)
        assert (result.return_value or 0) == code, result.output
        return result.output

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    return filled(tmp_path / "photos", range(3))


def filled(place: Path, seeds: range, *, camera: str = "") -> Path:
    place.mkdir()
    for seed in seeds:
        exif = Image.Exif()
        if camera:
            exif[0x0110] = camera
        Image.fromarray(images.scene(260, 220, seed=seed)).save(place / f"{seed}.jpg", exif=exif, quality=95)
    return place


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def media(out: Path) -> list[str]:
    return sorted(os.listdir(out / "media"))


def test_a_corpus_among_the_photos_gives_no_hosts(make, folder) -> None:
    out = folder / "corpus"
    make("splice", folder, out, "-n", "2")
    shutil.copytree(out, folder / "old" / "copy")
    shutil.copy(out / "media" / "splice-0-00000-twin.jpg", folder / "twin.jpg")
    said = make("inpaint", folder, out, "-n", "3")
    assert "3 photos of 3 sources" in said
    assert "assay: left out, as the range made them: corpus, old/copy\n" in said
    assert "twin.jpg: made by the range" in said
    assert {r["source"] for r in rows(out)} <= {"0", "1", "2"}


def test_a_corpus_that_grows_beside_the_photos_leaves_them_in(make, folder) -> None:
    make("inpaint", folder, folder, "-n", "1")
    said = make("inpaint", folder, folder, "-n", "2")
    assert "3 photos of 3 sources" in said
    assert "left out, as the range made them: masks, media, recipes\n" in said
    assert "1 were there already" in said


def test_the_out_folder_is_left_out_before_it_is_a_corpus(make, folder) -> None:
    out = filled(folder / "out", range(3, 5))
    said = make("inpaint", folder, out, "-n", "1")
    assert "left out, as the range made them: out\n" in said
    assert "3 photos" in said


@pytest.mark.parametrize("part", ["", "media", "masks"])
def test_a_corpus_is_no_folder_of_photos(make, folder, tmp_path, part) -> None:
    make("inpaint", folder, tmp_path / "corpus", "-n", "1")
    said = make("inpaint", tmp_path / "corpus" / part, tmp_path / "other", "-n", "1", code="no_photos")
    assert "left out" in said
    assert not (tmp_path / "other").exists()


def test_a_fake_of_a_fake_from_before_is_made_again(make, folder) -> None:
    out = folder / "corpus"
    make("inpaint", folder, out, "-n", "1")
    path = out / "recipes" / "inpaint-0-00000.json"
    document = json.loads(path.read_bytes())
    document["recipe"]["parents"][0]["path"] = "corpus/media/inpaint-0-00000-twin.jpg"
    path.write_text(json.dumps(document))
    assert "already" not in make("inpaint", folder, out, "-n", "1")
    assert rows(out)[0]["parents"].endswith(".jpg")
    assert "corpus" not in rows(out)[0]["parents"]


def test_names_that_are_no_text_are_photos_too(make, tmp_path) -> None:
    place = filled(Path(os.fsdecode(os.fsencode(tmp_path) + b"/ph\xf6tos")), range(2))
    (place / "0.jpg").rename(place / os.fsdecode(b"b\xffad.jpg"))
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/o\xfft"))
    make("splice", place, out, "-n", "2", "--rights", os.fsdecode(b"my \xff own"), "--known")
    assert {r["source"] for r in rows(out)} == {r"b\xffad", "1"}
    assert any(r"b\xffad.jpg" in r["parents"] for r in rows(out))
    assert len(manifest.read(out / "manifest.csv").entries) == 4
    assert [v.state for v in verification.verify(out, 2, 0)] == ["same", "same"]
    assert "2 were there already" in make("splice", place, out, "-n", "2", "--rights", os.fsdecode(b"my \xff own"))  # fmt: skip


def test_a_splice_takes_two_photos(make, tmp_path) -> None:
    one = filled(tmp_path / "one", range(1))
    said = make("splice", one, tmp_path / "c", code="too_few_photos")
    assert "splice takes 2 photos for a fake, and there is 1" in said
    assert not (tmp_path / "c").exists()
    make("inpaint", one, tmp_path / "c", "-n", "1")


def test_a_copy_of_the_host_is_no_donor(make, tmp_path) -> None:
    one = filled(tmp_path / "one", range(1))
    shutil.copy(one / "0.jpg", one / "again.jpg")
    said = make("splice", one, tmp_path / "c", "-n", "1", code=2)
    assert "again.jpg: no donor for 0.jpg, it is the same file" in said
    assert media(tmp_path / "c") == []


def test_photos_of_one_camera_are_warned_of_where_there_are_donors(make, tmp_path) -> None:
    place = filled(tmp_path / "photos", range(3), camera="Pinhole One")
    warning = "warning: all photos are of one source, Pinhole One"
    assert warning in make("splice", place, tmp_path / "c", "-n", "1")
    assert warning not in make("inpaint", place, tmp_path / "c", "-n", "1")


def test_photos_that_are_cut_short_are_each_named(make, folder, tmp_path) -> None:
    for n in range(3):
        data = (folder / f"{n}.jpg").read_bytes()
        (folder / f"short{n}.jpg").write_bytes(data[: len(data) // 2])
    said = make("inpaint", folder, tmp_path / "c", "-n", "6")
    assert "3 photos could not be used" in said
    assert all(f"\n  short{n}.jpg: unreadable (" in said for n in range(3))


def test_the_unusable_are_named_though_nothing_is_left_and_the_list_is_bounded(make, tmp_path) -> None:
    for n in range(13):
        images_of(tmp_path / "tiny", f"{n:02}.png", 40)
    said = make("inpaint", tmp_path / "tiny", tmp_path / "c", code="no_photos")
    assert "13 pictures skipped:\n  00.png: smaller than 160 pixels\n" in said
    assert "  09.png: smaller than 160 pixels\n  and 3 more\n" in said
    assert "10.png" not in said


def images_of(place: Path, name: str, side: int) -> None:
    place.mkdir(exist_ok=True)
    (place / name).write_bytes(images.png(images.flat(side, side)))


@pytest.mark.parametrize("generator", ["self_blend", "face_swap"])
def test_photos_without_a_face_say_so(make, folder, tmp_path, generator, monkeypatch) -> None:
    from assay.range import forge

    forge.maker_of.cache_clear()  # it may hold a finder that another test gave it
    monkeypatch.setattr(portraits, "pulled", lambda: lambda pixels: None)
    said = make(generator, folder, tmp_path / "c", "-n", "2", "--rights", "CC0", code=2)
    forge.maker_of.cache_clear()
    assert "0.jpg: no face of 32 pixels or more was found" in said
    assert "2 of 2 could not be made from these photos: see above" in said


def test_draws_that_show_nothing_are_the_reason_of_flat_photos(make, tmp_path) -> None:
    images_of(tmp_path / "flat", "a.png", 200)
    said = make("inpaint", tmp_path / "flat", tmp_path / "c", "-n", "1", code=2)
    assert "1 of 1 could not be made from these photos: what was drawn changed nothing visible" in said


def test_another_folder_needs_another_seed(make, folder, tmp_path) -> None:
    out, other = tmp_path / "c", filled(tmp_path / "other", range(5, 8))
    (other / "5.jpg").rename(other / "0.jpg")  # cameras count from the beginning again
    (other / "6.jpg").rename(other / "1.jpg")
    (other / "7.jpg").rename(other / "2.jpg")
    make("inpaint", folder, out, "-n", "2")
    before = (out / "manifest.csv").read_bytes()
    said = make("inpaint", other, out, "-n", "2", code="other_photos")
    assert f"made of the photos in {folder}" in said
    assert "--seed" in said
    assert (out / "manifest.csv").read_bytes() == before
    make("inpaint", other, out, "-n", "2", "--seed", "1")
    assert len(rows(out)) == 8


def test_a_folder_that_was_moved_is_the_same(make, folder, tmp_path) -> None:
    make("inpaint", folder, tmp_path / "c", "-n", "2")
    moved = folder.rename(tmp_path / "moved")
    assert "2 were there already" in make("inpaint", moved, tmp_path / "c", "-n", "2")


def test_other_options_leave_nothing_of_the_old_ones(make, folder, tmp_path) -> None:
    out = tmp_path / "c"
    make("inpaint", folder, out, "-n", "1", "--last-save", "png")
    make("inpaint", folder, out, "-n", "1", "--no-twins")
    assert media(out) == ["inpaint-0-00000.jpg"]
    assert np.asarray(Image.open(out / "masks" / "inpaint-0-00000.png")).any()
