from __future__ import annotations

import math

import numpy as np
import pytest

from assay.bench import metrics

sklearn = pytest.importorskip("sklearn.metrics")


def drawn(seed: int, n: int = 300, step: float | None = None):
    rng = np.random.default_rng(seed)
    fake = rng.random(n) < 0.4
    scores = rng.normal(size=n) + 1.2 * fake
    return (np.round(scores / step) * step if step else scores), fake


@pytest.mark.parametrize("step", [None, 0.5, 2.0])
def test_auc_and_roc_are_those_of_scikit_learn_ties_included(step):
    scores, fake = drawn(1, step=step)
    assert metrics.auc(scores, fake) == pytest.approx(sklearn.roc_auc_score(fake, scores))
    weights = np.random.default_rng(2).random(scores.size)
    weighted = sklearn.roc_auc_score(fake, scores, sample_weight=weights)
    assert metrics.auc(scores, fake, weights) == pytest.approx(weighted)
    fpr, tpr = metrics.roc(scores, fake)
    theirs = sklearn.roc_curve(fake, scores, drop_intermediate=False)
    assert fpr == pytest.approx(theirs[0])
    assert tpr == pytest.approx(theirs[1])


def test_auc_by_hand():
    fake = np.array([False, False, True, True])
    assert metrics.auc(np.array([0.0, 1.0, 2.0, 3.0]), fake) == 1.0
    assert metrics.auc(np.array([3.0, 2.0, 1.0, 0.0]), fake) == 0.0
    assert metrics.auc(np.zeros(4), fake) == 0.5


@pytest.mark.parametrize(
    "figure", [metrics.auc, metrics.eer, metrics.tpr_at, metrics.cllr, metrics.min_cllr, metrics.ece]
)
def test_one_class_alone_gives_no_number(figure):
    for fake in (np.zeros(200, bool), np.ones(200, bool), np.zeros(0, bool)):
        assert math.isnan(figure(np.arange(fake.size, dtype=float), fake))


def test_eer_by_hand():
    scores = np.array([0.0, 1.0, 2.0, 3.0, 1.5, 2.5, 3.5, 4.5])
    fake = np.array([False] * 4 + [True] * 4)
    assert metrics.eer(scores, fake) == pytest.approx(0.25)  # between 2 and 2.5: 1 of 4 on either side
    assert metrics.eer(np.array([0.0, 1.0]), np.array([False, True])) == 0.0
    assert metrics.eer(np.zeros(2), np.array([False, True])) == pytest.approx(0.5)


def test_eer_agrees_with_the_curve_of_scikit_learn():
    scores, fake = drawn(3, 2000)
    fpr, tpr, _ = sklearn.roc_curve(fake, scores)
    at = np.argmin(np.abs(fpr - (1 - tpr)))
    assert metrics.eer(scores, fake) == pytest.approx(fpr[at], abs=2e-3)


def test_the_threshold_lies_just_above_the_conformal_quantile():
    scores = np.concatenate([np.arange(99.0), [97.0, 98.0, 98.5, 200.0]])
    fake = np.array([False] * 99 + [True] * 4)
    assert metrics.tpr_at(scores, fake, 0.01) == 0.5  # k = 99 of 99: over 98, not at it
    assert math.isnan(metrics.tpr_at(scores[1:], fake[1:], 0.01))  # 98 bona fide samples cannot promise 1 %
    assert metrics.tpr_at(scores, fake, 0.02) == 0.75  # k = 98: over 97


def test_a_new_bona_fide_sample_is_over_the_threshold_in_one_of_a_hundred_cases_at_most():
    rng = np.random.default_rng(4)
    over = []
    for _ in range(400):
        scores = np.concatenate([rng.normal(size=150), rng.normal(size=50)])
        over.append(
            metrics.tpr_at(scores, np.arange(200) >= 150, 0.05)
        )  # "fakes" of the bona fide distribution
    assert 0.03 < np.mean(over) < 0.055


def test_cllr_by_hand():
    fake = np.array([False, True])
    assert metrics.cllr(np.zeros(2), fake) == pytest.approx(1.0)
    assert metrics.cllr(np.array([-50.0, 50.0]), fake) == pytest.approx(0.0, abs=1e-9)
    assert metrics.cllr(np.array([5.0, -5.0]), fake) > 7  # misled
    three_to_one = math.log(3.0)
    assert metrics.cllr(np.array([-three_to_one, three_to_one]), fake) == pytest.approx(math.log2(4 / 3))


def test_min_cllr_is_that_of_isotonic_regression_and_never_above_cllr():
    from sklearn.isotonic import IsotonicRegression

    scores, fake = drawn(5, 400, step=0.25)
    weights = np.where(fake, 1 / fake.sum(), 1 / (~fake).sum())
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(scores, fake.astype(float), weights).predict(scores)
    with np.errstate(divide="ignore"):
        llrs = np.log(fitted) - np.log1p(-fitted)
    theirs = metrics.cllr(np.clip(llrs, -700, 700), fake)
    assert metrics.min_cllr(scores, fake) == pytest.approx(theirs, abs=1e-9)
    assert metrics.min_cllr(scores, fake) <= metrics.cllr(scores, fake)
    assert metrics.min_cllr(np.zeros(4), np.array([True, False, True, False])) == pytest.approx(1.0)


def test_ece_counts_both_classes_alike_whatever_their_numbers():
    fake = np.array([False] * 90 + [True] * 10)
    assert metrics.ece(np.zeros(100), fake) == pytest.approx(
        0.0
    )  # one half said, one half true at a prior of one half
    sure = np.full(100, 50.0)
    assert metrics.ece(sure, fake) == pytest.approx(0.5)
    assert metrics.ece(np.where(fake, 50.0, -50.0), fake) == pytest.approx(0.0, abs=1e-9)


def test_ece_of_true_log_likelihood_ratios_is_small():
    rng = np.random.default_rng(6)
    fake = rng.random(40_000) < 0.3
    x = rng.normal(size=fake.size) + fake  # LLR of N(1, 1) against N(0, 1)
    assert metrics.ece(x - 0.5, fake) < 0.01
    assert metrics.ece(3 * (x - 0.5), fake) > 0.1


def test_bins_have_equal_mass_and_equal_probabilities_share_one():
    place = metrics.bins_of(np.repeat([0.1, 0.2, 0.3, 0.9], 25), np.ones(100), 4)
    assert [set(part) for part in place.reshape(4, 25).tolist()] == [{0}, {1}, {2}, {3}]
    assert set(metrics.bins_of(np.full(10, 0.3), np.ones(10), 5)) == {0}


def test_det_leaves_infinite_ends_out():
    x, y = metrics.det(*drawn(7))
    assert np.isfinite(x).all()
    assert np.isfinite(y).all()
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) <= 0).all()


def test_scores_that_are_no_numbers_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="finite"):
        metrics.auc(np.array([0.0, math.nan]), np.array([False, True]))
    with pytest.raises(ValueError, match="length"):
        metrics.auc(np.zeros(3), np.array([False, True]))
