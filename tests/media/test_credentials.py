"""Content credentials, signed on the fly."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from assay.media import credentials
from assay.media.credentials import bounded, read_credentials, statuses
from assay.testing import containers, signing

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "provenance"
PICTURE = containers.jpeg()


@pytest.fixture(scope="module")
def by() -> signing.Authority:
    return signing.authority()


@pytest.fixture(scope="module")
def capture(by) -> bytes:
    return signing.signed(PICTURE, "image/jpeg", by)


def read(data: bytes, media_type: str = "image/jpeg", **trust: str):
    return read_credentials(io.BytesIO(data), media_type, trust)


def failures(said: dict, scope: str = "active") -> set[str]:
    return {f["code"] for row in said["validation"] if row["scope"] == scope for f in row["failure"]}


def test_a_sample_without_a_manifest_has_no_credentials():
    assert read(PICTURE) == {}
    assert read(containers.png(), "image/png") == {}
    assert read(containers.mp4(), "video/mp4") == {}


def test_a_type_that_carries_no_manifests_is_not_read():
    assert read(b"anything", "video/x-matroska") == {}


def test_an_intact_manifest_of_an_unknown_signer_is_valid_and_untrusted(capture):
    said = read(capture)
    assert said["state"] == "Valid"
    assert failures(said) == {"signingCredential.untrusted"}
    assert "assertion.dataHash.match" in said["validation"][0]["success"]


def test_under_its_root_the_same_manifest_is_trusted(capture, by):
    said = read(capture, anchors=by.root)
    assert said["state"] == "Trusted"
    assert failures(said) == set()


def test_a_foreign_root_trusts_nobody(capture):
    assert read(capture, anchors=signing.authority().root)["state"] == "Valid"


def test_a_changed_byte_breaks_the_hash_and_nothing_else(capture, by):
    said = read(signing.tampered(capture), anchors=by.root)
    assert said["state"] == "Invalid"
    assert failures(said) == {"assertion.dataHash.mismatch"}


def test_what_was_done_and_by_what_stands_in_the_store(by):
    data = signing.signed(
        containers.png(),
        "image/png",
        by,
        digital_source_type="trainedAlgorithmicMedia",
        software_agent="Pinhole Dreams 2",
        actions=[{"action": "c2pa.color_adjustments"}],
    )
    store = read(data, "image/png")["store"]
    manifest = store["manifests"][store["active_manifest"]]
    actions = manifest["assertions"][0]["data"]["actions"]
    assert [a["action"] for a in actions] == ["c2pa.created", "c2pa.color_adjustments"]
    assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert manifest["claim_generator_info"][0]["name"] == "Pinhole Dreams 2"
    assert manifest["signature_info"]["issuer"] == "Assay test"


def test_a_broken_ingredient_is_seen_under_a_valid_state(capture, by):
    data = signing.signed(
        PICTURE,
        "image/jpeg",
        by,
        ingredient=(signing.tampered(capture), "image/jpeg"),
        actions=[{"action": "c2pa.cropped"}],
    )
    said = read(data, anchors=by.root)
    assert said["state"] == "Trusted"
    assert failures(said, "recorded") == {"assertion.dataHash.mismatch"}
    (row,) = [r for r in said["validation"] if r["scope"] == "recorded"]
    assert row["ingredient"] == "parent"
    assert row["by"] == said["store"]["active_manifest"] != row["manifest"]


def test_an_intact_ingredient_is_named_and_faultless(capture, by):
    said = read(
        signing.signed(PICTURE, "image/jpeg", by, ingredient=(capture, "image/jpeg")), anchors=by.root
    )
    assert failures(said, "ingredient") == failures(said, "recorded") == set()
    assert len(said["store"]["manifests"]) == 2


def test_a_remote_manifest_is_reported_and_not_fetched():
    url = "https://manifests.example.invalid/4711"
    data = containers.with_segments(PICTURE, containers.xmp_segment({"dcterms:provenance": url}))
    assert read(data) == {"remote": url}


def test_a_manifest_that_cannot_be_read_is_an_error_in_words(capture):
    at = capture.index(b"jumb", 40)
    broken = capture[:at] + b"\xff\xff\xff\xff" + capture[at + 4 :]
    said = read(broken)
    assert "store" not in said
    assert said["error"]


@pytest.mark.parametrize("twentieth", range(1, 20))
def test_a_signed_sample_cut_anywhere_is_survived(capture, twentieth):
    said = read(capture[: len(capture) * twentieth // 20])
    assert said.get("state", "Invalid") in ("Invalid", "")


def test_flipped_bytes_are_never_valid(capture):
    start = capture.index(b"\xff\xeb")
    for at in range(start, len(capture), max((len(capture) - start) // 60, 1)):
        said = read(capture[:at] + bytes([capture[at] ^ 0x55]) + capture[at + 1 :])
        assert said == {} or "error" in said or failures(said) or said["state"] == "Invalid"
        assert said.get("state") != "Trusted"


@pytest.mark.parametrize("trust", [{"anchors": "no certificate"}, {"allowed": "x"}, {"config": "\0"}])
def test_a_useless_trust_list_trusts_nobody(capture, trust):
    assert read(capture, **trust).get("state") != "Trusted"


def test_the_reader_lives_on_after_a_fork(capture):
    credentials.prepare()
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if read(capture)["state"] == "Valid" else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_preparing_starts_no_thread():
    before = len(os.listdir("/proc/self/task"))
    credentials.prepare()
    assert len(os.listdir("/proc/self/task")) == before


def test_pictures_padding_and_byte_lists_are_left_out():
    value = {
        "thumbnail": {"a": 1},
        "pad": [0] * 99,
        "hash": list(range(32)),
        "text": "x" * 9999,
        "n": [1, None, True],
    }
    assert bounded(value) == {"hash": "32 bytes", "text": "x" * credentials.STRING, "n": [1, None, True]}


def test_a_store_without_bounds_is_cut():
    deep: dict = {}
    inner = deep
    for _ in range(200):
        inner["a"] = {}
        inner = inner["a"]
    assert json.dumps(bounded(deep)).count("{") <= credentials.DEPTH + 1
    assert len(bounded([{"a": n} for n in range(50_000)])) <= credentials.NODES
    json.dumps(bounded({"a": float("inf"), "b": "\ud800"}), allow_nan=False).encode()


@pytest.mark.parametrize(
    "store", [{}, {"validation_results": 1, "manifests": []}, {"manifests": {"a": {"ingredients": [1, {}]}}}]
)
def test_stores_of_a_strange_form_have_statuses_all_the_same(store):
    assert statuses(store)[0]["scope"] == "active"


CASES = {
    "adobe-20220124-C.jpg": ("Valid", set(), set()),
    "adobe-20220124-E-clm-CAICAI.jpg": (
        "Invalid",
        {"ingredient.manifest.missing", "assertion.hashedURI.mismatch"},
        set(),
    ),
    "adobe-20220124-E-dat-CA.jpg": ("Invalid", {"assertion.dataHash.mismatch"}, set()),
    "adobe-20220124-E-sig-CA.jpg": ("Invalid", {"claimSignature.mismatch"}, set()),
    "adobe-20220124-E-uri-CA.jpg": ("Invalid", {"assertion.hashedURI.mismatch"}, set()),
    "adobe-20220124-XCI.jpg": ("Invalid", {"assertion.dataHash.mismatch"}, set()),
    "adobe-20220124-CIE-sig-CA.jpg": ("Valid", set(), {"claimSignature.mismatch", "timeStamp.mismatch"}),
    "CACAE-uri-CA.jpg": ("Valid", set(), {"assertion.hashedURI.mismatch"}),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", CASES)
def test_published_samples_say_what_is_broken(name):
    found = sorted(SHARED.rglob(name)) if SHARED.is_dir() else []
    if not found:
        pytest.skip("the shared media are not here")
    state, active, recorded = CASES[name]
    said = read(found[0].read_bytes())
    assert said["state"] == state
    assert failures(said) - {"signingCredential.untrusted"} == active
    assert failures(said, "recorded") == recorded
