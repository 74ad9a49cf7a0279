from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.bench import manifest as bench_manifest
from assay.errors import AssayError
from assay.range import corpus, marking, photos, verification, watermark
from assay.range.forge import Settings
from assay.types import sha256_of


@pytest.fixture(scope="module")
def authority():
    return marking.authority()


@pytest.fixture
def work(photos_folder, tmp_path, authority) -> corpus.Work:
    found, _ = photos.scan(photos_folder)
    out = tmp_path / "out"
    corpus.prepared(out)
    return corpus.Work(photos_folder, out, Settings("inpaint", seed=3), found, authority)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "manifest.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_corpus_has_fakes_twins_masks_and_a_manifest_that_the_bench_reads(work) -> None:
    work = replace(work, settings=replace(work.settings, marked=False))  # the mark changes every pixel
    states = [made.state for made in corpus.build(work, 3, 1)]
    assert states == ["made"] * 3
    drawn, fakes = corpus.summarise(work.out, work.authority)
    assert drawn["inpaint"]["n"] == 3
    listed = rows(work.out)
    assert [r["label"] for r in listed] == ["fake", "bona_fide"] * 3
    for fake, twin in zip(listed[::2], listed[1::2], strict=True):
        assert fake["source"] == twin["source"]
        assert (fake["kind"], twin["kind"], twin["generator"]) == ("inpainting", "", "")
        assert sha256_of((work.out / fake["path"]).read_bytes()) == fake["sha256"]
        assert (work.out / fake["parents"]).exists()
        mask = np.asarray(Image.open(work.out / fake["mask"])) > 127
        two = [np.asarray(Image.open(work.out / r["path"]), int) for r in (fake, twin)]
        assert mask.shape == two[0].shape[:2] == two[1].shape[:2]
        apart = np.abs(two[0] - two[1]).mean(axis=2)
        assert apart[mask].mean() > 3 * apart[~mask].mean()
    assert sorted((work.out / "digests.txt").read_text().split()) == sorted(fakes)
    read = bench_manifest.read(work.out / "manifest.csv")
    assert (len(read.entries), read.fakes) == (6, 3)


def test_what_is_there_is_kept_and_what_was_altered_is_made_again(work) -> None:
    list(corpus.build(work, 3, 1))
    media = sorted((work.out / "media").iterdir())
    before = {p: p.stat().st_mtime_ns for p in media}
    (work.out / "media" / "inpaint-3-00001.jpg").write_bytes(b"altered")
    (work.out / "recipes" / "inpaint-3-00002.json").unlink()
    (work.out / "media" / f".x{corpus.PARTIAL}").write_bytes(b"half")
    corpus.prepared(work.out)
    assert [made.state for made in corpus.build(work, 3, 1)] == ["kept", "made", "made"]
    kept = work.out / "media" / "inpaint-3-00000.jpg"
    assert kept.stat().st_mtime_ns == before[kept]
    assert sorted((work.out / "media").iterdir()) == media


def test_other_options_make_it_again(work) -> None:
    corpus.make(work, 0)
    other = replace(work, settings=replace(work.settings, last_save=(70, 70)))
    assert corpus.make(other, 0).state == "made"
    assert corpus.make(other, 0).state == "kept"


def test_pixels_are_marked_unless_told_otherwise_and_twins_never(work) -> None:
    plain = replace(work, settings=replace(work.settings, seed=4, marked=False))
    for one in (work, plain):
        corpus.make(one, 0)
    for document in corpus.documents(work.out):
        seen = np.asarray(Image.open(work.out / document["made"]["fake"]))
        twin = np.asarray(Image.open(work.out / document["made"]["twin"]))
        strength, payload = watermark.detect(seen)
        if document["recipe"]["marked"]:
            assert strength > watermark.PRESENT
            assert f"{payload:08x}" == document["id"][:8]
        else:
            assert strength < watermark.PRESENT
        assert watermark.detect(twin)[0] < watermark.PRESENT


