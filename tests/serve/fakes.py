"""A screen that says what a test tells it, and servers that run in a thread of their own while a test talks to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from assay.serve.clamd import Clamd, ClamdSettings
from assay.serve.exchange import Answer, Edition, Gap, Submission
from assay.serve.icap import Icap, IcapSettings
from assay.serve.wire import Patience
from assay.types import Action, Decision, Kind

HURRIED = Patience(idle_s=0.4, head_s=0.4, stall_s=0.3, rate_bytes_s=1e6, linger_s=0.2, drain_s=0.4)
CALM = Patience(idle_s=20, head_s=20, stall_s=20, rate_bytes_s=1, linger_s=1, drain_s=20)


def answer(action: Action, gap: Gap | None = None, **more) -> Answer:
    defaults = {"media": "image", "kinds": (Kind.FULL_SYNTHESIS,), "probability": 0.87}
    return Answer(decision=Decision(action, "a_rule", "digest"), gap=gap, **(defaults | more))


DELIVER = answer(Action.DELIVER)
FAKE = answer(Action.QUARANTINE, summary="A machine made this picture.")
FOUND = b"Synthetic.Image.P87 FOUND"


@dataclass
class FakeScreen:
    """Answers by what the sample begins with; `DELIVER` for anything else."""

    answers: dict[bytes, Answer | Exception | float] = field(default_factory=dict)
    seen: list[tuple[bytes, Submission]] = field(default_factory=list)
    written: bool = False  # could it change what it was given?

    async def __call__(self, submission: Submission, /, *, budget_s: float) -> Answer:
        content = os.pread(submission.descriptor, 1 << 20, 0)
        self.seen.append((content, submission))
        with contextlib.suppress(OSError):
            os.pwrite(submission.descriptor, b"!", 0)
            self.written = True
        for start, told in self.answers.items():
            if content.startswith(start):
                if isinstance(told, Exception):
                    raise told
                if isinstance(told, float):
                    await asyncio.sleep(told)
                    return DELIVER
                return told
        return answer(Action.LABEL, submission.gap) if submission.gap else DELIVER

    @property
    def contents(self) -> list[bytes]:
        return [content for content, _ in self.seen]


class Running:
    """A server in a thread. `port` and `path` are where it listens."""

    def __init__(self, server: Clamd | Icap, path: Path | None) -> None:
        self._grace_s = 0.3
        self.server = server
        self.path = path
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)
        if self._trouble:
            raise self._trouble

    def stop(self, grace_s: float = 0.3) -> None:
        if self._thread.is_alive():
            self._grace_s = grace_s
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(10)
            assert not self._thread.is_alive()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.settimeout(10)
        return connection

    def connect_unix(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(10)
        connection.connect(str(self.path))
        return connection

    def until(self, true: Callable[[], bool]) -> bool:
        for _ in range(1000):
            if true():
                return True
            time.sleep(0.01)
        return False

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _main(self) -> None:
        try:
            self.port = self.server.listener.listen_tcp()
            if self.path is not None:
                self.server.listener.listen_unix(str(self.path))
        except BaseException as e:  # noqa: BLE001  told to the test
            self._trouble = e
        self._ready.set()
        if self._trouble is None:
            await self._end.wait()
        await self.server.stop(self._grace_s)


@contextlib.contextmanager
def serving(server: Clamd | Icap, path: Path | None = None) -> Iterator[Running]:
    run = Running(server, path)
    run.start()
    try:
        yield run
    finally:
        run.stop()


def clamd(
    screen: FakeScreen | None = None, *, reload=None, edition: Edition | None = None, **settings
) -> Clamd:
    settings.setdefault("patience", CALM)
    made = ClamdSettings(**settings)
    return Clamd(screen or FakeScreen(), made, reload=reload, editions=lambda: edition or Edition(serial=7))


def icap(screen: FakeScreen | None = None, *, edition: Edition | None = None, **settings) -> Icap:
    settings.setdefault("patience", CALM)
    return Icap(
        screen or FakeScreen(), IcapSettings(**settings), editions=lambda: edition or Edition(serial=7)
    )


def all_of(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    parts = []
    while data := connection.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)
