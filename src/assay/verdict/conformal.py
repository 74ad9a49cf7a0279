"""Thresholds that hold for any distribution of scores, and how sure small samples let us be of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FLOOR = 1.0  # nats: no threshold lies lower; 2.7 to 1 is too little to accuse anybody, however rare it is
Z90 = 1.6448536269514722  # normal quantile of a two-sided 90 % interval


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score from which media count as fake, and what the calibration sample says of its false alarms."""

    value: float  # nats
    n: int  # bona fide sources behind it
    false_alarms: tuple[float, float]  # 90 % range of the realised false-alarm rate


def sources_needed(budget: float) -> int:
    """Count the bona fide sources below which no threshold can promise `budget`: ceil(1 / budget) - 1."""
    return math.ceil(1 / budget - 1e-9) - 1


def split_conformal(bona_fide: Sequence[float], budget: float) -> Threshold | None:
    """Set a threshold that at most a share `budget` of new bona fide sources reaches, on average.

    Parameters
    ----------
    bona_fide : sequence of float
        One score per source, in nats, exchangeable with the sources to come and unused in training.
    budget : float
        Tolerated false-alarm rate, 0 < budget < 1.

    Returns
    -------
    threshold : Threshold or None
        Just above the k-th smallest score, k = ceil((n + 1)(1 - budget)), and never under `FLOOR`. None where n is too small for any threshold to keep the promise.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", 2005, ch. 2; the realised rate of the
    k-th order statistic follows Beta(n + 1 - k, k) for scores without ties, and ties only lower it.
    """
    n = len(bona_fide)
    if n < sources_needed(budget):
        return None
    rank = n + 1 - math.floor((n + 1) * budget + 1e-9)
    value = max(math.nextafter(sorted(bona_fide)[rank - 1], math.inf), FLOOR)
    reached = sum(score >= value for score in bona_fide)
    return Threshold(value, n, beta_range(reached + 1, n - reached))


@functools.cache
def beta_range(a: int, b: int, share: float = 0.9) -> tuple[float, float]:
    """Return the central `share` of the Beta distribution with whole parameters `a`, `b` >= 1."""
    tail = (1 - share) / 2
    return _solve(lambda x: _beta_below(x, a, b), tail), _solve(lambda x: _beta_below(x, a, b), 1 - tail)


def wilson(found: int, n: int, z: float = Z90) -> tuple[float, float]:
    """Bound a share `found` / `n` by Wilson's score interval.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if n == 0:
        return 0.0, 1.0
    share = found / n
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _beta_below(x: float, a: int, b: int) -> float:
    """P(Beta(a, b) <= x) as P(Binomial(a + b - 1, x) >= a)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    n = a + b - 1
    return math.fsum(
        math.exp(
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * math.log(x)
            + (n - k) * math.log1p(-x)
        )
        for k in range(a, n + 1)
    )


def _solve(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2
