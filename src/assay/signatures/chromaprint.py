"""Chromaprint, the audio fingerprint of AcoustID, as a shared library that the system provides.

No wheel carries it. Debian and Ubuntu: ``apt install libchromaprint1`` (LGPL-2.1, with FFmpeg's libraries, which it
transforms with). Where it is missing, sound has no fingerprint and says so; nothing else changes. Load it before a jail
locks: it opens about a hundred libraries.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from assay.closing import Closing
from assay.errors import AssayError, Failed

NAMES = ("libchromaprint.so.1", "libchromaprint.1.dylib", "chromaprint.dll")
ALGORITHM = 1  # "TEST2", the default of the library, of fpcalc and of AcoustID
RATE_HZ = 11025  # to which the library resamples
ITEM = 1365  # samples at `RATE_HZ` from one item to the next
HINT = "On Debian or Ubuntu: apt install libchromaprint1. On macOS: brew install chromaprint."

Items = NDArray[np.uint32]


def available() -> bool:
    """Whether the library can be loaded here."""
    try:
        _library()
    except AssayError:
        return False
    return True


def raw_items(blocks: Iterable[NDArray[np.int16]], rate_hz: int) -> Items:
    """Compute the raw fingerprint of mono sound.

    Parameters
    ----------
    blocks : iterable of ndarray of int16, each of shape (N,)
        The samples, in order, in pieces of any length.
    rate_hz : int
        Their rate; the library resamples.

    Returns
    -------
    items : ndarray of uint32, shape (M,)
        One for each `ITEM` samples at `RATE_HZ` (0.124 s), each of about 2.6 s of sound; empty for less.

    Raises
    ------
    AssayError
        ``chromaprint``: the library is not installed.
    Failed
        The library refused the sound.
    """
    with Stream(rate_hz) as stream:
        for block in blocks:
            stream.feed(block)
        return stream.finish()


class Stream(Closing):
    """One fingerprint in the making, for sound that comes piece by piece; close it, or use it as a context manager."""

    def __init__(self, rate_hz: int) -> None:
        """Raise AssayError where the library is not installed, Failed where it refuses the rate."""
        self._library = _library()
        self._context = ctypes.c_void_p(self._library.chromaprint_new(ALGORITHM))
        if not self._context:
            raise Failed("chromaprint has no memory left", code="chromaprint_failed")
        try:
            _done(self._library.chromaprint_start(self._context, rate_hz, 1), f"sound at {rate_hz} Hz")
        except Failed:
            self.close()
            raise

    def feed(self, block: NDArray[np.int16]) -> None:
        """Hand over the next samples (N,)."""
        samples = np.ascontiguousarray(block, np.int16)
        for at in range(0, len(samples), 1 << 20):
            part = samples[at : at + (1 << 20)]
            pointer = part.ctypes.data_as(ctypes.c_void_p)
            _done(self._library.chromaprint_feed(self._context, pointer, len(part)), "a block")

    def finish(self) -> Items:
        _done(self._library.chromaprint_finish(self._context), "the sound's end")
        return _fingerprint(self._library, self._context)

    def close(self) -> None:
        if self._context:
            self._library.chromaprint_free(self._context)
            self._context = ctypes.c_void_p()


def _fingerprint(library: ctypes.CDLL, context: ctypes.c_void_p) -> Items:
    raw, size = ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_int()
    if not library.chromaprint_get_raw_fingerprint(context, ctypes.byref(raw), ctypes.byref(size)):
        return np.empty(0, np.uint32)  # too short for one item
    try:
        return np.array(raw[: size.value], np.uint32)
    finally:
        if raw:
            library.chromaprint_dealloc(raw)


def _done(answer: int, what: str) -> None:
    if not answer:
        raise Failed(f"chromaprint refused {what}", code="chromaprint_failed")


@cache
def _library() -> ctypes.CDLL:
    for name in NAMES:
        try:
            return _declared(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
    raise AssayError(
        "sound has no fingerprint here: the library chromaprint is not installed",
        code="chromaprint",
        hint=HINT,
    )


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Say what each function takes, so that pointers are not cut to 32 bits."""
    context, number = ctypes.c_void_p, ctypes.c_int
    library.chromaprint_new.argtypes, library.chromaprint_new.restype = [number], context
    library.chromaprint_free.argtypes, library.chromaprint_free.restype = [context], None
    library.chromaprint_dealloc.argtypes, library.chromaprint_dealloc.restype = [context], None
    library.chromaprint_start.argtypes = [context, number, number]
    library.chromaprint_feed.argtypes = [context, ctypes.c_void_p, number]
    library.chromaprint_finish.argtypes = [context]
    library.chromaprint_get_raw_fingerprint.argtypes = [
        context,
        ctypes.POINTER(ctypes.POINTER(ctypes.c_uint32)),
        ctypes.POINTER(number),
    ]
    return library
