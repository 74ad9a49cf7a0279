from __future__ import annotations

import subprocess
import sys

import numba
import pytest

from assay.media.compiled import compile_all, compiled, inlined


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


def doubled(x):
    return 2 * x


doubled = inlined(doubled)
quadrupled = compiled("int64(int64)")(lambda x: doubled(doubled(x)))


def test_a_kernel_calls_another_function_of_its_module():
    assert quadrupled(3) == 12


def test_importing_kernels_does_not_import_numba():
    code = "import sys, assay.signatures.pdq, assay.media.scans, assay.evidence.detectors.jpeg_grid; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_zygote_has_every_kernel_compiled_before_it_forks():
    lazy = compiled("int64(int64)")(lambda x: x + 1)
    compile_all()
    assert lazy._made(1) == 2
