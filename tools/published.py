"""Published implementations of what the classical detectors look for, timed for `make bench` in an environment of theirs.

pyIFD (Apache-2.0) holds Python versions of the methods of the CERTH image forensics toolbox, pimage (MIT or Apache-2.0) a block-based
search for copy-moves. Neither is a dependency: an environment is made for them, and where that fails they are left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent / "build" / "published"
PACKAGES = ("pyIFD==0.0.3", "pimage==1.1.1")
LIMIT_S = 300  # wall clock: longer than that, only a bound is told
# Our detector, what is compared with it, module, function.
METHODS: tuple[tuple[str, str, str, str], ...] = (
    ("jpeg_grid", "pyIFD CAGI, block grid", "pyIFD.CAGI", "CAGI"),
    ("jpeg_ghost", "pyIFD GHOST", "pyIFD.GHOST", "GHOST"),
    ("demosaicing", "pyIFD CFA2", "pyIFD.CFA2", "CFA2"),
    ("copy_move", "pimage", "pimage.copy_move", "detect"),
)
SCRIPT = """
import importlib, json, sys, time
find = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
began = time.process_time()
find(sys.argv[3])
print(json.dumps(time.process_time() - began))
"""


def timed(picture: Path) -> Iterator[tuple[str, str, float | None]]:
    """Our detector's name, what stands beside it, and its CPU seconds on one picture; None: not within the limit."""
    python = environment()
    if python is None:
        print("pyIFD and pimage cannot be installed here and are left out", file=sys.stderr)
        return
    for ours, theirs, module, function in METHODS:
        command = [str(python), "-c", SCRIPT, module, function, str(picture)]
        try:
            done = subprocess.run(
                command,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
                cwd=picture.parent,  # some write pictures where they stand
                capture_output=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield ours, theirs, None
            continue
        if done.returncode == 0:
            yield ours, theirs, float(json.loads(done.stdout.splitlines()[-1]))
        else:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            print(f"{theirs} failed: {' '.join(last)}", file=sys.stderr)


def environment() -> Path | None:
    """Make the environment, or find it; its interpreter."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "ready"
    wanted = (HERE / "published.txt").read_text() + "\n".join(PACKAGES)
    if ready.exists() and ready.read_text() == wanted:
        return python
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "-q"]
    for asked in (["-r", str(HERE / "published.txt")], ["--no-deps", *PACKAGES]):
        if subprocess.run([*pip, *asked], check=False).returncode:
            return None
    ready.write_text(wanted)
    return python
