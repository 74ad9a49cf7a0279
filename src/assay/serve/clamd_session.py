"""One connection that speaks clamd's protocol: which command follows which, and who is screened meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from assay.serve.clamd_commands import (
    IN_SESSION,
    PATHS,
    WORDS,
    Command,
    drain_stream,
    read_command,
    read_stream,
    reply,
    seemly,
    verdict_words,
)
from assay.serve.clamd_files import scan
from assay.serve.counters import Counters
from assay.serve.exchange import Gap
from assay.serve.gate import BUDGET_S, Gate
from assay.serve.roots import Roots
from assay.serve.spool import OverSize, Spool, SpoolError
from assay.serve.wire import HungUp, Patience, TooLong, TooSlow, Wire

log = logging.getLogger(__name__)

NO_ROOM = "Error writing to temporary file. ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClamdSettings:
    """What an operator decides of this protocol."""

    stream_bytes: int = 2 << 30  # of one sample; more is refused
    spool: str | None = None  # the folder of what is arriving
    roots: tuple[str, ...] = ()  # below which SCAN may name files, on the unix socket only; none: SCAN is off
    hold_is_error: bool = False  # a hold that time may lift is an ERROR, so that a milter defers
    most_connections: int = 200
    session_jobs: int = 8  # commands of one IDSESSION at work at once
    budget_s: float = BUDGET_S
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all sessions of a server share."""

    settings: ClamdSettings
    gate: Gate
    roots: Roots
    counters: Counters
    version: Callable[[], str]
    statistics: Callable[[], str]
    reload: Callable[[], None] | None


class _Told(Exception):
    """The client has its answer already. `again`: the next command can be found on the wire."""

    def __init__(self, *, again: bool) -> None:
        super().__init__()
        self.again = again


