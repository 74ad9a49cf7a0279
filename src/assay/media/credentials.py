"""Content credentials (C2PA): read in the jail, from an open file, with nothing fetched.

What the reader says is kept whole but bounded. Its own top-level state hides broken ingredients, so `validation`
flattens every status there is: of the active manifest, of each ingredient, and what an earlier validator recorded.
"""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.media.container.draft import Draft
    from assay.media.views import Container

NODES = 20_000  # values of one manifest store
STRING = 4096  # characters of one value
DEPTH = 32
JSON_LIMIT = 16 << 20  # characters of the reader's answer

_SETTINGS: dict[str, Any] = {
    "verify": {
        "verify_after_reading": True,
        "verify_trust": True,
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
    },
    "core": {"allowed_network_hosts": []},
}
_TRUST = {"anchors": "user_anchors", "allowed": "allowed_list", "config": "trust_config"}
_LISTS = ("capture", "editor")  # of two kinds, see assay.signatures.trust
_REMOTE = re.compile(r"^Remote: .*? url (\S{1,2048})")
_LABEL = re.compile(r"self#jumbf=/c2pa/([^/]+)")
_BINARY_KEYS = frozenset(("thumbnail", "pad", "pad1", "pad2"))
_IN_MEMORY = 16 << 20  # up to this size the reader's many small reads are spared the file


def carries(described: Container | Draft) -> bool:
    """Say whether the parsed structure shows a manifest or points to one, so that most samples skip the reader."""
    return any("C2PA" in part.note for part in described.parts) or "xmp:provenance" in described.metadata


