"""A gateway and two workers on PostgreSQL and an S3 store: one is stopped and woken, one is killed for good.

What the killed one had in quarantine is released on a machine that has nothing but the settings.
"""

from __future__ import annotations

import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import sqlalchemy as sa
from programs import EACH, SECRET, Program, free_port, prepared, sample, submit

from assay.desk.reaper import Reaper
from assay.objects import place
from assay.store.database import Database
from assay.store.jobs import LEASE
from assay.store.tables import jobs, records
from assay.store.waiting import Waiting
from assay.types import sha256_of

SAMPLES = 120
TAKEN_OVER_S = 60
PASSPHRASE = "correct horse battery"


@pytest.mark.slow
def test_the_work_of_a_worker_that_stops_or_dies_is_taken_over_within_a_minute(tmp_path, postgresql, s3):
    """Every machine has a data folder of its own: whatever one needs of another lies in the database or the bucket."""
    url = f"http://127.0.0.1:{free_port()}"
    env = s3 | {
        "ASSAY_STORE_DATABASE": postgresql,
        "ASSAY_STORE_MEDIA": "s3://media/assay",
        "ASSAY_API_PER_MINUTE": "0",
        "ASSAY_PASSPHRASE": PASSPHRASE,
    }
    with Database(postgresql) as database:
        token = prepared(database, SAMPLES)
        listen = ("--http", url.removeprefix("http://"), "--clamd", "", "--icap", "", "-j", "2")
        served = Program(tmp_path / "gateway", "serve", *listen, env=env)
        workers = [
            Program(tmp_path / f"worker{n}", "worker", "-j", "2", env=env, host=f"worker{n}")
            for n in range(2)
        ]
        sleeper, victim = workers
        try:
            with ThreadPoolExecutor(6) as pool:
                ids = list(pool.map(lambda n: submit(url, token, n), range(SAMPLES)))
            wait_for(
                database, lambda c: done_by(c, victim, "quarantine") and done_by(c, victim, "deliver"), 600
            )
            wait_for(database, lambda c: holders(c) >= {w.process.pid for w in workers})
            sleeper.process.send_signal(signal.SIGSTOP)
            victim.kill()
            gone = datetime.now(UTC)
            after = taken_over(database, held_by(database, sleeper) | held_by(database, victim), gone)
            print(f"taken over after {sorted(round(s, 1) for s in after)} s")
            assert after
            assert max(after) <= TAKEN_OVER_S
            wait_for(database, lambda c: not unfinished(c, set(ids)), 900)
            before = stored(database)
            sleeper.process.send_signal(signal.SIGCONT)
            time.sleep(5)
            assert stored(database) == before, "who was woken writes nothing"
            with database.read() as connection:
                fake, plain = (done_by(connection, victim, a) for a in ("quarantine", "deliver"))
            shown = httpx.get(f"{url}/v1/samples/{plain[0].id}/pictures", headers=bearer(token)).json()[
                "pictures"
            ]
            for picture in shown:
                assert httpx.get(url + picture["href"], headers=bearer(token)).status_code == 200
            assert shown, "made by a machine that is gone, shown by another"
        finally:
            with contextlib.suppress(ProcessLookupError):
                sleeper.process.send_signal(signal.SIGCONT)
            assert [served.stop(), sleeper.stop()] == [0, 0]
            victim.log.close()
        assert sorted(i for i, _ in before) == sorted(ids)
        fakes = {sha256_of(sample(n)): sample(n) for n in range(0, SAMPLES, EACH)}
        with database.read() as connection:
            found = connection.execute(
                sa.select(records.c.sha256).where(records.c.action == "quarantine")
            ).scalars()
            assert sorted(found) == sorted(fakes)
    plaintexts = [p for p in tmp_path.rglob("*") if p.is_file() and SECRET in p.read_bytes()]
    assert plaintexts == []
    swept_an_hour_later(postgresql, s3)  # what a worker had finished, but not removed when it was killed
    kept = contents(s3)
    assert {path.split("/")[1] for path in kept} == {"quarantine", "pictures"}
    assert not [path for path, content in kept.items() if SECRET in content]
    assert sum(path.endswith("/holding.json") for path in kept) == len(fakes)
    assert released(tmp_path / "elsewhere", env, fake[0].sha256) == fakes[fake[0].sha256]
    assert not [path for path in contents(s3) if fake[0].sha256 in path], "what was released is held no more"


