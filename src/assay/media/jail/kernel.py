"""The few kernel calls that Python does not wrap, by ctypes. Linux only."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MMAP_THRESHOLD = 32 << 20  # bytes: the most that glibc takes

_bare = ctypes.PyDLL(None)  # keeps the interpreter's lock over the call
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.restype = ctypes.c_int
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


def invoke(number: int, *arguments: int | bytes | None) -> int:
    """Make the system call `number`; OSError on failure."""
    words = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words))


def prctl(option: int, value: int) -> int:
    return _checked(_libc.prctl(option, value, 0, 0, 0))


def bare_fork() -> int:
    """Fork without Python's own before and after, for a process that has one thread.

    What they do is to make locks anew that other threads held, and to run hooks (logging, random, threading) that
    write to 220 pages: a third of what a child costs. Without other threads no lock is held. From Python 3.13 on,
    threads have more state, and `os.fork` it is.
    """
    if sys.implementation.name != "cpython" or sys.version_info >= (3, 13):
        return os.fork()
    result = int(_bare.fork())
    if result < 0:
        raise OSError("fork: no memory or no process left")
    return result


def trim_heap() -> None:
    """Give freed memory back, so that forks do not carry it; where libc can (glibc)."""
    with suppress(AttributeError):
        _libc.malloc_trim(0)


def keep_heap(most_bytes: int) -> None:
    """Keep up to so much freed memory for what comes next, where libc can (glibc): the kernel clears every page it gives."""
    with suppress(AttributeError):
        _libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        _libc.mallopt(M_TRIM_THRESHOLD, most_bytes)


def machine() -> str:
    """The processor's name as the number tables know it; empty if it is neither of the two, or runs 32-bit code."""
    name = platform.machine()
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return ""
    return {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
        name.lower(), ""
    )


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