def read_credentials(
    file: BinaryIO, media_type: str, trust: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Read a sample's manifest store.

    Parameters
    ----------
    file : BinaryIO
        Seekable, open for reading; no path is needed.
    media_type : str
        As `assay.media.identify.identify` named it.
    trust : mapping, optional
        ``anchors``: certificates (PEM) whose descendants may sign; ``allowed``: signing certificates (PEM or hashes);
        ``config``: accepted key usages, one object identifier a line. ``capture``, ``editor``: anchors (PEM) of two
        lists that stay apart: the reader's words then name the list ("found in [assay:capture]"). Without anchors
        every signer is untrusted.

    Returns
    -------
    credentials : dict
        Empty where there is no manifest. ``remote``: a URL, where there is a reference only. Else ``store`` (the
        reader's JSON without pictures and padding), ``state`` (Trusted, Valid or Invalid, of the active manifest
        alone), ``validation`` (a list, see `statuses`), ``capture_results`` (the validation results of a second
        reading with the capture anchors alone, where there are ingredients and such anchors), and ``error`` where the
        reader gave up.
    """
    import c2pa

    if media_type not in _supported():
        return {}
    try:
        file = _in_memory(file)
        store = _store(file, media_type, trust or {})
        again = {k: v for k, v in (trust or {}).items() if k in ("capture", "config")}
        twice = "capture" in again and len(_dict(store.get("manifests"))) > 1
        alone = _store(file, media_type, again) if twice else {}
    except c2pa.C2paError as e:
        return _problem(str(e))
    except (ValueError, RecursionError) as e:
        return {"error": f"the manifest store cannot be read ({str(e)[:80]})"}
    read = {
        "store": bounded(store),
        "state": str(store.get("validation_state", "")),
        "validation": statuses(store),
    }
    return read | ({"capture_results": bounded(alone.get("validation_results"))} if alone else {})


def _store(file: BinaryIO, media_type: str, trust: Mapping[str, str]) -> dict[str, Any]:
    import c2pa

    file.seek(0)
    with c2pa.Reader(media_type, file, context=_context(_trust_settings(trust))) as reader:
        text = reader.json()
    if len(text) > JSON_LIMIT:
        raise ValueError(f"it has {len(text)} characters")
    return _dict(json.loads(text))


def prepare() -> None:
    """Take the reader through a signed sample, before the jail closes and while there is one thread."""
    read_credentials(BytesIO(warm_sample()), "image/jpeg")


def warm_sample() -> bytes:
    """A small signed JPEG that ships with the package."""
    text = Path(__file__).with_name("warm_sample.json").read_text(encoding="utf-8")
    return base64.b64decode(json.loads(text)["base64"])


def _in_memory(file: BinaryIO) -> BinaryIO:
    size = file.seek(0, 2)
    file.seek(0)
    return BytesIO(file.read()) if size <= _IN_MEMORY else file


@lru_cache(1)
def _supported() -> frozenset[str]:
    import c2pa

    return frozenset(c2pa.Reader.get_supported_mime_types())


def _trust_settings(trust: Mapping[str, str]) -> str:
    settings = dict(_SETTINGS)
    given: dict[str, Any] = {theirs: trust[ours] for ours, theirs in _TRUST.items() if trust.get(ours)}
    lists = [
        {"trust_anchors": trust[name], "trust_uri": f"assay:{name}", "trust_kind": "manifest"}
        for name in _LISTS
        if trust.get(name)
    ]
    if lists:
        given["anchors"] = lists
    if given:
        settings["trust"] = given
    return json.dumps(settings, sort_keys=True)


def _context(settings: str) -> Any:
    """A context of this process: one that was made before a fork is dead in the child."""
    import c2pa

    return c2pa.Context.from_json(settings)


def _problem(message: str) -> dict[str, Any]:
    if message.startswith("ManifestNotFound"):
        return {}
    remote = _REMOTE.match(message)
    return {"remote": remote.group(1)} if remote else {"error": message[:STRING]}


def bounded(value: Any, depth: int = 0, budget: list[int] | None = None) -> Any:
    """Copy plain JSON without pictures, padding and byte lists, cut to `NODES` values of `STRING` characters."""
    budget = [NODES] if budget is None else budget
    budget[0] -= 1
    if depth > DEPTH or budget[0] < 0:
        return "..."
    if isinstance(value, dict):
        kept = ((k, v) for k, v in value.items() if k not in _BINARY_KEYS)
        return {str(k)[:256]: bounded(v, depth + 1, budget) for k, v in kept if budget[0] > 0}
    if isinstance(value, list):
        if len(value) > 16 and all(isinstance(v, int) for v in value):
            return f"{len(value)} bytes"
        return [bounded(v, depth + 1, budget) for v in value if budget[0] > 0]
    if isinstance(value, str):
        return value[:STRING].encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float) and not (abs(value) < 1e308):  # JSON has no infinity
        return str(value)
    return value if value is None or isinstance(value, int | float) else str(value)[:STRING]


def statuses(store: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Flatten a manifest store's validation results.

    Returns
    -------
    validation : list of dict
        One row for the active manifest, one for each ingredient whose check gave anything, and one for each ingredient
        of which the manifest that took it in *recorded* a failure. ``scope``: active, ingredient or recorded;
        ``manifest``: the label of the manifest that the statuses speak of; ``ingredient``: its title, where it has
        one; ``success``, ``informational``: codes; ``failure``: code and explanation.
    """
    results = _dict(store.get("validation_results"))
    active = str(store.get("active_manifest", ""))
    rows = [_row("active", active, "", _dict(results.get("activeManifest")))]
    titles = _titles(store)
    for delta in _list(results.get("ingredientDeltas"))[:256]:
        uri = str(_dict(delta).get("ingredientAssertionURI", ""))
        found = _dict(_dict(delta).get("validationDeltas"))
        title, inner = titles.get(_place(uri), ("", ""))
        rows.append(_row("ingredient", inner or _speaks_of(found) or _label(uri), title, found))
    for label, manifest in list(_dict(store.get("manifests")).items())[:256]:
        for ingredient in _list(_dict(manifest).get("ingredients"))[:256]:
            rows.extend(_recorded(str(label), _dict(ingredient)))
    return rows[:512]


def _recorded(label: str, ingredient: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """What the maker of `label` found when it took this ingredient in, where any of it was a failure."""
    title = str(ingredient.get("title", ""))[:256]
    inner = str(ingredient.get("active_manifest", "")) or label
    found = _dict(_dict(ingredient.get("validation_results")).get("activeManifest"))
    legacy = [s for s in _list(ingredient.get("validation_status")) if isinstance(s, dict)]
    failures = [*_list(found.get("failure")), *legacy]
    for delta in _list(_dict(ingredient.get("validation_results")).get("ingredientDeltas"))[:256]:
        failures.extend(_list(_dict(_dict(delta).get("validationDeltas")).get("failure")))
    if failures:
        yield _row("recorded", inner, title, {"failure": failures}) | {"by": label[:256]}


def _row(scope: str, manifest: str, ingredient: str, found: dict[str, Any]) -> dict[str, Any]:
    def codes(kind: str) -> list[str]:
        said = (str(_dict(s).get("code", ""))[:128] for s in _list(found.get(kind))[:512])
        return sorted(set(said))

    failures: dict[str, dict[str, str]] = {}
    for status in _list(found.get("failure"))[:512]:
        code = str(_dict(status).get("code", ""))[:128]
        failures.setdefault(
            code, {"code": code, "explanation": str(_dict(status).get("explanation", ""))[:512]}
        )
    return {
        "scope": scope,
        "manifest": manifest[:256],
        "ingredient": ingredient[:256],
        "success": codes("success"),
        "informational": codes("informational"),
        "failure": list(failures.values()),
    }


def _titles(store: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    """Map (manifest label, assertion label) of each ingredient to its title and its own manifest's label."""
    found = {}
    for label, manifest in _dict(store.get("manifests")).items():
        for ingredient in _list(_dict(manifest).get("ingredients"))[:256]:
            said = _dict(ingredient)
            place = (str(label), str(said.get("label", "")))
            found[place] = (str(said.get("title", "")), str(said.get("active_manifest") or ""))
    return found


def _place(uri: str) -> tuple[str, str]:
    return _label(uri), uri.rpartition("/")[2]


def _label(uri: str) -> str:
    match = _LABEL.search(uri)
    return match.group(1) if match else ""


def _speaks_of(found: dict[str, Any]) -> str:
    for kind in ("failure", "success", "informational"):
        for status in _list(found.get(kind)):
            label = _label(str(_dict(status).get("url", "")))
            if label:
                return label
    return ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
