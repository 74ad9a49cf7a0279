"""Decoding in the test's own process, by the code that runs in the jail: a zygote costs seconds, minutes where all is busy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from assay.bench.cells import Hands
from assay.media.decoder import Decoder
from assay.media.operations import Server


class _Child:
    """Serves one sample in this process, by the code that runs in the jail."""

    def __init__(self) -> None:
        self._server = Server()

    def call(self, message, fds=(), *, timeout_s):
        return next(self._server.handle(message, [os.dup(fd) for fd in fds]))

    def close(self):
        if self._server._opened is not None:
            self._server._opened.file.close()


@contextmanager
def decoder_here(_zygote, descriptor: int, limits) -> Iterator[Decoder]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    child = _Child()
    try:
        yield Decoder(child, descriptor, limits)
    finally:
        child.close()


class NoZygote:
    def __init__(self, *_: object) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...


class OwnHands(Hands):
    """Hands of a worker process, without a jail; importable, since workers unpickle them."""

    def _decoder(self, arrival):
        return decoder_here(None, arrival.descriptor, self._limits.as_json())
