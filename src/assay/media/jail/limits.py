"""What a child gives up before it reads the first hostile byte: descriptors, resources, identity, privileges."""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
from pathlib import Path
from typing import Final

from assay.media.jail.kernel import (
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    invoke,
    machine,
    prctl,
)
from assay.media.jail.numbers import number_of
from assay.media.jail.profile import Profile

SOCKET_FD: Final = 3
NOBODY: Final = 65534
_SIGKILL: Final = int(signal.SIGKILL)  # an enum costs a fresh child a dozen pages
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL, CAP_SETGID, CAP_SETUID = 1, 2, 5, 6, 7


def die_with_parent() -> None:
    """Be killed when the thread that started this process ends. A change of uid clears it: call it again after."""
    prctl(PR_SET_PDEATHSIG, _SIGKILL)


def keep_only(sock: socket.socket, *, stderr: bool) -> socket.socket:
    """Close every descriptor but the socket, which becomes number 3; 0 to 2 go to /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1) if stderr else (0, 1, 2):
        os.dup2(null, fd)
    if sock.fileno() != SOCKET_FD:
        os.dup2(sock.fileno(), SOCKET_FD)
        sock.detach()
        sock = socket.socket(fileno=SOCKET_FD)
    os.closerange(SOCKET_FD + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return sock


def limit_resources(profile: Profile, base: int, *, own_uid: bool) -> None:
    """Set the rlimits: no file may grow, no core is written, memory counts address space beyond `base` bytes."""
    caps = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: profile.open_files}
    if profile.kind == "decoder":
        caps[resource.RLIMIT_FSIZE] = 0
    if profile.memory_bytes is not None:
        caps[resource.RLIMIT_AS] = base + profile.memory_bytes + profile.arena_bytes
    if own_uid:
        caps[resource.RLIMIT_NPROC] = profile.threads
    for which, most in caps.items():
        _lower(which, most, most)
    if profile.cpu_s is not None:
        _lower(resource.RLIMIT_CPU, profile.cpu_s, profile.cpu_s + 2)


def forbid_growth() -> None:
    """No file may grow from here on."""
    _lower(resource.RLIMIT_FSIZE, 0, 0)


def capabilities() -> int:
    """The effective set of this process, as bits."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def can_change_uid() -> bool:
    """Is this process able to give a child another uid, and still to kill it?"""
    need = sum(1 << c for c in (CAP_KILL, CAP_SETGID, CAP_SETUID))
    return capabilities() & need == need


def become(uid: int) -> int:
    """Drop to `uid` and the group of that number, or to nobody where the namespace does not map it.

    Returns the uid that was taken. Raises OSError if neither can be.
    """
    os.setgroups([])
    for candidate in (uid, NOBODY):
        try:
            os.setresgid(candidate, candidate, candidate)
            os.setresuid(candidate, candidate, candidate)
        except OSError:
            if candidate == NOBODY:
                raise
        else:
            break
    die_with_parent()
    return candidate


def keep_capabilities(*kept: int) -> None:
    """Give up all capabilities of the calling thread but these."""
    number = number_of("capset", machine()) if machine() else None
    if number is None:
        raise OSError("no system call table for this processor")
    bits = sum(1 << c for c in kept) & capabilities()
    low, high = bits & 0xFFFFFFFF, bits >> 32
    invoke(number, struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", low, low, 0, high, high, 0))


def forbid_privileges() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def forbid_dumps() -> None:
    """No core, no ptrace by others of the same uid, /proc/PID belongs to root."""
    prctl(PR_SET_DUMPABLE, 0)


def address_space() -> int:
    """Of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, never above the hard one that is already there."""
    ceiling = resource.getrlimit(which)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(which, (soft, hard))
