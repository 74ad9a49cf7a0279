"""`assay.bench.calibrate` on made-up scores whose truth is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyarrow import parquet

from assay.bench import calibrate, groups, maps
from assay.bench.rows import read_scores
from assay.errors import AssayError
from assay.types import Kind
from assay.verdict import calibration as tables
from assay.verdict.calibration import Context
from assay.verdict.mixture import UNTRACED

CONTEXT = Context(media_family="image", size_px=(800, 600))
FAST = 8  # bootstrap samples


def card(name, family="learned", version=4, claims=()):
    return {"name": name, "family": family, "version": version, "claims": list(claims), "models": []}


def made(count=240, *, seed=3, kind="full_synthesis", shift=1.0):
    """`count` sources, two renditions each; fakes score `shift` higher: the true LLR is shift * (score - shift / 2)."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        fake, own = i % 2 == 1, rng.normal()
        for j in range(2):
            grid = None if j else float(rng.exponential() + 3 * fake)
            rows.append(
                {
                    "sample": f"s{i}",
                    "source": f"s{i}",
                    "label": "fake" if fake else "bona_fide",
                    "kind": kind if fake else None,
                    "laundering": ("jpeg90", "webp")[j],
                    "quality": None,
                    "scores": {"learned_image": float(own + shift * fake), "jpeg_grid": grid},
                }
            )
    return rows


CARDS = (card("learned_image"), card("jpeg_grid", "jpeg", 2))


def stored(path, rows, cards=CARDS, **changes):
    known = {c["name"]: c["version"] for c in cards}
    flat = [
        {
            "sample": r["sample"],
            "path": r["sample"],
            "label": r["label"],
            "kind": r["kind"],
            "family": "",
            "generator": None,
            "source": r["source"],
            "laundering": r["laundering"],
            "rendition": "",
            "media_family": "image",
            "width": 800,
            "height": 600,
            "quality": r["quality"],
            "detector": name,
            "version": known.get(name, 1),
            "outcome": "scored" if score is not None else "not_applicable",
            "score": score,
            "region_f1": None,
            "elapsed_s": 0.1,
            "metadata": False,
        }
        | changes
        for r in rows
        for name, score in r["scores"].items()
    ]
    types = [("quality", pa.int32()), ("score", pa.float64()), ("kind", pa.string()), ("generator", pa.string()), ("region_f1", pa.float64())]  # fmt: skip
    table = pa.Table.from_pylist(flat)
    for name, kind in types:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    about = json.dumps({"detectors": list(cards)}).encode()
    parquet.write_table(table.replace_schema_metadata({b"assay": about}), path)
    return path


@pytest.fixture
def scores(tmp_path):
    return stored(tmp_path / "scores.parquet", made())


def fitted_from(*paths, replicates=FAST):
    return calibrate.described(calibrate.calibrate(read_scores(paths), replicates=replicates))


def loaded(tmp_path, fitted):
    path = tmp_path / "calibration.json"
    path.write_text(calibrate.laid_out(fitted), encoding="utf-8")
    return tables.shipped(None, path)


def test_the_fitted_maps_come_close_to_the_truth(scores, tmp_path):
    fitted = fitted_from(scores, replicates=40)
    known = loaded(tmp_path, fitted)
    for score in (-0.5, 0.5, 1.5):
        assert known.llr_of_score("learned_image", 4, score, CONTEXT) == pytest.approx(score - 0.5, abs=0.5)
    assert known.llr_of_score("learned_image", 3, 0.5, CONTEXT) is None, "another version is another detector"
    group = known.group(CONTEXT, ["learned_image"])
    assert (group.sources, len(group.fakes[Kind.FULL_SYNTHESIS])) == (120, 120)
    cell = fitted["detectors"]["learned_image"]["cells"][0]
    assert 0.5 < cell["cllr"] < 0.95
    assert cell["cllr_90"][0] < cell["cllr"] < cell["cllr_90"][1]
    assert list(fitted["inputs"]) == ["scores.parquet"]


