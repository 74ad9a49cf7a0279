"""How surprising is a count? Bounds on the number of false alarms of a search, as base-10 logarithms."""

from __future__ import annotations

import math


def log10_tail(successes: float, trials: float, chance: float) -> float:
    """Upper bound on log10 P(at least `successes` of `trials`), for independent trials of probability `chance`.

    Hoeffding's form of Chernoff's bound: at most ``exp(-n KL(k / n, p))``. It holds for every n, needs no special
    function, and never understates the probability.

    References
    ----------
    W. Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 58, 1963, theorem 1.
    """
    if trials <= 0 or successes <= trials * chance:
        return 0.0
    if chance <= 0:
        return -math.inf
    share = min(1.0, successes / trials)
    divergence = share * math.log(share / chance)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - chance))
    return -trials * divergence / math.log(10)
