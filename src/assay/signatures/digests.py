"""Exact matches: the SHA-256 digests of known fakes and known originals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.types import Evidence, Finding, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
FAMILY = "records"
WORDS = {
    "known_fake": "Its SHA-256 is on a list of known fakes: byte for byte the same.",
    "known_original": "Its SHA-256 is on a list of known originals: byte for byte the same.",
}


def known(sha256: str, lookup: Callable[[str], str | None]) -> Evidence | None:
    """Look a digest up; evidence where somebody has recorded it, None where nobody has.

    Parameters
    ----------
    sha256 : str
        Of the sample, 64 hexadecimal digits in any case.
    lookup : callable
        Given 64 lower-case digits, answers ``known_fake``, ``known_original`` or None. A second word after a colon,
        as in ``known_fake:who recorded it``, is told to people.

    Raises
    ------
    ValueError
        If `sha256` is no SHA-256, or `lookup` answers another word.
    """
    digest = sha256.lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"not a SHA-256: {sha256[:80]!r}")
    said = lookup(digest)
    if said is None:
        return None
    code, _, source = said.partition(":")
    if code not in WORDS:
        raise ValueError(f"a digest is known_fake or known_original, not {code[:80]!r}")
    words = WORDS[code] + (f" Source: {source.strip()[:200]}." if source.strip() else "")
    fake = float(code == "known_fake")
    return Evidence("known_digest", VERSION, FAMILY, Finding(Outcome.SCORED, fake, (Reason(code, words),)))
