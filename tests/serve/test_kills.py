"""Gateway and worker are killed at random while samples arrive: every sample gets one verdict, and nothing is left behind."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from pyrage import x25519

from assay.store.database import Database
from assay.store.judgements import Judgements
from assay.store.keys import Keys
from assay.types import sha256_of

SAMPLES = int(os.environ.get("ASSAY_TEST_KILL_SAMPLES", "1000"))
KILLS = int(os.environ.get("ASSAY_TEST_KILLS", "5"))
SECRET = b"what only a quarantined sample says"
EACH = 10  # one sample in so many is a known fake


def sample(n: int) -> bytes:
    """A small picture; one in `EACH` carries words that must not be found on the disk afterwards."""
    pixels = np.random.default_rng(n).integers(0, 255, (12, 12, 3), np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue() + (b"%s %d" % (SECRET, n) if n % EACH == 0 else b"")


class Program:
    """One `assay` process that is started again whenever it was killed."""

    def __init__(self, place: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.arguments = arguments
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
        self.environment = kept | {"HOME": str(place)} | (env or {})
        self.log = (place / f"{arguments[0]}-{len(list(place.iterdir()))}.log").open("ab")
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "assay", *self.arguments]
        return subprocess.Popen(command, env=self.environment, stdout=self.log, stderr=self.log)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def again(self) -> None:
        self.process = self._started()

    def stop(self) -> int:
        self.process.terminate()
        try:
            code = self.process.wait(60)
        finally:
            self.log.close()
        return code


@pytest.fixture
def place(tmp_path):
    """A home with a key for the quarantine, known fakes, and a key for the API."""
    data = tmp_path / ".local" / "share" / "assay"
    keys = data / "quarantine" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "recipients.txt").write_text(f"{x25519.Identity.generate().to_public()}\n")
    return tmp_path


def prepared(database: Database) -> str:
    with database.write() as connection:
        for n in range(0, SAMPLES, EACH):
            Judgements.mark_known(connection, sha256_of(sample(n)), "known_fake", actor="t", reason="t")
    return Keys(database).create("t", ("submit", "read"), actor="t")[1]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def submit(url: str, token: str, n: int) -> str:
    """Hand a sample in as a patient client does: again and again, under one name of its own."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"sample {n}"}
    end = time.monotonic() + 300
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.put(f"{url}/v1/samples", content=sample(n), headers=headers, timeout=10)
            if answer.status_code in (200, 202):
                return str(answer.json()["id"])
        time.sleep(0.2)
    raise AssertionError(f"sample {n} was never taken")


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
def test_kills_lose_nothing_and_double_nothing(place):
    url, data = f"http://127.0.0.1:{free_port()}", place / ".local" / "share" / "assay"
    with Database(data / "assay.db") as database:
        token = prepared(database)
    env = {"ASSAY_API_PER_MINUTE": "0", "ASSAY_SERVE_BACKLOG": "100000"}
    served = Program(
        place, "serve", "--http", url.removeprefix("http://"), "--clamd", "", "--icap", "", env=env
    )
    programs = [served, Program(place, "worker", "-j", "1", env=env)]
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
