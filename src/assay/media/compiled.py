"""Kernels compiled by numba with explicit types, taken from its cache where that can be written.

numba takes a second to import and each kernel a moment to load, so both wait until a kernel is first called: whoever
imports a module of kernels to use something else pays for neither. A zygote calls `compile_all` before it forks, since
nothing can be looked up in the jail.
"""

from __future__ import annotations

import sys
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kernel = TypeVar("Kernel", bound="Callable[..., object]")

_LOCK = threading.RLock()


class Deferred:
    """What numba makes of a function, once it is needed. In its module the result then takes this object's place."""

    every: ClassVar[weakref.WeakSet[Deferred]] = weakref.WeakSet()

    def __init__(self, function: Callable[..., object], make: Callable[[], Any]) -> None:
        self.__doc__ = function.__doc__
        self._function = function
        self._make = make
        self._made: Any = None
        Deferred.every.add(self)

    def __call__(self, *arguments: object) -> object:
        return self.made()(*arguments)

    def made(self) -> Any:
        with _LOCK:
            if self._made is None:
                names = self._function.__globals__
                for name in self._function.__code__.co_names:  # numba must see what it calls, not this
                    if isinstance(other := names.get(name), Deferred) and other is not self:
                        names[name] = other.made()
                self._made = self._make()
                if names.get(self._function.__name__) is self:
                    names[self._function.__name__] = self._made
            return self._made


def compiled(signature: str) -> Callable[[Kernel], Kernel]:
    """Compile a function for one signature when it is first called, or by `compile_all`.

    Without a place for the cache (a read-only installation and no home) it is compiled anew in every process.
    """

    def decorate(function: Kernel) -> Kernel:
        def make() -> Any:
            import numba

            with _without_scipy():
                try:
                    return numba.njit(signature, cache=True, nogil=True, error_model="numpy")(function)
                except (RuntimeError, OSError):  # "no locator available", or the folder cannot be written
                    return numba.njit(signature, nogil=True, error_model="numpy")(function)

        return cast("Kernel", Deferred(function, make))

    return decorate


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let kernels of the same module call a function; it is compiled as a part of them."""

    def make() -> Any:
        import numba

        return numba.njit(function)

    return Deferred(function, make)


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let kernels of the same module call what a function writes in LLVM's own terms (`numba.extending.intrinsic`)."""

    def make() -> Any:
        from numba.extending import intrinsic as written

        return written(function)

    return Deferred(function, make)


def compile_all() -> None:
    """Compile what has been imported, or load it from the cache."""
    for one in list(Deferred.every):
        one.made()


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
