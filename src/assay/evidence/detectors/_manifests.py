"""A C2PA manifest store as plain nouns: manifests, their actions and ingredients, what of them is broken, who is trusted.

The store is the reader's JSON, bounded, yet its words are the signers' and hostile: types are checked at every step
and nothing raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from assay.evidence.detectors._generators import clip, source_kind, source_type

MANIFESTS = 256  # of one store that are read, and entries of any list in it
DEPTH = 12  # of assertions that are searched
VALUES = 2000  # values of one assertion that are searched
_LABEL = re.compile(r"/c2pa/([^/]{1,256})(?:/(.{0,256}))?")
_LIST = re.compile(r"found in \[([^\]]{0,80})\]")


@dataclass(frozen=True, slots=True)
class Action:
    name: str  # without "c2pa."
    source: str  # digital source type, reduced, or ""
    agent: str  # the software that is said to have acted, or ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ingredient:
    title: str
    relationship: str  # parentOf, componentOf, inputTo
    manifest: str  # label of its own manifest, or ""
    assertion: str  # label of the assertion that speaks of it
    source: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    label: str
    agent: str
    signer: str
    date: str  # of a proven time stamp, or ""
    actions: tuple[Action, ...]
    ingredients: tuple[Ingredient, ...]
    declared: tuple[str, ...]  # source types in other assertions: synthetic and composite ones
    untracked: bool  # it says itself that its list of actions is incomplete


@dataclass(frozen=True, slots=True)
class Status:
    """One failure, of the manifest `label`."""

    code: str
    label: str
    place: str  # the assertion it is about
    explanation: str


@dataclass(frozen=True, slots=True)
class Store:
    active: Manifest | None
    manifests: dict[str, Manifest]
    failures: tuple[Status, ...]  # of the active manifest
    ingredient_failures: tuple[tuple[str, Status], ...]  # with the ingredient's title
    trust: dict[str, str]  # label -> name of the list that its signer chains to; absent: untrusted

    def ancestry(self) -> tuple[Manifest, ...] | None:
        """The active manifest and what it was made from, oldest last; None where a link is missing."""
        chain: list[Manifest] = []
        here = self.active
        while here is not None and here not in chain and len(chain) < MANIFESTS:
            chain.append(here)
            parents = [i for i in here.ingredients if i.relationship == "parentOf"]
            if not parents:
                return tuple(chain)
            here = self.manifests.get(parents[0].manifest) if len(parents) == 1 else None
        return None


def store_of(data: Any, with_capture_alone: Any = None) -> Store | None:
    """Read the reader's JSON; None where it names no manifest.

    `with_capture_alone` is the validation_results of a second reading, that was given capture anchors alone.
    """
    raw = as_dict(data)
    manifests = {str(k): _manifest(str(k), as_dict(v)) for k, v in _items(raw.get("manifests"))}
    active = manifests.get(str(raw.get("active_manifest", "")))
    results = as_dict(raw.get("validation_results"))
    said = as_dict(results.get("activeManifest"))
    failures = [_status(s, active.label if active else "") for s in as_list(said.get("failure"))]
    if not results:  # a store of an older reader
        failures = [_status(s, active.label if active else "") for s in as_list(raw.get("validation_status"))]
    if active is None and not failures:
        return None
    return Store(
        active,
        manifests,
        tuple(s for s in failures if s.code),
        tuple(_ingredient_failures(raw, results)),
        _trust(raw, results) | dict.fromkeys(_trust(raw, as_dict(with_capture_alone)), "capture"),
    )


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value[:MANIFESTS] if isinstance(value, list) else []


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(as_dict(value).items())[:MANIFESTS]


def _manifest(label: str, raw: dict[str, Any]) -> Manifest:
    signature = as_dict(raw.get("signature_info"))
    names = [clip(signature.get(k) or "", 60) for k in ("common_name", "issuer")]
    assertions = [as_dict(a) for a in as_list(raw.get("assertions"))]
    acted = [as_dict(a.get("data")) for a in assertions if _label_of(a).startswith("c2pa.actions")]
    others = [a for a in assertions if not _label_of(a).startswith(("c2pa.actions", "c2pa.hash"))]
    return Manifest(
        label=label,
        agent=_agent(raw),
        signer=_signer(*names),
        date=clip(signature.get("time") or "", 40)[:10],
        actions=tuple(a for data in acted for a in _actions(data)),
        ingredients=tuple(_ingredient(as_dict(i)) for i in as_list(raw.get("ingredients"))),
        declared=tuple(dict.fromkeys(t for a in others for t in _declared(a))),
        untracked=any(_untracked(data) for data in acted),
    )


def _label_of(assertion: dict[str, Any]) -> str:
    return str(assertion.get("label", ""))


def _signer(name: str, issuer: str) -> str:
    if name and issuer and name != issuer:
        return f"{name} ({issuer})"
    return name or issuer


def _agent(raw: dict[str, Any]) -> str:
    """Name the software that made the claim: "Photoshop 25.1"."""
    info = raw.get("claim_generator_info")
    first = as_dict(info[0] if isinstance(info, list) and info else info)
    if first.get("name"):
        return clip(f"{clip(first['name'], 60)} {clip(first.get('version') or '', 20)}")
    words = clip(raw.get("claim_generator") or "", 200).split()
    return clip(words[0].replace("/", " ").replace("_", " ") if words else "", 80)


def _actions(data: dict[str, Any]) -> list[Action]:
    found = []
    for raw in map(as_dict, as_list(data.get("actions")) + as_list(data.get("templates"))):
        name = clip(raw.get("action") or "", 60).removeprefix("c2pa.")
        agent = raw.get("softwareAgent")
        index = raw.get("softwareAgentIndex")
        if agent is None and isinstance(index, int) and 0 <= index < len(as_list(data.get("softwareAgents"))):
            agent = as_list(data.get("softwareAgents"))[index]
        who = clip(as_dict(agent).get("name") or "", 60) if isinstance(agent, dict) else clip(agent or "", 60)
        parameters = as_dict(raw.get("parameters"))
        detail = clip(
            raw.get("description") or parameters.get("description") or parameters.get("name") or "", 80
        )
        found.append(Action(name, source_type(clip(raw.get("digitalSourceType") or "", 200)), who, detail))
    return found


def _untracked(data: dict[str, Any]) -> bool:
    ratings = as_list(as_dict(data.get("metadata")).get("reviewRatings"))
    said = any("unknown" in str(as_dict(r).get("code", "")).lower() for r in ratings)
    return said or data.get("allActionsIncluded") is False


def _ingredient(raw: dict[str, Any]) -> Ingredient:
    return Ingredient(
        clip(raw.get("title") or "", 80),
        clip(raw.get("relationship") or "", 20),
        str(raw.get("active_manifest") or ""),
        clip(raw.get("label") or "", 80),
        source_type(clip(raw.get("digitalSourceType") or "", 200)),
    )


def _declared(assertion: dict[str, Any]) -> list[str]:
    """Synthetic and composite source types anywhere in an assertion, and Adobe's older note of generation."""
    if _label_of(assertion).startswith(("com.adobe.generative-ai", "adobe.generative-ai")):
        return ["trainedalgorithmicmedia"]
    found: list[str] = []
    queue: list[tuple[Any, int]] = [(assertion.get("data"), 0)]
    seen = 0
    while queue and seen < VALUES:
        value, depth = queue.pop()
        seen += 1
        if isinstance(value, list) and depth < DEPTH:
            queue += [(v, depth + 1) for v in value[:MANIFESTS]]
        for key, inner in _items(value):
            if str(key).rpartition(":")[2].lower() == "digitalsourcetype":
                kinds = inner if isinstance(inner, list) else [inner]
                found += [source_type(clip(k, 200)) for k in kinds[:8]]
            elif isinstance(inner, dict | list) and depth < DEPTH:
                queue.append((inner, depth + 1))
    return [t for t in found if source_kind(t) in {"synthetic", "composite"}]


