"""The policy: an ordered table of rules that turns a verdict, or the lack of one, into an action."""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from assay.errors import ConfigError
from assay.settings import PolicySettings
from assay.types import JSON, Action, Decision, Kind, Label, Problem, Status, Verdict

TABLE = Path(__file__).with_name("policy.toml")
MATCHERS = {"label", "kind", "disclosed", "reason", "problem", "status"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the policy. It matches when everything that it names is so."""

    name: str
    action: Action
    text: str
    label: tuple[Label, ...] = ()
    kind: Kind | None = None
    disclosed: bool | None = None
    reason: tuple[str, ...] = ()
    problem: tuple[str, ...] = ()
    status: tuple[Status, ...] = ()

    def matches(self, subject: Verdict | Problem, status: Status) -> bool:
        """Does this rule speak of `subject`? A rule of verdicts never matches a problem, nor the reverse."""
        if self.status and status not in self.status:
            return False
        if isinstance(subject, Problem):
            return any(fnmatchcase(subject.code, pattern) for pattern in self.problem)
        if self.problem or (self.label and subject.label not in self.label):
            return False
        if self.kind is not None and self.kind not in subject.kinds:
            return False
        if self.reason and not _gives(subject, self.reason):
            return False
        return self.disclosed is None or self.disclosed == (subject.disclosed is True)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in force, in order, and the digest that replays are compared by."""

    rules: tuple[Rule, ...]
    digest: str


def _gives(verdict: Verdict, reasons: tuple[str, ...]) -> bool:
    """Does any evidence of the verdict give one of these reasons?"""
    return any(
        fnmatchcase(f"{e.detector}.{r.code}", pattern)
        for e in verdict.evidence
        for r in e.finding.reasons
        for pattern in reasons
    )


def decide(
    subject: Verdict | Problem, settings: PolicySettings, *, status: Status = Status.SCREENED
) -> Decision:
    """Find the first rule that matches and return its action.

    Parameters
    ----------
    subject
        The verdict, or why there is none.
    settings
        The operator's changes to the shipped actions.
    status
        Of the screening: tells a type that is not read (unsupported) from a sample that could not be read (failed).
    """
    policy = effective(settings)
    for rule in policy.rules:
        if rule.matches(subject, status):
            return Decision(rule.action, rule.name, policy.digest)
    raise ConfigError(
        "no rule of the policy matches", hint="the shipped policy.toml was changed; install Assay again"
    )


def effective(settings: PolicySettings) -> Policy:
    """Return the shipped rules with the operator's actions in them.

    Raises
    ------
    ConfigError
        If the operator names a rule that the policy does not have.
    """
    return _effective(tuple(sorted(settings.actions.items())))


@functools.lru_cache(maxsize=8)
def _effective(actions: tuple[tuple[str, Action], ...]) -> Policy:
    rows: list[JSON] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["rule"]
    unknown = dict(actions).keys() - {row["name"] for row in rows}
    if unknown:
        known = ", ".join(row["name"] for row in rows)
        raise ConfigError(f"policy.{min(unknown)} is not a rule; the rules are {known}")
    rows = [row | {"action": str(dict(actions).get(row["name"], row["action"]))} for row in rows]
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    return Policy(tuple(_rule(row) for row in rows), digest)


def _rule(row: Mapping[str, Any]) -> Rule:
    unknown = row.keys() - MATCHERS - {"name", "action", "text"}
    if unknown:
        raise ConfigError(f"{TABLE.name}: rule {row['name']} has the unknown key {min(unknown)}")
    return Rule(
        name=row["name"],
        action=Action(row["action"]),
        text=row["text"],
        label=tuple(Label(name) for name in row.get("label", ())),
        kind=Kind(row["kind"]) if "kind" in row else None,
        disclosed=row.get("disclosed"),
        reason=tuple(row.get("reason", ())),
        problem=tuple(row.get("problem", ())),
        status=tuple(Status(name) for name in row.get("status", ())),
    )
