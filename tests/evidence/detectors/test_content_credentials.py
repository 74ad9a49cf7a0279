from __future__ import annotations

import copy
import io
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay.evidence.detectors.content_credentials import ContentCredentials
from assay.media.views import Container, Part
from assay.types import Finding, Outcome

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "provenance"
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def status(
    code: str, label: str = "m:new", place: str = "c2pa.signature", explanation: str = ""
) -> dict[str, str]:
    return {"code": code, "url": f"self#jumbf=/c2pa/{label}/{place}", "explanation": explanation}


def trusted(name: str, label: str = "m:new") -> dict[str, str]:
    words = f"signing certificate trusted, found in [assay:{name}] trust anchors"
    return status("signingCredential.trusted", label, explanation=words)


def manifest(*actions: dict[str, Any], agent: str = "Lumo 1", **more: Any) -> dict[str, Any]:
    return {
        "claim_generator_info": [{"name": agent, "version": "2.0"}],
        "signature_info": {
            "common_name": f"{agent} key",
            "issuer": "Lumo Ltd",
            "time": "2025-03-04T05:06:07+00:00",
        },
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}],
        "ingredients": [],
    } | more


CAPTURED = manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "digitalCapture"})
PARENT = {
    "title": "scene.jpg",
    "relationship": "parentOf",
    "active_manifest": "m:old",
    "label": "c2pa.ingredient.v3",
}


def edited(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return manifest({"action": "c2pa.opened"}, *actions, agent="Darkroom", ingredients=[PARENT]) | more


def store(
    active: dict[str, Any],
    old: dict[str, Any] | None = None,
    success: tuple[dict[str, str], ...] = (),
    failure: tuple[dict[str, str], ...] = (),
    inner: dict[str, list[dict[str, str]]] | None = None,
) -> dict[str, Any]:
    manifests = {"m:new": active} | ({"m:old": old} if old else {})
    results: dict[str, Any] = {"activeManifest": {"success": list(success), "failure": list(failure)}}
    if old:
        uri = "self#jumbf=/c2pa/m:new/c2pa.assertions/c2pa.ingredient.v3"
        results["ingredientDeltas"] = [{"ingredientAssertionURI": uri, "validationDeltas": inner or {}}]
    return {"active_manifest": "m:new", "manifests": manifests, "validation_results": results}


def examine(given: dict[str, Any], parts: tuple[Part, ...] = (), **more: Any) -> Finding:
    credentials = {"store": given} | more if given else more
    return ContentCredentials().examine(
        Container(media_type="image/jpeg", size=1, sha256="0" * 64, parts=parts, credentials=credentials)
    )


def codes(finding: Finding) -> list[str]:
    return [r.code for r in finding.reasons]


def said(finding: Finding) -> str:
    return " ".join(r.text for r in finding.reasons)


def test_a_sample_without_credential_is_not_applicable() -> None:
    assert examine({}).outcome is Outcome.NOT_APPLICABLE


def test_an_untrusted_signer_counts_nothing() -> None:
    finding = examine(store(CAPTURED, failure=(status("signingCredential.untrusted"),)))
    assert codes(finding) == ["credential_valid_untrusted"]
    assert finding.score == 0.0
    assert all(word in said(finding) for word in ("Lumo 1 key", "Lumo Ltd", "2025-03-04", "Lumo 1 2.0"))


def test_a_capture_of_a_trusted_device_is_evidence_for_bona_fide() -> None:
    finding = examine(store(CAPTURED, success=(trusted("capture"),)))
    assert codes(finding) == ["credential_valid_trusted_capture"]
    assert finding.score == 0.0


@pytest.mark.parametrize("name", ["digitalCapture", " digitalCapture", "computationalCapture"])
def test_each_spelling_of_a_capture_counts(name: str) -> None:
    made = manifest({"action": "c2pa.created", "digitalSourceType": IPTC + name})
    assert codes(examine(store(made, success=(trusted("capture"),)))) == ["credential_valid_trusted_capture"]


def test_crop_turn_and_tone_by_a_trusted_editor_keep_the_capture() -> None:
    active = edited(
        {"action": "c2pa.cropped"}, {"action": "c2pa.orientation"}, {"action": "c2pa.color_adjustments"}
    )
    finding = examine(
        store(active, CAPTURED, (trusted("editor"),), inner={"success": [trusted("capture", "m:old")]})
    )
    assert codes(finding) == ["credential_valid_trusted_capture"]
    assert all(word in said(finding) for word in ("Lumo 1 2.0", "cropped", "turned", "adjusted in tone"))


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ({"action": "c2pa.placed"}, "credential_composite_declared"),
        (
            {"action": "c2pa.edited", "digitalSourceType": IPTC + "compositeCapture"},
            "credential_composite_declared",
        ),
        ({"action": "c2pa.edited"}, "credential_edit_declared"),
        ({"action": "com.maker.magic"}, "credential_edit_declared"),
        ({"action": "c2pa.edited", "digitalSourceType": IPTC + "compositeWithTrainedAlgorithmicMedia"}, "credential_generator_edit_declared"),
        ({"action": "c2pa.edited", "digitalSourceType": IPTC + "trainedAlgorithmicMedia"}, "credential_generator_edit_declared"),
    ],
)  # fmt: skip
def test_an_edit_takes_the_capture_away_and_says_what_was_done(action: dict[str, Any], code: str) -> None:
    finding = examine(
        store(
            edited(action), CAPTURED, (trusted("editor"),), inner={"success": [trusted("capture", "m:old")]}
        )
    )
    assert codes(finding)[0] == "credential_valid_trusted_editor"
    assert code in codes(finding)
    assert finding.score >= 1.0


