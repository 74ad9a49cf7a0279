"""A gateway for tests: the real intake, worker and stores, and an examiner that says what a sample's first bytes ask for."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from assay.desk.intake import Intake
from assay.desk.stores import Stores
from assay.desk.webhooks import Webhooks
from assay.desk.work import Worker
from assay.serve.api.app import application
from assay.serve.api.server import Server
from assay.serve.api.service import Service
from assay.serve.counters import Counters
from assay.settings import Api, Limits, Paths, Settings
from assay.store.keys import Keys
from assay.store.waiting import Waiting
from assay.types import Action, Decision, Label, Preview, Status
from screenings import screened

PLAIN = ssl.SSLContext(
    ssl.PROTOCOL_TLS_CLIENT
)  # never used; making one for each client takes longer than a test


class Examiner:
    """``fake``: found, with pictures; ``slow``: waits until it is let; anything else: nothing found."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()

    def screen(self, arrival, /, *, sample_id, source):
        content = os.pread(arrival.descriptor, 1 << 16, 0)
        if content.startswith(b"slow"):
            assert self.go.wait(30)
        is_fake = content.startswith((b"fake", b"slow"))
        one = screened(
            arrival.path,
            content,
            label=Label.FAKE if is_fake else Label.INCONCLUSIVE,
            id=sample_id,
            source=source,
            media_type="image/jpeg",
        )
        heat = np.zeros((32, 32), np.uint8)
        heat[8:16, 8:16] = 255
        (evidence,) = one.verdict.evidence
        hot = dataclasses.replace(evidence, finding=dataclasses.replace(evidence.finding, heat=heat))
        verdict = dataclasses.replace(one.verdict, evidence=(hot,))
        action = Action.QUARANTINE if content.startswith(b"fake-quarantine") else Action.LABEL
        return dataclasses.replace(
            one,
            verdict=verdict,
            decision=Decision(action, "undisclosed", "p1"),
            sample=dataclasses.replace(one.sample, sha256=arrival.sha256, size=arrival.size),
            preview=Preview((np.full((64, 64, 3), 128, np.uint8),)) if is_fake else None,
        )

    def unread(self, path, e, sample):
        one = screened(path, b"")
        return dataclasses.replace(one, sample=sample, status=Status.FAILED, verdict=None)


@dataclass
class Gateway:
    """One gateway in a thread; `client` asks it with a key, `url` is where it listens."""

    settings: Settings
    stores: Stores
    intake: Intake
    examiner: Examiner
    webhooks: Webhooks
    counters: Counters = field(default_factory=Counters)
    port: int = 0
    service: Service | None = None
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self, *scopes: str, **more):
        return Keys(self.stores.database).create("a test", scopes or ("submit", "read"), actor="ann", **more)

    def client(self, *scopes: str, token: str | None = None, **more) -> httpx.Client:
        given = token or self.key(*scopes, **more)[1]
        made = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {given}"}, timeout=30, verify=PLAIN
        )
        self.clients.append(made)
        return made

    def until(self, true: Callable[[], bool]) -> bool:
        """Wait, for at most ten seconds, until something holds."""
        for _ in range(1000):
            if true():
                return True
            time.sleep(0.01)
        return False

    def anybody(self) -> httpx.Client:
        made = httpx.Client(base_url=self.url, timeout=30, verify=PLAIN)
        self.clients.append(made)
        return made


def settings_in(folder: Path, limits: dict | None = None, **api) -> Settings:
    api.setdefault("webhook_inside", ("127.0.0.0/8",))
    return Settings(
        Paths(folder / "data", folder / "cache"),
        limits=Limits(**(limits or {})),
        api=Api(**api),
    )


@contextlib.contextmanager
def gateway(
    folder: Path, *, head_s: float = 20, backlog: int = 1000, limits=None, **api
) -> Iterator[Gateway]:
    """Run one until the block ends."""
    settings = settings_in(folder, limits, **api)
    examiner = Examiner()
    with Stores.open(settings) as stores, ThreadPoolExecutor(2) as pool:
        waiting = Waiting(settings.paths.spool)
        webhooks = Webhooks(stores.database, settings.api.webhook_inside)
        workers: list[Worker] = []
        intake = Intake(
            stores,
            waiting,
            put=lambda job_id, _priority, _attempt: pool.submit(workers[0].work, job_id),
            rules=lambda: (settings.policy, "c1"),
            after=(webhooks.created,),
            backlog=backlog,
        )
        workers.append(Worker(stores, waiting, intake, examiner, executor="test"))
        running = Gateway(settings, stores, intake, examiner, webhooks)
        try:
            with _served(running, head_s):
                yield running
        finally:
            examiner.go.set()
            for client in running.clients:
                client.close()
            pool.shutdown()
            workers[0].close()


@contextlib.contextmanager
def _served(running: Gateway, head_s: float) -> Iterator[None]:
    app = application(running.intake, running.stores, running.settings, running.counters)
    running.service = app.state.service
    server = Server(
        app,
        most_connections=running.settings.api.requests,
        counters=running.counters,
        grace_s=1,
        head_s=head_s,
    )
    running.port = server.listen_tcp()
    thread = threading.Thread(target=lambda: asyncio.run(server.run()))
    thread.start()
    try:
        yield
    finally:
        for client in running.clients:
            client.close()
        server.stop()
        thread.join(15)
        assert not thread.is_alive()
