"""tools/calibration/fit.py on made-up scores whose truth is known."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assay.types import Kind
from assay.verdict import calibration as tables
from assay.verdict.calibration import Context

TOOL = Path(__file__).parents[2] / "tools" / "calibration" / "fit.py"


@pytest.fixture(scope="module")
def fit():
    spec = importlib.util.spec_from_file_location("calibration_fit", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration_fit"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["calibration_fit"]


@pytest.fixture
def scores(tmp_path):
    """120 sources of each class, two renderings each; fakes score one higher: the true LLR is score - 0.5."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(240):
        fake, own = i % 2 == 1, rng.normal()
        rows += [
            {
                "sample": f"s{i}/{j}",
                "source": f"s{i}",
                "label": "fake" if fake else "bona_fide",
                "kind": "full_synthesis" if fake else None,
                "width": 800,
                "height": 600,
                "quality": None,
                "scores": {"learned_image": float(own + fake), "jpeg_grid": None if j else float(rng.exponential() + 3 * fake)},
            }
            for j in range(2)
        ]  # fmt: skip
    about = {
        "learned_image": {"version": 4, "family": "learned"},
        "jpeg_grid": {"version": 2, "family": "jpeg"},
    }
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"detectors": about, "rows": rows}), encoding="utf-8")
    return path


def test_the_fitted_maps_come_close_to_the_truth(fit, scores):
    fitted = fit.fit([scores])
    reasons = tomllib.loads((tables.HERE / "reasons.toml").read_text(encoding="utf-8"))
    known = tables.read(reasons, json.loads(json.dumps(fitted)), {})
    context = Context(media_family="image", size_px=(800, 600))
    for score in (-0.5, 0.5, 1.5):
        assert known.llr_of_score("learned_image", 4, score, context) == pytest.approx(score - 0.5, abs=0.5)
    assert known.llr_of_score("learned_image", 3, 0.5, context) is None
    group = known.group(context, ["learned_image"])
    assert (len(group.bona_fide), len(group.fakes[Kind.FULL_SYNTHESIS])) == (120, 120)
    assert known.group(context, ["jpeg_grid", "learned_image"]) is not None
    cell = fitted["detectors"]["learned_image"]["cells"][0]
    assert 0.5 < cell["cllr"] < 0.95
    assert cell["cllr_90"][0] < cell["cllr"] < cell["cllr_90"][1]
    assert list(fitted["inputs"]) == ["scores.json"]


def test_the_same_scores_give_the_same_calibration(fit, scores, monkeypatch):
    monkeypatch.setattr(fit, "REPLICATES", 5)
    assert fit.fit([scores]) == fit.fit([scores])


def test_the_file_is_laid_out_for_readers_and_loses_nothing(fit, scores, monkeypatch):
    monkeypatch.setattr(fit, "REPLICATES", 5)
    fitted = fit.fit([scores])
    text = fit.laid_out(fitted)
    assert json.loads(text) == json.loads(json.dumps(fitted))
    assert text.count("\n") < 120


def test_a_condition_of_its_own_comes_before_the_wide_one(fit, scores, monkeypatch):
    monkeypatch.setattr(fit, "REPLICATES", 5)
    data = json.loads(scores.read_text(encoding="utf-8"))
    data["detectors"]["learned_image"] |= {"qualities": [[0, 0], [1, 50]], "methods": ["isotonic"]}
    scores.write_text(json.dumps(data), encoding="utf-8")
    cells = fit.fit([scores])["detectors"]["learned_image"]["cells"]
    assert [(c["quality"], c["method"]) for c in cells] == [([0, 0], "isotonic"), ([0, 100], "isotonic")]


def test_the_freer_method_must_be_clearly_better(fit):
    noisy = np.array([0.5, 0.6, 0.7])
    assert fit.simplest({"logistic": noisy, "isotonic": noisy - 0.05}) == "logistic"
    assert fit.simplest({"logistic": noisy, "isotonic": noisy - 0.3}) == "isotonic"


def test_scores_with_a_long_tail_are_fitted_by_their_logarithm(fit):
    scores = np.array([0.0] * 60 + [3.0] + [0.0] * 20 + [2.0, 5.0, 20.0, 80.0, 300.0] * 8)
    fake = np.arange(len(scores)) >= 61
    xs, ys = fit.maps.logarithmic(scores, fake, np.ones(len(scores)))
    assert xs[-1] == pytest.approx(300.0)
    low, middle, high = np.interp([2.0, 20.0, 80.0], xs, ys)
    assert 0 < low < middle < high


