from __future__ import annotations

import dataclasses
from pathlib import Path

import corpora
import numpy as np
import planted
import pytest

from assay.bench import manifest, metrics
from assay.bench.panel import Fixed
from assay.bench.run import Order, all_launderings, check_launderings, run
from assay.errors import AssayError
from assay.settings import Limits
from assay.testing import clips
from assay.types import Outcome

pytestmark = pytest.mark.usefixtures("unjailed")


def order(path: Path, *detectors, **options) -> Order:
    usual = {"launderings": ("jpeg95", "half"), "cache": path.parent / "cache", "limits": Limits(), "jobs": 0}
    return Order(manifest=manifest.read(path), panel=Fixed(detectors), **(usual | options))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return corpora.small(tmp_path_factory.mktemp("corpus"), each=3)


def scores(done, detector: str, laundering: str, *, metadata: bool = False):
    rows = [
        r for r in done.rows if (r.detector, r.laundering, r.metadata) == (detector, laundering, metadata)
    ]
    return np.array([r.result.score for r in rows]), np.array([r.entry.fake for r in rows])


def test_every_sample_laundering_and_detector_has_a_row(small, tmp_path):
    done = run(order(small, planted.Brightness(), planted.Wrapping(), cache=tmp_path))
    cells = {(r.entry.name, r.laundering, r.detector) for r in done.rows}
    assert len(cells) == len(done.rows) == 6 * 2 * 2
    assert all(r.result.outcome is Outcome.SCORED and r.result.rendition for r in done.rows)
    assert {(r.result.width, r.result.quality) for r in done.rows if r.laundering == "jpeg95"} == {(96, 95)}
    assert {(r.result.width, r.result.quality) for r in done.rows if r.laundering == "half"} == {(48, 90)}


def test_what_is_no_pixel_tells_nothing_once_metadata_are_removed(small, tmp_path):
    panel = (planted.Marks(), planted.Wrapping())
    done = run(
        order(small, *panel, launderings=("jpeg95", "social", "webp"), with_metadata=True, cache=tmp_path)
    )
    assert not [r for r in done.rows if r.detector == "marks" and not r.metadata]  # switched off
    for name in ("jpeg95", "social", "webp"):
        assert metrics.auc(*scores(done, "wrapping", name)) == 0.5
    assert metrics.auc(*scores(done, "marks", "as_is", metadata=True)) == 1.0  # the corpus does betray itself
    assert metrics.auc(*scores(done, "wrapping", "as_is", metadata=True)) == 1.0


def test_a_second_run_computes_nothing_and_says_the_same(small, tmp_path):
    tally = tmp_path / "tally"
    mine = order(small, planted.Brightness(tally), cache=tmp_path / "cache", with_metadata=True)
    first = run(mine)
    assert (first.computed, first.reused) == (18, 0)
    again = run(mine)
    assert (again.computed, again.reused) == (0, 18)
    assert again.rows == first.rows
    assert len(tally.read_text().splitlines()) == 18


def test_a_raised_version_computes_that_detector_again_and_no_other(small, tmp_path):
    run(order(small, planted.Brightness(), planted.Wrapping(), cache=tmp_path))
    done = run(order(small, planted.Newer(), planted.Wrapping(), cache=tmp_path))
    assert (done.computed, done.reused) == (12, 12)
    assert {(r.detector, r.version) for r in done.rows} == {("brightness", 2), ("wrapping", 1)}


def test_another_seed_is_another_rendition_and_files_as_they_are_have_no_seed(small, tmp_path):
    mine = order(small, planted.Brightness(), launderings=("crop",), with_metadata=True, cache=tmp_path)
    first = run(mine)
    second = run(dataclasses.replace(mine, seed=1))
    assert (second.computed, second.reused) == (6, 6)
    of = [{r.result.rendition for r in d.rows if r.laundering == "crop"} for d in (first, second)]
    assert not of[0] & of[1]


def test_samples_that_cannot_be_read_become_rows_that_say_why(tmp_path):
    corpora.small(tmp_path, each=1)
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "0.jpg").read_bytes()[:40])
    (tmp_path / "text.jpg").write_bytes(b"no picture at all, just words " * 9)
    (tmp_path / "empty.png").write_bytes(b"")
    names = ("torn.jpg", "text.jpg", "empty.png", "0.jpg")
    rows = [corpora.row(n, fake=False, source=n) for n in names]
    done = run(order(corpora.write(tmp_path, rows), planted.Brightness()))
    by_name = {r.entry.name: r.result for r in done.rows}
    assert by_name["0.jpg"].outcome is Outcome.SCORED
    for name in names[:3]:
        assert by_name[name].outcome is Outcome.FAILED
        assert by_name[name].problem


