from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.kernels.significance import log10_tail


def exact_tail(k: int, n: int, p: float) -> float:
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@given(n=st.integers(1, 60), share=st.floats(0, 1), p=st.floats(0.01, 0.6))
def test_the_bound_never_understates_the_probability(n: int, share: float, p: float) -> None:
    k = math.ceil(share * n)
    assert 10 ** log10_tail(k, n, p) >= exact_tail(k, n, p) * (1 - 1e-9)


def test_nothing_beyond_chance_is_certain() -> None:
    assert log10_tail(1, 64, 1 / 64) == 0.0
    assert log10_tail(0, 0, 0.5) == 0.0


def test_all_of_many_is_the_product_of_their_chances() -> None:
    assert np.isclose(log10_tail(10, 10, 1 / 64), -10 * math.log10(64))