def test_a_condition_with_few_sources_gets_no_map(fit, scores, tmp_path):
    data = json.loads(scores.read_text(encoding="utf-8"))
    few = tmp_path / "few.json"
    few.write_text(json.dumps(data | {"rows": data["rows"][:60]}), encoding="utf-8")
    fitted = fit.fit([few])
    assert fitted["detectors"]["learned_image"]["cells"] == []
    assert fitted["groups"] == {}


def test_files_join_by_sample_and_must_agree(fit, scores, tmp_path):
    data = json.loads(scores.read_text(encoding="utf-8"))
    more = {"double_jpeg": {"version": 1, "family": "jpeg"}}
    rows = [r | {"scores": {"double_jpeg": 1.0}} for r in data["rows"]]
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"detectors": more, "rows": rows}), encoding="utf-8")
    _, joined = fit.read_rows([scores, other])
    assert set(joined[0].scores) == {"learned_image", "jpeg_grid", "double_jpeg"}
    other.write_text(json.dumps({"detectors": more, "rows": [rows[0] | {"label": "fake"}]}), encoding="utf-8")
    with pytest.raises(SystemExit, match="another source or label"):
        fit.read_rows([scores, other])


def test_cllr_of_knowing_nothing_is_one_bit(fit):
    fake = np.array([True, False, True, False])
    assert fit.maps.cllr(np.zeros(4), fake, np.ones(4)) == pytest.approx(1.0)
    assert fit.maps.cllr(np.where(fake, 20.0, -20.0), fake, np.ones(4)) == pytest.approx(0.0, abs=1e-6)


@given(scores=hnp.arrays(float, st.integers(4, 60), elements=st.floats(-50, 50)), seed=st.integers(0, 99))
def test_every_fit_rises_and_stays_within_what_its_sources_allow(fit, scores, seed):
    fake = np.random.default_rng(seed).random(len(scores)) < 0.5
    fake[:2] = True, False
    for method in fit.METHODS.values():
        xs, ys = method(scores, fake, np.ones(len(scores)))
        assert np.all(np.diff(xs) >= 0)
        assert np.all(np.diff(ys) >= -1e-9)
        assert np.all(np.isfinite(ys))
    _, ys = fit.maps.isotonic(scores, fake, np.ones(len(scores)))
    assert np.abs(ys).max() <= 2 * math.log(len(scores) + 2)


def test_renderings_of_one_source_share_its_weight(fit):
    assert fit.maps.source_weights(["a", "a", "b"]).tolist() == [0.5, 0.5, 1.0]


def test_a_detector_that_is_blind_to_half_of_all_fakes_can_say_little_against_one(fit, scores):
    data = json.loads(scores.read_text(encoding="utf-8"))
    about = data["detectors"]["learned_image"] | {"claims": ["full_synthesis"], "share": 0.5}
    data["detectors"] = {"learned_image": about}
    data["rows"] += [
        r | {"sample": f"{r['sample']}!", "kind": "splice", "scores": {"learned_image": -9.0}}
        for r in data["rows"]
        if r["label"] == "fake"
    ]
    scores.write_text(json.dumps(data), encoding="utf-8")
    fitted = fit.fit([scores])
    llrs = [y for _, y in fitted["detectors"]["learned_image"]["cells"][0]["knots"]]
    assert math.log(0.5) <= llrs[0] < -0.3
    assert llrs[-1] > 0.5
    assert set(fitted["groups"]["image/medium/learned_image"]["fakes"]) == {"full_synthesis", "splice"}


def test_widening_keeps_order_and_is_nothing_for_a_detector_of_everything(fit):
    llrs = np.linspace(-5, 5, 11)
    assert fit.maps.widened(llrs, 1.0) == pytest.approx(llrs)
    assert np.all(np.diff(fit.maps.widened(llrs, 0.5)) > 0)
    assert fit.maps.widened(llrs, 0.5).min() > math.log(0.5)


def test_recall_is_measured_where_this_panel_and_nobody_else_spoke(fit, scores, monkeypatch):
    monkeypatch.setattr(fit, "REPLICATES", 5)
    data = json.loads(scores.read_text(encoding="utf-8"))
    groups = fit.fit([scores])["groups"]
    assert len(groups["image/medium/learned_image"]["fakes"]["full_synthesis"]) == 120
    assert len(groups["image/medium/jpeg_grid"]["bona_fide"]) == 120
    assert groups["image/medium/jpeg_grid"]["fakes"] == {}, "learned_image always spoke, too"
    data["detectors"]["learned_image"]["optional"] = True
    scores.write_text(json.dumps(data), encoding="utf-8")
    groups = fit.fit([scores])["groups"]
    assert len(groups["image/medium/jpeg_grid"]["fakes"]["full_synthesis"]) == 120
