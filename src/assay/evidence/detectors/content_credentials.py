"""C2PA content credentials: who signed, whether it still holds, and what the signers say was done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from assay.evidence.detector import Card
from assay.evidence.detectors._generators import SOURCE_WORDS, clip, source_kind
from assay.evidence.detectors._manifests import Action, Manifest, Status, Store, as_dict, store_of
from assay.media.views import Container
from assay.types import Finding, Kind, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Actions that leave the scene as it was captured: C2PA 2.2, 18.15, those of orientation, size, tone and packaging.
HARMLESS = frozenset(
    {
        "opened", "created", "cropped", "resized", "resized.proportional", "orientation", "color_adjustments",
        "adjustedColor", "transcoded", "repackaged", "converted", "published", "edited.metadata", "metadata",
    }
)  # fmt: skip
COMPOSED_OF_CAPTURES = "compositecapture"  # digital source type of parts that were all captured
COMPOSING = {"placed": "another picture or part was placed in it", "drawing": "something was drawn or erased"}
EDITS = COMPOSING | {
    "edited": "its content was edited",
    "filtered": "filters or styles were applied",
    "enhanced": "it was enhanced",
    "removed": "a part was removed",
    "deleted": "a part was deleted",
    "unknown": "something was done that the software cannot name",
    "addedText": "text was added",
    "dubbed": "it was dubbed",
    "translated": "it was translated",
    "trimmed": "it was trimmed",
    "watermarked": "a watermark was put in",
    "redacted": "a part of the credential was redacted",
}
NEUTRAL_FAILURES = ("signingCredential.untrusted", "signingCredential.ocsp", "cawg.", "timeStamp.")
CONTENT_HASHES = ("assertion.dataHash.", "assertion.bmffHash.", "assertion.boxesHash.", "assertion.collectionHash.", "assertion.multiAssetHash.")  # fmt: skip
EXPIRED = ("signingCredential.expired", "signingCredential.revoked", "signingCredential.ocsp.revoked", "claimSignature.outsideValidity")  # fmt: skip
HOLDS = frozenset(  # codes that older manifests record among the failures, and that are none
    {"validated", "match", "trusted", "accessible", "insideValidity", "well-formed", "notRevoked", "skipped", "unknownProvenance", "additionalExclusionsPresent"}
)  # fmt: skip
POSITIVE = frozenset(
    {
        "credential_generator_declared", "credential_generator_edit_declared", "credential_composite_declared",
        "credential_edit_declared", "credential_changed_after_signing", "credential_signature_invalid",
        "credential_claim_invalid", "credential_ingredient_invalid", "credential_expired_or_revoked",
    }
)  # fmt: skip
WORDS = {
    "content": "the media data were changed or cut, they no longer have the hash that was signed",
    "assertion": "its statement {place} no longer has the hash that was signed",
    "signature": "the claim or the signature itself was altered",
    "claim": "{detail}",
    "expired": "it had expired or was revoked",
}


class ContentCredentials:
    """Says for the active manifest and for every ingredient what holds, what is broken, and what is declared."""

    card: ClassVar[Card] = Card(
        name="content_credentials",
        version=2,
        reads=Container,
        family="credentials",
        claims=frozenset(
            {Kind.FULL_SYNTHESIS, Kind.INPAINTING, Kind.SPLICE, Kind.RETOUCH, Kind.TAMPERED_CREDENTIAL}
        ),
        summary="A signed credential says who made a medium and how; its hashes say whether it was changed afterwards.",
        source="C2PA Technical Specification 2.2",
        licence="Apache-2.0",
    )

    def examine(self, view: Container, /) -> Finding:
        """Score the number of reasons that speak of synthesis, edits or tampering."""
        credentials = as_dict(view.credentials)
        store = store_of(credentials.get("store"), credentials.get("capture_results"))
        if store is None:
            return _without_store(credentials)
        incomplete = _incomplete(view, store)
        reasons = [*_broken(store, incomplete=incomplete)]
        reasons += _ingredients(store, whole=not reasons and not incomplete)
        if not reasons and not incomplete and credentials.get("state") == "Invalid":
            words = f"Its content credential is not valid. {_signed(store.active)}."
            reasons.append(Reason("credential_claim_invalid", words))
        if incomplete and not any(r.code != "credential_ingredient_invalid" for r in reasons):
            reasons.append(Reason("credential_incomplete", f"{_signed(store.active)}; this is only the beginning of a fragmented stream, whose parts carry the rest, so it cannot be checked alone."))  # fmt: skip
        elif not reasons:
            reasons.append(_valid(store))
        reasons += _declared(store)
        return Finding(Outcome.SCORED, float(sum(r.code in POSITIVE for r in reasons)), tuple(reasons))


def _without_store(credentials: dict[str, Any]) -> Finding:
    """A reference, an unreadable manifest, or none."""
    remote, error = credentials.get("remote"), clip(credentials.get("error") or "", 200)
    address = remote if isinstance(remote, str) else ""
    if not address and (
        found := re.search(r"https?://\S{1,300}", str(credentials.get("error") or "")[:2000])
    ):
        address = found[0]
    if address or remote:
        where = f" on {clip(_host(address), 80)}" if _host(address) else ""
        text = f"Its content credential lies{where}, not in the file; nothing is fetched while screening, so it is unchecked."
        return Finding(Outcome.SCORED, 0.0, (Reason("credential_remote", text),))
    if error and "not found" not in error.lower() and "notfound" not in error.lower():
        draft = (
            "it is in a draft form of the standard that is no longer read" if "prerelease" in error else error
        )
        text = f"There is a content credential, but it cannot be read: {draft}."
        return Finding(Outcome.SCORED, 0.0, (Reason("credential_unreadable", text),))
    return Finding.not_applicable("no_credential", "It carries no content credential.")


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _incomplete(view: Container, store: Store) -> bool:
    """Tell an initialisation segment: its hash is one of fragments, and no media data are here."""
    if not any(s.code.startswith("assertion.bmffHash.") for s in store.failures):
        return False
    if view.credentials.get("incomplete"):
        return True
    kinds = {p.kind.rpartition("/")[2] for p in view.parts}
    fragmented = any("inithash" in s.explanation.lower() for s in store.failures)
    return fragmented and "moof" not in kinds and "mdat" not in kinds


def _category(status: Status) -> str:
    """Sort a failure: content, assertion, signature, claim, expired, or "" where it breaks nothing."""
    code = status.code
    if code.startswith(EXPIRED):
        return "expired"
    if code.startswith(NEUTRAL_FAILURES) or code.rpartition(".")[2] in HOLDS:
        return ""
    if code.startswith(CONTENT_HASHES):
        return "content"
    if code == "assertion.hashedURI.mismatch":
        return "assertion"
    return "signature" if code.startswith(("claimSignature.", "signingCredential.")) else "claim"


def _broken(store: Store, *, incomplete: bool) -> Iterator[Reason]:
    """One reason a code for what is broken of the active manifest."""
    found: dict[str, list[str]] = {}
    for status in store.failures:
        category = _category(status)
        if not category or (category == "content" and incomplete):
            continue
        code = {
            "content": "credential_changed_after_signing",
            "assertion": "credential_changed_after_signing",
            "signature": "credential_signature_invalid",
            "claim": "credential_claim_invalid",
            "expired": "credential_expired_or_revoked",
        }[category]
        found.setdefault(code, []).append(_words(category, status))
    lead = {
        "credential_changed_after_signing": "Changed after signing",
        "credential_signature_invalid": "The signature of its content credential is not valid",
        "credential_claim_invalid": "The claim of its content credential is not valid",
        "credential_expired_or_revoked": "Its content credential was signed with a certificate out of force",
    }
    for code, words in found.items():
        yield Reason(code, f"{lead[code]}: {'; '.join(dict.fromkeys(words[:4]))}. {_signed(store.active)}.")


def _words(category: str, status: Status) -> str:
    details = {
        "ingredient.manifest.missing": "it refers to an earlier manifest that is not in the file",
        "claim.missing": "there is no claim",
        "assertion.missing": f"its statement {status.place} is not there",
    }
    return WORDS[category].format(
        place=status.place or "about itself", detail=details.get(status.code, status.code)
    )


def _ingredients(store: Store, *, whole: bool) -> Iterator[Reason]:
    """One reason for all ingredients whose own credential is broken; `whole` says that the active one holds."""
    words: dict[str, None] = {}
    for title, status in store.ingredient_failures:
        if category := _category(status):
            words[f"of “{title or 'an ingredient'}”, {_words(category, status)}"] = None
    if words:
        more = f"; and {len(words) - 4} more" if len(words) > 4 else ""
        outer = f" The credential around it holds: {_signed(store.active)}." if whole else ""
        yield Reason("credential_ingredient_invalid", f"The credential of something that went into it is broken: {'; '.join(list(words)[:4])}{more}.{outer}")  # fmt: skip


def _valid(store: Store) -> Reason:
    """What a credential that holds is worth: it depends on who vouches for the signer."""
    signed = _signed(store.active)
    trusted = store.trust.get(store.active.label) if store.active else None
    if trusted is None:
        return Reason("credential_valid_untrusted", f"{signed}; it holds, but nobody on your trust lists vouches for this signer, so it proves nothing.")  # fmt: skip
    why = _why_not_capture(store)
    if not why:
        chain = store.ancestry() or ()
        later = (
            f"; later only {_list(_harmless_words(chain))}" if _harmless_words(chain) else ", unchanged since"
        )
        return Reason("credential_valid_trusted_capture", f"Captured by {_device(chain[-1])}, which you trust{later}. {signed}.")  # fmt: skip
    return Reason("credential_valid_trusted_editor", f"{signed}, whom you trust; it holds and vouches for the edits it lists, not for the scene: {why}.")  # fmt: skip


def _why_not_capture(store: Store) -> str:
    """Say what keeps a valid, trusted credential from being one of an untouched capture; "" if nothing does."""
    chain = store.ancestry()
    if not chain:
        return "what it was made from has no credential here"
    for manifest in chain:
        if manifest.label not in store.trust:
            return f"{clip(manifest.signer or 'a signer')} is on none of your trust lists"
        others = [i for i in manifest.ingredients if i.relationship != "parentOf"]
        if others:
            return "other media went into it"
        if manifest.untracked:
            return "the list of what was done is incomplete"
        if manifest.declared or not manifest.actions:
            return (
                "it does not say what was done" if not manifest.actions else "it declares synthetic content"
            )
        for action in manifest.actions:
            if action.name not in HARMLESS or source_kind(action.source) in {"synthetic", "composite"}:
                return EDITS.get(action.name, f"action “{action.name}”")
    origin = chain[-1]
    created = [a for a in origin.actions if a.name == "created"]
    if store.trust[origin.label] != "capture":
        return "no capture device that you trust signed its origin"
    if len(created) != 1 or (created[0].source and source_kind(created[0].source) != "capture"):
        return "its origin is not declared as a capture"
    if any(a.name == "created" for m in chain[:-1] for a in m.actions):
        return "a later step created content"
    return ""


def _declared(store: Store) -> Iterator[Reason]:
    """What the signers themselves say: generators, generative edits, composites, other edits."""
    chain = store.ancestry() or ((store.active,) if store.active else ())
    made, touched = _generators(store, chain)
    if made:
        yield Reason(
            "credential_generator_declared", f"Its content credential declares that it was {_list(made[:3])}."
        )
    if touched and not made:
        yield Reason("credential_generator_edit_declared", f"Its content credential declares that a part of it was {_list(touched[:3])}.")  # fmt: skip
    actions = [a for m in chain for a in m.actions if a.name not in HARMLESS]
    composed = [a for a in actions if a.name in COMPOSING or a.source == COMPOSED_OF_CAPTURES]
    edited = [a for a in actions if a not in composed]
    by = f" ({clip(chain[0].agent)})" if chain and chain[0].agent else ""
    if composed:
        yield Reason(
            "credential_composite_declared",
            f"Its content credential lists composition{by}: {_said(composed)}.",
        )
    if edited:
        yield Reason("credential_edit_declared", f"Its content credential lists edits{by}: {_said(edited)}.")


def _generators(store: Store, chain: tuple[Manifest, ...]) -> tuple[list[str], list[str]]:
    """Declarations of generators: of the whole, and of a part (an edit, or something placed in it)."""
    made: dict[str, None] = {}
    touched: dict[str, None] = {}
    for manifest in store.manifests.values():
        whole = manifest in chain
        for action in manifest.actions:
            kind = source_kind(action.source)
            if kind in {"synthetic", "composite"}:
                first = whole and kind == "synthetic" and action.name == "created"
                (made if first else touched)[_by(action.source, action.agent or manifest.agent, manifest)] = (
                    None
                )
        for name in manifest.declared:
            first = whole and source_kind(name) == "synthetic"
            (made if first else touched)[_by(name, manifest.agent, manifest)] = None
        for one in manifest.ingredients:
            if source_kind(one.source) in {"synthetic", "composite"}:
                parent = whole and one.relationship == "parentOf" and source_kind(one.source) == "synthetic"
                (made if parent else touched)[
                    f"{SOURCE_WORDS[one.source]} (“{one.title or 'an ingredient'}”)"
                ] = None
    return list(made), list(touched)


def _by(name: str, agent: str, manifest: Manifest) -> str:
    who = clip(agent or manifest.signer or "software that is not named", 80)
    return f"{SOURCE_WORDS[name]}, with {who}"


def _signed(manifest: Manifest | None) -> str:
    """Name the signer, the date and the software, as far as they are said."""
    if manifest is None:
        return "Its active manifest is not there"
    date = f" on {manifest.date}" if manifest.date else " at a time that is not proven"
    agent = f" with {manifest.agent}" if manifest.agent else ""
    return f"Signed by {manifest.signer or 'a signer without a name'}{date}{agent}"


def _device(manifest: Manifest) -> str:
    return clip(manifest.agent or manifest.signer or "a device", 80)


def _harmless_words(chain: Iterable[Manifest]) -> list[str]:
    names = {
        "cropped": "cropped", "resized": "resized", "resized.proportional": "resized", "orientation": "turned",
        "color_adjustments": "adjusted in tone", "adjustedColor": "adjusted in tone", "transcoded": "converted",
        "converted": "converted", "repackaged": "repackaged",
    }  # fmt: skip
    return list(dict.fromkeys(names[a.name] for m in chain for a in m.actions if a.name in names))


def _said(actions: list[Action]) -> str:
    words = []
    for action in actions:
        detail = f" (“{action.detail}”)" if action.detail else ""
        words.append(EDITS.get(action.name, f"“{action.name}”") + detail)
    different = list(dict.fromkeys(words))
    more = f" and {len(different) - 5} more" if len(different) > 5 else ""
    return _list(different[:5]) + more


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
