"""Fuse the LLRs of measured detectors: a fake is of one kind or another, and most detectors see but some kinds.

That a splice detector is silent says nothing against a synthetic picture, and the reverse. So detectors are not simply
added up. For every kind, those that claim it are (within a family cut to its cap, families taken as independent), and
the kinds are weighed by how often each is among fakes: the likelihood ratio of "fake" is the mean of those of its kinds.
docs/decisions/0009-fakes-are-a-mixture.md says why, and what it gained.

"Fake" is of a kind that a detector which spoke claims: kinds that nobody looked for are blind spots, which coverage
names, and no part of the ratio (docs/decisions/0024-what-a-ratio-is-about.md).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from assay.types import Kind

Shares = Mapping[Kind, float]  # of each kind among fakes
UNTRACED = 0.1  # of fakes of the kinds looked for: without a trace that any detector reads. Finding nothing clears nobody


def mixed(
    llrs: NDArray[np.float64],
    families: Sequence[str],
    claims: Sequence[Collection[Kind]],
    caps: Mapping[str, float],
    shares: Shares,
) -> NDArray[np.float64]:
    """Fuse what several detectors said.

    Parameters
    ----------
    llrs : ndarray of float64, shape (R, D)
        Nats, of a fake of the kinds that the detector claims against bona fide media; 0 where it did not speak.
    families
        Of each detector, length D.
    claims
        Kinds that each detector claims, length D; none: it speaks of fakes of any kind.
    caps
        Family to the most nats that it may add, either way.
    shares
        Of kinds among fakes. Those that are claimed are set in proportion; one that is not listed weighs nothing.

    Returns
    -------
    fused : ndarray of float64, shape (R,)
        Nats. It rises with every detector.
    """
    hypotheses = by_kind(llrs, families, claims, caps, shares)
    terms = [math.log(share) + sums.sum(axis=1) for _, share, sums in hypotheses]
    fused: NDArray[np.float64] = np.logaddexp.reduce(np.stack(terms), axis=0)
    return fused


def by_kind(
    llrs: NDArray[np.float64],
    families: Sequence[str],
    claims: Sequence[Collection[Kind]],
    caps: Mapping[str, float],
    shares: Shares,
) -> list[tuple[Kind | None, float, NDArray[np.float64]]]:
    """Give every kind that is claimed (None: what leaves no trace), its share and what each family says of it.

    Arguments as of `mixed`; what families say has shape (R, F), nats, cut to caps.
    """
    looked_for = {k: share for k, share in shares.items() if share > 0 and any(k in own for own in claims)}
    total = math.fsum(looked_for.values())
    kinds: list[tuple[float, Kind | None]] = [(UNTRACED if total else 1.0, None)]
    kinds += [((1 - UNTRACED) * share / total, k) for k, share in looked_for.items()]
    return [(kind, share, _of_kind(llrs, families, claims, caps, kind)) for share, kind in kinds]


def _of_kind(
    llrs: NDArray[np.float64],
    families: Sequence[str],
    claims: Sequence[Collection[Kind]],
    caps: Mapping[str, float],
    kind: Kind | None,
) -> NDArray[np.float64]:
    """Add up those that speak of a kind (None: of none in particular), family by family: shape (R, F)."""
    speak = [d for d, own in enumerate(claims) if not own or kind in own]
    sums = np.zeros((len(llrs), len(set(families))))
    for f, family in enumerate(sorted(set(families))):
        columns = [d for d in speak if families[d] == family]
        sums[:, f] = np.clip(llrs[:, columns].sum(axis=1), -caps[family], caps[family])
    return sums
