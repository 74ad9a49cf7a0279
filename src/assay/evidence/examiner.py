"""What runs inside of an examiner process: detectors, on read-only views, without network and without writing.

``prepare`` runs once in the zygote (imports, no session, no thread); ``handle`` answers in each child. The first
request opens the weights and locks the door behind itself.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.errors import Failed, ModelError
from assay.evidence import models, registry, renditions, runner
from assay.evidence.detector import Card
from assay.media.compiled import compile_all
from assay.media.jail.arena import read_arena
from assay.media.jail.inside import lock
from assay.media.jail.kernel import keep_heap
from assay.media.views import unpack
from assay.plain import packed_finding
from assay.types import JSON, Finding

KEPT_BYTES = 256 << 20  # detectors take and free as much with every picture of a few megapixels


def prepare() -> None:
    """Import every detector and its compiled kernels, which children then share.

    Not onnxruntime: importing it starts a thread, and a zygote must have one only. Each child imports it once, and
    finds there that it shall keep its telemetry (a device id and a database below ~/.cache) to itself.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    if len(registry.references()) > len(registry.BUILT_IN):
        with contextlib.suppress(ImportError):  # a foreign detector's kernels may need what ours leave out
            importlib.import_module("scipy.linalg")
    for _ in registry.entries():
        pass
    renditions.prepare()
    compile_all()


class Bench:
    """The detectors of one examiner, constructed, and those that could not be."""

    def __init__(self, models_dir: Path) -> None:
        self.detectors: dict[str, Any] = {}
        self.unavailable: dict[str, str] = {}
        self.cards: list[JSON] = []
        opened: dict[str, Any] = {}  # by model: detectors share a session, and each is opened once
        for entry in registry.entries():
            if entry.detector is None:
                self.cards.append({"reference": entry.reference, "problem": entry.problem})
                continue
            card = entry.card
            self.cards.append(plain_card(card) | {"reference": entry.reference, "problem": ""})
            try:
                missing = [name for name in card.models if name not in opened]
                opened |= models.sessions(missing, models_dir) if missing else {}
            except ModelError as e:
                self.unavailable[card.name] = f"{e.message}: {e.hint}" if e.hint else e.message
                continue
            own = {name: opened[name] for name in card.models}
            self.detectors[card.name] = entry.detector(own) if own else entry.detector()

    def examine(self, name: str, view: Any) -> tuple[Finding, float]:
        if name in self.unavailable:
            return Finding.not_applicable("weight_missing", self.unavailable[name]), 0.0
        return runner.run(self.detectors[name], view)


_bench: list[Bench] = []  # of this process, once it is open


def handle(request: JSON, fds: list[int]) -> Iterator[JSON]:
    """Answer one request: "open" once, then "examine"."""
    if request["op"] == "open":
        keep_heap(KEPT_BYTES)
        _bench.append(Bench(Path(request["models_dir"])))
        lock()
        yield {"cards": _bench[0].cards, "unavailable": _bench[0].unavailable}
    elif request["op"] == "examine":
        yield from _examine(_bench[0], request, fds)
    else:
        raise Failed(f"an examiner does not know {request['op']}", code="protocol")


def _examine(bench: Bench, request: JSON, fds: list[int]) -> Iterator[JSON]:
    arena = read_arena(fds[0], request["used"]) if fds else memoryview(b"")
    for fd in fds:
        os.close(fd)
    view = unpack(request["view"], arena)
    if request["rendition"]:
        cut = request["cut"]
        view = renditions.rendered(
            view, renditions.BY_NAME[request["rendition"]], tuple(cut) if cut else None
        )
    for name in request["detectors"]:
        for part in _parts(view, each=request["each"]):
            finding, elapsed = bench.examine(name, part)
            yield {"detector": name, "finding": packed_finding(finding), "elapsed_s": elapsed}


def _parts(view: Any, *, each: bool) -> tuple[Any, ...]:
    """The view itself, or every frame of a clip for a detector that reads pictures."""
    return tuple(view.frames) if each else (view,)


def plain_card(card: Card) -> JSON:
    return {
        "name": card.name,
        "version": card.version,
        "reads": card.reads.__name__,
        "family": card.family,
        "claims": sorted(str(k) for k in card.claims),
        "summary": card.summary,
        "source": card.source,
        "licence": card.licence,
        "models": list(card.models),
        "frames": card.frames,
    }
