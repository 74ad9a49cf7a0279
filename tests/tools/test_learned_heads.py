"""The heads of `learned_image` on invented features: what is kept apart, what is balanced, what is left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra `train` is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
import corpus
import embeddings
import heads
import learned_image as trainer

WIDE = {"last": 512, "middle": 2304}


def row(number: int, set_: str, source: str, label: str, condition: str = "matched") -> corpus.Row:
    short = 80 + 100 * (number % 9)
    return corpus.Row(
        f"{set_}/{number}.jpg", set_, source, "scene", label, short, "jpeg", 80, condition, -1.0
    )


def invented() -> embeddings.Embedded:
    """Fakes of two generators differ in the first features of the last layer, reconstructions in those of the middle."""
    rng = np.random.default_rng(0)
    rows = [row(i, "camera_scenes", f"camera:{i % 20}", "bona_fide") for i in range(80)]
    rows += [row(i, "gemini", f"gemini:{i % 10}", "fake") for i in range(40)]
    rows += [row(i, "sd3", f"sd3:{i}", "fake") for i in range(40)]
    for i in range(40):
        name = f"{('transposed', 'nearest')[i % 2]}_2"
        rows += [
            row(i, f"parent:{name}", f"camera:{i % 20}", "bona_fide", "pair"),
            row(i, f"reconstruct:{name}", f"camera:{i % 20}", "fake", "pair"),
        ]
    # Both of a pair share a name.
    rows = [
        corpus.Row(**{**vars_of(r), "name": f"pair/{r.name.split('/')[1]}"}) if r.condition == "pair" else r
        for r in rows
    ]
    fake = np.array([r.label == "fake" for r in rows])
    pair = np.array([r.condition == "pair" for r in rows])
    last, middle = (rng.normal(size=(len(rows), n)) for n in WIDE.values())
    last[fake & ~pair, :20] += 1.0
    middle[fake & pair, :20] += 2.0
    halves = [v.astype(np.float16) for v in (last, middle, last, middle)]
    return embeddings.Embedded(tuple(rows), *halves)


def vars_of(r: corpus.Row) -> dict[str, object]:
    return {name: getattr(r, name) for name in corpus.Row.__dataclass_fields__}


@pytest.fixture(scope="module")
def data() -> heads.Set:
    return heads.prepared(invented())


@pytest.fixture(scope="module")
def whole(data: heads.Set) -> heads.Family:
    return heads.family(data, heads.without(data, ""))


def test_a_camera_is_in_one_fold_however_a_manifest_spells_it() -> None:
    assert heads.fold_of("camera:Canon  Canon EOS") == heads.fold_of("Canon Canon EOS")


def test_out_of_fold_scores_tell_the_classes_apart_and_bona_fide_ones_are_standard(
    data: heads.Set, whole: heads.Family
) -> None:
    pictures = data.matched
    assert trainer.auc(whole.last[pictures & data.fake], whole.last[pictures & ~data.fake]) > 0.8
    assert trainer.auc(whole.middle[data.pair & data.fake], whole.middle[data.pair & ~data.fake]) > 0.8
    for part in (whole.last, whole.middle):
        assert part[~data.fake].mean() == pytest.approx(0, abs=1e-6)
        assert part[~data.fake].std() == pytest.approx(1, abs=1e-6)


def test_a_familys_head_gives_its_own_out_of_fold_scores(data: heads.Set, whole: heads.Family) -> None:
    for i in (0, 50, 150):
        head = whole.heads[data.fold[i]]
        scores = head.scores(data.last[i].astype(np.float32), data.middle[i].astype(np.float32))
        assert scores == pytest.approx((whole.last[i], whole.middle[i]), abs=1e-3)


def test_a_head_learned_nothing_from_its_own_fold(data: heads.Set, whole: heads.Family) -> None:
    turned = np.where((data.fold == 2)[:, None], -3 * data.middle, data.middle)
    other = heads.Set(**{**{n: getattr(data, n) for n in heads.Set.__dataclass_fields__}, "middle": turned})
    again = heads.fit_part(other, "middle", data.trained & (data.fold != 2))
    before = heads.fit_part(data, "middle", data.trained & (data.fold != 2))
    assert np.allclose(again.weight, before.weight)
    assert not np.allclose(heads.fit_part(other, "middle", data.trained).weight, before.weight)


def test_left_out_rows_are_the_generators_own(data: heads.Set) -> None:
    assert set(data.set[heads.without(data, "sd3")]) == {"sd3"}
    kind = heads.without(data, "reconstruct:nearest")
    assert set(data.set[kind]) == {"parent:nearest_2", "reconstruct:nearest_2"}
    assert heads.without(data, "reconstruct").sum() == data.pair.sum()
    assert not heads.without(data, "").any()


@pytest.mark.parametrize(
    ("generator", "left"),
    [
        ("Stable Diffusion 3", "sd3"),
        ("ComfyUI workflow (see its metadata)", "comfyui"),
        ("Gemini 3 Pro", "gemini"),
        ("reconstruct:shuffle_4", "reconstruct:shuffle"),
        ("reconstruct", "reconstruct"),
        ("splice", ""),
        ("", ""),
    ],
)
def test_a_manifests_generator_says_what_is_left_out(generator: str, left: str) -> None:
    assert heads.left_out(generator) == left


def test_both_classes_weigh_the_same_and_pairs_as_much_as_they_should(data: heads.Set) -> None:
    w = heads.balanced(data, data.trained, 0.5)
    assert w[data.fake].sum() == pytest.approx(w[~data.fake].sum())
    assert w[data.pair].sum() == pytest.approx(0.5 * w[~data.pair].sum())
    for size in range(4):
        cell = data.matched & (data.bin == size)
        assert w[cell & data.fake].sum() == pytest.approx(w[cell & ~data.fake].sum(), rel=0.1)


def test_a_sample_is_scored_by_the_head_of_its_fold_or_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "embed", lambda _cache, _roots: invented())
    (tmp_path / "digests.json").write_text(json.dumps({"a" * 64: "camera:3", "b" * 64: "camera:4"}))
    served = heads.Heads(tmp_path, {})
    by_name = served.for_sample("3", "")
    assert served.for_sample("something else", "", ["a" * 64]) is by_name
    assert served.for_sample("camera:3", "Gemini 3 Pro") is not by_name
    assert heads.fold_of("camera:3") != heads.fold_of("camera:4")
    both = served.for_sample("x", "", ["a" * 64, "b" * 64])
    assert served.for_sample("x", "", ["b" * 64, "a" * 64]) is both
    assert not np.allclose(both.middle.weight, by_name.middle.weight)


def test_auc_counts_ties_half() -> None:
    assert trainer.auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(0.875)
