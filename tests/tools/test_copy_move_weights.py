"""The discriminant of `copy_move`: what its training kept apart, and that the shipped weights are those of its measures."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra `train` is not installed")
pytest.importorskip("pyarrow", reason="the extra `bench` is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
import copy_move as trainer

from assay.evidence.detectors import _copy_move_evidence as evidence


def test_the_shipped_weights_are_what_the_measures_give():
    made, shipped = trainer.fitted(None), evidence.shipped()
    assert shipped.of == pytest.approx(made.of, rel=1e-3, abs=1e-4)
    assert shipped.bias == pytest.approx(made.bias, rel=1e-3)


def test_a_source_is_weighed_by_what_did_not_see_it():
    sources = sorted({p.source for p in trainer.pictures()})
    seen = [trainer.unseen(source) for source in sources]
    assert None not in seen
    assert len({w.of for w in seen if w is not None}) == trainer.FOLDS
    for source, weights in zip(sources, seen, strict=True):
        assert weights == trainer.fitted(trainer.fold_of(source))
    assert trainer.unseen("a camera that nobody learned from") is None


def test_a_fold_learns_nothing_from_its_own_sources(monkeypatch):
    every = trainer.pictures()
    own = {p.source for p in every if trainer.fold_of(p.source) == 0}
    assert own
    before = trainer.fitted(0)
    left = tuple(p for p in every if p.source not in own)
    monkeypatch.setattr(trainer, "pictures", lambda: left)
    trainer.fitted.cache_clear()
    try:
        assert trainer.fitted(0).of == pytest.approx(before.of)
        assert trainer.fitted(1).of != pytest.approx(before.of)
    finally:
        trainer.fitted.cache_clear()


def test_it_knows_unseen_copies_from_their_twins_better_than_the_score_before():
    every = trainer.pictures()
    fake = np.array([p.fake for p in every])
    now = np.array([trainer.scored(p, trainer.fitted(trainer.fold_of(p.source))) for p in every])
    before = np.array([trainer.former(p) for p in every])
    for budget in (1, 2):  # recall at 1 and 2 %
        assert trainer.figures(now, fake)[budget] > trainer.figures(before, fake)[budget]
    shuffled = np.random.default_rng(0).permutation(fake)
    assert trainer.figures(now, shuffled)[0] == pytest.approx(0.5, abs=0.1)
