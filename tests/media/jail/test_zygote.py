"""The program itself, spoken to over its socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from assay.media.jail.profile import DECODER
from assay.media.jail.wire import Channel


@pytest.fixture
def program():
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "assay.media.jail.zygote", str(theirs.fileno())]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # as Link sets it: numpy starts no threads
    running = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
    theirs.close()
    channel = Channel(ours)
    profile = DECODER.serving("jailed:handle").as_json()
    start = {"prepare": "", "profile": profile, "path": [str(Path(__file__).parent)], "watched": False}
    try:
        channel.send(start | {"parent_thread_stays": True}, timeout_s=5)
        assert channel.receive(timeout_s=60)["ready"]["threads"] == 1
        yield running, channel
    finally:
        channel.close()
        assert running.wait(timeout=10) == 0


def spawn(channel):
    ours, theirs = socket.socketpair()
    with theirs:
        channel.send({"spawn": True}, [theirs.fileno()], timeout_s=5)
    fds: list[int] = []
    pid = channel.receive(timeout_s=10, fds=fds)["pid"]
    os.close(fds[0])
    return pid, Channel(ours)


def test_it_forks_on_request_and_reaps_on_request(program):
    _, channel = program
    pid, child = spawn(channel)
    assert child.receive(timeout_s=10)["ready"]["off"] == {}
    child.close()
    channel.send({"reap": pid}, timeout_s=5)
    assert channel.receive(timeout_s=10)["status"] == 0  # it ends when its parent hangs up


def test_it_ends_with_its_children_when_the_parent_hangs_up(program):
    running, channel = program
    pid, child = spawn(channel)
    child.receive(timeout_s=10)
    channel.close()
    assert running.wait(timeout=10) == 0
    assert not Path(f"/proc/{pid}").exists()
    child.close()
