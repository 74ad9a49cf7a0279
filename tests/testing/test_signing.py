"""Makers of signed samples."""

from __future__ import annotations

from cryptography import x509

from assay.testing import containers, signing


def test_the_signer_stands_under_the_root():
    by = signing.authority("Somebody")
    signer, root = x509.load_pem_x509_certificates(by.chain.encode())
    signer.verify_directly_issued_by(root)
    assert by.chain.endswith(by.root)
    assert "Somebody" in root.subject.rfc4514_string()


def test_tampering_changes_one_bit():
    data = containers.jpeg()
    changed = signing.tampered(data)
    differing = [a ^ b for a, b in zip(data, changed, strict=True) if a != b]
    assert differing == [1]


def test_signing_leaves_the_picture_data_alone():
    data = containers.jpeg()
    scan = data[data.index(b"\xff\xda") :]
    assert signing.signed(data, "image/jpeg", signing.authority()).endswith(scan)