@pytest.mark.parametrize(
    ("active", "old", "inner"),
    [
        (edited(), CAPTURED, {}),  # the origin's signer is on no list
        (edited(), CAPTURED, {"success": [trusted("editor", "m:old")]}),  # an editor is no capture device
        (edited(ingredients=[PARENT, {"relationship": "componentOf"}]), CAPTURED, {"success": [trusted("capture", "m:old")]}),
        (edited(ingredients=[PARENT | {"active_manifest": "m:gone"}]), CAPTURED, {"success": [trusted("capture", "m:old")]}),
        (edited(assertions=[]), CAPTURED, {"success": [trusted("capture", "m:old")]}),  # silent about what was done
        (edited(), manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "digitalArt"}), {"success": [trusted("capture", "m:old")]}),
        (edited(), manifest({"action": "c2pa.opened"}), {"success": [trusted("capture", "m:old")]}),
        (edited(ingredients=[PARENT | {"active_manifest": "m:new"}]), CAPTURED, {}),  # its own parent
    ],
)  # fmt: skip
def test_every_gap_in_the_chain_leaves_only_the_editor(
    active: dict[str, Any], old: dict[str, Any], inner: dict[str, Any]
) -> None:
    finding = examine(store(active, old, (trusted("editor"),), inner=inner))
    assert "credential_valid_trusted_editor" in codes(finding)
    assert "credential_valid_trusted_capture" not in codes(finding)


def test_an_untracked_history_is_no_capture() -> None:
    active = edited()
    active["assertions"][0]["data"]["metadata"] = {"reviewRatings": [{"code": "c2pa.unknown", "value": 4}]}
    finding = examine(
        store(active, CAPTURED, (trusted("editor"),), inner={"success": [trusted("capture", "m:old")]})
    )
    assert "credential_valid_trusted_capture" not in codes(finding)


def test_what_a_taker_in_recorded_does_not_name_a_list() -> None:
    recorded = PARENT | {"validation_results": {"activeManifest": {"success": [trusted("capture", "m:old")]}}}
    finding = examine(store(edited(ingredients=[recorded]), CAPTURED, (trusted("editor"),)))
    assert codes(finding) == ["credential_valid_trusted_editor"]


