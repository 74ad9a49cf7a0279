"""The policy: one rule a row, the first that matches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.action.policy import decide, effective
from assay.errors import ConfigError
from assay.settings import PolicySettings
from assay.types import Action, Coverage, Kind, Label, Problem, Status, Verdict, Why

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
SHIPPED = PolicySettings()


def verdict(label: Label, *kinds: Kind, disclosed: bool | None = None) -> Verdict:
    why = Why.NOTHING_FOUND if label is Label.INCONCLUSIVE else None
    return Verdict(label, why, "", 0.0, None, 0.5, 0.5, kinds, disclosed, (), Coverage(), "test")


@pytest.mark.parametrize(
    ("subject", "action", "rule"),
    [
        (verdict(Label.FAKE, Kind.KNOWN_FAKE), Action.QUARANTINE, "known_fake"),
        (verdict(Label.FAKE, Kind.KNOWN_FAKE, disclosed=True), Action.QUARANTINE, "known_fake"),
        (verdict(Label.FAKE, Kind.FULL_SYNTHESIS, disclosed=True), Action.LABEL, "disclosed_synthesis"),
        (verdict(Label.INCONCLUSIVE, disclosed=True), Action.LABEL, "disclosed_synthesis"),
        (verdict(Label.FAKE, Kind.SPLICE, disclosed=False), Action.QUARANTINE, "undisclosed_fake"),
        (verdict(Label.FAKE, Kind.SPLICE), Action.QUARANTINE, "undisclosed_fake"),
        (verdict(Label.FAKE, Kind.SPLICE, Kind.TAMPERED_CREDENTIAL), Action.QUARANTINE, "undisclosed_fake"),
        (verdict(Label.INCONCLUSIVE, Kind.TAMPERED_CREDENTIAL), Action.LABEL, "tampered_credential"),
        (verdict(Label.BONA_FIDE), Action.DELIVER, "bona_fide"),
        (verdict(Label.INCONCLUSIVE), Action.DELIVER, "inconclusive"),
    ],
)
def test_a_verdict_has_its_rule(subject, action, rule):
    decision = decide(subject, SHIPPED)
    assert (decision.action, decision.rule) == (action, rule)


@pytest.mark.parametrize(
    ("code", "status", "action", "rule"),
    [
        *[
            (f"over_{what}", Status.REFUSED, Action.LABEL, "over_limit")
            for what in ("pixels", "duration", "size", "depth", "members", "ratio", "unpacked")
        ],
        ("encrypted", Status.REFUSED, Action.LABEL, "encrypted"),
        ("partial", Status.REFUSED, Action.LABEL, "partial"),
        ("unsupported", Status.UNSUPPORTED, Action.DELIVER, "unsupported"),
        ("unsupported_codec", Status.UNSUPPORTED, Action.DELIVER, "unsupported"),
        ("undecodable", Status.FAILED, Action.LABEL, "undecodable"),
        ("worker_crashed", Status.FAILED, Action.LABEL, "undecodable"),
        ("worker_timed_out", Status.FAILED, Action.LABEL, "undecodable"),
        ("anything", Status.REFUSED, Action.LABEL, "undecodable"),
    ],
)
def test_a_problem_has_its_rule(code, status, action, rule):
    decision = decide(Problem(code, "m"), SHIPPED, status=status)
    assert (decision.action, decision.rule) == (action, rule)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(
    st.sampled_from(Label),
    st.sets(st.sampled_from(Kind)),
    st.sampled_from([None, True, False]),
    st.text(max_size=20),
    st.sampled_from(Status),
)
def test_every_verdict_and_every_problem_has_a_rule(label, kinds, disclosed, code, status):
    assert decide(verdict(label, *kinds, disclosed=disclosed), SHIPPED).rule
    assert decide(Problem(code, "m"), SHIPPED, status=status).rule


def test_an_operators_action_stands_in_and_changes_the_digest():
    ours = PolicySettings({"known_fake": Action.REJECT})
    decision = decide(verdict(Label.FAKE, Kind.KNOWN_FAKE), ours)
    assert decision.action is Action.REJECT
    assert decision.policy_digest != effective(SHIPPED).digest
    assert effective(PolicySettings({"known_fake": Action.QUARANTINE})).digest == effective(SHIPPED).digest


def test_a_part_may_be_held_where_damage_is_labelled():
    ours = PolicySettings({"partial": Action.HOLD})
    assert decide(Problem("partial", "m"), ours, status=Status.REFUSED).action is Action.HOLD
    assert decide(Problem("undecodable", "m"), ours, status=Status.FAILED).action is Action.LABEL


def test_a_rule_that_is_not_there_cannot_be_changed():
    with pytest.raises(ConfigError, match=r"policy\.unknown is not a rule"):
        effective(PolicySettings({"unknown": Action.LABEL}))


def test_the_documented_table_is_the_shipped_one():
    rows = re.findall(
        r"^\| \d+ \| `(\w+)` \| (.+?) \| `(\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == [(r.name, r.text, str(r.action)) for r in effective(SHIPPED).rules]
