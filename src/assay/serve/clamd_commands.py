"""The framing of clamd's protocol: commands in their three forms, chunks of a stream, replies.

Source: the manual page clamd(8), section COMMANDS, and what clients were seen to send.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from assay.serve.exchange import OF_THE_MEDIUM, Answer
from assay.serve.spool import OverSize, Spool
from assay.serve.threats import PENDING, threat_name
from assay.serve.wire import HungUp, Wire
from assay.types import Action

LONGEST = 1 << 13  # bytes of a command: a path of 4,096 and room
LONE_PACKET_S = 0.25  # an old client may send a command without any end, in one packet
PATHS = ("SCAN", "CONTSCAN", "MULTISCAN", "ALLMATCHSCAN")
PLAIN = (
    *("PING", "VERSION", "VERSIONCOMMANDS", "STATS", "INSTREAM", "FILDES", "IDSESSION", "END", "RELOAD"),
    "SHUTDOWN",
)
WORDS = (*PLAIN, *PATHS)
IN_SESSION = frozenset({"PING", "VERSION", "VERSIONCOMMANDS", "STATS", "INSTREAM", "FILDES", "END", "SCAN"})
UNSEEMLY = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `word` is "" if it is none that the protocol has."""

    word: str
    path: str = ""
    end: bytes = b"\n"  # of the replies to it
    old: bool = False  # without a prefix


async def read_command(wire: Wire) -> Command:
    """Read one command, in whichever form: with ``z`` and NUL, ``n`` and newline, bare with a newline, bare without.

    Raises
    ------
    TooLong, TooSlow, HungUp
    """
    first = wire.starts_with()[:1]
    if first == b"z":
        return parse_command((await wire.line(b"\0", LONGEST))[1:], end=b"\0")
    if first == b"n":
        return parse_command((await wire.line(b"\n", LONGEST))[1:])
    return await _old_command(wire)


async def _old_command(wire: Wire) -> Command:
    while b"\n" not in (text := wire.starts_with()) and len(text) < LONGEST:
        bare = parse_command(text, old=True)
        if await wire.more(LONE_PACKET_S):
            continue
        if bare.word:
            wire.take(len(text))
            return bare
        break
    return parse_command(await wire.line(b"\n", LONGEST), old=True)


def parse_command(text: bytes, *, end: bytes = b"\n", old: bool = False) -> Command:
    """Understand a command without its prefix and end; what is no command has no word."""
    word, blank, argument = text.rstrip(b"\r").partition(b" ")
    known = word.decode("ascii", "replace")
    if known in PATHS and argument:
        return Command(known, os.fsdecode(argument), end, old)
    if known in PLAIN and not blank:
        return Command(known, "", end, old)
    return Command("", "", end, old)


async def read_stream(wire: Wire, spool: Spool) -> None:
    """Read the chunks of INSTREAM into the spool: each a length of four bytes, big-endian, and so many; 0 ends it.

    Raises
    ------
    OverSize
        If there is more than the spool takes; what follows is still on the wire, see `drain_stream`.
    HungUp, TooSlow, SpoolError
    """
    wire.body_begins()
    while left := int.from_bytes(await wire.exactly(4), "big"):
        if spool.size + left > spool.limit:  # known before the first byte of the chunk
            raise _Excess(left)
        while left:
            data = await wire.some(left)
            left -= len(data)
            await spool.add(data)


class _Excess(OverSize):
    """Carries how much of the chunk is still to come."""


async def drain_stream(wire: Wire, excess: OverSize) -> bool:
    """Read the rest of a stream that nobody wants; says if its end was reached.

    A server that closes earlier makes the client's next write fail, and the client never reads the reply.
    """
    wire.drain_begins()
    left = int(excess.args[0]) if excess.args else 0
    try:
        while True:
            while left:
                left -= len(await wire.some(left))
            left = int.from_bytes(await wire.exactly(4), "big")
            if not left:
                return True
    except HungUp:
        return False


def verdict_words(answer: Answer, *, hold_is_error: bool = False) -> str:
    """The action table of clamd: what a client reads behind the colon.

    ``deliver`` and ``label`` are OK, ``quarantine`` and ``reject`` FOUND. ``hold`` is FOUND as pending or, by setting,
    an ERROR; but what was not examined for its own sake (over a limit, encrypted ...) would be deferred for ever, so
    that is always OK or FOUND.
    """
    if not answer.blocks:
        return "OK"
    if answer.action is Action.HOLD and hold_is_error and answer.gap not in OF_THE_MEDIUM:
        return f"{PENDING} ERROR"
    return f"{threat_name(answer)} FOUND"


def seemly(text: str) -> str:
    """A file's name may hold line ends: it must not be able to forge a reply."""
    return UNSEEMLY.sub("?", text)


def reply(text: str, end: bytes, number: int = 0) -> bytes:
    """Encode one reply; `number` is the command's within a session, 0 outside of one."""
    return os.fsencode(f"{number}: {text}" if number else text) + end
