"""What a record's rows hold: of a screening to a row of records, of findings and of fingerprints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from assay.store.tables import storable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.types import JSON, Screening


def record_row(document: JSON, screening: Screening) -> dict[str, Any]:
    """The row of one screening; `document` is its line of the JSON contract."""
    sample = screening.sample
    columns = (
        "media_type",
        "status",
        "label",
        "llr",
        "action",
        "assay_version",
        "calibration",
        "policy_digest",
    )
    return {name: document[name] for name in columns} | {
        "id": sample.id,
        "sha256": sample.sha256,
        "path": storable(screening.path),
        "source": storable(sample.source),
        "screened_at": screening.screened_at,
        "parent_id": sample.parent,
        "quarantine_id": screening.quarantine_id,
        "quality": screening.quality,
        "document": dumped(document),
    }


def finding_rows(document: JSON) -> list[dict[str, Any]]:
    """A row for each piece of evidence, with its reasons' codes as they are searched for: each between blanks."""
    columns = ("detector", "version", "family", "outcome", "score", "llr")
    return [
        {name: evidence[name] for name in columns}
        | {
            "record_id": document["id"],
            "position": n,
            "codes": "".join(f" {storable(r['code'])}" for r in evidence["reasons"]) + " ",
        }
        for n, evidence in enumerate(document["evidence"])
    ]


def digest_row(record_id: str, sha256: str) -> dict[str, Any]:
    """The digest, among a record's fingerprints; `sha256` in hex."""
    return {"record_id": record_id, "kind": "sha256", "position": 0, "value": bytes.fromhex(sha256)}


def print_rows(record_id: str, prints: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """A row for each fingerprint, by its format."""
    return [{"record_id": record_id, "kind": k, "position": 0, "value": v} for k, v in prints.items()]


def dumped(document: JSON) -> str:
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
