"""The order of the stages, from arrivals to decisions, on real workers."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import awkward
from assay.errors import JailError, StoreError
from assay.evidence.renditions import MILD
from assay.ingest.admission import Arrival
from assay.ingest.budget import MOST_PREVIEWS
from assay.pipeline import Screener
from assay.settings import Paths, Settings
from assay.signatures import testfile as harmless
from assay.testing import containers, images
from assay.types import Action, Label, Outcome, Screening, Status, Why
from assay.verdict.conformal import Threshold


def known(sha256: str) -> str | None:
    return "known_fake:the test" if sha256 == harmless.digest() else None


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Screener]:
    folder = tmp_path_factory.mktemp("installation")

    def screener(**options) -> Screener:
        options = {"jobs": 2, "known": known, "source": "tests"} | options
        return Screener(Settings(Paths(folder / "data", folder / "cache")), **options)

    return screener


@pytest.fixture(scope="module")
def screener(make: Callable[..., Screener]) -> Iterator[Screener]:
    with make() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b").mkdir()
    for n, name in enumerate(("a.jpg", "b/1.jpg", "b/2.jpg", "c.jpg")):
        (tmp_path / name).write_bytes(awkward.jpeg(n))
    (tmp_path / "d.png").write_bytes(harmless.content())
    (tmp_path / "e.jpg").write_bytes(b"")
    return tmp_path


def unchanged(screening: Screening, _: Arrival | None) -> Screening:
    return screening


def test_results_come_in_the_order_of_the_walk_whatever_takes_longest(
    screener: Screener, folder: Path
) -> None:
    found = list(screener.screen_all([str(folder)], unchanged))
    assert [Path(s.path).relative_to(folder).as_posix() for s in found] == [
        *("a.jpg", "b/1.jpg", "b/2.jpg", "c.jpg", "d.png", "e.jpg")
    ]
    assert [s.status for s in found] == [Status.SCREENED] * 5 + [Status.FAILED]


def test_done_sees_the_open_sample_and_what_it_returns_is_told(screener: Screener, folder: Path) -> None:
    from dataclasses import replace

    seen = {}

    def done(screening: Screening, arrival: Arrival | None) -> Screening:
        seen[screening.path] = arrival and os.pread(arrival.descriptor, 2, 0)
        return replace(screening, quarantine_id="q")

    found = list(screener.screen_all([str(folder)], done))
    assert all(s.quarantine_id == "q" for s in found)
    assert seen[str(folder / "a.jpg")] == b"\xff\xd8"
    assert seen[str(folder / "e.jpg")] is None


def test_a_known_fake_is_decided_without_decoding(screener: Screener) -> None:
    screening = screener.screen_bytes(harmless.content(), "a.png")
    assert screening.verdict is not None
    assert screening.decision is not None
    assert (screening.verdict.label, screening.decision.action) == (Label.FAKE, Action.QUARANTINE)
    assert [e.detector for e in screening.verdict.evidence] == ["known_digest"]
    assert screening.preview is None
    assert screening.sample.source == "tests"


def test_what_its_digest_decides_waits_for_nothing_that_takes_time_to_start() -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from assay.pipeline import Screener\n"
        "from assay.settings import Paths, Settings\n"
        "from assay.signatures import testfile\n"
        "with Screener(Settings(Paths(Path('/nowhere'), Path('/nowhere')))) as screener:\n"
        "    said = screener.screen_bytes(testfile.content(), 'a.png')\n"
        "    print(said.verdict.label, screener._panel.members_so_far, 'numba' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "fake () False"


def test_a_picture_is_examined_by_every_detector_that_reads_it(screener: Screener) -> None:
    screening = screener.screen_bytes(awkward.jpeg(), "a.jpg")
    assert screening.verdict is not None
    heard = {e.detector for e in screening.verdict.evidence}
    assert heard == {m.name for m in screener.members if m.reads in ("Container", "Image")}
    assert screening.size_px == (96, 64)
    assert screening.preview is not None
    assert screening.preview.pictures[0].shape == (64, 96, 3)
    assert screening.cpu_s > 0
    assert screening.quality == 90


def test_a_decision_near_its_threshold_is_asked_again_of_saved_copies(
    screener: Screener, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = _pasted()
    # This test is about being asked again, not about where the shipped thresholds lie.
    monkeypatch.setattr("assay.verdict.groups.conformal", lambda *_: Threshold(1.0, 200, (0.0, 0.02)))
    monkeypatch.setattr("assay.verdict.stability.NEAR", -1.0)  # nothing is near
    assert screener.screen_bytes(forged, "pasted.png").verdict.stability is None
    monkeypatch.setattr("assay.verdict.stability.NEAR", 100.0)
    verdict = screener.screen_bytes(forged, "pasted.png").verdict
    assert [c.name for c in verdict.stability.copies] == [m.name for m in MILD]
    assert all("jpeg_grid" in c.scores for c in verdict.stability.copies)
    assert verdict.why is Why.UNSTABLE  # a save wipes out the grid that gave it away


def _pasted() -> bytes:
    """A picture that was a JPEG, with a patch from another one off its grid, saved without loss."""
    host, other = (
        np.asarray(Pillow.open(io.BytesIO(images.jpeg(images.scene(480, 360, seed=n), quality=80))))
        for n in (21, 22)
    )
    forged = host.copy()
    forged[75:235, 85:245] = other[64:224, 64:224]
    buffer = io.BytesIO()
    Pillow.fromarray(forged).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_missing_weight_makes_its_detector_not_applicable_and_says_how_to_get_it(
    screener: Screener,
) -> None:
    screening = screener.screen_bytes(awkward.jpeg(), "a.jpg")
    assert screening.verdict is not None
    (learned,) = [e for e in screening.verdict.evidence if e.detector == "learned_image"]
    assert learned.finding.outcome is Outcome.NOT_APPLICABLE
    assert "assay models pull" in learned.finding.reasons[0].text


def test_frames_of_a_film_are_not_taken_for_pictures_of_a_camera(screener: Screener) -> None:
    screening = screener.screen_bytes(awkward.made("a.mp4"), "a.mp4")
    assert screening.verdict is not None
    heard = {e.detector for e in screening.verdict.evidence}
    assert "jpeg_grid" not in heard
    assert screening.duration_s == pytest.approx(0.6, abs=0.15)
    assert screening.preview is not None
    assert len(screening.preview.times_s) == len(screening.preview.pictures) > 1


def test_a_fake_inside_of_a_container_makes_it_fake_and_both_are_told(screener: Screener) -> None:
    inner = awkward.zipped({"fake.png": harmless.content(), "a.jpg": awkward.jpeg()})
    screening = screener.screen_bytes(awkward.mail({"a.zip": inner}), "a.eml")
    (archive,) = screening.children
    fake, clean = archive.children
    labels = [s.verdict.label if s.verdict else None for s in (screening, archive, fake, clean)]
    assert labels == [Label.FAKE, Label.FAKE, Label.FAKE, Label.INCONCLUSIVE]
    assert (fake.sample.parent, archive.sample.parent) == (archive.sample.id, screening.sample.id)
    assert fake.path == "a.eml!a.zip!fake.png"


def test_an_animation_says_something_of_its_own_beside_its_stills(screener: Screener) -> None:
    screening = screener.screen_bytes(awkward.made("a.gif"), "a.gif")
    assert screening.verdict is not None
    assert len(screening.children) == 2
    assert screening.verdict.evidence
    assert screening.verdict.summary.endswith("each with its own verdict; none is fake.")
    assert screening.verdict.why is not Why.FAILED


def test_of_many_members_only_the_first_keep_a_preview(screener: Screener) -> None:
    tiny = containers.png(8, 8)
    archive = awkward.zipped({f"{n}.png": tiny for n in range(MOST_PREVIEWS + 4)})
    children = screener.screen_bytes(archive, "a.zip").children
    assert sum(c.preview is not None for c in children) == MOST_PREVIEWS


def test_a_lost_zygote_is_started_again(screener: Screener) -> None:
    """The kernel kills the largest process when memory runs out."""
    screener.screen_bytes(awkward.jpeg(), "a.jpg")
    for zygote in (screener._zygotes.decoders, screener._zygotes.examiners):
        os.kill(zygote._link._program.pid, signal.SIGKILL)
        zygote._link._program.wait()
    assert screener.screen_bytes(awkward.jpeg(), "a.jpg").status is Status.SCREENED


def test_what_breaks_the_store_ends_the_batch_but_what_is_finished_is_told_first(
    make: Callable[..., Screener], folder: Path
) -> None:
    def done(screening: Screening, _: Arrival | None) -> Screening:
        if screening.path.endswith("1.jpg"):
            raise StoreError("the disk is gone")
        return screening

    told = []
    with make(jobs=1) as one, pytest.raises(StoreError):
        for screening in one.screen_all([str(folder)], done):
            told.append(Path(screening.path).name)  # noqa: PERF401 - what came before the error counts
    assert told[0] == "a.jpg"
    assert "1.jpg" not in told


def test_a_stopped_batch_tells_what_is_finished_and_nothing_that_was_cut_short(
    make: Callable[..., Screener], folder: Path
) -> None:
    recorded = []
    gate = threading.Event()

    def done(screening: Screening, _: Arrival | None) -> Screening:
        recorded.append(screening.path)
        gate.set()
        return screening

    with make(jobs=2) as one:
        batch = one.screen_all([str(folder)] * 20, done)
        told = [next(batch).path]
        gate.wait()
        one.stop()
        told += [s.path for s in batch]
        with pytest.raises(JailError):
            one.screen_bytes(awkward.jpeg(), "a.jpg")
    assert sorted(told) == sorted(recorded)
    assert len(told) < 100


def test_closing_a_batch_early_is_no_trouble(make: Callable[..., Screener], folder: Path) -> None:
    with make(jobs=2) as one:
        batch = one.screen_all([str(folder)], unchanged)
        next(batch)
        batch.close()
        assert one.screen_path(str(folder / "a.jpg")).status is Status.SCREENED
