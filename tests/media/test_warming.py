from __future__ import annotations

import subprocess
import sys


def test_warming_leaves_one_thread_and_no_output():
    program = (
        "from assay.media.warming import warm; warm(); import os; print(len(os.listdir('/proc/self/task')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"OPENBLAS_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