def _status(raw: Any, label: str) -> Status:
    data = as_dict(raw)
    match = _LABEL.search(str(data.get("url", ""))[:1000])
    place = (match[2] or "").rpartition("/")[2] if match else ""
    return Status(
        clip(data.get("code") or "", 80),
        match[1] if match else label,
        clip(place, 60),
        clip(data.get("explanation") or "", 300),
    )


def _ingredient_failures(raw: dict[str, Any], results: dict[str, Any]) -> list[tuple[str, Status]]:
    """What is broken in ingredients: found now, and recorded by the manifest that took them in."""
    titles: dict[tuple[str, str], str] = {}
    found: list[tuple[str, Status]] = []
    for label, manifest in _items(raw.get("manifests")):
        for one in map(as_dict, as_list(as_dict(manifest).get("ingredients"))):
            title, inner = clip(one.get("title") or "", 80), str(one.get("active_manifest") or label)
            titles[(label, str(one.get("label", "")))] = title
            recorded = as_dict(one.get("validation_results"))
            groups = [as_dict(recorded.get("activeManifest"))]
            groups += [
                as_dict(as_dict(d).get("validationDeltas")) for d in as_list(recorded.get("ingredientDeltas"))
            ]
            failed = [s for g in groups for s in as_list(g.get("failure"))] + as_list(
                one.get("validation_status")
            )
            found += [(title, _status(s, inner)) for s in failed]
    for delta in map(as_dict, as_list(results.get("ingredientDeltas"))):
        match = _LABEL.search(str(delta.get("ingredientAssertionURI", ""))[:1000])
        place = (match[1], (match[2] or "").rpartition("/")[2]) if match else ("", "")
        failed = as_list(as_dict(delta.get("validationDeltas")).get("failure"))
        found += [(titles.get(place, ""), _status(s, "")) for s in failed]
    return [(title, s) for title, s in found if s.code]


