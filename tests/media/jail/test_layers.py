from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.media.jail import landlock
from assay.media.jail.kernel import machine
from assay.media.jail.layers import layers

HERE = Path(__file__).parent


def test_no_layer_is_off_that_this_kernel_has():
    found = {layer.name: layer for layer in layers()}
    names = [
        "zygote",
        "uid",
        "no_new_privs",
        "not_dumpable",
        "limits",
        "landlock",
        "seccomp",
        "examiner_lock",
    ]
    assert list(found) == names
    assert [layer for layer in found.values() if layer.on is False] == []
    assert found["landlock"].on is (True if landlock.abi() else None)
    assert all(layer.why for layer in found.values())


# A container that forbids both: a filter that refuses seccomp(2) and the landlock calls, before Assay starts.
FORBIDDING = """
import json, struct, sys
from assay.media.jail import seccomp, kernel, numbers
from assay.media.jail.process import DECODER, Zygote
step = lambda *s: struct.pack("=HBBI", *s)
refused = [numbers.number_of(n, kernel.machine()) for n in ("seccomp", *(n for n in numbers.NUMBERS if "landlock" in n))]
program = step(0x20, 0, 0, 0) + b"".join(step(0x15, 0, 1, n) + step(6, 0, 0, seccomp.EPERM) for n in refused)
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.Filter(program + step(6, 0, 0, seccomp.ALLOW)).install()
from assay.media.jail.layers import layers
found = {l.name: [l.on, l.hint] for l in layers()}
with Zygote("jailed:prepare", DECODER.serving("jailed:handle"), path=[sys.argv[1]]) as z, z.spawn() as child:
    answer = child.call({"op": "echo"}, timeout_s=10)["fds"]
    print(json.dumps([found, answer, z.warnings]))
"""


@pytest.mark.skipif(not machine(), reason="no system call table for this processor")
def test_a_proc_that_hides_processes_is_a_layer_that_is_off(monkeypatch):
    def hidden(_child):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("assay.media.jail.layers._limits", hidden)
    [found] = layers()
    assert (found.name, found.on) == ("proc", False)
    assert "ProtectProc" in found.hint


def test_a_container_that_forbids_layers_is_reported_and_decoders_still_run():
    run = subprocess.run(
        [sys.executable, "-c", FORBIDDING, HERE], capture_output=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    found, answer, warnings = json.loads(run.stdout)
    for name in ("seccomp", "landlock"):
        on, hint = found[name]
        assert on is False
        assert "profile" in hint
        assert any(name in w for w in warnings)
    assert found["examiner_lock"][0] is False
    assert found["limits"][0] is True
    assert answer == 0
