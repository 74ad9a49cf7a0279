from __future__ import annotations

import base64
import random
from datetime import UTC, datetime, timedelta

import pytest

from assay.errors import ConfigError
from assay.signatures.certificates import BUNDLE, read_bundle


def made(name: str = "Root of tests", *, authority: bool = True, days: int = 30) -> bytes:
    """A self-signed certificate in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    who = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_a_bundle_is_split_into_its_certificates_with_words_between_them() -> None:
    bundle = b"# first\r\n" + made("One").replace(b"\n", b"\r\n") + b"\nSubject: two\n" + made("Two")
    found = read_bundle(bundle)
    assert [c.subject for c in found] == ["O=Tests, CN=One", "O=Tests, CN=Two"]
    assert found[0].not_after > datetime.now(UTC)


def test_a_certificate_is_written_as_it_was_read() -> None:
    bundle = made()
    assert read_bundle(bundle)[0].pem.encode() == bundle


def test_one_certificate_twice_is_one() -> None:
    bundle = made()
    assert len(read_bundle(bundle + bundle)) == 1


def _keyed() -> bytes:
    return made() + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (b"", "no certificate"),
        (b"hello", "no certificate"),
        (b"\xff\xfe\x00", "not text"),
        (b"x" * (BUNDLE + 1), "larger"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no end"),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n", "damaged"),
        (b"-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n", "only whole certificates"),
    ],
)
def test_what_is_no_bundle_of_certificates_is_refused(bundle: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as e:
        read_bundle(bundle)
    assert e.value.hint


def test_a_private_key_in_the_bundle_is_refused() -> None:
    with pytest.raises(ConfigError, match="only whole certificates"):
        read_bundle(_keyed())


def test_the_certificate_of_no_authority_is_refused() -> None:
    with pytest.raises(ConfigError, match="no authority"):
        read_bundle(made(authority=False))


def test_damaged_certificates_are_refused_and_never_crash() -> None:
    rng = random.Random(5)
    der = base64.b64decode(b"".join(made().splitlines()[1:-1]))
    for _ in range(500):
        cut = bytearray(der[: rng.randrange(1, len(der) + 1)])
        for _ in range(rng.randrange(4)):
            cut[rng.randrange(len(cut))] = rng.randrange(256)
        text = (
            b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(bytes(cut)) + b"\n-----END CERTIFICATE-----\n"
        )
        try:
            read_bundle(text)
        except ConfigError:
            continue
