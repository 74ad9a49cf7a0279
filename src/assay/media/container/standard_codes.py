"""The four Huffman tables of ITU-T T.81, Annex K.3, that encoders use when they do not optimise, by digest."""

from __future__ import annotations

import hashlib

# SHA-256 of BITS (16 bytes) followed by HUFFVAL, as they stand in a DHT segment
STANDARD: dict[str, str] = {
    "2f66814c875b53173f057d784a16a34d0d1f9aa91cdfa7143c41be02c9c7b005": "standard:dc0",
    "a6283a08f5d97906b66adcc812e32396ea83059e55dd4cc91934cf447559aeb6": "standard:ac0",
    "602f734c8c12c1d9d049a18fd91d9ef3d3d8c402665f90db3d97721fc49e4804": "standard:dc1",
    "13f90e3c9dc476c66f24347f6ad29cea93262e99faed279970c2f74e0557f445": "standard:ac1",
}


def name_of(table: bytes) -> str:
    """Name a table (BITS and HUFFVAL): ``standard:dc0`` (luminance), ``standard:ac1`` (chrominance), or its digest."""
    digest = hashlib.sha256(table).hexdigest()
    return STANDARD.get(digest, f"custom:{digest[:12]}")
