"""How the range marks what it makes: a content credential that says so, and the store of known fakes.

The invisible part is in `watermark`. The authority that signs is made for one run and forgotten: its root is written
beside the corpus, its key nowhere, so nobody can sign in the range's name afterwards.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING

from assay import __version__
from assay.errors import AssayError
from assay.range.own import NAMED

if TYPE_CHECKING:
    from assay.desk.stores import Deed, Stores
    from assay.testing.signing import Authority

AGENT = f"Assay range {__version__}"
TWIN = "algorithmicallyEnhanced"  # the IPTC's word for a picture that software only processed


def authority() -> Authority:
    """Make the run's own certificate authority.

    Raises
    ------
    AssayError
        If the package that makes certificates is not installed.
    """
    if importlib.util.find_spec("cryptography") is None:
        raise AssayError(
            "the range signs what it makes, and the package for certificates is not installed",
            code="cryptography",
            hint="in the checkout: pip install '.[range]'",
        )
    from assay.testing.signing import authority as made

    return made("Assay range")


def credentialed(
    data: bytes, media_type: str, by: Authority, *, source_type: str, recipe: str, words: str, rights: str
) -> bytes:
    """Attach a content credential: what it is, of which recipe, and with which right.

    Parameters
    ----------
    data, media_type :
        An encoded JPEG, PNG or WebP picture.
    by : Authority
        Who signs.
    source_type : str
        The last part of an IPTC digital source type.
    recipe : str
        The recipe's id.
    words : str
        What was done, for people.
    rights : str
        The stated right to use it, may be empty.
    """
    from assay.testing.signing import signed

    edited = {
        "action": "c2pa.edited",
        "description": words + (f" Rights: {rights}" if rights else ""),
        "parameters": {NAMED: recipe} | ({"assay.rights": rights} if rights else {}),
    }
    return signed(
        data, media_type, by,
        digital_source_type=source_type, actions=[edited], software_agent=AGENT, title=f"Assay range {recipe}",
    )  # fmt: skip


def record(stores: Stores, digests: Iterable[str], deed: Deed) -> int:
    """Enter fakes among the known digests of this installation, in one transaction with its line in the audit.

    Returns
    -------
    added : int
        How many were not known before.
    """
    from assay.store.audit import Audit
    from assay.store.judgements import Judgements

    new = [digest for digest in dict.fromkeys(digests) if stores.judgements.known(digest) is None]
    if not new:
        return 0
    with stores.database.write() as connection:
        for digest in new:
            Judgements.mark_known(connection, digest, "known_fake", actor=deed.actor, reason=deed.reason)
        Audit.append(connection, deed.actor, "range", new[0], f"{deed.reason}: {len(new)} known fakes")
    return len(new)
