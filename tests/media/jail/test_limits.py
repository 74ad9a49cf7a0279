"""Limits are put on in a process of their own and looked at there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from assay.media.jail import limits

PROLOGUE = """
import json, os, resource, signal, socket, sys
from assay.media.jail import limits
from assay.media.jail.profile import DECODER, EXAMINER
def tell(**what): sys.stderr.write(json.dumps(what))
"""


def inside(script):
    run = subprocess.run(
        [sys.executable, "-c", PROLOGUE + script], capture_output=True, check=False, timeout=30
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stderr)


def test_a_decoder_is_bounded_in_everything():
    told = inside(
        "limits.limit_resources(DECODER, 1 << 30, own_uid=True)\n"
        "R = resource\n"
        "tell(**{n: R.getrlimit(getattr(R, 'RLIMIT_' + n)) for n in ('AS', 'CPU', 'FSIZE', 'CORE', 'NOFILE', 'NPROC')})"
    )
    assert told["AS"] == [4 << 30, 4 << 30]
    assert told["CPU"] == [120, 122]
    assert told["FSIZE"] == told["CORE"] == [0, 0]
    assert told["NOFILE"] == told["NPROC"] == [64, 64]


def test_an_examiner_keeps_its_address_space_and_may_write_until_it_is_locked():
    told = inside(
        "before = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "limits.limit_resources(EXAMINER, 0, own_uid=False)\n"
        "between = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "limits.forbid_growth()\n"
        "tell(same=before == between, after=resource.getrlimit(resource.RLIMIT_FSIZE), AS=resource.getrlimit(resource.RLIMIT_AS))"
    )
    assert told["same"]
    assert told["after"] == [0, 0]
    assert told["AS"] == [-1, -1]


def test_a_lower_limit_that_is_there_already_stays():
    told = inside(
        "resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))\n"
        "limits.limit_resources(DECODER, 0, own_uid=False)\n"
        "tell(files=resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert told["files"] == [32, 32]


def test_only_the_socket_stays_open():
    told = inside(
        "a, b = socket.socketpair()\n"
        "more = [os.open('/dev/null', os.O_RDONLY) for _ in range(20)]\n"
        "kept = limits.keep_only(b, stderr=True)\n"
        "tell(fds=sorted(int(n) for n in os.listdir('/proc/self/fd')), kept=kept.fileno())"
    )
    assert told["kept"] == limits.SOCKET_FD
    assert told["fds"] in ([0, 1, 2, 3], [0, 1, 2, 3, 4])  # the fourth is the listing's own


@pytest.mark.skipif(os.getuid() != 0, reason="only root changes its uid")
def test_a_changed_uid_is_for_good_and_leaves_no_capability():
    told = inside(
        "uid = limits.become(64123)\n"
        "try: os.setuid(0); back = True\n"
        "except PermissionError: back = False\n"
        "tell(uid=uid, ids=[*os.getresuid(), *os.getresgid()], groups=os.getgroups(), caps=limits.capabilities(), back=back)"
    )
    assert told == {"uid": 64123, "ids": [64123] * 6, "groups": [], "caps": 0, "back": False}


@pytest.mark.skipif(os.getuid() != 0, reason="only root has capabilities to give up")
def test_capabilities_are_given_up_but_for_those_named():
    told = inside(
        "limits.keep_capabilities(limits.CAP_DAC_READ_SEARCH)\nfirst = limits.capabilities()\n"
        "limits.keep_capabilities()\ntell(first=first, then=limits.capabilities(), able=limits.can_change_uid())"
    )
    assert told == {"first": 1 << limits.CAP_DAC_READ_SEARCH, "then": 0, "able": False}


def test_a_process_that_is_not_dumpable_hides_its_environment():
    told = inside("limits.forbid_dumps()\ntell(owner=os.stat('/proc/self/environ').st_uid)")
    assert told["owner"] == 0


def test_the_address_space_is_in_bytes():
    assert 1 << 20 < limits.address_space() < 1 << 46
