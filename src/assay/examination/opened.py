"""One sample that is open in a decoder, before the panel: what examining a picture, a clip and a carrier share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assay.case import Case
from assay.errors import Failed
from assay.evidence.panel import Answers, Panel, Request, evidence_of
from assay.media.decoder import Decoder, Packed
from assay.settings import Settings
from assay.types import Finding


@dataclass(frozen=True, slots=True)
class Opened:
    """One sample's case, the worker that decodes it, and the panel that is asked about it."""

    case: Case
    worker: Decoder
    panel: Panel
    settings: Settings

    def readers(self, view: str) -> tuple[str, ...]:
        """Name the detectors that read such a view: Image, VideoClip, AudioClip or Container."""
        return tuple(m.name for m in self.panel.members if m.reads == view)

    def examine(self, packed: Packed, names: tuple[str, ...]) -> Answers:
        """Ask detectors about one decoded view."""
        return self.panel.examine(Request(packed.view, names, packed.arena_fd, packed.used))

    def collect(self, answers: Answers, merged: Callable[[list[Finding]], Finding]) -> None:
        """Write what detectors answered into the case, one piece of evidence for each."""
        cards = {m.name: m for m in self.panel.members}
        for name, findings in answers.findings.items():
            self.case.evidence.append(evidence_of(cards[name], merged(findings), answers.elapsed_s[name]))
            self.case.cpu_s += answers.elapsed_s[name]

    def windows(self) -> Iterator[Packed]:
        """All windows of what is open; a stream that breaks off leaves what was read before, and says so."""
        count = 0
        try:
            for packed in self.worker.windows():
                if not isinstance(packed, Packed):
                    self.case.warnings += packed["warnings"]
                    self.case.unread += packed.get("unread", [])
                    return
                count += 1
                yield packed
        except Failed as e:
            if not count:
                raise
            self.case.warnings.append(f"it breaks off: {e.message}")
            self.case.unread.append("what comes after the damage")


def only(findings: list[Finding]) -> Finding:
    """Merge the findings of a view that is asked about once."""
    return findings[0]
