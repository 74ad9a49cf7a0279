"""What a hostile decoder tries, and what an examiner may still do: each attempt from inside, as root and as a user."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from another_user import run_as_another_user
from assay.errors import Failed
from assay.media.jail.process import DECODER, EXAMINER, Zygote

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
REFUSED = {"EACCES", "EPERM", "ENOSYS"}
KILLED = {"SIGSYS"}

OF_BOTH = {
    "open for writing": REFUSED,
    "create": REFUSED,
    "truncate while reading": REFUSED,
    "remove": REFUSED,
    "rename": REFUSED,
    "make a directory": REFUSED,
    "change mode": REFUSED,
    "make memory files": REFUSED,
    "open by openat2": REFUSED,
    "socket": REFUSED,
    "unix socket": REFUSED,
    "connect": REFUSED,
    "clone3": REFUSED,
    "ptrace the parent": KILLED,
    "read the parent's memory": KILLED,
    "signal the parent": KILLED,
    "kill the parent": KILLED,
    "signal the parent's thread": KILLED,
    "signal by pidfd": KILLED,
    "own the socket's signals": REFUSED,
    "mount": KILLED,
    "unshare": KILLED,
    "load bpf": KILLED,
    "become root": KILLED,
    "io_uring": KILLED,
    "raise limits": REFUSED,
    "be dumpable": REFUSED,
    "nothing": {"done"},
    "ask limits": {"done"},
    "look at an open file": {"done"},
}
OF_A_DECODER = OF_BOTH | {
    "open /etc/passwd": REFUSED,
    "list /": REFUSED,
    "look at /etc/passwd": REFUSED,
    "executable memory": REFUSED,
    "exec": KILLED,
    "fork": KILLED,
    "clone a process": KILLED,
}
OF_AN_EXAMINER = OF_BOTH | {
    "open /etc/passwd": {"done"},
    "list /": {"done"},
    "executable memory": {"done"},
    "exec": REFUSED,
    "fork": REFUSED,
    "clone a process": REFUSED,
}
if os.uname().machine == "x86_64":
    OF_A_DECODER |= {"vfork": KILLED, "use 32-bit numbers": KILLED}
    OF_AN_EXAMINER |= {"vfork": REFUSED}


def outcome(z, what, path, *, locked):
    with z.spawn() as child:
        if locked:
            assert child.call({"op": "lock_up"}, timeout_s=10) == {"off": {}}
        try:
            told = child.call({"op": "attempt", "what": what, "path": str(path)}, timeout_s=10)
        except Failed as e:
            return next((w for w in ("SIGSYS", "SIGKILL", "SIGSEGV") if w in e.message), e.message)
    return told.get("refused", "done")


def wrong(profile, expected, path):
    """The attempts whose outcome is another than expected."""
    found = {}
    with Zygote("jailed:prepare", profile.serving("jailed:handle"), path=[HERE]) as z:
        for what in expected:
            found[what] = outcome(z, what, path, locked=profile.kind == "examiner")
        assert z.warnings == []
    return {what: got for what, got in found.items() if got not in expected[what]}


def check_all(path):
    """Both profiles, for the uid that runs this; see `test_a_plain_users_sandbox_refuses_the_same`."""
    return wrong(DECODER, OF_A_DECODER, path) | wrong(EXAMINER, OF_AN_EXAMINER, path)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.write_text("untouched")
    path.chmod(0o666)
    return path


def test_each_escape_of_a_decoder_is_refused(target):
    assert wrong(DECODER, OF_A_DECODER, target) == {}
    assert target.read_text() == "untouched"
    assert os.listdir(target.parent) == ["target"]


def test_a_locked_examiner_reads_and_computes_and_nothing_else(target):
    assert wrong(EXAMINER, OF_AN_EXAMINER, target) == {}
    assert target.read_text() == "untouched"
    assert os.listdir(target.parent) == ["target"]


def test_a_plain_users_sandbox_refuses_the_same(target):
    script = (
        f"import sys, json; sys.path[:0] = {[str(HERE), str(TESTS)]!r}; import test_inside; "
        f"print(json.dumps(test_inside.check_all({str(target)!r})))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    target.parent.chmod(0o777)
    run = run_as_another_user(
        [sys.executable, "-c", script], needs=[TESTS, target.parent], env=environment, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {}
    assert target.read_text() == "untouched"


@pytest.mark.parametrize("without", [("seccomp",), ("landlock",)])
def test_one_layer_alone_still_keeps_files_shut(target, without):
    profile = DECODER.serving("jailed:handle", without=without)
    with Zygote("jailed:prepare", profile, path=[HERE]) as z:
        for what in ("open /etc/passwd", "open for writing", "create", "remove"):
            assert outcome(z, what, target, locked=False) in REFUSED, what
        assert any(without[0] in w for w in z.warnings)
    assert target.read_text() == "untouched"


def test_without_any_layer_the_attempts_succeed(target):
    """The check of the checker: the attempts are real."""
    layers = ("uid", "limits", "no_new_privs", "not_dumpable", "landlock", "seccomp")
    with Zygote("jailed:prepare", DECODER.serving("jailed:handle", without=layers), path=[HERE]) as z:
        for what in (
            "open /etc/passwd",
            "create",
            "socket",
            "exec",
            "signal the parent",
            "make memory files",
        ):
            got = outcome(z, what, target, locked=False)
            assert got == "done" or "exit status 0" in got, what
        assert all(any(layer in w for w in z.warnings) for layer in layers)


def test_an_examiner_is_free_to_open_its_weights_before_the_lock(target):
    with Zygote("jailed:prepare", EXAMINER.serving("jailed:handle"), path=[HERE]) as z:
        assert outcome(z, "open /etc/passwd", target, locked=False) == "done"
        assert outcome(z, "open for writing", target, locked=False) == "done"


@pytest.mark.parametrize("what", ["open for writing", "socket", "fork"])
def test_threads_from_before_the_lock_are_locked_too(target, what):
    with Zygote("jailed:prepare", EXAMINER.serving("jailed:handle"), path=[HERE]) as z, z.spawn() as child:
        told = child.call({"op": "threads_before_lock", "what": what, "path": str(target)}, timeout_s=10)
        assert told["refused"] in REFUSED


def test_locking_twice_does_nothing():
    with Zygote("jailed:prepare", EXAMINER.serving("jailed:handle"), path=[HERE]) as z, z.spawn() as child:
        for _ in range(2):
            assert child.call({"op": "lock_up"}, timeout_s=10) == {"off": {}}


@pytest.mark.parametrize("profile", [DECODER, EXAMINER])
def test_threads_start_inside(profile):
    with Zygote("jailed:prepare", profile.serving("jailed:handle"), path=[HERE]) as z, z.spawn() as child:
        child.call({"op": "lock_up"}, timeout_s=10)
        assert child.call({"op": "threads", "n": 8}, timeout_s=10)["found"] == list(range(8))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives each decoder a uid of its own")
def test_each_decoder_of_root_has_a_uid_of_its_own():
    with Zygote("jailed:prepare", DECODER.serving("jailed:handle"), path=[HERE]) as z:
        children = [z.spawn() for _ in range(3)]
        uids = {c.call({"op": "echo"}, timeout_s=5)["uid"] for c in children}
        for c in children:
            c.close()
    assert len(uids) == 3
    assert all(64000 <= uid < 65000 for uid in uids)


def test_a_refused_call_is_named_in_debug_mode(monkeypatch, capfd):
    monkeypatch.setenv("ASSAY_JAIL_DEBUG", "1")
    told = []
    profile = DECODER.serving("jailed:handle")
    with Zygote("jailed:prepare", profile, path=[HERE], log=told.append) as z:
        assert outcome(z, "open /etc/passwd", "", locked=False) == "EACCES"
        assert outcome(z, "exec", "", locked=False) == "EPERM"
    assert any("refuses openat" in line for line in told)
    assert any("would kill for execve" in line for line in told)
    assert "refuses openat" in capfd.readouterr().err
