"""Scores and verdicts as Parquet files, one row each, with what made them in the file's metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay import __version__
from assay.bench.fused import Fused
from assay.bench.manifest import Entry
from assay.bench.run import Order, Scored
from assay.errors import AssayError
from assay.evidence.examiner import plain_card
from assay.range import laundering
from assay.types import JSON

SCORES, VERDICTS = "scores.parquet", "verdicts.parquet"


def need_pyarrow() -> Any:
    """Import pyarrow, before anything is computed that could not be written.

    Raises
    ------
    AssayError
        If it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as e:
        raise AssayError(
            "the bench writes Parquet files, and pyarrow is not installed",
            code="bench_extra",
            hint="in the checkout: pip install '.[bench]'",
        ) from e
    return pa


def about(order: Order, calibration: str, out: Path | None = None) -> JSON:
    """What a figure has to be reproduced with; the manifest as it is reached from `out`, the folder of the scores."""
    manifest = order.manifest
    path = manifest.path if out is None else os.path.relpath(manifest.path.resolve(), out.resolve())
    return {
        "assay": __version__,
        "detectors": [plain_card(c) for c in order.panel.cards],
        "laundering_version": laundering.VERSION,
        "launderings": list(order.launderings),
        "manifest": manifest.digest,
        "manifest_path": str(path),  # so that the audit finds it from wherever it is asked
        "calibration": calibration,
        "seed": order.seed,
    }


def told_of(path: Path) -> JSON:
    """Read what a scores file says it was made with.

    Raises
    ------
    AssayError
        If it is no scores file.
    """
    need_pyarrow()
    from pyarrow import ArrowException, parquet

    try:
        told: JSON = json.loads((parquet.read_schema(path).metadata or {})[b"assay"])
    except (OSError, ArrowException, KeyError, ValueError) as e:
        raise AssayError(f"{path} is no scores file of `assay bench run`: {e}", code="bench") from e
    return told


def write_scores(path: Path, rows: Sequence[Scored], told: JSON) -> None:
    """Write one row a sample, laundering and detector."""
    pa = need_pyarrow()
    columns: dict[str, tuple[Any, list[Any]]] = {
        **_shared(pa, [r.entry for r in rows], rows),
        "rendition": (pa.string(), [r.result.rendition or None for r in rows]),
        "width": (pa.int32(), [r.result.width or None for r in rows]),
        "height": (pa.int32(), [r.result.height or None for r in rows]),
        "quality": (pa.int32(), [r.result.quality for r in rows]),
        "detector": (pa.string(), [r.detector for r in rows]),
        "version": (pa.int32(), [r.version for r in rows]),
        "outcome": (pa.string(), [str(r.result.outcome) for r in rows]),
        "score": (pa.float64(), [r.result.score for r in rows]),
        "region_f1": (pa.float64(), [r.result.region_f1 for r in rows]),
        "elapsed_s": (pa.float64(), [r.result.elapsed_s for r in rows]),
        "reasons": (pa.list_(pa.string()), [list(r.result.codes) for r in rows]),
        "problem": (pa.string(), [r.result.problem or None for r in rows]),
    }
    _write(pa, path, columns, told)


def write_verdicts(path: Path, rows: Sequence[Fused], told: JSON) -> None:
    """Write one row a sample and laundering: what the panel and the shipped fusion made of it."""
    pa = need_pyarrow()
    verdicts = [r.verdict for r in rows]
    columns: dict[str, tuple[Any, list[Any]]] = {
        **_shared(pa, [r.entry for r in rows], rows),
        "rendition": (pa.string(), [r.rendition for r in rows]),
        "width": (pa.int32(), [r.width or None for r in rows]),
        "height": (pa.int32(), [r.height or None for r in rows]),
        "quality": (pa.int32(), [r.quality for r in rows]),
        "llr": (pa.float64(), [v.llr for v in verdicts]),
        "threshold": (pa.float64(), [v.threshold for v in verdicts]),
        "verdict": (pa.string(), [str(v.label) for v in verdicts]),
        "why": (pa.string(), [None if v.why is None else str(v.why) for v in verdicts]),
    }
    _write(pa, path, columns, told)


def _shared(
    pa: Any, entries: Sequence[Entry], rows: Sequence[Scored] | Sequence[Fused]
) -> dict[str, tuple[Any, list[Any]]]:
    text = pa.string()
    return {
        "sample": (text, [e.sha256 for e in entries]),
        "path": (text, [e.name for e in entries]),
        "label": (text, [e.label for e in entries]),
        "kind": (text, [None if e.kind is None else str(e.kind) for e in entries]),
        "family": (text, [e.family for e in entries]),
        "generator": (text, [e.generator for e in entries]),
        "source": (text, [e.source for e in entries]),
        "media_family": (text, [e.media_family for e in entries]),
        "laundering": (text, [r.laundering for r in rows]),
        "metadata": (pa.bool_(), [r.metadata for r in rows]),
    }


def _write(pa: Any, path: Path, columns: dict[str, tuple[Any, list[Any]]], told: JSON) -> None:
    import pyarrow.parquet as pq

    schema = pa.schema(
        [(name, kind) for name, (kind, _) in columns.items()],
        metadata={"assay": json.dumps(told, sort_keys=True)},
    )
    table = pa.table({name: values for name, (_, values) in columns.items()}, schema=schema)
    temporary = path.with_name(f"{path.name}.part")
    try:
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        raise AssayError(
            f"{path} cannot be written: {(e.strerror or str(e)).lower()}",
            code="output",
            hint="Name another folder with --out, or make room; what was computed is cached.",
        ) from e
