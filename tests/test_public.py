from __future__ import annotations

import subprocess
import sys

import assay


def test_all_names_what_is_public_and_every_name_is_there() -> None:
    assert set(assay._HOME_OF) | {"screen"} == set(assay.__all__)
    for name in assay.__all__:
        assert getattr(assay, name) is not None


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys; from assay.cli import root; root.main(['--help'], standalone_mode=False); "
        "print([m for m in ('numpy', 'PIL', 'av', 'numba', 'sqlalchemy', 'onnxruntime', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