def _trust(raw: dict[str, Any], results: dict[str, Any]) -> dict[str, str]:
    """Which list each signer chains to.

    The reader states the trust of an ingredient's signer only where it differs from what the taker-in recorded. So a
    record that it did not contradict says "trusted", but never the name of a list: that is the taker-in's word.
    """
    if not results:
        return {}
    trust: dict[str, str] = {}
    doubted: set[str] = set()
    groups = [as_dict(results.get("activeManifest"))]
    groups += [as_dict(as_dict(d).get("validationDeltas")) for d in as_list(results.get("ingredientDeltas"))]
    for group in groups:
        for status in (_status(s, "") for s in as_list(group.get("success")) + as_list(group.get("failure"))):
            if status.code == "signingCredential.trusted":
                trust[status.label] = list_named(status.explanation)
            elif status.code.startswith("signingCredential."):
                doubted.add(status.label)
    for status in _recorded(raw):
        if status.code == "signingCredential.trusted":
            trust.setdefault(status.label, "other")
    return {label: name for label, name in trust.items() if label not in doubted}


def _recorded(raw: dict[str, Any]) -> list[Status]:
    """What takers-in recorded as success."""
    manifests = [as_dict(manifest) for _, manifest in _items(raw.get("manifests"))]
    ingredients = [as_dict(i) for m in manifests for i in as_list(m.get("ingredients"))]
    groups = [as_dict(as_dict(i.get("validation_results")).get("activeManifest")) for i in ingredients]
    return [_status(s, "") for group in groups for s in as_list(group.get("success"))]


def list_named(explanation: str) -> str:
    """Reduce "found in [assay:capture] trust anchors" to capture, editor or other."""
    match = _LIST.search(explanation)
    name = match[1].removeprefix("assay:") if match else ""
    return name if name in {"capture", "editor"} else "other"
