"""A fake is of one kind or another, and what sees but some kinds says little about the others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.types import Kind
from assay.verdict.mixture import UNTRACED, mixed

SHARES = {Kind.FULL_SYNTHESIS: 0.5, Kind.SPLICE: 0.3, Kind.COPY_MOVE: 0.1}
FAMILIES = ("learned", "jpeg", "jpeg", "copies")
CLAIMS = ({Kind.FULL_SYNTHESIS}, {Kind.SPLICE, Kind.COPY_MOVE}, {Kind.SPLICE}, {Kind.COPY_MOVE})
CAPS = {"learned": 4.6, "jpeg": 4.6, "copies": 4.6}
REST = 1 - UNTRACED


def fused(*llrs, families=FAMILIES, claims=CLAIMS):
    return float(mixed(np.array([llrs], float), families[: len(llrs)], claims[: len(llrs)], CAPS, SHARES)[0])


def test_silence_of_the_others_takes_nothing_from_what_one_has_found():
    alone = math.log(0.5 * math.exp(4.0) + 0.4 + UNTRACED)
    assert fused(4.0, 0.0, 0.0, 0.0) == pytest.approx(alone)
    assert fused(4.0, -3.0, -3.0, -3.0) > alone - 0.05
    assert fused(-3.0, 4.0, 0.0, 0.0) == pytest.approx(math.log(0.4 * math.exp(4) + 0.5 * math.exp(-3) + 0.1))


def test_kinds_that_nobody_looks_for_are_no_part_of_the_ratio():
    assert fused(2.0) == pytest.approx(math.log(REST * math.exp(2.0) + UNTRACED))
    splices = ({Kind.SPLICE}, {Kind.COPY_MOVE})
    both = fused(2.0, -1.0, families=("jpeg", "copies"), claims=splices)
    assert both == pytest.approx(
        math.log(REST * (0.75 * math.exp(2.0) + 0.25 * math.exp(-1.0)) + UNTRACED)
    )  # .3 and .1 in proportion


def test_finding_nothing_clears_nobody():
    assert fused(-30.0) == pytest.approx(math.log(UNTRACED + REST * math.exp(-4.6)))
    assert fused(-30.0, -30.0, -30.0, -30.0) == pytest.approx(math.log(UNTRACED), abs=0.1)


def test_of_one_kind_families_add_up_and_a_family_to_no_more_than_its_cap():
    both = fused(0.0, 2.0, 2.0, 0.0)
    assert both == pytest.approx(math.log(0.5 + 0.3 * math.exp(4.0) + 0.1 * math.exp(2.0) + 0.1))
    assert fused(0.0, 9.0, 9.0, 0.0) == pytest.approx(math.log(0.6 + 0.4 * math.exp(4.6)))


def test_a_detector_of_no_named_kind_speaks_of_all():
    assert fused(1.5, families=("learned",), claims=((),)) == pytest.approx(1.5)
    assert fused(2.0, 1.5, families=("learned", "jpeg"), claims=({Kind.FULL_SYNTHESIS}, ())) == pytest.approx(
        1.5 + math.log(REST * math.exp(2.0) + UNTRACED)
    )


def test_a_kind_without_a_share_weighs_nothing():
    assert fused(4.0, claims=({Kind.RETOUCH},)) == pytest.approx(0.0)
    none = {**SHARES, Kind.SPLICE: 0.0}
    said = mixed(np.array([[4.0]]), ("jpeg",), ({Kind.SPLICE},), CAPS, none)
    assert said[0] == pytest.approx(0.0)


nats = st.floats(-20, 20)


@given(st.lists(nats, min_size=4, max_size=4), st.integers(0, 3), st.floats(0, 10))
def test_it_rises_with_every_detector_and_keeps_its_bounds(llrs, which, more):
    raised = [v + more * (k == which) for k, v in enumerate(llrs)]
    assert fused(*raised) >= fused(*llrs) - 1e-12
    assert math.log(UNTRACED) <= fused(*llrs) <= 2 * 4.6
