"""For developers: which system call did the filter refuse? Set ``ASSAY_JAIL_DEBUG=1``.

The filter then asks a listener here before it refuses; the listener prints the call's name once and refuses (also what
would have killed the child, so that the next one shows too). Never for hostile media.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import sys
import threading
from collections.abc import Callable

from assay.media.jail.kernel import machine
from assay.media.jail.numbers import name_of
from assay.media.jail.seccomp import ESCAPES, LOOKUPS

_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV and _SEND, linux/seccomp.h


def wanted() -> bool:
    return os.environ.get("ASSAY_JAIL_DEBUG", "") not in ("", "0")


def watch(listener: int, kind: str, tell: Callable[[str], None]) -> None:
    """Answer the filter's questions in the background until the child is gone."""
    threading.Thread(target=_answer, args=(listener, kind, tell), name="assay-denials", daemon=True).start()


def _answer(listener: int, kind: str, tell: Callable[[str], None]) -> None:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    told: set[str] = set()
    try:
        while poll.poll()[0][1] & select.POLLIN:
            question = bytearray(80)  # struct seccomp_notif
            fcntl.ioctl(listener, _RECEIVE, question)
            identity, number = (
                struct.unpack_from("=Q", question)[0],
                struct.unpack_from("=i", question, 16)[0],
            )
            name = name_of(number, machine())
            reply = errno.EACCES if name in LOOKUPS else errno.EPERM
            fcntl.ioctl(listener, _SEND, bytearray(struct.pack("=QqiI", identity, 0, -reply, 0)))
            if name not in told:
                told.add(name)
                what = "would kill for" if name in ESCAPES else "refuses"
                line = f"the {kind} filter {what} {name}{struct.unpack_from('=6Q', question, 32)}"
                sys.stderr.write(line + "\n")
                tell(line)
    except OSError:
        pass  # the child was killed between question and answer
    finally:
        os.close(listener)
