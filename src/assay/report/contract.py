"""The JSON contract: one object a line for each sample, and its JSON Schema.

Everything is in the object; absent things are null or empty, never missing. No NaN, no infinity, UTC times (RFC 3339).
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from assay.plain import finding_of, plain_finding, rounded
from assay.types import (
    JSON,
    SCHEMA,
    Action,
    Coverage,
    Decision,
    Evidence,
    Kind,
    Label,
    Problem,
    Rescored,
    Sample,
    Screening,
    Stability,
    Status,
    Verdict,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def schema() -> JSON:
    """The JSON Schema (2020-12) of one line."""
    text = resources.files(__package__).joinpath("screening.schema.json").read_text("utf-8")
    loaded: JSON = json.loads(text)
    return loaded


def flatten(screening: Screening) -> Iterator[Screening]:
    """The screening and all that was found inside of it, outermost first."""
    yield screening
    for child in screening.children:
        yield from flatten(child)


def line(screening: Screening) -> str:
    """One line of JSON: ASCII only, so that no name can carry control or bidi characters to a terminal."""
    return json.dumps(to_json(screening), ensure_ascii=True, allow_nan=False, separators=(", ", ": "))


def to_json(screening: Screening) -> JSON:
    """Describe one screening (without its children, which have lines of their own)."""
    s, v, d = screening.sample, screening.verdict, screening.decision
    path, path_b64 = _path(screening.path)
    return {
        "schema": SCHEMA,
        "id": s.id,
        "parent_id": s.parent,
        "path": path,
        "path_b64": path_b64,
        "sha256": s.sha256,
        "size": s.size,
        "media_type": s.media_type,
        "declared_type": s.declared_type,
        "status": str(screening.status),
        "error": _problem(screening.error),
        "screened_at": rfc3339(screening.screened_at),
        "assay_version": screening.assay_version,
        "calibration": v.calibration if v else None,
        "policy_digest": d.policy_digest if d else None,
        "label": str(v.label) if v else None,
        "why": str(v.why) if v and v.why else None,
        "summary": v.summary if v else (screening.error.message if screening.error else ""),
        "probability": rounded(v.probability, 6) if v else None,
        "prior": v.prior if v else None,
        "llr": rounded(v.llr, 4) if v else None,
        "threshold": rounded(v.threshold, 4) if v else None,
        "kinds": [str(k) for k in v.kinds] if v else [],
        "disclosed": v.disclosed if v else None,
        "action": str(d.action) if d else None,
        "rule": d.rule if d else None,
        "quarantine_id": screening.quarantine_id,
        "coverage": _coverage(v.coverage if v else Coverage()),
        "stability": _stability(v.stability) if v and v.stability else None,
        "width": screening.size_px[0] if screening.size_px else None,
        "height": screening.size_px[1] if screening.size_px else None,
        "duration_s": rounded(screening.duration_s, 3),
        "elapsed_s": round(screening.elapsed_s, 4),
        "cpu_s": round(screening.cpu_s, 4),
        "warnings": list(screening.warnings),
        "evidence": [_evidence(e) for e in v.evidence] if v else [],
    }


def from_json(data: JSON) -> Screening:
    """Rebuild a screening from its JSON; previews and heat maps are not part of it."""
    sample = Sample(
        id=data["id"],
        sha256=data["sha256"],
        size=data["size"],
        media_type=data["media_type"],
        declared_type=data["declared_type"],
        parent=data["parent_id"],
    )
    error = data["error"]
    return Screening(
        sample=sample,
        path=base64.b64decode(data["path_b64"]).decode("utf-8", "surrogateescape")
        if data["path_b64"]
        else data["path"],
        status=Status(data["status"]),
        screened_at=datetime.fromisoformat(data["screened_at"]),
        assay_version=data["assay_version"],
        verdict=_verdict_of(data) if data["label"] else None,
        decision=Decision(Action(data["action"]), data["rule"], data["policy_digest"])
        if data["action"]
        else None,
        error=Problem(error["code"], error["message"], error["hint"]) if error else None,
        warnings=tuple(data["warnings"]),
        elapsed_s=data["elapsed_s"],
        cpu_s=data["cpu_s"],
        quarantine_id=data["quarantine_id"],
        size_px=(data["width"], data["height"]) if data["width"] else None,
        duration_s=data["duration_s"],
    )


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _path(path: str) -> tuple[str, str | None]:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raw = path.encode("utf-8", "surrogateescape")
        return raw.decode("utf-8", "replace"), base64.b64encode(raw).decode()
    return path, None


def _problem(problem: Problem | None) -> JSON | None:
    return {"code": problem.code, "message": problem.message, "hint": problem.hint} if problem else None


def _coverage(c: Coverage) -> JSON:
    return {
        "examined": list(c.examined),
        "recall": [round(r, 4) for r in c.recall] if c.recall else None,
        "recall_kind": str(c.recall_kind) if c.recall_kind else None,
        "n": c.n,
        "blind_spots": list(c.blind_spots),
    }


def _stability(s: Stability) -> JSON:
    return {
        "llr": [round(x, 4) for x in s.llr],
        "flips": s.flips,
        "copies": [
            {
                "name": c.name,
                "width": c.size_px[0],
                "height": c.size_px[1],
                "quality": c.quality,
                "scores": {k: rounded(x, 6) for k, x in sorted(c.scores.items())},
            }
            for c in s.copies
        ],
    }


def _stability_of(data: JSON) -> Stability:
    copies = tuple(
        Rescored(c["name"], (c["width"], c["height"]), c["quality"], c["scores"]) for c in data["copies"]
    )
    return Stability((data["llr"][0], data["llr"][1]), data["flips"], copies)


def _evidence(e: Evidence) -> JSON:
    return {
        "detector": e.detector,
        "version": e.version,
        "family": e.family,
        "llr": rounded(e.llr, 4),
        "elapsed_s": round(e.elapsed_s, 4),
    } | plain_finding(e.finding)


def _verdict_of(data: JSON) -> Verdict:
    c = data["coverage"]
    return Verdict(
        label=Label(data["label"]),
        why=Why(data["why"]) if data["why"] else None,
        summary=data["summary"],
        llr=data["llr"],
        threshold=data["threshold"],
        probability=data["probability"],
        prior=data["prior"],
        kinds=tuple(Kind(k) for k in data["kinds"]),
        disclosed=data["disclosed"],
        evidence=tuple(_evidence_of(e) for e in data["evidence"]),
        coverage=Coverage(
            tuple(c["examined"]),
            tuple(c["recall"]) if c["recall"] else None,
            c["n"],
            tuple(c["blind_spots"]),
            Kind(c["recall_kind"]) if c.get("recall_kind") else None,
        ),
        calibration=data["calibration"],
        stability=_stability_of(data["stability"]) if data.get("stability") else None,
    )


def _evidence_of(e: JSON) -> Evidence:
    return Evidence(e["detector"], e["version"], e["family"], finding_of(e), e["llr"], e["elapsed_s"])
