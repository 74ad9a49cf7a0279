from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.signatures import bands
from assay.signatures.codes import Codes, distances, from_bits, to_bits
from assay.signatures.index import SCANNED, HammingIndex, Hit

COUNT = 40_000  # over the limit under which an index is only scanned


def random_codes(count: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 1 << 64, (count, 4), dtype=np.uint64)


def skewed_codes(count: int, seed: int = 0) -> Codes:
    """Codes in families of near copies, whose bits lean as those of real pictures do, some far more."""
    rng = np.random.default_rng(seed)
    lean = rng.beta(0.4, 0.4, 256)
    parents = rng.random((count // 100, 256)) < lean
    bits = np.repeat(parents, 100, axis=0) ^ (rng.random((count, 256)) < 0.05)
    return from_bits(bits[rng.permutation(count)])


@cache
def like_pictures(count: int) -> Codes:
    """Codes of simple pictures: a bright block on plain ground, in one of 400 places, with faint noise; copies of each."""
    rng = np.random.default_rng(5)
    samples = 0.3 * rng.standard_normal((count // 20, 64, 64), dtype=np.float32)
    for grid, (x, y) in zip(samples, rng.integers(8, 28, (len(samples), 2)).tolist(), strict=True):
        grid[y : y + 24, x : x + 20] += 120
    cosines = np.cos(np.pi / 128 * np.outer(np.arange(1, 17), 2 * np.arange(64) + 1)).astype(np.float32)
    flat = np.einsum("ky,nyx,mx->nkm", cosines, samples, cosines, optimize=True).reshape(-1, 256)
    bits = np.repeat(flat > np.median(flat, axis=1, keepdims=True), 20, axis=0)
    return from_bits(bits ^ (rng.random(bits.shape) < 0.02))


@cache
def made(make: Callable[[int], Codes]) -> tuple[Codes, HammingIndex]:
    codes = make(COUNT)
    return codes, HammingIndex(codes)


def moved(code: Codes, bits: np.ndarray | list[int]) -> Codes:
    flipped = to_bits(code)
    flipped[list(bits)] ^= True
    return from_bits(flipped)


def by_hand(queries: Codes, codes: Codes, radius: int) -> list[Hit]:
    near = [(q, distances(code, codes)) for q, code in enumerate(queries)]
    return sorted(Hit(q, int(d[k]), int(k)) for q, d in near for k in np.flatnonzero(d <= radius))


@pytest.fixture(scope="module")
def built() -> HammingIndex:
    return HammingIndex(random_codes(COUNT))


def reached(differing: set[int]) -> bool:
    """Is there a band in which, and with the next one and two, as few bits differ as the tables look for?"""
    place = np.argsort(bands.order())  # where each bit stands
    gaps = np.bincount(place[sorted(differing)] // bands.WIDTH, minlength=bands.BANDS)
    sums = np.cumsum([np.roll(gaps, -k) for k in range(3)], axis=0)
    return bool((sums <= np.array(bands.WITHIN)[:, None]).all(axis=0).any())


def test_every_bit_belongs_to_one_band() -> None:
    assert sorted(bands.order().tolist()) == list(range(256))


def test_a_band_takes_a_bit_of_each_row_and_column_of_frequencies() -> None:
    rows, columns = np.divmod(bands.order().reshape(16, 16), 16)
    assert (np.sort(rows) == np.arange(16)).all()
    assert (np.sort(columns) == np.arange(16)).all()


def test_arranging_moves_every_bit_to_its_place_and_leaves_distances() -> None:
    codes = random_codes(50)
    assert (to_bits(bands.arranged(codes)) == to_bits(codes)[:, bands.order()]).all()
    turned = bands.arranged(codes)
    assert (distances(codes[0], codes) == distances(turned[0], turned)).all()


def test_the_limits_are_the_average_of_31_bits_in_sixteen_bands() -> None:
    assert tuple(k * bands.RADIUS // bands.BANDS for k in (1, 2, 3)) == bands.WITHIN


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 255), max_size=bands.RADIUS))
def test_any_31_differing_bits_leave_one_band_within_reach(differing: set[int]) -> None:
    assert reached(differing)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 15), min_size=31, max_size=31))
def test_so_do_31_that_crowd_into_few_bands(chosen: list[int]) -> None:
    by_band = bands.order().reshape(16, 16)
    assert reached({int(by_band[b, n]) for b in set(chosen) for n in range(min(16, chosen.count(b)))})


def test_32_differing_bits_may_escape() -> None:
    """Two in every band: the limits are as tight as they can be."""
    assert not reached(set(bands.order().reshape(16, 16)[:, :2].ravel().tolist()))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, COUNT - 1), st.sets(st.integers(0, 255), max_size=31))
def test_every_planted_neighbour_is_found(built: HammingIndex, key: int, differing: set[int]) -> None:
    near = moved(random_codes(COUNT)[key], sorted(differing))
    assert Hit(0, len(differing), key) in built.search(near[None])


@pytest.mark.parametrize("first", range(16))
def test_differences_spread_as_evenly_as_can_be_are_found_too(built: HammingIndex, first: int) -> None:
    """2 bits in each of fifteen bands and 1 in the last: that band alone is within reach."""
    codes, by_band = random_codes(COUNT), bands.order().reshape(16, 16)
    spread = [int(by_band[b, k]) for b in range(16) for k in range(1 if b == first else 2)]
    assert len(spread) == 31
    for key in range(first, COUNT, 8001):
        assert Hit(0, 31, key) in built.search(moved(codes[key], spread)[None])


