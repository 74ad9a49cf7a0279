from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from assay.cli.range import group
from assay.errors import AssayError
from assay.testing import images


@pytest.fixture
def run(installation):
    def run(*arguments, code=0):
        result = CliRunner().invoke(
            group, [str(a) for a in arguments], standalone_mode=False, env=installation.environ()
        )
        if isinstance(code, type):
            assert isinstance(result.exception, code), (result.exception, result.output)
        else:
            assert result.exception is None, (result.exception, result.output)
            assert (result.return_value or 0) == code, result.output
        return result

    return run


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    for n in range(3):
        Image.fromarray(images.scene(260, 220, seed=n)).save(place / f"{n}.jpg", quality=95)
    (place / "broken.jpg").write_bytes(b"x")
    return place


def test_fakes_are_made_verified_and_known_to_the_screen(run, folder, tmp_path, installation) -> None:
    from assay.desk.stores import Stores

    out = tmp_path / "corpus"
    output = run("make", "splice", folder, "--out", out, "-n", "2", "-j", "1").output
    assert "1 picture skipped" in output
    assert "colour_match" in output
    assert "2 digests entered" in output
    drawn = json.loads((out / "distribution.json").read_text())
    assert drawn["splice"]["n"] == 2
    with Stores.open(installation.settings) as stores:
        digests = (out / "digests.txt").read_text().split()
        assert [stores.judgements.known(d) for d in digests] == ["known_fake"] * 2
        assert not stores.audit.verify().faults
    assert run("verify", out).output.count("the same bytes") == 2
    assert "2 were there already" in run("make", "splice", folder, "--out", out, "-n", "2", "-j", "1").output


def test_an_altered_photo_shows_in_verify(run, folder, tmp_path) -> None:
    out = tmp_path / "corpus"
    run("make", "copy_move", folder, "--out", out, "-n", "1", "-j", "1", "--no-known", "--no-twins")
    for path in folder.glob("[0-9].jpg"):
        Image.fromarray(images.scene(260, 220, seed=50)).save(path)
    assert "another file" in run("verify", out, code=1).output


def test_faces_need_a_right(run, folder, tmp_path) -> None:
    result = run("make", "self_blend", folder, "--out", tmp_path / "c", code=AssayError)
    assert result.exception.code == "rights"
    assert "--rights" in result.exception.hint
    assert not (tmp_path / "c").exists()


def test_a_folder_without_photos_is_an_error(run, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("make", "splice", tmp_path / "empty", "--out", tmp_path / "c", code=AssayError)
    assert result.exception.code == "no_photos"


def test_an_unknown_laundering_is_an_error(run, folder, tmp_path) -> None:
    result = run("make", "splice", folder, "--out", tmp_path / "c", "--laundering", "fax", code=AssayError)
    assert "social" in result.exception.hint


@pytest.mark.parametrize("quality", ["0", "101", "90-80", "good"])
def test_a_last_save_is_a_quality_a_range_or_png(run, folder, tmp_path, quality) -> None:
    import click

    result = run(
        "make", "splice", folder, "--out", tmp_path / "c", "--last-save", quality, code=click.BadParameter
    )
    assert "75-95" in str(result.exception)


def test_photos_that_serve_nothing_end_with_2(run, tmp_path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.new("RGB", (200, 200), (90, 90, 90)).save(flat / "a.png")
    output = run("make", "inpaint", flat, "--out", tmp_path / "c", "-n", "1", "--no-known", code=2).output
    assert "1 of 1 could not be made" in output


def test_reconstructions_draw_from_the_named_decoders(run, folder, tmp_path) -> None:
    out = tmp_path / "corpus"
    named = ("--decoder", "shuffle_2", "--decoder", "nearest_4", "--decoder", "shuffle_2")
    run("make", "reconstruct", folder, "--out", out, "-n", "3", "-j", "1", "--no-known", "--no-twins", *named)
    recipes = [json.loads(p.read_text())["recipe"] for p in (out / "recipes").glob("*.json")]
    assert [r["choices"] for r in recipes] == [{"decoders": ["nearest_4", "shuffle_2"]}] * 3
    assert {r["parameters"]["decoder"] for r in recipes} <= {"nearest_4", "shuffle_2"}
    assert run("verify", out).output.count("the same bytes") == 3


def test_a_decoder_is_a_known_one_of_reconstruct(run, folder, tmp_path) -> None:
    make, out = ("make", "reconstruct", folder, "--out", tmp_path / "c"), tmp_path / "c"
    result = run(*make, "--decoder", "magic", code=AssayError)
    assert "realesrgan_x4plus" in result.exception.hint
    result = run("make", "splice", folder, "--out", out, "--decoder", "shuffle_2", code=AssayError)
    assert result.exception.code == "choices"
    assert not out.exists()


def test_a_network_that_is_not_here_is_told_before_anything_is_made(run, folder, tmp_path) -> None:
    from assay.range import super_resolution

    super_resolution.network.cache_clear()
    name = "realesrgan_x4plus"
    result = run("make", "reconstruct", folder, "--out", tmp_path / "c", "--decoder", name, code=AssayError)
    assert result.exception.code in {"no_ncnn", "model_missing"}
    assert result.exception.hint.startswith(("pip install", "assay models pull realesrgan_x4plus_graph"))
    assert not (tmp_path / "c").exists()
