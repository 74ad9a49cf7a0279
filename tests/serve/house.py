"""A gateway with every protocol and a pipeline that does as it is told, for tests of what clients get."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from pyrage import x25519

from assay.action.policy import decide, effective
from assay.desk.intake import Intake
from assay.desk.stores import Stores
from assay.desk.webhooks import Webhooks
from assay.desk.work import Worker
from assay.serve.exchange import Edition
from assay.serve.gateway import Gateway
from assay.settings import Api, Limits, Paths, PolicySettings, Serve, Settings
from assay.types import Action, Decision, Kind, Label, Problem, Screening, Status
from screenings import screened

PROBLEMS = {
    b"encrypted": "encrypted",
    b"undecodable": "undecodable",
    b"partial": "partial",
    b"over-members": "over_members",
}


class Told:
    """Decides by a sample's first word: an action, a problem, or ``slow`` for longer than anybody waits."""

    def __init__(self, policy):
        self.go = threading.Event()
        self.policy = policy

    def screen(self, arrival, /, *, sample_id, source):
        content = os.pread(arrival.descriptor, 1 << 16, 0)
        word = content.split(b" ")[0]
        if word == b"slow":
            self.go.wait(30)
        action = Action(word.decode()) if word.decode() in set(Action) else Action.DELIVER
        is_fake = action in (Action.QUARANTINE, Action.REJECT)
        made = screened(
            arrival.path,
            content,
            label=Label.FAKE if is_fake else Label.INCONCLUSIVE,
            id=sample_id,
            source=source,
            media_type="image/jpeg",
        )
        verdict = dataclasses.replace(
            made.verdict, probability=0.87, kinds=(Kind.FULL_SYNTHESIS,) if is_fake else ()
        )
        decision = Decision(action, "a_rule", effective(PolicySettings()).digest)
        if word in PROBLEMS:
            problem = Problem(PROBLEMS[word], "It could not be examined.")
            decided = decide(problem, self.policy, status=Status.REFUSED)
            return dataclasses.replace(
                made, status=Status.REFUSED, verdict=None, decision=decided, error=problem
            )
        return dataclasses.replace(made, verdict=verdict, decision=decision, assay_version="0.1.0")

    def unread(self, path, e, sample):
        return Screening(
            sample, path, Status.FAILED, sample.received_at, "0.1.0", error=Problem(e.code, e.message)
        )


@contextlib.contextmanager
def running(folder, policy=PolicySettings(), **serve):  # noqa: B008 - it is frozen
    """A gateway in a thread of its own, and its engine with a pool of threads in place of a queue."""
    options = {
        "clamd": "127.0.0.1:0",
        "icap": "127.0.0.1:0",
        "http": "127.0.0.1:0",
        "drain_s": 1.0,
        "budget_s": 5.0,
    }
    settings = Settings(
        Paths(folder / "data", folder / "cache"),
        serve=Serve(**(options | serve)),
        api=Api(),
        policy=policy,
        limits=Limits(size_bytes=100_000),
    )
    keys = settings.paths.quarantine / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "recipients.txt").write_text(f"{x25519.Identity.generate().to_public()}\n")
    settings.paths.spool.mkdir(parents=True)
    pipeline, reloads = Told(policy), []
    with Stores.open(settings) as stores, ThreadPoolExecutor(4) as pool:
        workers = []
        webhooks = Webhooks(stores.database, ())
        intake = Intake(
            stores,
            stores.waiting,
            put=lambda job, *_: pool.submit(workers[0].work, job),
            rules=lambda: (settings.policy, "c1"),
            after=(webhooks.created,),
        )
        workers.append(Worker(stores, stores.waiting, intake, pipeline, executor="test"))
        engine = SimpleNamespace(
            intake=intake,
            stores=stores,
            webhooks=webhooks,
            settings=settings,
            spool=settings.paths.spool,
            edition=lambda: Edition(serial=7),
            reload=lambda: reloads.append(1),
            hunt=lambda: None,
        )
        gateway, loop = Gateway(engine), asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(gateway.start(), loop).result(20)
            yield SimpleNamespace(
                gateway=gateway, intake=intake, stores=stores, pipeline=pipeline, reloads=reloads, loop=loop
            )
        finally:
            pipeline.go.set()
            try:
                asyncio.run_coroutine_threadsafe(gateway.stop(), loop).result(30)
            finally:
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()
                pool.shutdown()
                workers[0].close()


def port(house, name):
    return int(house.gateway.listening[name].strip("/").rpartition(":")[2])


def until(found, within_s=20.0):
    end = time.monotonic() + within_s
    while not (got := found()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)
    return got
