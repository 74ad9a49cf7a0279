"""What a protocol server has done since it started: plain numbers, for whoever exports them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """All of them only grow, but `active`."""

    connections: int = 0
    active: int = 0  # connections that are open
    turned_away: int = 0  # connections over the limit, or from outside of the allow list
    timeouts: int = 0  # connections ended for being idle or slow
    protocol_errors: int = 0  # what no client should send
    faults: int = 0  # connections or screenings that ended in an exception of ours
    over_size: int = 0  # streams cut off at the size limit
    received_bytes: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)  # of answers, by action
    gaps: Counter[str] = field(default_factory=Counter)  # of answers, by why a sample was not examined
