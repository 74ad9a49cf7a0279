"""Gateway and worker are killed at random while samples arrive: every sample gets one verdict, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import EACH, SECRET, Program, free_port, furnished, prepared, sample, submit

from assay.store.database import Database
from assay.types import sha256_of

SAMPLES = int(os.environ.get("TEST_KILL_SAMPLES", "1000"))
KILLS = int(os.environ.get("TEST_KILLS", "5"))


def disturb(programs: list[Program], kills: int, stop: threading.Event) -> int:
    rng, done = random.Random(7), 0
    while done < kills and not stop.wait(rng.uniform(2, 8)):
        victim = rng.choice(programs)
        victim.kill()
        done += 1
        stop.wait(rng.uniform(0, 1))
        victim.again()
    return done


@pytest.mark.slow
def test_kills_lose_nothing_and_double_nothing(tmp_path):
    url, data = f"http://127.0.0.1:{free_port()}", furnished(tmp_path)
    with Database(data / "assay.db") as database:
        token = prepared(database, SAMPLES)
    env = {"ASSAY_API_PER_MINUTE": "0", "ASSAY_SERVE_BACKLOG": "100000"}
    served = Program(
        tmp_path, "serve", "--http", url.removeprefix("http://"), "--clamd", "", "--icap", "", env=env
    )
    programs = [served, Program(tmp_path, "worker", "-j", "1", env=env)]
    stop = threading.Event()
    try:
        with ThreadPoolExecutor(9) as pool:
            killer = pool.submit(disturb, programs, KILLS, stop)
            ids = list(pool.map(lambda n: submit(url, token, n), range(SAMPLES)))
            assert len(set(ids)) == SAMPLES
            assert killer.result(300) == KILLS
        wait_until_done(data / "assay.db", SAMPLES)
    finally:
        stop.set()
        codes = [program.stop() for program in programs]
    assert codes == [0, 0]
    check_database(data / "assay.db", ids)
    assert [p.name for p in (data / "spool").iterdir()] == []
    holding_words = [p for p in data.rglob("*") if p.is_file() and SECRET in p.read_bytes()]
    assert holding_words == []


def wait_until_done(path: Path, count: int, within_s: float = 900) -> None:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
            (done,) = db.execute("select count(*) from jobs where state = 'done'").fetchone()
        if done >= count:
            return
        time.sleep(0.5)
    raise AssertionError(f"{done} of {count} were done in time")


def check_database(path: Path, ids: list[str]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute(
            "select id, sha256, action, quarantine_id from records where parent_id is null"
        ).fetchall()
        (whole,) = db.execute("pragma integrity_check").fetchone()
    assert whole == "ok"
    assert sorted(row[0] for row in rows) == sorted(ids), "one record for each submission"
    assert sorted(row[1] for row in rows) == sorted(sha256_of(sample(n)) for n in range(SAMPLES))
    fakes = {sha256_of(sample(n)) for n in range(0, SAMPLES, EACH)}
    assert {row[1] for row in rows if row[2] == "quarantine"} == fakes
    assert {row[3] for row in rows if row[3]} == fakes
