"""Fuse the LLRs of measured detectors: a fake is of one kind or another, and most detectors see but some kinds.

That a splice detector is silent says nothing against a synthetic picture, and the reverse. So detectors are not simply
added up. For every kind, those that claim it are (within a family cut to its cap, families taken as independent), and
the kinds are weighed by how often each is among fakes: the likelihood ratio of "fake" is the mean of those of its kinds.
docs/decisions/0009-fakes-are-a-mixture.md says why, and what it gained.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from assay.types import Kind

Shares = Mapping[Kind, float]  # of each kind among fakes; what is left to 1 is of kinds that no detector sees


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
        Of kinds among fakes, at most 1 together. A kind that is claimed and not listed weighs nothing.

    Returns
    -------
    fused : ndarray of float64, shape (R,)
        Nats. It rises with every detector.
    """
    hypotheses = [h for h in by_kind(llrs, families, claims, caps, shares) if h[0] > 0]
    terms = [math.log(share) + sums.sum(axis=1) for share, sums in hypotheses]
    fused: NDArray[np.float64] = np.logaddexp.reduce(np.stack(terms), axis=0)
    return fused


def by_kind(
    llrs: NDArray[np.float64],
    families: Sequence[str],
    claims: Sequence[Collection[Kind]],
    caps: Mapping[str, float],
    shares: Shares,
) -> list[tuple[float, NDArray[np.float64]]]:
    """Give, for every kind that is claimed and for all others together, its share and what each family says of it.

    Arguments as of `mixed`; what families say has shape (R, F), nats, cut to caps.
    """
    seen = [k for k in shares if any(k in own for own in claims)]
    rest = max(0.0, round(1.0 - math.fsum(shares[k] for k in seen), 9))
    kinds: list[tuple[float, Kind | None]] = [*((shares[k], k) for k in seen), (rest, None)]
    return [(share, _of_kind(llrs, families, claims, caps, kind)) for share, kind in kinds]


def _of_kind(
    llrs: NDArray[np.float64],
    families: Sequence[str],
    claims: Sequence[Collection[Kind]],
    caps: Mapping[str, float],
    kind: Kind | None,
) -> NDArray[np.float64]:
    """Add up those that speak of a kind (None: of kinds that nobody claims), family by family: shape (R, F)."""
    speak = [d for d, own in enumerate(claims) if not own or kind in own]
    sums = np.zeros((len(llrs), len(set(families))))
    for f, family in enumerate(sorted(set(families))):
        columns = [d for d in speak if families[d] == family]
        sums[:, f] = np.clip(llrs[:, columns].sum(axis=1), -caps[family], caps[family])
    return sums
