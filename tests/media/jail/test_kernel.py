from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from assay.media.jail import kernel
from assay.media.jail.numbers import number_of


@pytest.mark.skipif(not kernel.machine(), reason="no system call table for this processor")
def test_a_call_goes_through_and_a_wrong_one_names_its_error():
    assert kernel.invoke(number_of("getpid", kernel.machine())) == os.getpid()
    with pytest.raises(OSError) as caught:
        kernel.invoke(number_of("dup", kernel.machine()), -1)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(OSError):
        kernel.prctl(99999, 0)


def test_a_bare_fork_is_a_fork():
    read, write = os.pipe()
    pid = kernel.bare_fork()
    if pid == 0:
        os.write(write, b"%d" % os.getpid())
        os._exit(0)
    os.close(write)
    assert os.read(read, 20) == b"%d" % pid
    os.close(read)
    assert os.waitpid(pid, 0) == (pid, 0)


def test_an_unknown_processor_has_no_name(monkeypatch):
    for name, known in (("riscv64", ""), ("x86_64", "x86_64"), ("arm64", "aarch64"), ("i686", "")):
        monkeypatch.setattr("platform.machine", lambda name=name: name)
        assert kernel.machine() == known


def test_trimming_the_heap_harms_nothing():
    kernel.trim_heap()


def test_a_heap_that_is_kept_is_not_taken_from_the_kernel_again():
    code = """
import resource, sys
import numpy as np
from assay.media.jail.kernel import keep_heap
if sys.argv[1] == "keep":
    keep_heap(256 << 20)
def churn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        arrays = [np.ones(1 << 20) for _ in range(4)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
churn()
print(churn())
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    environment["NUMPY_MADVISE_HUGEPAGE"] = "0"  # else a fault is of 2 MB
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", code, how], capture_output=True, text=True, check=True, env=environment
            ).stdout
        )
        for how in ("keep", "leave")
    }
    assert faults["keep"] < faults["leave"] / 10, faults