def test_a_detector_of_marks_in_the_pixels_is_switched_off_with_those_of_metadata(small, tmp_path):
    done = run(order(small, planted.Brightness(), planted.Watermark(), with_metadata=True, cache=tmp_path))
    assert {(r.detector, r.metadata) for r in done.rows} == {
        ("brightness", False),
        ("brightness", True),
        ("watermark", True),
    }
    assert len(done.rows) == 6 * (2 + 2)


def test_what_failed_is_tried_again_by_the_next_run(tmp_path):
    path = corpora.small(tmp_path, each=3)
    strict = order(path, planted.Brightness(), limits=dataclasses.replace(Limits(), pixels=100))
    assert {r.result.outcome for r in run(strict).rows} == {Outcome.FAILED}
    assert {r.result.outcome for r in run(dataclasses.replace(strict, limits=Limits())).rows} == {
        Outcome.SCORED
    }
    mine = order(path, planted.Brightness(), cache=tmp_path / "other")
    away = tmp_path / "away"
    (tmp_path / "0.jpg").rename(away)
    assert Outcome.FAILED in {r.result.outcome for r in run(mine).rows}
    away.rename(tmp_path / "0.jpg")
    assert {r.result.outcome for r in run(mine).rows} == {Outcome.SCORED}


def test_a_crashing_detector_fails_alone(small, tmp_path):
    done = run(order(small, planted.Crashing(), planted.Brightness(), cache=tmp_path))
    outcomes = {(r.detector, r.result.outcome) for r in done.rows}
    assert outcomes == {("crashing", Outcome.FAILED), ("brightness", Outcome.SCORED)}
    assert any("it broke" in r.result.problem for r in done.rows)


def test_regions_are_compared_with_the_mask_in_the_renditions_geometry(tmp_path):
    corpora.small(tmp_path, each=1)
    mask = np.zeros((96, 96), np.uint8)
    mask[:, :48] = 255
    (tmp_path / "mask.png").write_bytes(corpora.encoded(np.repeat(mask[..., None], 3, 2), "PNG"))
    rows = [
        corpora.row("1.png", fake=True, source="s", mask="mask.png"),
        corpora.row("0.jpg", fake=False, source="t"),
    ]
    done = run(order(corpora.write(tmp_path, rows), planted.Brightness(), with_metadata=True))
    measured = [r for r in done.rows if r.entry.fake]
    assert len(measured) == 3
    assert all(r.result.region_f1 > 0.97 for r in measured)
    assert all(r.result.region_f1 is None for r in done.rows if not r.entry.fake)


def test_a_mask_that_does_not_fit_is_said(tmp_path):
    corpora.small(tmp_path, each=1)
    (tmp_path / "mask.png").write_bytes(corpora.encoded(corpora.scene(0, 40), "PNG"))
    rows = [corpora.row("1.png", fake=True, source="s", mask="mask.png")]
    done = run(order(corpora.write(tmp_path, rows), planted.Brightness()))
    assert all("mask is 40 x 40" in r.result.problem for r in done.rows)


def test_sound_goes_through_its_own_launderings(tmp_path):
    (tmp_path / "0.wav").write_bytes(clips.make_audio(seconds=1.5))
    path = corpora.write(tmp_path, [corpora.row("0.wav", fake=False, source="s", family="speech")])
    mine = order(
        path, planted.Loudness(), planted.Brightness(), launderings=all_launderings(manifest.read(path))
    )
    done = run(mine)
    assert {(r.laundering, r.detector) for r in done.rows} == {
        (n, "loudness") for n in ("wav", "mp3", "opus", "narrow")
    }
    assert all(r.result.outcome is Outcome.SCORED for r in done.rows)


def test_launderings_are_known_by_name():
    assert check_launderings(["social", "as_is", "social"]) == ("social", "as_is")
    with pytest.raises(AssayError, match="no laundering instagram"):
        check_launderings(["social", "instagram"])
    with pytest.raises(AssayError, match="empty"):
        check_launderings([])


def test_progress_starts_with_what_is_there_and_ends_with_all(small, tmp_path):
    mine = order(small, planted.Brightness(), cache=tmp_path)
    told: list[tuple[int, int]] = []
    run(mine, progress=lambda *now: told.append(now))
    assert told[0] == (0, 12)
    assert told[-1] == (12, 12)
    told.clear()
    run(mine, progress=lambda *now: told.append(now))
    assert told == [(12, 12)]
