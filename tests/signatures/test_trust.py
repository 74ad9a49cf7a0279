from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.errors import ConfigError
from assay.signatures import trust
from assay.signatures.certificates import read_bundle
from assay.types import sha256_of


def made(name: str) -> bytes:
    """The certificate of an authority in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_a_list_is_kept_under_its_digest_with_kind_and_name(tmp_path: Path) -> None:
    bundle = made("Cameras")
    added = trust.add(
        tmp_path / "trust", bundle, "capture", name="the \x1bcameras", digest=sha256_of(bundle).upper()
    )
    assert added.digest == sha256_of(bundle)
    (found,) = trust.lists(tmp_path / "trust")
    assert (found.kind, found.name) == ("capture", "the  cameras")
    assert [c.subject for c in found.certificates] == ["CN=Cameras"]
    assert (tmp_path / "trust").stat().st_mode & 0o777 == 0o700


def test_the_anchors_of_each_kind_stay_apart(tmp_path: Path) -> None:
    cameras, more, editors = made("Cameras"), made("More"), made("Editors")
    for bundle, kind in ((cameras, "capture"), (more + cameras, "capture"), (editors, "editor")):
        trust.add(tmp_path, bundle, kind)  # type: ignore[arg-type]
    anchors = trust.load(tmp_path)
    assert set(anchors) == {"capture", "editor"}
    assert {c.subject for c in read_bundle(anchors["capture"].encode())} == {"CN=Cameras", "CN=More"}
    assert anchors["capture"].count("BEGIN CERTIFICATE") == 2
    assert {c.subject for c in read_bundle(anchors["editor"].encode())} == {"CN=Editors"}


def test_without_a_list_nobody_is_trusted(tmp_path: Path) -> None:
    assert trust.load(tmp_path / "none") == {}
    assert trust.lists(tmp_path / "none") == []


def test_another_digest_than_the_named_one_imports_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing was imported"):
        trust.add(tmp_path, made("Cameras"), "capture", digest="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_adding_a_list_again_corrects_its_kind(tmp_path: Path) -> None:
    bundle = made("Cameras")
    trust.add(tmp_path, bundle, "editor")
    trust.add(tmp_path, bundle, "capture")
    assert set(trust.load(tmp_path)) == {"capture"}


def test_a_list_that_was_altered_is_not_believed_and_can_be_removed(tmp_path: Path) -> None:
    digest = trust.add(tmp_path, made("Cameras"), "capture").digest
    path = tmp_path / f"{digest}.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"bundle": made("Intruder").decode()}))
    with pytest.raises(ConfigError, match="altered") as e:
        trust.load(tmp_path)
    assert digest[:12] in e.value.hint
    assert trust.remove(tmp_path, digest[:12]) == digest
    assert trust.load(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"bundle": 1, "kind": "capture"}', "[" * 3000])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{'a' * 64}.json").write_text(text)
    with pytest.raises(ConfigError, match="altered or cannot be read"):
        trust.lists(tmp_path)


def test_removing_asks_for_enough_digits_and_one_match(tmp_path: Path) -> None:
    trust.add(tmp_path, made("Cameras"), "capture")
    for digits, words in (("ab", "at least 8"), ("../../x", "at least 8"), ("0" * 64, "no trust list")):
        with pytest.raises(ConfigError, match=words):
            trust.remove(tmp_path, digits)
    assert len(trust.lists(tmp_path)) == 1


def test_what_is_no_list_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".adding-1").write_text("x")
    assert trust.lists(tmp_path) == []