def test_recipes_make_the_same_bytes_again_and_say_when_they_cannot(work, tmp_path) -> None:
    list(corpus.build(work, 2, 1))
    assert [v.state for v in verification.verify(work.out, 9, 0)] == ["same", "same"]
    path = work.out / "recipes" / "inpaint-3-00000.json"
    document = json.loads(path.read_bytes())
    document["recipe"]["seed"] += 1
    path.write_text(json.dumps(document))
    first, second = verification.verify(work.out, 9, 0)
    assert (first.state, second.state) == ("other", "same")
    assert "draws something else" in first.why
    (work.out / second_media(second.name)).write_bytes(b"x")
    assert "altered" in list(verification.verify(work.out, 9, 0))[1].why
    with pytest.raises(AssayError, match="no recipe"):
        list(verification.verify(tmp_path, 1, 0))


def second_media(name: str) -> str:
    return f"media/{name}.jpg"


def test_photos_that_serve_nothing_are_given_up(tmp_path, authority) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    Image.new("RGB", (200, 200), (90, 90, 90)).save(folder / "a.png")
    found, _ = photos.scan(folder)
    work = corpus.Work(folder, tmp_path / "out", Settings("inpaint"), found, authority)
    corpus.prepared(work.out)
    made = corpus.make(work, 0)
    assert (made.state, made.notes, made.fruitless) == ("given_up", (), corpus.ATTEMPTS)
    assert not list((work.out / "media").iterdir())
    corpus.summarise(work.out)
    assert rows(work.out) == []


def test_what_cannot_be_made_with_other_options_leaves_nothing(work) -> None:
    corpus.make(work, 0)
    flat = work.out.parent / "flat"
    flat.mkdir()
    Image.new("RGB", (200, 200), (90, 90, 90)).save(flat / "a.png")
    found, _ = photos.scan(flat)
    assert corpus.make(replace(work, folder=flat, found=found), 0).state == "given_up"
    assert not [p for p in work.out.rglob("*") if p.is_file()]


def test_two_runs_differ_in_their_credentials_alone(work, tmp_path) -> None:
    other = replace(work, out=tmp_path / "other", authority=marking.authority())
    corpus.prepared(other.out)
    found = []
    for one in (work, other):
        corpus.make(one, 0)
        found += corpus.documents(one.out)
    first, second = found
    apart = {path for path, digest in first["files"].items() if second["files"][path] != digest}
    assert apart == {first["made"]["fake"], first["made"]["twin"]}
    assert [first[k] for k in ("id", "recipe", "made")] == [second[k] for k in ("id", "recipe", "made")]
    for path in apart:
        assert np.array_equal(opened(work.out / path), opened(other.out / path))


def test_a_last_save_in_a_range_and_a_laundering_reach_fake_and_twin_alike(work) -> None:
    chosen = replace(work.settings, last_save=(60, 95), laundering="half")
    corpus.make(replace(work, settings=chosen), 0)
    (document,) = corpus.documents(work.out)
    shapes = {opened(work.out / document["made"][k]).shape[:2] for k in ("fake", "twin", "mask")}
    assert len(shapes) == 1
    assert 60 <= int(document["recipe"]["last_save"].removeprefix("jpeg")) <= 95


def test_a_lossless_last_save_differs_from_its_twin_in_the_mask_alone(work) -> None:
    chosen = replace(work.settings, last_save=None, marked=False)
    corpus.make(replace(work, settings=chosen), 0)
    (document,) = corpus.documents(work.out)
    fake, twin = (
        np.asarray(Image.open(io.BytesIO((work.out / document["made"][k]).read_bytes())), int)
        for k in ("fake", "twin")
    )
    mask = np.asarray(Image.open(work.out / document["made"]["mask"])) > 0
    assert (np.abs(fake - twin)[~mask] <= 2).all()


def test_an_unwritable_folder_is_an_error(tmp_path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(AssayError, match="cannot be used"):
        corpus.prepared(tmp_path / "out")


@pytest.mark.slow
def test_a_corpus_killed_at_any_moment_is_completed_by_a_rerun(photos_folder, tmp_path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, "-c", "from assay.cli.range import group; group()", "make", "inpaint", str(photos_folder),
        "--out", str(out), "-n", "6", "-j", "2", "--no-known",
    ]  # fmt: skip
    environment = os.environ | {"HOME": str(tmp_path)}
    for _ in range(2):
        started = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(600):
            if list(out.glob("recipes/*.json")) or started.poll() is not None:
                break
            time.sleep(0.1)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    assert len(rows(out)) == 12
    assert all(v.state == "same" for v in verification.verify(out, 6, 0))
    assert not list(out.rglob(f"*{corpus.PARTIAL}"))
