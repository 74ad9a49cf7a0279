"""Scores as `assay bench run` wrote them, joined: one row a rendition, with what every detector said of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from assay.types import JSON
from assay.verdict.calibration import Context

PEER = "peer:"  # detectors of others, which stand beside ours and are never calibrated
COLUMNS = (
    "sample", "label", "kind", "family", "generator", "source", "laundering", "media_family", "width", "height",
    "quality", "detector", "version", "score", "region_f1", "metadata",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One rendition of one source, and what each detector that spoke said of it."""

    name: str  # sample and laundering
    source: str
    fake: bool
    kind: str  # of fakes
    context: Context
    scores: Mapping[str, float]
    f1: Mapping[str, float] = field(default_factory=dict)  # of regions against the mask
    generator: str = ""
    laundering: str = ""
    family: str = ""  # content or manipulation
    weight: float = 1.0  # of feedback: how many samples its own stands for
    drawn: bool = True  # False: chosen by a verdict, so that it measures none


@dataclass(frozen=True, slots=True)
class Scores:
    """What scores files hold, without metadata."""

    rows: tuple[Row, ...]
    cards: Mapping[str, JSON]  # of each detector, as the run used it
    inputs: Mapping[str, str]  # file name, with its folder where two have the same -> SHA-256


def read_scores(paths: Sequence[Path]) -> Scores:
    """Read scores files and join what they say of the same rendition.

    Raises
    ------
    AssayError
        A file is no scores file, or two disagree on a detector's version, a source or a label.
    """
    cards: dict[str, JSON] = {}
    joined: dict[tuple[str, str], dict[str, Any]] = {}
    for path in paths:
        table, mine = _read(path)
        for card in mine:
            known = cards.setdefault(card["name"], card)
            if known["version"] != card["version"]:
                raise _error(
                    f"{path}: {card['name']} has version {card['version']} here, {known['version']} elsewhere"
                )
        _join(table, {c["name"]: int(c["version"]) for c in mine}, joined, path)
    if not joined:
        raise _error("the scores hold no row without metadata")
    read = [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths]
    digests = dict(zip(_named(paths), read, strict=True))
    return Scores(tuple(_row(r) for r in joined.values()), cards, digests)


def _named(paths: Sequence[Path]) -> list[str]:
    """Name each file, with its folder where two have the same name, and by its turn where that does not help."""
    names: list[str] = []
    for path in paths:
        alone = sum(p.name == path.name for p in paths) == 1
        name = path.name if alone else f"{path.resolve().parent.name}/{path.name}"
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names


def _read(path: Path) -> tuple[list[dict[str, Any]], list[JSON]]:
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
        about = json.loads((file.schema_arrow.metadata or {})[b"assay"])
        kept = [name for name in COLUMNS if name in file.schema_arrow.names]
        rows: list[dict[str, Any]] = file.read(columns=kept).to_pylist()
        cards = [card for card in about["detectors"] if not card["name"].startswith(PEER)]
    except FileNotFoundError as e:
        raise AssayError(f"there is no file {path}", code="bench") from e
    except (OSError, ArrowException, KeyError, ValueError, TypeError) as e:
        raise _error(f"{path} is no scores file of `assay bench run`: {e}") from e
    if lacking := [name for name in COLUMNS if name not in kept]:
        raise _error(f"{path} is no scores file of `assay bench run`: it has no {', '.join(lacking)}")
    return rows, cards


def _join(
    rows: Sequence[Mapping[str, Any]],
    versions: Mapping[str, int],
    joined: dict[tuple[str, str], dict[str, Any]],
    path: Path,
) -> None:
    for r in rows:
        name = r["detector"]
        if r["metadata"]:
            continue
        if not name.startswith(PEER) and versions.get(name) != r["version"]:
            raise _error(f"{path}: its list of detectors does not hold version {r['version']} of {name}")
        known = joined.setdefault((r["sample"], r["laundering"]), {**r, "scores": {}, "f1": {}})
        if (known["source"], known["label"]) != (r["source"], r["label"]):
            raise _error(f"{path}: sample {r['sample'][:12]} has another source or label elsewhere")
        if r["score"] is not None:
            known["scores"][name] = float(r["score"])
        if r["region_f1"] is not None:
            known["f1"][name] = float(r["region_f1"])


def _row(r: Mapping[str, Any]) -> Row:
    context = Context(
        media_family=r["media_family"],
        size_px=None if r["width"] is None else (int(r["width"]), int(r["height"])),
        quality=None if r["quality"] is None else int(r["quality"]),
    )
    return Row(
        name=f"{r['sample']}/{r['laundering']}",
        source=r["source"],
        fake=r["label"] == "fake",
        kind=r["kind"] or "",
        context=context,
        scores=r["scores"],
        f1=r["f1"],
        generator=r["generator"] or "",
        laundering=r["laundering"],
        family=r["family"] or "",
    )


def _error(message: str) -> AssayError:
    return AssayError(message, code="bench", hint="Run `assay bench run` again with this version of Assay.")
