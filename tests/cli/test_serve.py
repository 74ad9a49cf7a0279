"""`assay serve` as a service manager sees it: ready, reloaded, stopped."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time

import clamd
import pytest
from pyrage import x25519

from assay.signatures import testfile


@pytest.fixture
def place(tmp_path):
    data = tmp_path / ".local" / "share" / "assay"
    keys = data / "quarantine" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "recipients.txt").write_text(f"{x25519.Identity.generate().to_public()}\n")
    (tmp_path / ".config" / "assay").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def manager(place):
    """A service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(place / "notify"))
        s.settimeout(300)
        yield s


def told(manager, state):
    """Wait for a state among the signs of life; what was said with it."""
    while not (said := manager.recv(4096).decode()).startswith(state):
        assert said == "WATCHDOG=1"
    return said


@pytest.fixture
def serving(place, manager):
    """Start it on free ports; what it has said so far is read from its log."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
    command = [sys.executable, "-m", "assay", "serve", "--http", "127.0.0.1:0", "--icap", "", "-j", "1"]
    command += ["--clamd-socket", str(place / "clamd.sock"), "--clamd", "127.0.0.1:0"]
    env = kept | {"HOME": str(place), "NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "4000000"}
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        yield process, (place / "log").read_text
    finally:
        process.kill()
        process.wait()


def until(condition, process, within_s=300.0):
    end = time.monotonic() + within_s
    while not condition():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


@pytest.mark.slow
def test_it_serves_reloads_and_ends_in_good_order(serving, place, manager):
    process, log = serving
    until(lambda: "Ready." in log(), process)
    assert "STATUS=clamd 127.0.0.1:" in told(manager, "READY=1\n")
    port = int(re.search(r"clamd +127\.0\.0\.1:(\d+)", log())[1])
    client = clamd.ClamdNetworkSocket("127.0.0.1", port, timeout=60)
    assert client.ping() == "PONG"
    path = place / "test.png"
    path.write_bytes(testfile.content())
    with path.open("rb") as file:
        assert client.instream(file) == {"stream": ("FOUND", "Assay.Test.File")}
    settings = place / ".config" / "assay" / "assay.toml"
    settings.write_text("[policy]\nno_such_rule = 'reject'\n")
    process.send_signal(signal.SIGHUP)
    told(manager, "RELOADING=1\nMONOTONIC_USEC=")
    assert "STATUS=nothing was reloaded: " in told(manager, "READY=1\n")
    assert "nothing was reloaded" in log()
    assert client.ping() == "PONG"
    settings.write_text("[policy]\nknown_fake = 'reject'\n")
    process.send_signal(signal.SIGHUP)
    told(manager, "RELOADING=1\nMONOTONIC_USEC=")
    assert "STATUS=clamd 127.0.0.1:" in told(manager, "READY=1\n")
    assert '"message": "reloaded"' in log()
    assert client.ping() == "PONG"
    assert manager.recv(4096) == b"WATCHDOG=1"
    process.send_signal(signal.SIGTERM)
    told(manager, "STOPPING=1\n")
    assert process.wait(60) == 0
    assert not (place / "clamd.sock").exists()
    assert "Traceback" not in log()


@pytest.mark.slow
def test_an_address_that_others_can_reach_needs_an_allow_list(place):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-m", "assay", "serve", "--clamd", "0.0.0.0:0", "--http", "", "--icap", ""],
        env=kept | {"HOME": str(place)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert "no allow list says which may" in done.stderr
