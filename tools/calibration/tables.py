"""Write the tables of docs/verdict.md from reasons.toml and calibration.json.

python tools/calibration/tables.py docs/verdict.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from assay.bench.thresholds import Line, table, told
from assay.verdict import calibration as tables
from assay.verdict.calibration import Calibration

BUDGETS = (0.01, 0.05)


def reasons_table(known: Calibration) -> str:
    """One row for each code that detectors emit."""
    rows = ["| reason | nats | | what it says |", "|---|---|---|---|"]
    for name, w in known.weights.items():
        marks = zip("DFSV", (w.decisive, w.forgeable, w.disclosed, w.voids), strict=True)
        rows.append(f"| `{name}` | {w.llr:g} | {' '.join(m for m, on in marks if on)} | {w.text} |")
    return "\n".join(rows)


def calibration_table(fitted: dict[str, Any], known: Calibration) -> str:
    """Maps first, then thresholds of every group."""
    if not fitted["detectors"]:
        return "Nothing yet: every score is shown and none is counted."
    rows = [f"Version `{fitted['version']}`.", "", "| detector | version | size | JPEG quality | method | sources, bona fide / fake | LLR from .. to | Cllr [90 %] |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, about in fitted["detectors"].items():
        for c in about["cells"]:
            low, high = c["knots"][0][1], c["knots"][-1][1]
            rows.append(
                f"| {name} | {about['version']} | {c['size']} | {_quality(c['quality'])} | {c['method']} | {c['n_bona_fide']} / {c['n_fake']} "
                f"| {low:.1f} .. {high:.1f} | {_cost(c)} |"
            )
    rows += ["", "| size | JPEG quality | who spoke | bona fide sources | budget | threshold | realised false alarms, 90 % | found, per kind [90 %], n |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    rows += [_line(line) for line in table(known, BUDGETS)]
    return "\n".join(rows)


def _cost(cell: dict[str, Any]) -> str:
    if cell["cllr"] is None:
        return "not measured"
    return f"{cell['cllr']:.2f} [{cell['cllr_90'][0]:.2f}-{cell['cllr_90'][1]:.2f}]"


def _quality(bounds: list[int]) -> str:
    if bounds == [0, 100]:
        return "any, or no JPEG"
    return "no JPEG" if bounds == [0, 0] else f"{bounds[0]}-{bounds[1]}"


def _line(line: Line) -> str:
    start = f"| {line.size} | {_quality(list(line.qualities))} | {', '.join(line.panel)} | {line.sources} | {100 * line.budget:g} %"
    if line.threshold is None:
        return f"{start} | none: too few sources | | |"
    low, high = line.threshold.false_alarms
    found = "; ".join(told(kind) for kind in sorted(line.found.items()))
    return f"{start} | {line.threshold.value:.2f} | {100 * low:.1f}-{100 * high:.1f} % | {found} |"


def filled(page: str) -> str:
    """Put the tables between their marks."""
    known = tables.shipped()
    fitted = json.loads((tables.HERE / "calibration.json").read_text(encoding="utf-8"))
    for mark, text in (("calibration", calibration_table(fitted, known)), ("reasons", reasons_table(known))):
        begin, end = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{text}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
