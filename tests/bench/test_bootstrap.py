from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from assay.bench import metrics
from assay.bench.bootstrap import Resampling, interval, student


def clustered(rng, sources, each, shift, spread=1.0):
    """Scores of `each` rows a source and class; what a source adds is common to all its rows."""
    fake = np.repeat([False, True], sources * each)
    names = [f"{label}{k}" for label in "bf" for k in range(sources) for _ in range(each)]
    common = np.repeat(rng.normal(0, spread, 2 * sources), each)
    return common + rng.normal(size=fake.size) + shift * fake, fake, names


def test_replicates_are_what_the_metrics_say_of_drawn_rows():
    rng = np.random.default_rng(0)
    scores, fake, names = clustered(rng, 12, 10, 1.0)
    drawn = Resampling(names, fake, replicates=20, seed=3)
    by_class = [np.unique(np.array(names)[fake == k]) for k in (False, True)]
    fast = drawn.counts(scores)
    for b in range(20):
        times = {n: w for k in (False, True) for n, w in zip(by_class[k], drawn._draws[k][b], strict=True)}
        weights = np.array([times[n] for n in names])
        assert metrics.auc_of(fast)[b] == pytest.approx(metrics.auc(scores, fake, weights))
        assert metrics.eer_of(fast)[b] == pytest.approx(metrics.eer(scores, fake, weights))
        assert metrics.tpr_at_of(fast, 0.05)[b] == pytest.approx(metrics.tpr_at(scores, fake, 0.05, weights))


@pytest.mark.parametrize(("sources", "each"), [(8, 10), (40, 4)])
def test_nineteen_of_twenty_intervals_of_the_auc_hold_the_truth(sources, each):
    truth = 0.5 * (1 + math.erf(1.0 / math.sqrt(2 * 2) / math.sqrt(2)))  # difference N(1, 2 (1 + 1))
    rng = np.random.default_rng(1)
    held = 0
    for k in range(150):
        scores, fake, names = clustered(rng, sources, each, 1.0)
        e = Resampling(names, fake, replicates=200, seed=k).auc(scores)
        held += e.low <= truth <= e.high
    assert 0.90 <= held / 150 <= 1.0


def test_intervals_that_count_rows_instead_of_sources_would_be_too_narrow():
    rng = np.random.default_rng(2)
    scores, fake, names = clustered(rng, 10, 30, 1.0, spread=2.0)
    by_source = Resampling(names, fake, replicates=300).auc(scores)
    by_row = Resampling([str(n) for n in range(fake.size)], fake, replicates=300).auc(scores)
    assert by_source.high - by_source.low > 2 * (by_row.high - by_row.low)
    assert (by_source.n, by_source.sources, by_row.sources) == (600, 10, 300)


