"""Thresholds and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.verdict.conformal import FLOOR, beta_range, conformal, sources_needed, wilson

SCORES = st.lists(st.floats(-20, 20), min_size=1, max_size=300)
BUDGETS = st.floats(0.005, 0.5)


def split(scores, budget):
    """Split conformal prediction: one score a source."""
    return conformal(scores, [1.0] * len(scores), budget)


@pytest.mark.parametrize(("budget", "n"), [(0.01, 99), (0.02, 49), (0.05, 19), (0.1, 9), (0.5, 1)])
def test_the_least_number_of_sources_is_one_over_the_budget_less_one(budget, n):
    assert sources_needed(budget) == n
    assert split([1.0] * (n - 1), budget) is None
    assert split([1.0] * n, budget) is not None


@given(SCORES, BUDGETS)
def test_no_more_of_the_sample_reaches_the_threshold_than_the_budget_allows(scores, budget):
    threshold = split(scores, budget)
    if threshold is None:
        assert len(scores) < sources_needed(budget)
        return
    reached = sum(s >= threshold.value for s in scores)
    assert reached <= math.floor((len(scores) + 1) * budget + 1e-9)
    assert threshold.value >= FLOOR
    assert 0 <= threshold.false_alarms[0] < threshold.false_alarms[1] <= 1


def test_the_range_is_that_of_the_threshold_in_force_even_where_the_floor_raised_it():
    low, high = [-3.0] * 200, [3.0 + i for i in range(200)]
    assert split(low, 0.1).false_alarms[1] < 0.02
    assert 0.06 < split(high, 0.1).false_alarms[0] < 0.1 < split(high, 0.1).false_alarms[1]


@given(SCORES, BUDGETS, BUDGETS)
def test_a_smaller_budget_never_lowers_the_threshold(scores, a, b):
    tight, loose = split(scores, min(a, b)), split(scores, max(a, b))
    if tight and loose:
        assert tight.value >= loose.value


def test_new_sources_reach_the_threshold_as_often_as_promised():
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(300):
        threshold = split((rng.normal(size=99) + 5).tolist(), 0.05)
        assert threshold is not None
        rates.append(float(np.mean(rng.normal(size=2000) + 5 >= threshold.value)))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.005)
    low, high = threshold.false_alarms
    assert 0.85 <= np.mean([low <= r <= high for r in rates]) <= 0.95


def media(rng, sources):
    """Scores of 1 to 6 media a source, alike within it, and what each is worth."""
    often = rng.integers(1, 7, sources)
    own = np.repeat(rng.normal(5, 1, sources), often)
    return own + rng.normal(0, 0.7, len(own)), np.repeat(1 / often, often)


def test_a_medium_of_a_new_source_reaches_the_threshold_as_often_as_promised_or_a_little_less():
    rng = np.random.default_rng(3)
    rates = []
    for _ in range(300):
        scores, worth = media(rng, 99)
        threshold = conformal(scores.tolist(), worth.tolist(), 0.05)
        assert threshold is not None
        new, shares = media(rng, 2000)
        rates.append(float(np.sum(shares[new >= threshold.value]) / 2000))
    assert 0.04 < np.mean(rates) < 0.053, "shares that do not add up to a whole source are not spent"
    low, high = threshold.false_alarms
    assert np.mean([low <= r <= high for r in rates]) >= 0.85


@given(st.lists(st.lists(st.floats(-20, 20), min_size=1, max_size=5), min_size=1, max_size=150), BUDGETS)
def test_every_source_weighs_the_same_however_many_scores_it_has(sources, budget):
    scores = [s for own in sources for s in own]
    worth = [1 / len(own) for own in sources for _ in own]
    threshold = conformal(scores, worth, budget)
    if threshold is None:
        assert len(sources) < sources_needed(budget)
        return
    assert threshold.n == len(sources)
    over = sum(sum(s >= threshold.value for s in own) / len(own) for own in sources)
    assert over <= (len(sources) + 1) * budget - 1 + 1e-6
    careful = split([max(own) for own in sources], budget)
    assert careful is not None
    assert threshold.value <= careful.value, "the highest score of each source can only ask for more"


def test_the_beta_range_agrees_with_a_simulation():
    drawn = np.random.default_rng(2).beta(3, 98, 200_000)
    assert beta_range(3, 98) == pytest.approx(np.quantile(drawn, (0.05, 0.95)), rel=0.02)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_holds_the_share_it_was_made_from(found, more):
    low, high = wilson(found, found + more)
    assert 0 <= low <= high <= 1
    if found + more:
        assert low - 1e-12 <= found / (found + more) <= high + 1e-12


def test_wilson_of_a_known_case():
    assert wilson(61, 100) == pytest.approx((0.528, 0.687), abs=0.002)
    assert wilson(0, 0) == (0.0, 1.0)