def test_a_second_reading_with_capture_lists_alone_names_the_list() -> None:
    recorded = PARENT | {"validation_results": {"activeManifest": {"success": [trusted("x", "m:old")]}}}
    given = store(edited(ingredients=[recorded]), CAPTURED, (trusted("editor"),))
    alone = {"activeManifest": {"failure": [status("signingCredential.untrusted")]}, "ingredientDeltas": []}
    assert codes(examine(given, capture_results=alone)) == ["credential_valid_trusted_capture"]
    delta = {"validationDeltas": {"failure": [status("signingCredential.untrusted", "m:old")]}}
    doubted = alone | {"ingredientDeltas": [delta]}
    assert codes(examine(given, capture_results=doubted)) == ["credential_valid_trusted_editor"]


@pytest.mark.parametrize(
    ("code", "place", "reason", "word"),
    [
        ("assertion.dataHash.mismatch", "c2pa.assertions/c2pa.hash.data", "credential_changed_after_signing", "media data"),
        ("assertion.bmffHash.mismatch", "c2pa.assertions/c2pa.hash.bmff.v2", "credential_changed_after_signing", "media data"),
        ("assertion.hashedURI.mismatch", "c2pa.assertions/c2pa.actions", "credential_changed_after_signing", "c2pa.actions"),
        ("claimSignature.mismatch", "c2pa.signature", "credential_signature_invalid", "signature"),
        ("ingredient.manifest.missing", "", "credential_claim_invalid", "earlier manifest"),
        ("claim.cbor.invalid", "", "credential_claim_invalid", "claim"),
        ("assertion.action.ingredientMismatch", "", "credential_claim_invalid", "claim"),
        ("signingCredential.expired", "c2pa.signature", "credential_expired_or_revoked", "expired"),
        ("signingCredential.ocsp.revoked", "c2pa.signature", "credential_expired_or_revoked", "revoked"),
        ("claimSignature.outsideValidity", "c2pa.signature", "credential_expired_or_revoked", "expired"),
    ],
)  # fmt: skip
def test_each_break_says_what_is_broken_and_removes_the_capture(
    code: str, place: str, reason: str, word: str
) -> None:
    finding = examine(store(CAPTURED, success=(trusted("capture"),), failure=(status(code, place=place),)))
    assert codes(finding) == [reason]
    assert word in said(finding)
    assert finding.score == 1.0


def test_a_broken_ingredient_is_a_reason_of_its_own_and_named() -> None:
    broken = {
        "failure": [status("claimSignature.mismatch", "m:old")],
        "success": [trusted("capture", "m:old")],
    }
    finding = examine(store(edited(), CAPTURED, (trusted("editor"),), inner=broken))
    assert codes(finding) == ["credential_ingredient_invalid"]
    assert "scene.jpg" in said(finding)
    assert "around it holds" in said(finding)


def test_an_ingredient_that_was_recorded_as_broken_stays_broken() -> None:
    recorded = PARENT | {
        "validation_status": [status("claimSignature.mismatch", "m:old"), status("assertion.dataHash.match")]
    }
    finding = examine(
        store(edited(ingredients=[recorded]), CAPTURED, failure=(status("signingCredential.untrusted"),))
    )
    assert codes(finding) == ["credential_ingredient_invalid"]


def test_a_reference_is_remote_and_names_the_host() -> None:
    for given in ({"remote": "https://manifests.example/1"}, {"error": "Remote: must fetch remote manifests from url https://manifests.example/1"}):  # fmt: skip
        finding = examine({}, **given)
        assert codes(finding) == ["credential_remote"]
        assert "manifests.example" in said(finding)


def test_an_unreadable_credential_says_so() -> None:
    assert codes(examine({}, error="Other: prerelease content detected")) == ["credential_unreadable"]
    assert examine({}, error="ManifestNotFound: no JUMBF data found").outcome is Outcome.NOT_APPLICABLE


def test_an_initialisation_segment_is_incomplete_and_not_tampered_with() -> None:
    failed = status(
        "assertion.bmffHash.mismatch",
        explanation="BMFF inithash must not be present for non-fragmented media",
    )
    moov = Part(kind="moov", offset=0, length=9)
    given = store(manifest(), failure=(failed, status("signingCredential.untrusted")))
    assert codes(examine(given, parts=(moov,))) == ["credential_incomplete"]
    assert codes(examine(given, incomplete="an initialisation segment")) == ["credential_incomplete"]
    media = Part(kind="mdat", offset=9, length=9)
    assert codes(examine(given, parts=(moov, media))) == ["credential_changed_after_signing"]


