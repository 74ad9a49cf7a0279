"""Run one detector on one view, whatever it does. The only broad ``except`` of the program stands here."""

from __future__ import annotations

import time
import traceback
from typing import Any

from assay.errors import AssayError
from assay.types import Finding, Outcome, Reason


def run(detector: Any, view: Any) -> tuple[Finding, float]:
    """Examine `view` and return the finding and the seconds it took; a crash becomes a FAILED finding."""
    started = time.perf_counter()
    try:
        finding = detector.examine(view)
        if not isinstance(finding, Finding):
            finding = failed("no_finding", f"examine() returned {type(finding).__name__}, not a Finding")
        elif not finding.reasons:
            finding = failed("no_reason", "the detector gave no reason for its finding")
    except AssayError as e:
        finding = failed(e.code, e.message)
    except Exception as e:  # noqa: BLE001 - a detector may fail in any way; the others must go on
        where = traceback.extract_tb(e.__traceback__)[-1]
        finding = failed("crashed", f"{type(e).__name__}: {str(e)[:200]} ({where.name}, line {where.lineno})")
    return finding, time.perf_counter() - started


def failed(code: str, text: str) -> Finding:
    return Finding(Outcome.FAILED, reasons=(Reason(code, text),))
