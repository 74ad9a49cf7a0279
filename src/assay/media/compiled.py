"""Kernels compiled by numba with explicit types, taken from its cache where that can be written."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numba

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kernel = TypeVar("Kernel", bound="Callable[..., object]")


def compiled(signature: str) -> Callable[[Kernel], Kernel]:
    """Compile a function for one signature when its module is imported.

    The cache is read and written at import, in the zygote and never in the jail. Without a place for it (a read-only
    installation and no home) the function is compiled anew.
    """

    def decorate(function: Kernel) -> Kernel:
        with _without_scipy():
            try:
                kernel: Kernel = numba.njit(signature, cache=True, nogil=True, error_model="numpy")(function)
            except (RuntimeError, OSError):  # "no locator available", or the folder cannot be written
                kernel = numba.njit(signature, nogil=True, error_model="numpy")(function)
        return kernel

    return decorate


@contextmanager
def _without_scipy() -> Iterator[None]:
    """Keep numba from importing scipy.linalg, which takes longer than all else and serves matrix products only.

    Where scipy is imported already it stays: whoever wants products in kernels of their own imports it first.
    """
    if "scipy.linalg" in sys.modules:
        yield
        return
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]  # an import of it fails
    try:
        yield
    finally:
        del sys.modules["scipy.linalg"]