@pytest.mark.parametrize(
    "made",
    [
        manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "trainedAlgorithmicMedia", "softwareAgent": "Dreamer 3"}),
        manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "trainedAlgorithmicMedia", "softwareAgent": {"name": "Dreamer 3"}}),
        manifest({"action": "c2pa.created"}, agent="Dreamer 3", assertions=[{"label": "com.adobe.generative-ai", "data": {"version": "1"}}]),
        manifest(agent="Dreamer 3", assertions=[{"label": "stds.schema-org.CreativeWork", "data": {"digitalSourceType": "https://schema.org/TrainedAlgorithmicMediaDigitalSource"}}]),
        manifest(agent="Dreamer 3", assertions=[{"label": "stds.iptc", "data": {"a": [{"Iptc4xmpExt:DigitalSourceType": IPTC + "trainedAlgorithmicMedia"}]}}]),
    ],
)  # fmt: skip
def test_a_declared_generator_is_named(made: dict[str, Any]) -> None:
    finding = examine(store(made, failure=(status("signingCredential.untrusted"),)))
    assert codes(finding) == ["credential_valid_untrusted", "credential_generator_declared"]
    assert "Dreamer 3" in said(finding)


def test_a_generated_parent_is_declared_and_a_generated_component_is_a_generated_part() -> None:
    synthetic = manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "trainedAlgorithmicMedia"})
    assert "credential_generator_declared" in codes(examine(store(edited(), synthetic)))
    placed = edited({"action": "c2pa.placed"}, ingredients=[PARENT | {"relationship": "componentOf"}])
    assert "credential_generator_edit_declared" in codes(examine(store(placed, synthetic)))


def test_a_wish_about_training_is_not_generation() -> None:
    wish = {
        "label": "c2pa.training-mining",
        "data": {"entries": {"c2pa.ai_generative_training": {"use": "allowed"}}},
    }
    made = manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "digitalCapture"})
    made["assertions"].append(wish)
    assert codes(examine(store(made, success=(trusted("capture"),)))) == ["credential_valid_trusted_capture"]


def test_a_broken_declaration_is_still_a_declaration() -> None:
    made = manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "trainedAlgorithmicMedia"})
    finding = examine(store(made, failure=(status("assertion.dataHash.mismatch"),)))
    assert codes(finding) == ["credential_changed_after_signing", "credential_generator_declared"]


def test_a_state_of_invalid_without_a_known_failure_is_not_taken_for_valid() -> None:
    assert codes(examine(store(CAPTURED), state="Invalid")) == ["credential_claim_invalid"]


def test_random_and_twisted_stores_never_raise() -> None:
    rng = random.Random(11)
    whole = store(
        edited({"action": "c2pa.placed"}, softwareAgents=[{"name": "x"}]),
        manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "trainedAlgorithmicMedia"}),
        (trusted("editor"),),
        (status("assertion.dataHash.mismatch"),),
        {"failure": [status("claimSignature.mismatch", "m:old")]},
    )
    for _ in range(600):
        twisted = copy.deepcopy(whole)
        for _ in range(rng.randrange(1, 4)):
            _twist(rng, twisted)
        first = examine(twisted)
        assert first == examine(copy.deepcopy(twisted))
        assert first.reasons
        assert all(r.text.isprintable() and len(r.text) < 2000 for r in first.reasons)


def test_values_of_the_wrong_kind_in_place_of_everything_never_raise() -> None:
    for junk in (
        None,
        1,
        1.5,
        "x",
        "\x1b[1m\u202e",
        [],
        [[]],
        {},
        {"a": 1},
        [None],
        True,
        "self#jumbf=/c2pa//",
    ):
        for key in ("store", "state", "error", "remote", "incomplete", "capture_results"):
            ContentCredentials().examine(
                Container(media_type="image/png", size=1, sha256="", credentials={key: junk})
            )
        for key in ("active_manifest", "manifests", "validation_results", "validation_status"):
            examine({"active_manifest": "m", "manifests": {"m": {}}} | {key: junk})


