"""Worker processes that die, hang or are killed with their parent; each start costs seconds, so most are slow tests."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import corpora
import planted
import pytest
from unjailed import OwnHands

from assay.bench import manifest
from assay.bench.cache import Key
from assay.bench.cells import DECODING, LAUNDERING, Step, Task, Want
from assay.bench.panel import Fixed
from assay.bench.run import Order, run
from assay.bench.workers import _keys_at, spread, without
from assay.settings import Limits
from assay.types import Outcome

HERE = Path(__file__).parent
EACH = 500  # bona fide samples, and fakes: a thousand samples, 20 launderings of each


def task(path: Path, *names: str) -> Task:
    entry = manifest.read(path).entries[0]
    keys = {n: Key(entry.sha256, "jpeg95/1/0", f"{n}/1") for n in names}
    return Task(
        entry, 0, (Want("jpeg95", keys), Want("half", {n: Key(entry.sha256, "half/1/0", n) for n in names}))
    )


def test_a_death_costs_only_what_was_at_hand(tmp_path):
    one = task(corpora.small(tmp_path, each=1), "a", "b")
    assert len(_keys_at(one, Step("", DECODING))) == 4
    assert len(_keys_at(one, Step("half", LAUNDERING))) == 2
    (key,) = _keys_at(one, Step("half", "b"))
    left = without(one, {key})
    assert [list(w.keys) for w in left.wants] == [["a", "b"], ["a"]]
    assert without(left, set(_keys_at(left, Step("", DECODING)))).wants == ()


@pytest.mark.slow
def test_a_detector_that_takes_its_process_down_fails_alone(tmp_path):
    path = corpora.small(tmp_path, each=1)
    panel = Fixed((planted.Deadly(), planted.Brightness()))
    done = run(
        Order(
            manifest=manifest.read(path),
            panel=panel,
            launderings=("jpeg95",),
            cache=tmp_path / "cache",
            limits=Limits(),
            jobs=1,
        ),
        hands=OwnHands,
    )
    outcomes = {(r.detector, r.result.outcome) for r in done.rows}
    assert outcomes == {("deadly", Outcome.FAILED), ("brightness", Outcome.SCORED)}
    assert all("its process died" in r.result.problem for r in done.rows if r.detector == "deadly")


@pytest.mark.slow
def test_a_detector_that_hangs_is_stopped_and_tried_again_by_the_next_run(tmp_path):
    path = corpora.small(tmp_path, each=1)
    one = manifest.read(path).entries[0]
    keys = {n: Key(one.sha256, "jpeg95/1/0", f"{n}/1") for n in ("slow", "brightness")}
    make = functools.partial(OwnHands, Fixed((planted.Slow(), planted.Brightness())), Limits())
    rows = list(spread([Task(one, 0, (Want("jpeg95", keys),))], make, jobs=1, step_s=3.0))
    told = {r.key.detector: r.result.outcome for r in rows}
    assert told == {"slow/1": Outcome.TIMED_OUT, "brightness/1": Outcome.SCORED}


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import planted
from unjailed import OwnHands
from assay.bench import manifest
from assay.bench.panel import Fixed
from assay.bench.run import Order, run
from assay.settings import Limits
from assay.range.laundering import names

if __name__ == "__main__":
    base = Path({base!r})
    order = Order(
        manifest=manifest.read(base / "manifest.csv"), panel=Fixed((planted.Brightness(base / "tally"),)),
        launderings=(*names("image"), *(f"jpeg{{q}}" for q in range(55, 66))), cache=base / "cache", limits=Limits(), jobs=2,
    )
    done = run(order, hands=OwnHands)
    print(done.computed, done.reused)
"""


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.slow
def test_after_kill_9_nothing_that_was_done_is_done_again_and_no_process_is_left(tmp_path):
    corpora.small(tmp_path, each=EACH, size=32)
    script = tmp_path / "go.py"
    script.write_text(SCRIPT.format(here=str(HERE), base=str(tmp_path)))
    tally, total = tmp_path / "tally", 2 * EACH * 20
    first = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, start_new_session=True)
    while len(_lines(tally)) < total / 3:  # however long that takes where all is busy
        assert first.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(1.0)
    before = len(_lines(tally))
    assert total / 3 <= before < total
    time.sleep(1.0)
    assert len(_lines(tally)) == before  # its children died with it
    lines = sum(p.read_bytes().count(b"\n") for p in (tmp_path / "cache").iterdir())
    assert lines >= before - 2  # at most what each of two children had at hand is lost
    second = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, check=True, text=True
    )
    computed, reused = map(int, second.stdout.split())
    assert reused == lines  # not one of them is computed again
    assert computed == total - lines
    assert len(_lines(tally)) == before + computed