def test_no_false_alarm_of_few_sources_promises_little():
    fake = np.zeros(400, bool)
    drawn = Resampling([str(n // 20) for n in range(400)], fake, replicates=100)
    none = drawn.share(np.zeros(400, bool), fake=False)
    assert none.value == 0.0
    assert (none.low, round(none.high, 2)) == (0.0, 0.16)  # 0 of 20 sources, not 0 of 400 rows
    every = drawn.share(np.ones(400, bool), fake=False)
    assert round(every.low, 2) == 0.84


def test_a_nearly_perfect_order_of_few_sources_promises_little():
    fake = np.arange(6) >= 3
    scores = np.array([0.0, 1.0, 3.001, 3.0, 4.0, 5.0])
    drawn = Resampling([f"s{i}" for i in range(6)], fake, replicates=200)
    sure = drawn.auc(scores + np.where(fake, 0.01, 0.0))
    almost = drawn.auc(scores)
    assert (sure.value, almost.value) == (1.0, pytest.approx(8 / 9))
    assert almost.low <= sure.low < 0.6


@pytest.mark.parametrize("value", [0.97, 0.99])
def test_intervals_of_a_nearly_perfect_order_hold_the_truth(value):
    rng = np.random.default_rng(4)
    shift, n, held = np.sqrt(2) * NormalDist().inv_cdf(value), 30, 0
    for _ in range(120):
        scores = np.concatenate([rng.normal(size=n), rng.normal(shift, 1, n)])
        e = Resampling([f"s{i}" for i in range(2 * n)], np.arange(2 * n) >= n, replicates=150).auc(scores)
        held += e.low <= value <= e.high
    assert held >= 0.92 * 120


def test_a_cost_that_all_sources_share_is_not_sure():
    fake = np.arange(40) >= 20
    drawn = Resampling([f"s{i}" for i in range(40)], fake, replicates=100)
    e = drawn.cllr(np.where(fake, -0.5, 0.5))
    assert 0 < e.low < 0.9 * e.value
    assert e.high == float("inf")


@pytest.mark.parametrize("sources", [1, 2])
def test_one_or_two_sources_claim_nothing(sources):
    fake = np.repeat([False, True], 50)
    names = [f"{f}{n % sources}" for n, f in enumerate(fake)]
    e = Resampling(names, fake, replicates=50).auc(np.where(fake, 1.0, 0.0))
    assert e.value == 1.0
    assert (e.low, e.high) == (0.0, 1.0)


def test_three_samples_give_a_wide_interval():
    fake = np.repeat([False, True], 3)
    e = Resampling("abcdef", fake, replicates=200).auc(np.array([0, 1, 2, 3, 4, 5.0]))
    assert e.value == 1.0
    assert e.low < 0.5


def test_without_a_class_there_is_no_figure():
    drawn = Resampling("abc", np.zeros(3, bool), replicates=10)
    for e in (
        drawn.auc(np.arange(3.0)),
        drawn.cllr(np.zeros(3)),
        drawn.ece(np.zeros(3)),
        drawn.eer(np.zeros(3)),
    ):
        assert not e.known
        assert math.isnan(e.low)
    assert not drawn.share(np.zeros(3, bool), fake=True).known
    assert drawn.share_of_all(np.ones(3, bool)).value == 1.0
    assert not Resampling([], np.zeros(0, bool), replicates=10).auc(np.zeros(0)).known


def test_cllr_and_ece_have_intervals_around_them():
    rng = np.random.default_rng(5)
    x, fake, names = clustered(rng, 30, 5, 1.0, spread=0.0)
    drawn = Resampling(names, fake, replicates=300)
    for e in (drawn.cllr(x - 0.5), drawn.ece(x - 0.5)):
        assert 0 <= e.low <= e.value <= e.high
        assert e.high - e.low < 0.5


def test_means_leave_rows_without_a_value_out():
    fake = np.ones(6, bool)
    e = Resampling("aabbcc", fake, replicates=50).mean(np.array([1, 0, np.nan, 0.5, 1, np.nan]), fake=True)
    assert e.value == pytest.approx(0.625)
    assert e.n == 4


def test_the_share_of_all_mixes_the_classes_as_they_are():
    fake = np.array([True] * 10 + [False] * 30)
    e = Resampling([str(n) for n in range(40)], fake, replicates=200).share_of_all(fake)
    assert e.value == 0.25
    assert e.sources == 40


def test_many_distinct_scores_are_put_together_in_replicates_alone():
    rng = np.random.default_rng(6)
    scores, fake, names = clustered(rng, 100, 20, 1.0)
    drawn = Resampling(names, fake, replicates=50)
    assert drawn.counts(scores).scores.size <= 512
    e = drawn.auc(scores)
    assert e.value == pytest.approx(metrics.auc(scores, fake))
    assert e.low < e.value < e.high


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042), (1000, 1.960)])
def test_students_quantiles(freedom, t):
    assert student(0.95, freedom) == pytest.approx(t, abs=2e-3)


def test_replicates_that_say_nothing_leave_everything_open():
    assert interval(0.5, np.full(10, np.nan), 40) == (0.0, 1.0)
