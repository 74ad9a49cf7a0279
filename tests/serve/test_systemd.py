"""What systemd hears, on a datagram socket in its place."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time

import pytest

from assay.serve import systemd


@pytest.fixture
def manager(tmp_path):
    """A socket as systemd's, and the environment that names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        s.settimeout(30)
        yield s, {"NOTIFY_SOCKET": str(tmp_path / "notify")}


def test_states_and_status_arrive_as_one_message(manager):
    heard, environ = manager
    assert systemd.notify(systemd.READY, status="http 127.0.0.1:1\nMAINPID=1", environ=environ)
    assert heard.recv(4096) == b"READY=1\nSTATUS=http 127.0.0.1:1 MAINPID=1"


def test_a_socket_without_a_path_is_found():
    name = f"assay-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}")
        heard.settimeout(30)
        assert systemd.notify(systemd.STOPPING, environ={"NOTIFY_SOCKET": f"@{name}"})
        assert heard.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_nothing_is_said_where_nobody_asks(environ, caplog):
    assert not systemd.notify(systemd.READY, environ=environ)
    assert not caplog.records


def test_a_socket_that_is_gone_is_logged_and_no_more(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert not systemd.notify(systemd.READY, environ={"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert "systemd was not told READY=1" in caplog.text


def test_a_reload_begins_with_the_time_of_now():
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    state, stamp = systemd.reloading().split("\n")
    assert state == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize(
    ("environ", "every_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),  # it watches somebody else
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_signs_of_life_are_given_twice_as_often_as_systemd_wants(environ, every_s):
    assert systemd.watchdog_s(environ) == every_s


def test_signs_of_life_go_on_until_they_are_cancelled(manager):
    heard, environ = manager

    async def live() -> list[bytes]:
        task = asyncio.create_task(systemd.stay_alive(environ | {"WATCHDOG_USEC": "2000"}))
        found = [await asyncio.to_thread(heard.recv, 4096) for _ in range(3)]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return found

    assert asyncio.run(live()) == [b"WATCHDOG=1"] * 3