def test_thresholds_of_any_panel_keep_to_the_budget_on_new_sources(tmp_path):
    """New draws from the same population, judged by the stored calibration as the verdict would."""
    known = loaded(tmp_path, fitted_from(stored(tmp_path / "a.parquet", made(600))))
    new = made(4000, seed=77)
    for panel in (("learned_image",), ("jpeg_grid",), ("jpeg_grid", "learned_image")):
        threshold = known.threshold(CONTEXT, panel, 0.05)
        reached = {False: {}, True: {}}
        for r in new:
            if any(r["scores"][d] is None for d in panel):
                continue
            llrs = {d: known.llr_of_score(d, {"learned_image": 4, "jpeg_grid": 2}[d], r["scores"][d], CONTEXT) for d in panel}  # fmt: skip
            over = tables.panel_llr(llrs, "image", known) >= threshold.value
            side = reached[r["label"] == "fake"]
            side.setdefault(r["source"], []).append(over)
        alarms, found = (np.mean([np.mean(own) for own in reached[side].values()]) for side in (False, True))
        assert alarms <= threshold.false_alarms[1] + 0.02, panel
        assert found > 2 * alarms, panel


def test_the_same_scores_give_the_same_calibration(scores):
    assert fitted_from(scores) == fitted_from(scores)


def test_the_file_is_laid_out_for_readers_and_loses_nothing(scores):
    fitted = fitted_from(scores)
    text = calibrate.laid_out(fitted)
    assert json.loads(text) == json.loads(json.dumps(fitted))
    assert max(len(line) for line in text.splitlines()) < 1500


def test_rows_with_metadata_and_of_peers_are_left_out(scores, tmp_path):
    with_metadata = stored(tmp_path / "m.parquet", made(seed=9), metadata=True)
    peers = made(seed=9)
    for r in peers:
        r["scores"] = {"peer:other": 1.0}
    others = stored(tmp_path / "p.parquet", peers, cards=())
    joined = read_scores([scores, with_metadata, others])
    assert [dict(r.scores) | {"peer:other": 1.0} for r in read_scores([scores]).rows] == [
        r.scores for r in joined.rows
    ]
    assert "peer:other" not in calibrate.calibrate(joined, replicates=FAST).detectors
    with pytest.raises(AssayError, match="no row without metadata"):
        read_scores([with_metadata])


def test_a_condition_of_its_own_is_kept_only_where_it_is_clearly_better(tmp_path):
    """At good qualities the detector sees, at bad ones it is blind: one map for both would be wrong twice."""
    rng = np.random.default_rng(4)
    rows = made(400)
    for k, r in enumerate(rows):
        r["quality"] = 95 if k % 2 else 50
        sees = 3.0 * (r["label"] == "fake") * (r["quality"] == 95)
        r["scores"] = {"learned_image": float(rng.normal() + sees), "jpeg_grid": float(rng.normal() + (r["label"] == "fake"))}  # fmt: skip
    cells = fitted_from(stored(tmp_path / "q.parquet", rows), replicates=20)["detectors"]
    assert [c["quality"] for c in cells["learned_image"]["cells"]] == [[1, 84], [95, 100], [0, 100]]
    assert [c["quality"] for c in cells["jpeg_grid"]["cells"]] == [[0, 100]]


def test_the_freer_method_must_be_clearly_better():
    noisy = np.array([0.5, 0.6, 0.7])
    assert maps.simplest({"logistic": noisy, "isotonic": noisy - 0.05}) == "logistic"
    assert maps.simplest({"logistic": noisy, "isotonic": noisy - 0.3}) == "isotonic"


def test_scores_with_a_long_tail_are_fitted_by_their_logarithm():
    scores = np.array([0.0] * 60 + [3.0] + [0.0] * 20 + [2.0, 5.0, 20.0, 80.0, 300.0] * 8)
    fake = np.arange(len(scores)) >= 61
    xs, ys = maps.logarithmic(scores, fake, np.ones(len(scores)))
    assert xs[-1] == pytest.approx(300.0)
    low, middle, high = np.interp([2.0, 20.0, 80.0], xs, ys)
    assert 0 < low < middle < high


