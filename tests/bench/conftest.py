"""Most tests of the bench decode in their own process: a zygote costs seconds, and what it does is tested elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from assay.bench import cells, shortcuts
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


class _NoZygote:
    def __init__(self, *_: object) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def unjailed(monkeypatch) -> None:
    for module in (cells, shortcuts):
        monkeypatch.setattr(module, "decoder", decoder_here)
        monkeypatch.setattr(module, "Zygote", _NoZygote)