class Session:
    """One connection: one command, or any number of them after IDSESSION."""

    def __init__(self, service: Service, wire: Wire) -> None:
        self._service = service
        self._settings = service.settings
        self._wire = wire
        self._number = 0  # of the command within a session
        self._in_session = False
        self._jobs: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while await self._wire.begins():
                command = await read_command(self._wire)
                if not await self._obey(command):
                    break
        except TooLong:
            await self._reject("UNKNOWN COMMAND", b"\n")
        except TooSlow:
            self._service.counters.timeouts += 1
            await self._say("COMMAND READ TIMED OUT", b"\n", self._number)
        if self._jobs:
            await asyncio.wait(self._jobs)

    async def stop(self) -> None:
        """Give up what is still at work."""
        for job in self._jobs:
            job.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs)

    async def _obey(self, command: Command) -> bool:
        """Carry out one command; says if another may follow on this connection."""
        self._service.counters.commands[command.word or "unknown"] += 1
        if self._in_session:
            self._number += 1
            if command.old or (command.word and command.word not in IN_SESSION):
                await self._reject("Command invalid inside IDSESSION. ERROR", command.end)
                return False
        elif command.word == "IDSESSION" and not command.old:
            self._in_session = True
            return True
        if command.word == "END" and self._in_session:
            return False
        if command.word in ("INSTREAM", "FILDES", *PATHS):
            return await self._screen(command)
        return await self._tell(command)

    async def _tell(self, command: Command) -> bool:
        """Answer what needs no screening."""
        reload = self._service.reload
        match command.word:
            case "PING":
                text = "PONG"
            case "VERSION":
                text = self._service.version()
            case "VERSIONCOMMANDS":
                text = f"{self._service.version()}| COMMANDS: {' '.join(WORDS)}"
            case "STATS":
                text = self._service.statistics()
            case "RELOAD" if reload is not None:
                reload()
                text = "RELOADING"
            case "RELOAD" | "SHUTDOWN":
                text = f"{command.word} is not available. ERROR"
            case _:
                await self._reject("UNKNOWN COMMAND", command.end)
                return False
        await self._say(text, command.end, self._number)
        return self._in_session

    async def _screen(self, command: Command) -> bool:
        """Take a sample, then screen it; within a session the next command may be read meanwhile."""
        number = self._number
        while len(self._jobs) >= self._settings.session_jobs:
            await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
        if command.word not in PATHS:
            try:
                spool, gap = await self._taken(command, number)
            except _Told as told:
                return told.again and self._in_session
            await self._start(self._screen_spool(spool, gap, command, number), spool.close)
        elif self._wire.is_unix and self._service.roots:
            await self._start(self._scan(command, number))
        else:
            text = f"{command.path}: {command.word} is not available on this socket. ERROR"
            await self._say(seemly(text), command.end, number)
        return self._in_session

    async def _start(self, job: Coroutine[Any, Any, None], then: Callable[[], None] = lambda: None) -> None:
        """Go on with a session while `job` runs; outside of one, stay until it is over."""

        def over(task: asyncio.Task[None]) -> None:
            then()
            self._over(task)

        task = asyncio.create_task(job)
        self._jobs.add(task)
        self._wire.jobs += 1
        task.add_done_callback(over)
        if not self._in_session:
            await asyncio.wait({task})

    def _over(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        self._wire.jobs -= 1
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, HungUp):
            self._service.counters.faults += 1
            log.error("a command ended in a fault", exc_info=error)

    async def _taken(self, command: Command, number: int) -> tuple[Spool, Gap | None]:
        """Spool what comes with INSTREAM or FILDES."""
        try:
            spool = Spool(self._settings.spool, self._settings.stream_bytes)
        except SpoolError as e:
            raise await self._unspooled(e, command, number) from e
        gap = None
        try:
            if command.word == "INSTREAM":
                await self._take_stream(spool, command, number)
            else:
                gap = await self._take_descriptor(spool, command, number)
        except BaseException:
            spool.close()
            raise
        return spool, gap

    async def _take_stream(self, spool: Spool, command: Command, number: int) -> None:
        try:
            await read_stream(self._wire, spool)
            await spool.flush()
        except OverSize as e:
            self._service.counters.over_size += 1
            log.warning("clamd INSTREAM: over the limit of %d bytes, not examined", spool.limit)
            await self._say("INSTREAM size limit exceeded. ERROR", command.end, number)
            raise _Told(again=await drain_stream(self._wire, e)) from e
        except HungUp as e:  # its other half may still be open
            self._service.counters.protocol_errors += 1
            await self._say("INSTREAM ended before its last chunk. ERROR", command.end, number)
            raise _Told(again=False) from e
        except SpoolError as e:
            raise await self._unspooled(e, command, number) from e

    async def _take_descriptor(self, spool: Spool, command: Command, number: int) -> Gap | None:
        await self._wire.exactly(1)  # the byte that carries it
        descriptor = self._wire.take_descriptor()
        if descriptor is None:
            self._service.counters.protocol_errors += 1
            await self._say("No file descriptor received. ERROR", command.end, number)
            raise _Told(again=False)
        try:
            await spool.copy(descriptor)
        except OverSize:
            self._service.counters.over_size += 1
            return Gap.OVER_LIMIT
        except SpoolError as e:
            await self._say(f"fd: {e}. ERROR", command.end, number)
            raise _Told(again=True) from e
        finally:
            os.close(descriptor)
        return None

    async def _unspooled(self, e: SpoolError, command: Command, number: int) -> _Told:
        """A full disk is the gateway's trouble: an error, so that the client tries again."""
        self._service.counters.faults += 1
        log.error("clamd %s: %s", command.word, e)
        await self._say(NO_ROOM, command.end, number)
        return _Told(again=False)

    async def _screen_spool(self, spool: Spool, gap: Gap | None, command: Command, number: int) -> None:
        what = "stream" if command.word == "INSTREAM" else "fd"
        await self._say(f"{what}: {await self._words(spool, gap, command)}", command.end, number)

    async def _words(self, spool: Spool, gap: Gap | None, command: Command) -> str:
        submission = await spool.submission(
            protocol="clamd", command=command.word, client=self._wire.peer, gap=gap
        )
        answer = await self._service.gate.ask(submission)
        return verdict_words(answer, hold_is_error=self._settings.hold_is_error)

    async def _scan(self, command: Command, number: int) -> None:
        """SCAN and its kin: one line for each file that is not passed, or one OK for all."""

        async def words_of(descriptor: int) -> str:
            with Spool(self._settings.spool, self._settings.stream_bytes) as spool:
                gap = None
                try:
                    await spool.copy(descriptor)
                except OverSize:
                    self._service.counters.over_size += 1
                    gap = Gap.OVER_LIMIT
                return await self._words(spool, gap, command)

        async for line in scan(self._service.roots, command, words_of):
            await self._say(line, command.end, number)

    async def _say(self, text: str, end: bytes, number: int) -> None:
        await self._wire.send(reply(text, end, number))

    async def _reject(self, text: str, end: bytes) -> None:
        self._service.counters.protocol_errors += 1
        await self._say(text, end, self._number)