def test_one_class_or_few_sources_are_refused_in_words(tmp_path):
    honest = [r for r in made() if r["label"] == "bona_fide"]
    with pytest.raises(AssayError, match="no fake media"):
        fitted_from(stored(tmp_path / "one.parquet", honest))
    with pytest.raises(AssayError, match="too few sources: 2 bona fide and 1 fake") as caught:
        fitted_from(stored(tmp_path / "three.parquet", made(3)))
    assert "count once" in caught.value.hint


def test_a_detector_that_hardly_spoke_is_skipped_with_its_reason(tmp_path):
    rows = made()
    for r in rows[20:]:
        r["scores"]["jpeg_grid"] = None
    found = calibrate.calibrate(read_scores([stored(tmp_path / "few.parquet", rows)]), replicates=FAST)
    assert found.detectors == ("learned_image",)
    assert "no size has 20 of each" in found.skipped["jpeg_grid"]
    metadata = made()
    for r in metadata:
        r["scores"]["container_structure"] = 0.0
    cards = (*CARDS, card("container_structure", "structure", 1))
    found = calibrate.calibrate(
        read_scores([stored(tmp_path / "m.parquet", metadata, cards)]), replicates=FAST
    )
    assert found.skipped == {"container_structure": "its reasons are weighed by table"}


def test_files_join_by_rendition_and_must_agree(scores, tmp_path):
    rows = [r | {"scores": {"double_jpeg": 1.0}} for r in made()]
    cards = (card("double_jpeg", "jpeg", 1),)
    joined = read_scores([scores, stored(tmp_path / "b.parquet", rows, cards)])
    assert set(joined.rows[0].scores) == {"learned_image", "jpeg_grid", "double_jpeg"}
    relabelled = stored(tmp_path / "c.parquet", [r | {"label": "fake"} for r in rows], cards)
    with pytest.raises(AssayError, match="another source or label"):
        read_scores([scores, relabelled])
    newer = stored(tmp_path / "d.parquet", made(), (card("learned_image", version=5), CARDS[1]))
    with pytest.raises(AssayError, match="version 5 here, 4 elsewhere"):
        read_scores([scores, newer])
    unlisted = stored(tmp_path / "e.parquet", made(), CARDS[:1])
    with pytest.raises(AssayError, match="does not hold version 1 of jpeg_grid"):
        read_scores([unlisted])


def test_what_is_no_scores_file_is_refused(tmp_path):
    other = tmp_path / "other.parquet"
    other.write_bytes(b"PAR1 no")
    with pytest.raises(AssayError, match="is no scores file"):
        read_scores([other])
    parquet.write_table(pa.table({"a": [1]}), other)
    with pytest.raises(AssayError, match="is no scores file"):
        read_scores([other])


@given(scores=hnp.arrays(float, st.integers(4, 60), elements=st.floats(-50, 50)), seed=st.integers(0, 99))
@budget(deadline=None)
def test_every_fit_rises_and_stays_within_what_its_sources_allow(scores, seed):
    fake = np.random.default_rng(seed).random(len(scores)) < 0.5
    fake[:2] = True, False
    for method in maps.METHODS.values():
        xs, ys = method(scores, fake, np.ones(len(scores)))
        assert np.all(np.diff(xs) >= 0)
        assert np.all(np.diff(ys) >= -1e-9)
        assert np.all(np.isfinite(ys))
    _, ys = maps.isotonic(scores, fake, np.ones(len(scores)))
    assert np.abs(ys).max() <= 2 * math.log(len(scores) + 2)


def test_many_distinct_scores_are_put_together_without_losing_the_map():
    rng = np.random.default_rng(8)
    fake = np.arange(20_000) % 2 == 1
    scores = rng.normal(size=20_000) + fake
    xs, ys = maps.isotonic(scores, fake, np.ones(20_000))
    assert len(xs) <= 2 * maps.STEPS
    for score in (-0.5, 0.5, 1.5):
        assert np.interp(score, xs, ys) == pytest.approx(score - 0.5, abs=0.25)