def _twist(rng: random.Random, value: Any) -> None:
    """Replace, drop or nest one value somewhere inside."""
    junk: list[Any] = [None, 7, "x", "\n\x00\u202e", [], {}, [[1]], {"name": []}, True, "a" * 5000, -1.5]
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = value[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
            value = inner
            continue
        value[key] = rng.choice(junk)
        return


def _signing() -> tuple[Any, Any]:
    """A certificate authority and the leaf that signs, made here."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, n), x509.NameAttribute(NameOID.ORGANIZATION_NAME, n)]
        )
        for n in ("Test roots", "Test camera")
    ]
    made = []
    for name, key, leaf in zip(names, keys, (False, True), strict=True):
        usage = x509.KeyUsage(leaf, False, False, False, False, not leaf, not leaf, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=not leaf, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if leaf:
            known = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
            builder = builder.add_extension(known, critical=False)
            extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(extended, critical=True)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    return keys[1], made


def test_the_reader_names_the_list_that_a_signer_chains_to() -> None:
    """The wording that tells capture from editor is the reader's; this fails if a new version changes it."""
    import c2pa
    from cryptography.hazmat.primitives import serialization

    key, (root, leaf) = _signing()
    pems = [c.public_bytes(serialization.Encoding.PEM) for c in (leaf, root)]
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    picture, signed = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(
        picture, "JPEG"
    )
    claim = {
        "claim_generator_info": [{"name": "camera", "version": "1"}],
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [{"action": "c2pa.created", "digitalSourceType": IPTC + "digitalCapture"}]
                },
            }
        ],
    }
    info = c2pa.C2paSignerInfo(b"es256", b"".join(pems), private, None)
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(claim)) as builder:
        builder.sign(signer, "image/jpeg", picture, signed)
    read = {}
    for name in ("capture", "editor"):
        anchors = [
            {"trust_anchors": pems[1].decode(), "trust_uri": f"assay:{name}", "trust_kind": "manifest"}
        ]
        settings = {
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
            "trust": {"anchors": anchors},
        }
        context = c2pa.Context(c2pa.Settings.from_dict(settings))
        with c2pa.Reader("image/jpeg", io.BytesIO(signed.getvalue()), context=context) as reader:
            read[name] = codes(examine(json.loads(reader.json())))
    assert read == {
        "capture": ["credential_valid_trusted_capture"],
        "editor": ["credential_valid_trusted_editor"],
    }


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the media in ../shared/data are not there")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("adobe-20220124-C.jpg", "credential_valid_untrusted"),
        ("adobe-20220124-E-sig-CA.jpg", "credential_signature_invalid"),
        ("adobe-20220124-E-dat-CA.jpg", "credential_changed_after_signing"),
        ("adobe-20220124-E-uri-CA.jpg", "credential_changed_after_signing"),
        ("adobe-20220124-E-clm-CAICAI.jpg", "credential_claim_invalid"),
        ("adobe-20220124-XCI.jpg", "credential_changed_after_signing"),
        ("adobe-20220124-CIE-sig-CA.jpg", "credential_ingredient_invalid"),
        ("CIE-sig-CA.jpg", "credential_ingredient_invalid"),
        ("CACAE-uri-CA.jpg", "credential_ingredient_invalid"),
        ("cloud.jpg", "credential_remote"),
        ("dashinit.mp4", "credential_incomplete"),
        ("prerelease.jpg", "credential_unreadable"),
        ("video1.mp4", "credential_valid_untrusted"),
    ],
)
def test_the_published_test_files_say_what_their_names_say(name: str, code: str) -> None:
    import c2pa

    path = next(p for p in sorted(SHARED.rglob(name)))
    media = {".jpg": "image/jpeg", ".mp4": "video/mp4"}[path.suffix]
    context = c2pa.Context(
        c2pa.Settings.from_dict({"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}})
    )
    try:
        with path.open("rb") as file, c2pa.Reader(media, file, context=context) as reader:
            finding = examine(json.loads(reader.json()), state=reader.get_validation_state())
    except c2pa.C2paError as e:
        finding = examine({}, error=str(e))
    assert code in codes(finding)
