from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime

import jsonschema
import pytest

from assay.report import contract
from assay.types import (
    Action,
    Coverage,
    Decision,
    Evidence,
    Finding,
    Kind,
    Label,
    Outcome,
    Problem,
    Reason,
    Region,
    Rescored,
    Sample,
    Screening,
    Segment,
    Stability,
    Status,
    Verdict,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def screening(path: str = "a.jpg") -> Screening:
    box = Region.box(8, 16, 64, 32, width=640, height=480, score=3.5)
    triangle = Region(((0, 0), (5, 0), (0, 5)), 640, 480, None, 1.5)
    finding = Finding(
        Outcome.SCORED, 1.25, (Reason("seam", "A seam."),), (box, triangle), (Segment(0.0, 2.0, 0.5),)
    )
    verdict = Verdict(
        label=Label.FAKE,
        why=None,
        summary="Strong evidence.",
        llr=5.0,
        threshold=2.0,
        probability=0.99331,
        prior=0.5,
        kinds=(Kind.SPLICE,),
        disclosed=None,
        evidence=(Evidence("jpeg_grid", 1, "compression", finding, 5.0, 0.1),),
        coverage=Coverage(("jpeg_grid",), (0.5, 0.7), 120, ("voices",), Kind.SPLICE),
        calibration="2026-01",
    )
    sample = Sample("1f", "ab" * 32, 12, "image/jpeg", "image/png", WHEN, "", "parent")
    decision = Decision(Action.QUARANTINE, "undisclosed_fake", "cd" * 32)
    return Screening(
        sample, path, Status.SCREENED, WHEN, "0.1.0", verdict, decision, warnings=("odd",), size_px=(640, 480)
    )


def refusal() -> Screening:
    sample = Sample("2f", "", 0, "application/octet-stream")
    problem = Problem("over_size", "larger than the limit", "Raise it.")
    return Screening(sample, "big", Status.REFUSED, WHEN, "0.1.0", error=problem)


@pytest.mark.parametrize("one", [screening(), refusal()], ids=["screened", "refused"])
def test_every_line_fits_the_shipped_schema(one: Screening) -> None:
    jsonschema.Draft202012Validator.check_schema(contract.schema())
    jsonschema.validate(json.loads(contract.line(one)), contract.schema())


def test_the_schema_refuses_an_unknown_field() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(contract.to_json(screening()) | {"extra": 1}, contract.schema())


@pytest.mark.parametrize("one", [screening(), refusal()], ids=["screened", "refused"])
def test_a_line_comes_back_as_the_same_screening(one: Screening) -> None:
    again = contract.from_json(json.loads(contract.line(one)))
    assert contract.to_json(again) == contract.to_json(one)


def test_what_saved_again_copies_scored_is_told_and_comes_back() -> None:
    one = screening()
    copy = Rescored("saved again at 92", (64, 48), 92, {"jpeg_grid": None, "learned_image": 1.5})
    steady = Stability((-0.5, 2.25), flips=True, copies=(copy,))
    near = dataclasses.replace(one, verdict=dataclasses.replace(one.verdict, stability=steady))
    data = json.loads(contract.line(near))
    jsonschema.validate(data, contract.schema())
    assert contract.from_json(data).verdict.stability == steady
    assert contract.to_json(one)["stability"] is None


def test_a_name_that_is_not_utf8_is_given_exactly_in_base64() -> None:
    path = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    line = contract.line(screening(path))
    assert json.loads(line)["path_b64"] == "Y2Fm6S5qcGc="
    assert contract.from_json(json.loads(line)).path == path


def test_a_line_is_ascii_whatever_the_name_holds() -> None:
    line = contract.line(screening("\x1b[2J\u202egpj.exe\n"))
    assert line.isascii()
    assert "\n" not in line
    assert "\x1b" not in line


def test_regions_say_whether_they_are_boxes() -> None:
    box, triangle = contract.to_json(screening())["evidence"][0]["regions"]
    assert (box["type"], box["box"]) == ("box", [8.0, 16.0, 64.0, 32.0])
    assert triangle["type"] == "polygon"
    assert len(triangle["points"]) == 3


def test_no_score_may_be_nan() -> None:
    with pytest.raises(ValueError, match="finite"):
        Finding(Outcome.SCORED, math.nan, (Reason("x", "x"),))


def test_times_are_utc_with_milliseconds() -> None:
    assert contract.to_json(screening())["screened_at"] == "2026-01-02T03:04:05.678Z"
