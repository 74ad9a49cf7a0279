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


def conformal(bona_fide: Sequence[float], worth: Sequence[float], budget: float) -> Threshold | None:
    """Set a threshold that a medium from a new bona fide source reaches with probability `budget` at most, on average.

    Parameters
    ----------
    bona_fide : sequence of float
        Scores in nats, one or more of each source; sources exchangeable with those to come and unused in training.
    worth : sequence of float
        Of each score: 1 / how many its source has, so that every source weighs 1.
    budget : float
        Tolerated false-alarm rate, 0 < budget < 1.

    Returns
    -------
    threshold : Threshold or None
        The lowest that no more than (n + 1) budget - 1 of the n sources reach, each by the share of its scores, and never
        under `FLOOR`. None where n is too small for any threshold to keep the promise.

    References
    ----------
    Y. Lee, R. Barber, R. Willett, "Distribution-free inference with hierarchical data", 2023 (arXiv:2306.06342): a score
    drawn from each source would do, and the mean over all draws keeps the promise, too. Of one score a source it is split conformal
    prediction (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", 2005, ch. 2), whose realised
    rate follows Beta(n + 1 - k, k) for scores without ties; shares of sources are rounded up to whole ones for it.
    """
    n = round(math.fsum(worth))
    if n < sources_needed(budget):
        return None
    allowed = (n + 1) * budget - 1 + 1e-9
    value, reached = -math.inf, 0.0
    for score, share in sorted(zip(bona_fide, worth, strict=True), reverse=True):
        reached += share
        if reached > allowed:
            value = math.nextafter(score, math.inf)
            break
    value = max(value, FLOOR)
    over = math.fsum(share for score, share in zip(bona_fide, worth, strict=True) if score >= value)
    whole = min(n - 1, math.ceil(over - 1e-9))
    return Threshold(value, n, beta_range(whole + 1, n - whole))


@functools.cache
def beta_range(a: int, b: int, share: float = 0.9) -> tuple[float, float]:
    """Return the central `share` of the Beta distribution with whole parameters `a`, `b` >= 1."""
    tail = (1 - share) / 2
    return _solve(lambda x: _beta_below(x, a, b), tail), _solve(lambda x: _beta_below(x, a, b), 1 - tail)


def wilson(found: float, n: int, z: float = Z90) -> tuple[float, float]:
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