def test_what_a_detector_is_blind_to_moves_neither_its_map_nor_its_ratio(tmp_path):
    rows = made()
    splices = [
        r
        | {
            "sample": f"{r['sample']}!",
            "kind": "splice",
            "scores": {"learned_image": -9.0, "jpeg_grid": None},
        }
        for r in rows
        if r["label"] == "fake"
    ]
    cards = (card("learned_image", claims=["full_synthesis"]), CARDS[1])
    said = []
    for name, chosen in (("sighted", rows), ("blind", [*rows, *splices])):
        fitted = fitted_from(stored(tmp_path / f"{name}.parquet", chosen, cards))
        known = loaded(tmp_path, fitted)
        llrs = [known.llr_of_score("learned_image", 4, score, CONTEXT) for score in (-9.0, 3.0)]
        said.append([tables.panel_llr({"learned_image": llr}, "image", known) for llr in llrs])
    assert said[1] == pytest.approx(said[0], abs=0.01)
    assert math.log(UNTRACED) <= said[1][0] < -1 < 1 < said[1][1]
    assert set(fitted["pools"]["image/medium"]["fakes"]) == {"full_synthesis", "splice"}


@given(
    llrs=hnp.arrays(float, (6, 3), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0, math.nan])),
    panel=st.sets(st.integers(0, 2), min_size=1),
)
@budget(deadline=None)
def test_fakes_that_are_left_out_of_a_pool_could_never_have_been_drawn(llrs, panel):
    columns = sorted(panel)

    def first(rows):
        spoke = rows[~np.isnan(rows[:, columns]).any(axis=1)][:, columns]
        return spoke[0].tolist() if len(spoke) else None

    assert first(llrs[groups.earliest(llrs)]) == first(llrs)


def test_a_pool_stays_small_and_its_rounding_never_helps_a_fake(scores):
    fitted = fitted_from(scores)
    pool = fitted["pools"]["image/medium"]
    assert len(pool["bona_fide"]) <= 240
    found = calibrate.calibrate(read_scores([scores]), replicates=FAST)
    column = found.detectors.index("learned_image")
    exact = {}
    for r, llr in zip(found.scores.rows, found.llrs[:, column].tolist(), strict=True):
        if not r.fake:
            exact[r.source] = max(exact.get(r.source, -99.0), llr)
    place = pool["detectors"].index("learned_image") + 2
    held = {}
    for entry in pool["bona_fide"]:
        held[entry[0]] = max(held.get(entry[0], -9999), entry[place])
    for k, source in enumerate(sorted(exact)):
        assert 0 <= held[k] / 100 - exact[source] < 0.011


def test_llrs_of_a_source_come_from_maps_that_never_saw_it_nor_its_fold(tmp_path):
    """Whatever one source scored, the LLRs of all others in its fold stay the same, and those outside do not."""
    llrs = []
    for score in (-5.0, 5.0):
        rows = made(120)
        for r in rows:
            if r["source"] == "s0":
                r["scores"]["learned_image"] = score
        found = calibrate.calibrate(read_scores([stored(tmp_path / "odd.parquet", rows)]), replicates=1)
        llrs.append(found.llrs[:, found.detectors.index("learned_image")])
    folds = np.array([calibrate.fold_of(r.source) for r in found.scores.rows])
    others = np.array([r.source != "s0" for r in found.scores.rows])
    inside = folds == calibrate.fold_of("s0")
    assert (inside & others).sum() > 10
    assert np.array_equal(llrs[0][inside & others], llrs[1][inside & others])
    assert not np.array_equal(llrs[0][~inside], llrs[1][~inside])


def test_scores_files_of_the_same_name_are_all_named(tmp_path):
    (tmp_path / "more").mkdir()
    paths = [
        stored(tmp_path / folder / "scores.parquet", made(40)[k:]) for k, folder in ((0, ""), (4, "more"))
    ]
    inputs = read_scores([*paths, tmp_path / "more" / ".." / "scores.parquet"]).inputs
    assert list(inputs) == [
        f"{tmp_path.name}/scores.parquet",
        "more/scores.parquet",
        f"{tmp_path.name}/scores.parquet (3)",
    ]
    assert len(set(inputs.values())) == 2
    assert list(read_scores(paths[:1]).inputs) == ["scores.parquet"]
