"""Each rule set is put on in a process of its own, without any other layer."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from assay.media.jail import landlock

pytestmark = pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")

SCRIPT = """
import json, os, socket, sys
from assay.media.jail import kernel, landlock
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
listener = socket.create_server(("127.0.0.1", 0))
def tried(action):
    try: action()
    except PermissionError: return False
    return True
def bind():
    with socket.socket() as s: s.bind(("127.0.0.1", 0))
getattr(landlock, sys.argv[1])()
sys.stdout.write(json.dumps({
    "read": tried(lambda: os.close(os.open("/etc/passwd", os.O_RDONLY))),
    "list": tried(lambda: os.listdir("/")),
    "write": tried(lambda: os.close(os.open(sys.argv[2], os.O_WRONLY))),
    "create": tried(lambda: os.close(os.open(sys.argv[2] + ".new", os.O_WRONLY | os.O_CREAT))),
    "connect": tried(lambda: socket.create_connection(listener.getsockname()).close()),
    "bind": tried(bind),
    "signal": tried(lambda: os.kill(os.getppid(), 0)),
}))
"""


def tried(rules, path):
    path.write_text("")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, rules, path], capture_output=True, check=False, timeout=30
    )
    assert run.returncode == 0, run.stderr
    went = json.loads(run.stdout)
    abi = landlock.abi()
    if abi < 4:
        del went["connect"], went["bind"]
    if abi < 6:
        del went["signal"]
    return {name for name, through in went.items() if through}


def test_with_everything_denied_nothing_goes_through(tmp_path):
    assert tried("deny_all", tmp_path / "f") == set()


def test_with_writes_denied_files_are_still_read(tmp_path):
    assert tried("deny_writes", tmp_path / "f") == {"read", "list"}


@pytest.mark.skipif(landlock.abi() < 4, reason="this Landlock knows no network")
def test_with_the_network_denied_files_are_as_before(tmp_path):
    assert tried("deny_network", tmp_path / "f") == {"read", "list", "write", "create"}


def test_it_is_not_forbidden_here():
    assert not landlock.forbidden()
