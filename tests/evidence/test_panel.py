"""The examiners, with detectors that misbehave in every way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assay.evidence.panel import Panel, Request
from assay.media.jail.arena import Arena, ArenaWriter
from assay.media.jail.process import EXAMINER, Zygote
from assay.media.views import Image, VideoClip, pack
from assay.types import Outcome

DETECTORS = """
import ctypes, os, socket, time
from assay import Card, Finding, Image, Kind, Outcome, Reason

def card(name, frames=False):
    return Card(name=name, version=1, reads=Image, family="test", claims=frozenset({Kind.SPLICE}),
                summary="a test", source="none", licence="Apache-2.0", frames=frames)

def scored(score):
    return Finding(Outcome.SCORED, float(score), (Reason("mean", "the mean"),))

class Mean:
    card = card("mean", frames=True)
    def examine(self, view): return scored(view.upright.mean())

class Crash:
    card = card("crash")
    def examine(self, view): raise RuntimeError("boom")

class Hang:
    card = card("hang")
    def examine(self, view): time.sleep(60)

class Die:
    card = card("die")
    def examine(self, view): ctypes.string_at(0)

class Swell:
    card = card("swell")
    def examine(self, view):
        held = []
        while True:
            held.append(b"x" * (64 << 20))

class Mute:
    card = card("mute")
    def examine(self, view): return None

class Reach:
    card = card("reach")
    def examine(self, view):
        tries = []
        for name, action in (
            ("connect", lambda: socket.create_connection(("127.0.0.1", 9), 1)),
            ("write", lambda: open("/tmp/assay-escaped", "w")),
        ):
            try:
                action()
                tries.append(name)
            except OSError:
                pass
        return Finding(Outcome.SCORED, float(len(tries)), (Reason("reached", " ".join(tries) or "nothing"),))

class Fork:
    card = card("fork")
    def examine(self, view): os.fork()

class Signal:
    card = card("signal")
    def examine(self, view): os.kill(os.getppid(), 0)

class Exec:
    card = card("exec")
    def examine(self, view): os.execv("/bin/true", ["true"])

class Scribble:
    card = card("scribble")
    def examine(self, view):
        view.coded[0, 0, 0] = 1
"""
NAMES = ("mean", "crash", "hang", "die", "swell", "mute", "reach", "fork", "exec", "signal", "scribble")


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    folder = tmp_path_factory.mktemp("detectors")
    (folder / "misbehaving.py").write_text(DETECTORS)
    info = folder / "misbehaving-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1\n")
    lines = [f"{n} = misbehaving:{n.capitalize()}" for n in NAMES] + ["broken = misbehaving:Nowhere"]
    (info / "entry_points.txt").write_text("[assay.detectors]\n" + "\n".join(lines))
    zygote = Zygote(
        "assay.evidence.examiner:prepare", EXAMINER.serving("assay.evidence.examiner:handle"), path=[folder]
    )
    panel = Panel(zygote, folder / "models", jobs=1, detector_s=8.0, memory_bytes=450 << 20)
    yield panel
    panel.close()


@pytest.fixture
def picture() -> Iterator[Request]:
    with Arena(1 << 20) as arena, ArenaWriter(_dup(arena)) as writer:
        view = pack(Image(coded=np.full((16, 16, 3), 7, np.uint8)), writer)
        yield Request(view, ("mean",), arena.fd, writer.used)


def _dup(arena: Arena) -> int:
    import os

    return os.dup(arena.fd)


def examine(panel: Panel, request: Request, *names: str):
    from dataclasses import replace

    return {n: f[0] for n, f in panel.examine(replace(request, names=names)).findings.items()}


def test_foreign_detectors_stand_beside_the_built_in_ones(panel: Panel) -> None:
    names = [m.name for m in panel.members]
    assert set(NAMES) < set(names)
    assert names.index("content_credentials") < names.index("mean")


def test_a_detector_that_cannot_be_loaded_is_reported(panel: Panel) -> None:
    assert panel.members
    assert any("misbehaving:Nowhere" in w for w in panel.warnings)


def test_a_well_behaved_detector_scores(panel: Panel, picture: Request) -> None:
    assert examine(panel, picture, "mean")["mean"].score == 7.0


@pytest.mark.parametrize(
    ("name", "outcome", "code"),
    [
        ("crash", Outcome.FAILED, "crashed"),
        ("hang", Outcome.TIMED_OUT, "worker_timed_out"),
        ("die", Outcome.FAILED, "worker_crashed"),
        ("swell", Outcome.FAILED, "worker_out_of_memory"),
        ("mute", Outcome.FAILED, "no_finding"),
        ("scribble", Outcome.FAILED, "crashed"),
        ("fork", Outcome.FAILED, "crashed"),
        ("exec", Outcome.FAILED, "crashed"),
        ("signal", Outcome.FAILED, "worker_crashed"),
    ],
)
def test_one_that_misbehaves_says_so_and_the_others_go_on(
    panel: Panel, picture: Request, name: str, outcome: Outcome, code: str
) -> None:
    found = examine(panel, picture, "mean", name, "reach")
    assert (found[name].outcome, found[name].reasons[0].code) == (outcome, code)
    assert found["mean"].score == 7.0
    assert found["reach"].outcome is Outcome.SCORED


def test_a_detector_reaches_neither_network_nor_files(panel: Panel, picture: Request) -> None:
    assert examine(panel, picture, "reach")["reach"].reasons[0].text == "nothing"
    assert not Path("/tmp/assay-escaped").exists()


def test_every_frame_of_a_clip_is_examined_on_its_own(panel: Panel) -> None:
    with Arena(1 << 20) as arena, ArenaWriter(_dup(arena)) as writer:
        frames = tuple(Image(coded=np.full((8, 8, 3), k, np.uint8), time_s=float(k)) for k in range(3))
        view = pack(VideoClip(frames=frames, duration_s=3.0, rate_hz=1.0), writer)
        answers = panel.examine(Request(view, ("mean",), arena.fd, writer.used, each=True))
    assert [f.score for f in answers.findings["mean"]] == [0.0, 1.0, 2.0]


class LateChild:
    """It answers just when everything is being closed."""

    def __init__(self, closing: threading.Event) -> None:
        self.closed = False
        self._closing = closing

    def call(self, *_: object, **__: object) -> dict[str, object]:
        assert self._closing.wait(10)
        return {"cards": [], "unavailable": {}}

    def close(self) -> None:
        self.closed = True


class LateZygote:
    def __init__(self) -> None:
        self.closing = threading.Event()
        self.child = LateChild(self.closing)

    def spawn(self) -> LateChild:
        return self.child

    def close(self) -> None:
        self.closing.set()


def test_an_examiner_that_opens_while_the_panel_closes_is_closed_too() -> None:
    zygote = LateZygote()
    panel = Panel(zygote, Path(), jobs=2, detector_s=1, memory_bytes=1 << 30)  # type: ignore[arg-type]
    panel.open_first()
    panel.close()
    assert zygote.child.closed
