"""Write the tables of docs/verdict.md from reasons.toml and calibration.json.

python tools/calibration/tables.py docs/verdict.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from assay.verdict import calibration as tables
from assay.verdict.calibration import Calibration
from assay.verdict.conformal import split_conformal, wilson

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
                f"| {low:.1f} .. {high:.1f} | {c['cllr']:.2f} [{c['cllr_90'][0]:.2f}-{c['cllr_90'][1]:.2f}] |"
            )
    rows += ["", "| group | bona fide sources | budget | threshold | realised false alarms, 90 % | found, per kind [90 %], n |", "|---|---|---|---|---|---|"]  # fmt: skip
    for name, group in known.groups.items():
        rows += [_group_row(name, group, budget) for budget in BUDGETS]
    return "\n".join(rows)


def _quality(bounds: list[int]) -> str:
    if bounds == [0, 100]:
        return "any, or no JPEG"
    return "no JPEG" if bounds == [0, 0] else f"{bounds[0]}-{bounds[1]}"


def _group_row(name: str, group: tables.Group, budget: float) -> str:
    threshold = split_conformal(group.bona_fide, budget)
    start = f"| {name} | {len(group.bona_fide)} | {100 * budget:g} %"
    if threshold is None:
        return f"{start} | none: too few sources | | |"
    found = []
    for kind, llrs in group.fakes.items():
        hits = sum(x >= threshold.value for x in llrs)
        low, high = wilson(hits, len(llrs))
        found.append(f"{kind} {100 * hits / len(llrs):.0f} % [{100 * low:.0f}-{100 * high:.0f}], {len(llrs)}")
    low, high = threshold.false_alarms
    return f"{start} | {threshold.value:.2f} | {100 * low:.1f}-{100 * high:.1f} % | {'; '.join(found)} |"


def filled(page: str) -> str:
    """Put the tables between their marks."""
    known = tables.shipped()
    fitted = json.loads((tables.HERE / "calibration.json").read_text(encoding="utf-8"))
    for mark, table in (("calibration", calibration_table(fitted, known)), ("reasons", reasons_table(known))):
        begin, end = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{table}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