def swept_an_hour_later(postgresql, s3) -> None:
    with pytest.MonkeyPatch.context() as patch, Database(postgresql) as database:
        for name, value in s3.items():
            patch.setenv(name, value)
        waiting = Waiting(place("s3://media/assay", Path("/nonexistent")))
        idle = {"put": lambda *_: None, "is_dead": lambda _: False, "chores": lambda: None}
        Reaper(SimpleNamespace(database=database), waiting, **idle).sweep(
            datetime.now(UTC) + 2 * Reaper.SWEEP
        )


def released(home, env, sha256) -> bytes:
    """Release from a machine that has never seen anything; returns what it wrote."""
    home.mkdir()
    arguments = ("quarantine", "release", sha256, "--to", str(home / "back"), "--reason", "for the test")
    program = Program(home, *arguments, env=env, host="elsewhere")
    assert program.process.wait(120) == 0, Path(program.log.name).read_text()
    program.log.close()
    return (home / "back").read_bytes()


def taken_over(database, held, since) -> list[float]:
    """Wait until others have leases of these jobs; the seconds until each, as the table of jobs has them."""
    after: dict[str, float] = {}
    end = time.monotonic() + 300
    while len(after) < len(held) and time.monotonic() < end:
        with database.read() as connection:
            for row in connection.execute(sa.select(jobs).where(jobs.c.id.in_(held))):
                if row.id not in after and row.fence > held[row.id]:
                    at = row.finished_at or row.leased_until - LEASE  # at the latest then: leases are renewed
                    after[row.id] = (at - since).total_seconds()
        time.sleep(0.1)
    assert after.keys() == held.keys(), "it did not come in time"
    return list(after.values())


def done_by(connection, program, action) -> list[sa.Row]:
    """What a process has finished, and was decided to be ..."""
    query = sa.select(records.c.id, records.c.sha256).join(jobs, jobs.c.id == records.c.id)
    mine = jobs.c.executor.contains(f":{program.process.pid}:")
    return list(connection.execute(query.where(mine, jobs.c.state == "done", records.c.action == action)))


def bearer(token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def holders(connection) -> set[int]:
    query = sa.select(jobs.c.executor).where(jobs.c.state == "running").distinct()
    return {int(name.split(":")[1]) for name in connection.execute(query).scalars()}


def held_by(database, program) -> dict[str, int]:
    """The jobs that a process holds, and the fencing token that it has of each."""
    mine = jobs.c.executor.contains(f":{program.process.pid}:")
    query = sa.select(jobs.c.id, jobs.c.fence).where(jobs.c.state == "running", mine)
    with database.read() as connection:
        return {row.id: row.fence for row in connection.execute(query)}


def unfinished(connection, ids) -> set[str]:
    query = sa.select(jobs.c.id).where(jobs.c.state != "done")
    return set(connection.execute(query).scalars()) & ids


def stored(database) -> set[tuple[str, str]]:
    with database.read() as connection:
        return {tuple(row) for row in connection.execute(sa.select(records.c.id, records.c.document))}


def wait_for(database, condition, within_s=120.0):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with database.read() as connection:
            if condition(connection):
                return
        time.sleep(0.2)
    raise AssertionError("it did not come in time")


def contents(env) -> dict[str, bytes]:
    from obstore.store import S3Store

    store = S3Store("media", config={k.lower(): v for k, v in env.items()})
    paths = [meta["path"] for batch in store.list() for meta in batch]
    return {path: bytes(store.get(path).bytes()) for path in paths}
