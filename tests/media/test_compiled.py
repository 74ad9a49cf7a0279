from __future__ import annotations

import numba
import pytest

from assay.media.compiled import compiled


def test_a_kernel_is_compiled_for_its_signature():
    twice = compiled("int64(int64)")(lambda x: 2 * x)
    assert twice(21) == 42


def test_without_a_place_for_the_cache_it_is_compiled_anew(monkeypatch):
    plain = numba.njit

    def without_cache(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return plain(*args, **options)

    monkeypatch.setattr(numba, "njit", without_cache)
    assert compiled("int64(int64)")(lambda x: 2 * x)(4) == 8


def test_other_types_are_not_compiled_later():
    with pytest.raises(TypeError):
        compiled("int64(int64)")(lambda x: x)("text")
