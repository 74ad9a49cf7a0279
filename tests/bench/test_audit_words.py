"""What an audit concludes must be true of the table above it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from assay.bench import audit, bootstrap
from assay.bench.audit import Audit, Shortcut
from assay.bench.bootstrap import Estimate
from assay.bench.table import interval_text


def found(*shortcuts: Shortcut, n: tuple[int, int] = (30, 30)) -> Audit:
    return Audit(Path("m.csv"), 0.7, shortcuts, (), n)


def shortcut(name: str, value: float, low: float, high: float, *, counts: bool = True) -> Shortcut:
    return Shortcut(name, Estimate(value, low, high, 60, 12), "a value", counts)


def conclusion(audited: Audit) -> str:
    text = list(audit.lines(audited))
    return "\n".join(text[1 + len(audited.found) :])


def test_a_shortcut_over_the_limit_that_is_not_sure_is_named_with_what_to_do():
    audited = found(shortcut("quantisation tables", 0.73, 0.497, 0.9), shortcut("width", 0.5, 0.4, 0.6))
    assert not audited.betrayed
    assert audit.plain(audited)["shortcuts"][0]["doubtful"] is True
    assert audit.plain(audited)["shortcuts"][1]["doubtful"] is False
    text = "\n".join(audit.lines(audited))
    assert "No shortcut" not in text
    assert "Over 0.70, and not sure with 12 sources" in text
    assert "quantisation tables .73 [.50-.90]" in text
    assert "more sources of both classes" in text
    assert text.count("NOT SURE") == 1


def test_what_measures_content_is_not_denied_either():
    audited = found(shortcut("file size", 0.97, 0.9, 1.0, counts=False), shortcut("width", 0.5, 0.4, 0.6))
    text = conclusion(audited)
    assert "No shortcut is over" not in text
    assert "No other shortcut is over 0.70: here, file size .97 [.90-1.00] measures content" in text


def test_intervals_that_reach_over_the_limit_are_told():
    text = conclusion(found(shortcut("aspect", 0.6, 0.45, 0.75), shortcut("width", 0.5, 0.4, 0.6)))
    assert text == (
        "No shortcut is over 0.70.\nThe interval of aspect .60 [.45-.75] reaches over it: more sources would tell more."
    )


def test_a_betrayed_corpus_tells_its_doubtful_shortcuts_too():
    text = conclusion(found(shortcut("format", 1.0, 0.9, 1.0), shortcut("aspect", 0.75, 0.4, 0.95)))
    assert "Do not calibrate" in text
    assert "not sure with 12 sources in the smaller class" in text
    assert "aspect .75" in text
    assert "Do not trust it yet" not in text


def test_samples_without_any_difference_are_not_too_few():
    assert conclusion(found()) == "The samples do not differ in anything but their content."
    assert "One class could not be read" in conclusion(found(n=(30, 0)))


def test_the_last_sentences_never_contradict_the_table():
    rng = np.random.default_rng(0)
    for _ in range(500):
        drawn = []
        for k in range(rng.integers(0, 5)):
            value = float(rng.choice([rng.random(), math.nan], p=[0.9, 0.1]))
            low, high = value * rng.random(), value + (1 - value) * rng.random()
            drawn.append(shortcut(f"s{k}", value, low, high, counts=bool(rng.random() < 0.8)))
        audited = found(*drawn)
        text = conclusion(audited)
        over = {s.name for s in drawn if s.auc.value > audited.limit}
        if "No shortcut is over" in text:
            assert not over, text
        if "No other shortcut is over" in text:
            assert over <= {s.name for s in drawn if not s.counts}, text
        for s in audited.doubtful:
            assert f"{s.name} {interval_text(s.auc)}" in text
        assert set(audited.betraying) == {
            s for s in drawn if s.counts and s.auc.value > audited.limit and s.auc.low > 0.5
        }
        assert audited.betrayed == ("Do not calibrate" in text)


def test_a_nearly_perfect_shortcut_is_no_surer_than_a_perfect_one():
    fake = np.arange(60) >= 30
    drawn = bootstrap.Resampling([f"s{k}" for k in range(60)], fake)
    scores = fake.astype(float)
    perfect = drawn.auc(scores)
    scores[[0, 31]] = 0.5, 0.4
    nearly = drawn.auc(scores)
    assert 0.995 < nearly.value < 1
    assert nearly.low <= perfect.low < 0.9


@pytest.mark.parametrize("name", ["\x1b[31m.csv", "\udcff.csv"])
def test_a_manifest_s_name_cannot_spoil_the_output(name):
    head = next(audit.lines(Audit(Path(name), 0.7, (), (), (1, 1))))
    head.encode()
    assert "\x1b" not in head
