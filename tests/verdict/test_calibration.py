"""Tables of weights, maps of scores, groups."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ConfigError
from assay.types import Kind
from assay.verdict import calibration as tables
from assay.verdict.calibration import FORMAT, Cell, Context, Void, panel_llr, pool_name, read, shipped
from assay.verdict.conformal import FLOOR
from assay.verdict.fusion import fuse
from assay.verdict.groups import SCALE, UNSPOKEN


@pytest.fixture
def reasons():
    return tomllib.loads((tables.HERE / "reasons.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("size", "name"), [((255, 900), "small"), ((256, 900), "medium"), ((1024, 1023), "medium"), ((4000, 1024), "large"), (None, None)])  # fmt: skip
def test_the_short_side_names_the_size(size, name):
    assert Context(media_family="image", size_px=size).size_bin == name


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-5, 5)), min_size=1, max_size=30), st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=9))  # fmt: skip
def test_a_map_is_monotone_finite_and_within_its_knots(knots, scores):
    xs = tuple(sorted({round(x, 3) for x, _ in knots}))
    ys = tuple(sorted(y for _, y in knots))[: len(xs)]
    cell = Cell("medium", (0, 100), xs, ys, (50, 50))
    llrs = [cell.llr(s) for s in sorted(scores)]
    assert all(a <= b for a, b in itertools.pairwise(llrs))
    assert all(math.isfinite(v) and ys[0] <= v <= ys[-1] for v in llrs)


def test_another_version_size_or_medium_is_not_calibrated(known, context):
    assert known.llr_of_score("jpeg_grid", 1, 2.0, context) == 0.0
    assert known.llr_of_score("jpeg_grid", 2, 2.0, context) is None
    assert known.llr_of_score("unheard_of", 1, 2.0, context) is None
    small = dataclasses.replace(context, size_px=(100, 100))
    video = dataclasses.replace(context, media_family="video")
    unknown = dataclasses.replace(context, size_px=None)
    assert [known.llr_of_score("jpeg_grid", 1, 2.0, c) for c in (small, video, unknown)] == [None] * 3


def test_a_map_is_void_where_its_version_alone_keeps_it_from_counting(known, context):
    for version in (0, 2):
        assert known.void_map("jpeg_grid", version, context) == Void("jpeg_grid", 1, version)
    assert known.void_map("jpeg_grid", 1, context) is None
    assert known.void_map("unheard_of", 2, context) is None
    for change in ({"size_px": (100, 100)}, {"media_family": "video"}):
        elsewhere = dataclasses.replace(context, **change)
        assert known.void_map("jpeg_grid", 2, elsewhere) is None, (
            "its own version would not count there either"
        )


def test_maps_of_other_versions_than_the_installed_ones_are_outgrown(known):
    installed = {"jpeg_grid": 1, "double_jpeg": 2, "learned_image": 0, "not_calibrated": 7}
    assert known.outgrown(installed) == (Void("double_jpeg", 1, 2), Void("learned_image", 1, 0))
    assert known.outgrown({}) == (), "a detector that is not installed does not speak"
    assert (
        str(Void("learned_image", 3, 4)) == "learned_image (its calibration is of version 3, it is version 4)"
    )


def test_a_map_for_some_qualities_speaks_of_no_other(context):
    cell = Cell("medium", (60, 80), (0.0, 1.0), (-1.0, 1.0), (50, 50))
    assert [cell.holds(dataclasses.replace(context, quality=q)) for q in (59, 60, 80, 81, None)] == [False, True, True, False, False]  # fmt: skip


def test_a_group_is_sought_among_media_of_its_family_and_size(known, context):
    assert pool_name("image", "medium") == "image/medium"
    assert known.group(context, ["jpeg_grid"]).bona_fide[-1] == 2.0
    small = dataclasses.replace(context, size_px=(100, 100))
    assert known.group(small, ["jpeg_grid"]) is None
    assert known.group(dataclasses.replace(context, size_px=None), ["jpeg_grid"]) is None
    assert known.group(context, []) is None
    assert known.threshold(context, ["unheard_of"], 0.01) is None


@given(st.dictionaries(st.sampled_from(["jpeg_grid", "jpeg_ghost", "learned_image"]), st.floats(-30, 30)))
def test_a_family_never_adds_more_than_its_cap(llrs):
    calibration = shipped()
    families = {"jpeg_grid": "jpeg", "jpeg_ghost": "jpeg", "learned_image": "learned"}
    total = panel_llr(llrs, "image", calibration)
    assert abs(total) <= calibration.cap("jpeg") + calibration.cap("learned")
    assert abs(panel_llr({k: v for k, v in llrs.items() if families[k] == "jpeg"}, "image", calibration)) <= calibration.cap("jpeg")  # fmt: skip


def test_weights_of_the_operator_stand_in_and_change_the_version():
    ours = shipped({"generator_metadata.generator_named": 2.0, "mine.odd": 1.0})
    assert ours.weights["generator_metadata.generator_named"].llr == 2.0
    assert ours.weights["generator_metadata.generator_named"].kinds == (Kind.FULL_SYNTHESIS,)
    assert ours.weights["mine.odd"].forgeable, "a plug-in's reason is not trusted further than metadata"
    assert ours.version != shipped().version
    assert shipped() is shipped()


def test_every_row_of_the_table_is_sound(reasons):
    allowed = {"llr", "text", "kinds", "disclosed", "decisive", "forgeable", "voids"}
    for detector, rows in reasons["reasons"].items():
        for code, row in rows.items():
            name = f"{detector}.{code}"
            assert row.keys() <= allowed, name
            assert row["text"].endswith("."), name
            assert abs(row["llr"]) <= max(reasons["families"].values()), name
            if row.get("forgeable"):
                assert row["llr"] >= 0, f"{name}: what anyone can write must not clear a sample"
            if row.get("forgeable") and row.get("decisive"):
                assert row.get("disclosed"), f"{name}: metadata alone must not lead to quarantine"
            if detector in reasons["by_score"]:
                assert row["llr"] == 0, f"{name}: the score weighs already"


def test_a_broken_credential_weighs_too_little_to_make_a_fake():
    broken = [w for w in shipped().weights.values() if Kind.TAMPERED_CREDENTIAL in w.kinds]
    assert broken
    assert sum(w.llr for w in broken) < 4.6
    assert not any(w.decisive for w in broken)


def test_what_a_decoder_leaves_makes_no_fake_beside_any_other_detector_that_is_silent():
    calibration = shipped()
    others = [name for name, one in calibration.maps.items() if one.family != "decoder"]
    assert others
    for other in others:
        assert panel_llr({"decoder_residual": 100.0, other: 0.0}, "image", calibration) < FLOOR, other


def test_a_decoder_alone_has_no_threshold():
    calibration = shipped()
    for quality in (None, 60, 90):
        context = Context(media_family="image", size_px=(900, 700), quality=quality)
        assert calibration.group(context, ["decoder_residual"]) is None
        assert calibration.group(context, ["decoder_residual", "copy_move"]) is not None


def test_the_shipped_calibration_reads_and_keeps_its_bounds():
    fitted = json.loads((tables.HERE / "calibration.json").read_text(encoding="utf-8"))
    calibration = shipped()
    assert calibration.version.startswith(fitted["version"])
    assert calibration.by_score == calibration.maps.keys() | calibration.by_score
    for known in calibration.maps.values():
        for cell in known.cells:
            bound = math.log(min(cell.sources)) + 1e-3
            assert list(cell.scores) == sorted(set(cell.scores))
            assert list(cell.llrs) == sorted(cell.llrs)
            assert -bound <= cell.llrs[0] <= cell.llrs[-1] <= bound
    for name, pool in calibration.pools.items():
        assert set(pool.detectors) <= calibration.maps.keys(), name
        highest = max(cell.llrs[-1] for known in calibration.maps.values() for cell in known.cells)
        spoken = pool.bona_fide.llrs[pool.bona_fide.llrs != UNSPOKEN]
        assert abs(spoken).max() / SCALE <= highest + 1, name


def test_a_table_with_an_unknown_kind_is_refused(reasons):
    reasons["reasons"]["known_digest"]["known_fake"]["kinds"] = ["magic"]
    with pytest.raises(ValueError):
        read(reasons, {"version": "x", "format": FORMAT, "detectors": {}, "pools": {}}, {})


def test_an_operators_own_calibration_is_used_and_an_older_one_refused_by_name(tmp_path):
    own = tmp_path / "calibration.json"
    own.write_text((tables.HERE / "calibration.json").read_text(encoding="utf-8").replace('"version": "', '"version": "own-', 1), encoding="utf-8")  # fmt: skip
    assert shipped(None, own).version.startswith("own-")
    row = '{"version": 1, "media_family": "image", "family": "x", "claims": [], "cells": [{"size": "small", "quality": []}]}'
    cut = f'{{"format": {FORMAT}, "version": "1", "detectors": {{"x": {row}}}, "pools": {{}}}}'
    for text in ('{"version": "1", "detectors": {}, "groups": {}}', "{", "[]", "x", '"x"', cut):
        own.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            shipped(None, own)
        assert "assay bench calibrate" in caught.value.hint


def test_every_reason_of_a_built_in_detector_has_its_row():
    sources = sorted((tables.HERE.parent / "evidence" / "detectors").glob("[a-z]*.py"))
    codes = re.compile(r"""Reason\(\s*"(\w+)\"""")
    emitted = {f"{p.stem}.{code}" for p in sources for code in codes.findall(p.read_text(encoding="utf-8"))}
    assert len(emitted) > 10
    assert emitted <= shipped().weights.keys()


def test_every_family_of_a_built_in_detector_has_its_cap():
    sources = sorted((tables.HERE.parent / "evidence" / "detectors").glob("[a-z]*.py"))
    families = {f for p in sources for f in re.findall(r'family="(\w+)"', p.read_text(encoding="utf-8"))}
    assert families <= shipped().caps.keys()


def test_no_detector_has_outgrown_its_calibration():
    folder = tables.HERE.parent / "evidence" / "detectors"
    for name, known in shipped().maps.items():
        card = re.search(r"version=(\d+)", (folder / f"{name}.py").read_text(encoding="utf-8"))
        assert int(card[1]) == known.version, f"{name} has another version: run `assay bench calibrate` again"


def test_an_operators_own_calibration_takes_the_place_of_the_shipped_one(tmp_path, settings):
    fitted = json.loads((tables.HERE / "calibration.json").read_text(encoding="utf-8"))
    own = tmp_path / "own.json"
    own.write_text(json.dumps(fitted | {"version": "mine"}), encoding="utf-8")
    chosen = dataclasses.replace(settings, paths=dataclasses.replace(settings.paths, calibration=own))
    verdict = fuse([], context=Context(media_family="image"), settings=chosen)
    assert verdict.calibration.startswith("mine+")