@pytest.mark.parametrize("make", [random_codes, skewed_codes, like_pictures])
def test_neighbours_at_every_distance_are_found(make: Callable[[int], Codes]) -> None:
    codes, index = made(make)
    rng = np.random.default_rng(1)
    keys = rng.integers(0, COUNT, 64).tolist()
    near = np.stack([moved(codes[k], rng.choice(256, n // 2, replace=False)) for n, k in enumerate(keys)])
    hits = set(index.search(near))
    assert all(Hit(n, n // 2, k) in hits for n, k in enumerate(keys))
    assert hits == set(by_hand(near, codes, 31))


@pytest.mark.parametrize("make", [random_codes, skewed_codes, like_pictures])
@pytest.mark.parametrize("radius", [0, 7, 20, 31])
def test_answers_are_those_of_comparing_every_pair(make: Callable[[int], Codes], radius: int) -> None:
    codes, index = made(make)
    rng = np.random.default_rng(9)
    near = [moved(codes[k], rng.choice(256, int(n), replace=False)) for k, n in
            zip(rng.integers(0, COUNT, 12), rng.integers(0, 34, 12), strict=True)]  # fmt: skip
    queries = np.concatenate([np.stack(near), skewed_codes(400, seed=3)[:4]])
    assert index.search(queries, radius) == by_hand(queries, codes, radius)


def test_a_small_index_answers_as_a_large_one_does() -> None:
    codes = skewed_codes(3000)
    assert len(codes) < SCANNED
    assert HammingIndex(codes).search(codes[:20]) == by_hand(codes[:20], codes, 31)


def test_queries_too_costly_for_the_tables_are_compared_with_every_code() -> None:
    """However alike codes are: by what their buckets hold, and by what has to be compared whole."""
    codes = like_pictures(COUNT)
    queries = np.concatenate([codes[:3], random_codes(1)])
    arranged, tables = bands.arranged(codes), HammingIndex(codes).tables
    assert tables is not None
    room = np.empty((4 * COUNT, 3), np.int64)
    counts = {}
    for name, most in {
        "read": (0, COUNT),
        "compared": (16 * COUNT, 0),
        "free": (16 * COUNT, 16 * COUNT),
    }.items():
        count, scanned = bands.probe(bands.arranged(queries), arranged, *tables, 31, *most, room)
        counts[name] = scanned
        found = sorted(Hit(q, d, i) for q, i, d in room[:count].tolist())
        assert found == by_hand(queries, codes, 31)
    assert counts["free"] == 0
    assert counts["read"] == 4
    assert counts["compared"] >= 3  # those that have neighbours


def test_a_thousand_equal_codes_are_a_thousand_hits() -> None:
    codes = random_codes(COUNT)
    codes[:1000] = codes[0]
    hits = HammingIndex(codes).search(codes[:1])
    assert [h.key for h in hits] == list(range(1000))


def test_what_is_added_is_found_before_and_after_merging(built: HammingIndex) -> None:
    index = HammingIndex(random_codes(COUNT))
    more = random_codes(5, seed=77)
    index.add(more, np.arange(5) + 1_000_000)
    assert index.waiting == 5
    merged = index.merged()
    assert merged.waiting == 0
    assert len(index) == len(merged) == COUNT + 5
    for one in (index, merged):
        assert one.search(moved(more[3], [1, 2])[None]) == [Hit(0, 2, 1_000_003)]


def test_what_is_withdrawn_is_gone_at_once_and_can_be_added_again() -> None:
    codes = random_codes(COUNT)
    index = HammingIndex(codes)
    index.add(codes[7:8], np.array([7]))  # a second code of the key, in the side table
    assert index.withdraw(7) == 2
    assert index.withdraw(7) == 0
    assert index.search(codes[7:8]) == []
    assert index.merged().search(codes[7:8]) == []
    index.add(codes[7:8], np.array([7]))
    assert index.search(codes[7:8]) == [Hit(0, 0, 7)]
    assert len(index) == len(index.merged()) == COUNT


def test_an_empty_index_finds_nothing() -> None:
    assert HammingIndex().search(random_codes(2)) == []
    assert HammingIndex().merged().search(random_codes(2)) == []


def test_memory_is_stated() -> None:
    index = HammingIndex(random_codes(COUNT))
    tables = 16 * ((1 << 16) + 1 + 2 * COUNT) * 4
    assert index.nbytes == COUNT * (32 + 1) + tables
    assert HammingIndex(random_codes(COUNT), np.arange(COUNT)).nbytes == COUNT * (32 + 1 + 8) + tables


@pytest.mark.parametrize("radius", [-1, 32])
def test_a_radius_that_the_tables_do_not_carry_is_refused(built: HammingIndex, radius: int) -> None:
    with pytest.raises(ValueError, match="exact up to a distance of 31"):
        built.search(random_codes(1), radius)


def test_codes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="uint64"):
        HammingIndex(np.zeros((3, 5), np.uint64))
    with pytest.raises(ValueError, match="keys are int64"):
        HammingIndex(random_codes(3), np.arange(2))
    with pytest.raises(ValueError, match="uint64"):
        HammingIndex().search(np.zeros((3, 4), np.int64))
