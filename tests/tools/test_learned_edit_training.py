"""The map of `learned_edit` on invented patches: what it learns, what twins keep it from, what is kept apart."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra `train` is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
import learned_edit as trainer

from assay.evidence.detectors.learned_edit import PATCHES, Weights

DEPTH = 24
PAIRS = 120
SEAM, PLACE = (
    0,
    1,
)  # numbers of a patch: what only a forgery has, and what the same place of its twin has, too


@pytest.fixture(scope="module")
def data() -> trainer.Set:
    """Pairs of which one has a changed square; its patches carry a seam, and its place a mark in both of the pair."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(2 * PAIRS, PATCHES, PATCHES, DEPTH)).astype(np.float16)
    changed = np.zeros((2 * PAIRS, PATCHES, PATCHES), np.float32)
    for k in range(PAIRS):
        y, x = rng.integers(0, PATCHES - 4, 2)
        place = np.s_[y : y + 4, x : x + 4]
        changed[2 * k][place] = 1.0
        tokens[2 * k][place][..., SEAM] += 2.0
        tokens[2 * k : 2 * k + 2, place[0], place[1], PLACE] += 4.0
    return trainer.Set(
        tokens=tokens.reshape(2 * PAIRS, -1, DEPTH),
        changed=changed.reshape(2 * PAIRS, -1),
        fake=np.arange(2 * PAIRS) % 2 == 0,
        kind=np.array([trainer.MAKERS[k // 2 % 3] for k in range(2 * PAIRS)]),
        source=np.array([f"camera:{k // 2 % 30}" for k in range(2 * PAIRS)]),
        pair=np.arange(2 * PAIRS) // 2,
    )


def everything(data: trainer.Set) -> np.ndarray:
    return np.ones(len(data.fake), bool)


def test_it_learns_the_seam_and_not_the_place(data: trainer.Set) -> None:
    weights = np.abs(trainer.fit(data, everything(data)).of)
    assert weights.argmax() == SEAM
    forged_only = trainer.fit(data, data.fake)  # without twins nothing keeps it from the place
    assert weights[PLACE] / weights[SEAM] < 0.5 * abs(forged_only.of[PLACE]) / abs(forged_only.of[SEAM])


def test_out_of_fold_scores_tell_forgeries_and_twins_are_standard(data: trainer.Set) -> None:
    found = trainer.fitted(data)
    assert trainer.auc(found.scores[data.fake], found.scores[~data.fake]) > 0.8
    assert found.scores[~data.fake].mean() == pytest.approx(0, abs=1e-9)
    assert found.scores[~data.fake].std() == pytest.approx(1, abs=1e-9)
    over = (found.scores[~data.fake] > found.whole.notable).mean()
    assert 0 < over <= 0.02


def test_a_fold_map_gives_its_own_out_of_fold_values_and_saw_nothing_of_its_fold(data: trainer.Set) -> None:
    found = trainer.fitted(data)
    own = data.fold == 3
    assert trainer.values(data, found.folds[3], own) == pytest.approx(found.values[own], abs=1e-5)
    turned = data.tokens.copy()
    turned[own] = -3 * turned[own]
    other = dataclasses.replace(data, tokens=turned)
    assert np.allclose(trainer.fit(other, ~own).of, trainer.fit(data, ~own).of)
    assert not np.allclose(trainer.fit(other, everything(data)).of, trainer.fit(data, everything(data)).of)


def test_a_kind_that_is_left_out_is_not_learned_from(data: trainer.Set) -> None:
    left = data.kind == "splice"
    turned = data.tokens.copy()
    turned[left] = -3 * turned[left]
    before, after = (
        trainer.fitted(d, left).folds[0] for d in (data, dataclasses.replace(data, tokens=turned))
    )
    assert np.allclose(
        before.of / np.linalg.norm(before.of), after.of / np.linalg.norm(after.of)
    )  # their scales differ: twins of all kinds make it


def test_maps_are_written_and_the_one_that_saw_nothing_of_a_source_is_read(
    data: trainer.Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "WEIGHTS", tmp_path / "whole.npz")
    monkeypatch.setattr(trainer, "UNSEEN", tmp_path / "folds.npz")
    trainer._stored.cache_clear()
    found = trainer.fitted(data)
    trainer.write(found)
    try:
        stored = trainer.unseen("camera:7")
        assert stored is trainer.unseen("7")
        expected = found.folds[trainer.fold_of("camera:7")]
        assert stored.of == pytest.approx(expected.of, abs=1e-6)
        assert (stored.bias, stored.notable, stored.edge) == (expected.bias, expected.notable, expected.edge)
    finally:
        trainer._stored.cache_clear()


def test_the_committed_maps_are_one_for_each_fold() -> None:
    maps = trainer._stored()
    assert len(maps) == trainer.FOLDS
    assert all(isinstance(m, Weights) and m.notable > m.edge for m in maps)
    assert len({m.of.tobytes() for m in maps}) == trainer.FOLDS
