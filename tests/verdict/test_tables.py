"""The tables of docs/verdict.md say what ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_documented_tables_are_the_shipped_ones():
    spec = importlib.util.spec_from_file_location(
        "calibration_tables", ROOT / "tools" / "calibration" / "tables.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
    assert module.filled(page) == page, "run tools/calibration/tables.py docs/verdict.md"
