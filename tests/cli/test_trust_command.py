"""`assay trust` as people use it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay.cli.trust import trust
from assay.errors import ConfigError
from assay.types import sha256_of


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of an authority that has expired, and a home of our own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    for name, folder in (("HOME", "home"), ("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Cameras")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "cameras.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def run(*words: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(trust, list(words), input=stdin)


def test_a_list_is_added_shown_and_removed(bundle: Path) -> None:
    digest = sha256_of(bundle.read_bytes())
    added = run("add", str(bundle), "--kind", "capture", "--digest", digest, "--name", "cameras")
    assert added.exit_code == 0
    assert digest in added.stdout
    assert "bona fide" in added.stderr
    shown = run("list").stdout
    assert all(word in shown for word in (digest[:16], "capture", "cameras", "CN=Cameras", "expired"))
    (line,) = run("list", "--json").stdout.splitlines()
    assert json.loads(line)["digest"] == digest
    assert digest in run("remove", digest[:10]).stdout
    assert "every signer" in run("list").stdout


def test_a_bundle_is_read_from_standard_input_as_an_editor_by_default(bundle: Path) -> None:
    added = run("add", "-", stdin=bundle.read_bytes())
    assert added.exit_code == 0
    assert "Compare this digest" in added.stderr
    assert json.loads(run("list", "--json").stdout)["kind"] == "editor"


def test_another_digest_is_refused(bundle: Path) -> None:
    refused = run("add", str(bundle), "--digest", "0" * 64)
    assert isinstance(refused.exception, ConfigError)
    assert run("list", "--json").stdout == ""
