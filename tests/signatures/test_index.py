from __future__ import annotations

from itertools import product

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


def test_bands_are_disjoint_and_lie_within_the_code() -> None:
    places = [b + 11 * k for b, k in product(range(bands.BANDS), range(bands.WIDEST))]
    assert len(set(places)) == len(places) == 253
    assert max(places) < 256


def test_no_way_to_spread_31_differences_escapes_every_band() -> None:
    """The least that escapes is 3 in each of ten bands and 2 in the eleventh."""
    assert bands.RADIUS < 10 * (2 + 1) + 1 * (1 + 1)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_31_differing_bits_leave_one_band_within_reach(data: st.DataObject) -> None:
    width = data.draw(st.integers(bands.NARROWEST, bands.WIDEST))
    differing = data.draw(st.sets(st.integers(0, 255), max_size=bands.RADIUS))
    counts = [len(differing & {b + 11 * k for k in range(width)}) for b in range(bands.BANDS)]
    assert min(counts[:10]) <= 2 or counts[10] <= 1


def test_what_is_toggled_are_all_keys_within_two_bits() -> None:
    for width in (8, 15, 23):
        toggles = bands.flips(width)
        assert len(set(toggles.tolist())) == len(toggles) == 1 + width + width * (width - 1) // 2
        ones = np.bitwise_count(toggles)
        assert (np.diff(ones.astype(int)) >= 0).all()
        assert (ones[: 1 + width] <= 1).all()
        assert ones.max() == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, COUNT - 1), st.sets(st.integers(0, 255), max_size=31))
def test_every_planted_neighbour_is_found(built: HammingIndex, key: int, differing: set[int]) -> None:
    near = moved(random_codes(COUNT)[key], sorted(differing))
    assert Hit(0, len(differing), key) in built.search(near[None])


def test_differences_spread_as_evenly_as_can_be_are_found_too(built: HammingIndex) -> None:
    """3 bits in each of nine bands, 2 in one and 2 in the last: one band of ten alone is within reach."""
    codes = random_codes(COUNT)
    spread = [b + 11 * k for b in range(9) for k in range(3)] + [9, 20] + [10, 21]
    assert len(spread) == 31
    for key in range(0, COUNT, 4001):
        assert Hit(0, 31, key) in built.search(moved(codes[key], spread)[None])


@pytest.mark.parametrize("make", [random_codes, skewed_codes])
@pytest.mark.parametrize("radius", [0, 7, 20, 31])
def test_answers_are_those_of_comparing_every_pair(make, radius: int) -> None:
    codes = make(COUNT)
    rng = np.random.default_rng(9)
    near = [moved(codes[k], rng.choice(256, int(n), replace=False)) for k, n in
            zip(rng.integers(0, COUNT, 12), rng.integers(0, 34, 12), strict=True)]  # fmt: skip
    queries = np.concatenate([np.stack(near), make(400, seed=3)[:4]])
    assert HammingIndex(codes).search(queries, radius) == by_hand(queries, codes, radius)


def test_a_small_index_answers_as_a_large_one_does() -> None:
    codes = skewed_codes(3000)
    assert len(codes) < SCANNED
    assert HammingIndex(codes).search(codes[:20]) == by_hand(codes[:20], codes, 31)


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
    tables = 11 * ((1 << 16) + 1 + COUNT) * 4
    assert index.nbytes == COUNT * (32 + 8 + 1) + tables


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
        HammingIndex().search(np.zeros((3, 4), np.int64))  # type: ignore[arg-type]
