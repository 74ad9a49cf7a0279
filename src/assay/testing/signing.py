"""Makers of signed samples: a certificate authority of one's own, made on the fly, and C2PA manifests under it.

Needs the package ``cryptography``, which only tests and the demonstration install.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIGITAL_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SETTINGS = {
    "verify": {
        "verify_after_sign": False,
        "verify_trust": False,
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
    },
    "core": {"allowed_network_hosts": []},
    "builder": {"thumbnail": {"enabled": False}, "actions": {"auto_created_action": {"enabled": False}}},
}


@dataclass(frozen=True, slots=True)
class Authority:
    """A root, and a signer under it: PEM texts. `root` is what a trust list would hold."""

    root: str
    chain: str  # signer, then root
    key: str


def authority(name: str = "Assay test", *, days: int = 3650, started: datetime | None = None) -> Authority:
    """Make a root and a signing certificate that C2PA accepts (ES256, e-mail protection)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    start = started or datetime.now(UTC) - timedelta(days=1)

    def named(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "AQ"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, name),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    def usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=issues, crl_sign=issues, encipher_only=False, decipher_only=False,
        )  # fmt: skip

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def builder(common: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(common))
            .issuer_name(named("Root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
            )
        )

    root = (
        builder("Root", root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage(signs=False, issues=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    signer = (
        builder("Signer", key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs=True, issues=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    root_text = root.public_bytes(pem).decode()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Authority(root_text, signer.public_bytes(pem).decode() + root_text, private.decode())


def signed(
    data: bytes,
    media_type: str,
    by: Authority,
    *,
    digital_source_type: str = "digitalCapture",
    actions: Sequence[Mapping[str, Any]] = (),
    software_agent: str = "Pinhole 1 firmware 1.0",
    ingredient: tuple[bytes, str] | None = None,
    title: str = "a test",
) -> bytes:
    """Sign a sample.

    Parameters
    ----------
    data, media_type :
        What is signed.
    by : Authority
        Whose certificate signs.
    digital_source_type : str
        The last part of an IPTC digital source type, of the first action ``c2pa.created``; left out with an
        ingredient, whose first action is ``c2pa.opened``.
    actions : sequence of mappings
        Further actions, such as ``{"action": "c2pa.cropped"}``.
    software_agent : str
        Who is named as the claim's generator and as the first action's agent.
    ingredient : (bytes, media type), optional
        A sample, signed or not, that this one was made from.
    """
    import c2pa

    first: dict[str, Any] = {"action": "c2pa.created", "softwareAgent": {"name": software_agent}}
    if digital_source_type:
        first["digitalSourceType"] = DIGITAL_SOURCE + digital_source_type
    if ingredient:
        first = {
            "action": "c2pa.opened",
            "softwareAgent": {"name": software_agent},
            "parameters": {"ingredientIds": ["parent"]},
        }
    manifest = {
        "claim_generator_info": [{"name": software_agent}],
        "title": title,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [first, *map(dict, actions)]}}],
    }
    out = io.BytesIO()
    with (
        c2pa.Context.from_dict(_SETTINGS) as context,
        c2pa.Builder(json.dumps(manifest), context=context) as builder,
        c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(
                alg=b"es256", sign_cert=by.chain.encode(), private_key=by.key.encode(), ta_url=None
            )
        ) as signer,
    ):
        if ingredient:
            said = {"title": "parent", "relationship": "parentOf", "label": "parent"}
            builder.add_ingredient(json.dumps(said), ingredient[1], io.BytesIO(ingredient[0]))
        builder.sign(signer, media_type, io.BytesIO(data), out)
    return out.getvalue()


def tampered(data: bytes) -> bytes:
    """Change one byte near the end of a signed sample, in its picture data: the hash over the content breaks."""
    at = len(data) - 40
    return data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]
