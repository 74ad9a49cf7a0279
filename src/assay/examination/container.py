"""Triage: what a sample's structure, metadata and credentials say, before any pixel is decoded."""

from __future__ import annotations

from assay.evidence.panel import Request
from assay.examination.opened import Opened, only


def examine_container(opened: Opened, trust: dict[str, str]) -> None:
    """Read the container and ask the detectors that read it; `trust` holds the credentials' authorities (PEM)."""
    case, sample = opened.case, opened.case.sample
    packed, case.container = opened.worker.triage(sample.media_type, sample.size, sample.sha256, trust)
    case.warnings += case.container.warnings
    opened.collect(opened.panel.examine(Request(packed, opened.readers("Container"))), only)
