"""A uid for each child alone, over all zygotes of the machine: the range 64000-64999, each held by a bound socket."""

from __future__ import annotations

import os
import socket
from typing import Final

from assay.media.jail.limits import NOBODY

FIRST: Final = 64000
COUNT: Final = 1000
_TRIES: Final = 32


class UidPool:
    """Which child has which uid. A taken one is marked by an abstract socket's name, freed when its holder ends."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}
        self._next = os.getpid() * 16 % COUNT

    def take(self) -> int:
        """A uid that no other child has; nobody's if every one that was tried is taken."""
        for _ in range(_TRIES):
            uid = FIRST + self._next
            self._next = (self._next + 1) % COUNT
            mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                mark.bind(f"\0assay-uid-{uid}")
            except OSError:
                mark.close()
                continue
            self._held[uid] = mark
            return uid
        return NOBODY

    def give_back(self, uid: int) -> None:
        mark = self._held.pop(uid, None)
        if mark:
            mark.close()
