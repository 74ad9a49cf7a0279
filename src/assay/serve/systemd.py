"""What systemd is told of this process, as sd_notify(3) has it; where nobody asks, nothing is said."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"
SEND_S = 1.0  # systemd reads at once; if it does not, the gateway goes on without it


def notify(*lines: str, status: str = "", environ: Mapping[str, str] = os.environ) -> bool:
    """Send states and a line for `systemctl status` to the socket that $NOTIFY_SOCKET names.

    Parameters
    ----------
    lines : str
        Such as `READY`.
    status : str
        For people; line breaks become spaces.

    Returns
    -------
    told : bool
        False where nobody asks, or where it could not be sent: that is logged, never raised.
    """
    name = environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):
        return False
    told = [*lines, *([f"STATUS={' '.join(status.split())}"] if status else [])]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.settimeout(SEND_S)
            s.sendto("\n".join(told).encode(), name.replace("@", "\0", 1) if name[0] == "@" else name)
    except OSError as e:
        log.warning("systemd was not told %s: %s", told[0], e.strerror or e)
        return False
    return True


def watchdog_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between two signs of life: half of what systemd allows (WatchdogSec=); None if it does not watch."""
    allowed = environ.get("WATCHDOG_USEC", "")
    ours = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    return int(allowed) / 2e6 if ours and allowed.isdecimal() and int(allowed) else None


async def stay_alive(environ: Mapping[str, str] = os.environ) -> None:
    """Give a sign of life as often as systemd wants, as long as the running loop turns; until it is cancelled."""
    while every := watchdog_s(environ):
        notify(ALIVE, environ=environ)
        await asyncio.sleep(every)


def reloading() -> str:
    """The state that begins a reload, with the time of it, which Type=notify-reload compares (systemd 253)."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
