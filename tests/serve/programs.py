"""Real `assay` processes for slow tests, the samples that they get, and a patient client."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from pyrage import x25519

from assay.store.database import Database
from assay.store.judgements import Judgements
from assay.store.keys import Keys
from assay.types import sha256_of

SECRET = b"what only a quarantined sample says"
EACH = 10  # one sample in so many is a known fake


def sample(n: int) -> bytes:
    """A small picture; one in `EACH` carries words that must not be found on the disk afterwards."""
    pixels = np.random.default_rng(n).integers(0, 255, (12, 12, 3), np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue() + (b"%s %d" % (SECRET, n) if n % EACH == 0 else b"")


class Program:
    """One `assay` process that is started again whenever it was killed.

    `host` makes it one of another machine, as far as host names tell and this system lets a test choose them.
    """

    def __init__(
        self, place: Path, *arguments: str, env: dict[str, str] | None = None, host: str = ""
    ) -> None:
        place.mkdir(exist_ok=True)
        self.arguments = arguments
        self.host = host if host and _hosts() else ""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
        self.environment = kept | {"HOME": str(place)} | (env or {})
        self.log = (place / f"{arguments[0]}-{len(list(place.iterdir()))}.log").open("ab")
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "assay", *self.arguments]
        if self.host:
            command = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.host, *command]
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


@cache
def _hosts() -> bool:
    """May a process here have a host name of its own?"""
    with contextlib.suppress(OSError):
        asked = ["unshare", "--uts", "hostname", "elsewhere"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    return False


def furnished(home: Path) -> Path:
    """Give a home a key for the quarantine; its data folder."""
    data = home / ".local" / "share" / "assay"
    keys = data / "quarantine" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "recipients.txt").write_text(f"{x25519.Identity.generate().to_public()}\n")
    return data


def prepared(database: Database, count: int) -> str:
    """Mark the known fakes among so many samples, and make a key for the API."""
    with database.write() as connection:
        for n in range(0, count, EACH):
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
