"""Groups for any panel: who is compared with whom, and what that promises."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from assay.types import Kind
from assay.verdict.groups import ENOUGH, FEW, PREFERRED, read_pool

FAMILIES = {"ghost": "jpeg", "grid": "jpeg", "learned": "learned", "face": "face"}
CAPS = {"jpeg": 4.6, "learned": 4.6, "face": 2.3}
SHARES = {Kind.SPLICE: 0.3, Kind.FULL_SYNTHESIS: 0.5}
CARDS = {name: {"family": family, "claims": []} for name, family in FAMILIES.items()}  # of fakes of any kind


def pool_of(bona_fide, fakes=None, detectors=tuple(FAMILIES)):
    return read_pool({"detectors": detectors, "bona_fide": bona_fide, "fakes": fakes or {}}, CARDS)


def test_a_rendition_counts_by_its_share_of_its_source():
    pool = pool_of([[0, 0, 10, 20, 30, None], [0, 0, 100, -50, 30, None], [1, 0, 0, 0, 0, None]])
    group = pool.group(["ghost", "learned"], 0, CAPS, SHARES)
    assert group.bona_fide == pytest.approx((0.0, 0.4, 1.3))
    assert (group.worth, group.sources) == ((1.0, 0.5, 0.5), 2)
    assert pool.group(["ghost", "grid"], 0, CAPS, SHARES).bona_fide == pytest.approx((0.0, 0.3, 0.5))


def test_a_fake_source_counts_by_one_rendition_that_was_drawn():
    fakes = {"splice": [[0, 0, 10, None, None, None], [0, 0, 300, 5, None, None], [1, 0, 50, 5, None, None]]}
    group = pool_of([[0, 0, 0, 0, 0, 0]], fakes).group(["ghost"], 0, CAPS, SHARES)
    assert group.fakes[Kind.SPLICE] == pytest.approx((0.1, 0.5))
    both = pool_of([[0, 0, 0, 0, 0, 0]], fakes).group(["ghost", "grid"], 0, CAPS, SHARES)
    assert both.fakes[Kind.SPLICE] == pytest.approx((0.55, 3.05)), "where both spoke"


def test_a_family_adds_no_more_than_its_cap():
    group = pool_of([[0, 0, 400, 400, 100, None]]).group(["ghost", "grid", "learned"], 0, CAPS, SHARES)
    assert group.bona_fide == pytest.approx((5.6,))


def test_like_is_compared_with_like_where_sources_suffice():
    jpeg = [[n, 90, 100, 100, 100, None] for n in range(ENOUGH)]
    other = [[n, 0, -100, -100, -100, None] for n in range(ENOUGH)]
    pool = pool_of(jpeg + other)
    assert pool.group(["grid"], 95, CAPS, SHARES).qualities == (85, 100)
    assert pool.group(["grid"], 0, CAPS, SHARES).bona_fide == (-1.0,) * ENOUGH
    low = pool.group(["grid"], 50, CAPS, SHARES)
    assert (low.qualities, low.bona_fide) == ((1, 100), (1.0,) * ENOUGH)
    few = pool_of(jpeg[:50] + other).group(["grid"], 90, CAPS, SHARES)
    assert few.qualities == (0, 100)


def test_a_range_of_quality_with_few_sources_gives_way_to_a_wider_one_with_many():
    low = [[n, 50, 100, 100, 100, None] for n in range(PREFERRED - 1)]
    high = [[n, 90, 50, 50, 50, None] for n in range(PREFERRED)]
    assert pool_of(low + high).group(["grid"], 50, CAPS, SHARES).qualities == (1, 100)
    assert pool_of(low).group(["grid"], 50, CAPS, SHARES).qualities == (1, 84)
    more = [[n, 50, 100, 100, 100, None] for n in range(PREFERRED)]
    assert pool_of(more + high).group(["grid"], 50, CAPS, SHARES).qualities == (1, 84)


def test_recalls_are_counted_in_the_samples_own_range_of_quality_where_it_holds_enough_fakes():
    honest = [[n, 90, 0, 0, 0, None] for n in range(PREFERRED)]
    weak = [[n, 50, 10, 10, 10, None] for n in range(FEW)]
    strong = [[n + FEW, 90, 300, 300, 300, None] for n in range(3 * FEW)]
    group = pool_of(honest, {"splice": weak + strong}).group(["learned"], 50, CAPS, SHARES)
    assert (group.qualities, len(group.fakes[Kind.SPLICE])) == ((1, 100), FEW)
    few = pool_of(honest, {"splice": weak[1:] + strong}).group(["learned"], 50, CAPS, SHARES)
    assert len(few.fakes[Kind.SPLICE]) == 4 * FEW - 1


def test_a_detector_that_was_rarely_heard_is_taken_at_its_highest():
    rows = [[n, 0, None, 10, 20, 150 if n == 3 else -50 if n < 30 else None] for n in range(150)]
    group = pool_of(rows).group(["face", "grid", "learned"], 0, CAPS, SHARES)
    assert (group.sources, group.assumed) == (150, ("face",))
    assert group.bona_fide == pytest.approx((1.8,) * 150)
    assert pool_of(rows).group(["grid", "learned"], 0, CAPS, SHARES).assumed == ()


def test_without_sources_enough_the_group_says_how_few_there_are():
    rows = [[n, 0, None, 10, 20, None] for n in range(40)]
    group = pool_of(rows).group(["grid"], 0, CAPS, SHARES)
    assert group.sources == 40
    assert group.threshold(0.01) is None
    assert pool_of(rows).group(["face"], 0, CAPS, SHARES).bona_fide == ()


def test_a_detector_that_is_not_in_the_pool_has_no_group():
    pool = pool_of([[0, 0, 1, 1]], detectors=("ghost", "grid"))
    assert pool.group(["learned"], 0, CAPS, SHARES) is None
    assert pool.group([], 0, CAPS, SHARES) is None


def sources(rng, n):
    """Bona fide sources, two renditions each: JPEGs or not, a face in every fifth, correlated LLRs."""
    source = np.repeat(np.arange(n), 2)
    quality = rng.choice([0, 60, 90], 2 * n)
    llrs = np.repeat(rng.normal(-0.5, 0.8, n), 2)[:, None] + rng.normal(0, 0.7, (2 * n, 4))
    rows = np.column_stack([source, quality, np.round(100 * llrs).astype(int)]).tolist()
    for row in rows:
        row[2] = row[2] if row[1] else None
        row[5] = row[5] if row[0] % 5 == 0 else None
    return rows


def spoken(row):
    return tuple(d for d, v in zip(FAMILIES, row[2:], strict=True) if v is not None)


def total(row):
    sums = {}
    for d, v in zip(FAMILIES, row[2:], strict=True):
        sums[FAMILIES[d]] = sums.get(FAMILIES[d], 0.0) + (v or 0) / 100
    return sum(min(max(v, -CAPS[f]), CAPS[f]) for f, v in sums.items())


def test_false_alarms_keep_to_the_budget_whoever_speaks():
    """Over many draws, the share of new renditions that reach the threshold of the panel that spoke on them."""
    rng = np.random.default_rng(5)
    budget, seen, alarms = 0.05, {}, {}
    for _ in range(10):
        pool = pool_of(sources(rng, 400))
        limits = {}
        for row in sources(rng, 400):
            key = (spoken(row), row[1])
            if key not in limits:
                group = pool.group(key[0], key[1], CAPS, SHARES)
                limits[key] = group.threshold(budget)
            seen[key] = seen.get(key, 0) + 1
            alarms[key] = alarms.get(key, 0) + (total(row) >= limits[key].value)
    assert len(seen) == 6
    for key, n in seen.items():
        allowed = budget + (
            1 / 81 if "face" in key[0] else 0.0
        )  # 80 sources have a face: it is assumed there
        assert alarms[key] <= allowed * n + 3 * np.sqrt(allowed * n), key
    assert sum(alarms.values()) > 0.005 * sum(seen.values()), "the test can tell a threshold from none"


def test_more_detectors_never_bring_more_sources():
    pool = pool_of(sources(np.random.default_rng(2), 30))
    for panel in itertools.combinations(FAMILIES, 2):
        both = pool.group(panel, 0, CAPS, SHARES).sources
        assert both <= min(pool.group([d], 0, CAPS, SHARES).sources for d in panel)


def test_a_lookup_is_quick_with_a_dozen_detectors():
    rng = np.random.default_rng(1)
    names = [f"d{k}" for k in range(12)]
    rows = [
        [n // 8, int(rng.choice([0, 60, 90])), *rng.integers(-300, 300, 12).tolist()] for n in range(4000)
    ]
    pool = read_pool(
        {"detectors": names, "bona_fide": rows, "fakes": {}}, dict.fromkeys(names, CARDS["grid"])
    )
    start = time.process_time()
    for _ in range(10):
        pool.group(names, 90, {"jpeg": 4.6}, SHARES)
    assert time.process_time() - start < 10 * 0.05
