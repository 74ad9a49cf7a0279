"""What of an HTTP message is screened: its body without codings, or each part of an upload; and the strictest answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from assay.serve.content_coding import Undecodable, decoded
from assay.serve.exchange import Answer, Gap, strictest
from assay.serve.gate import Gate
from assay.serve.http_message import HttpHead
from assay.serve.multipart import Part, TooManyParts, content, parts
from assay.serve.spool import OverSize, Spool
from assay.serve.threads import in_thread

PARTS_AT_ONCE = 8  # each has a spool file


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body that has arrived, and all that is known of it."""

    spool: Spool
    head: HttpHead  # of the message that it belongs to
    method: str
    client: str
    gap: Gap | None = None
    until: float | None = None  # by when all of it must be answered for


@dataclass(frozen=True, slots=True)
class Examination:
    """Screens bodies; unpacks what HTTP itself packs, within bounds."""

    gate: Gate
    folder: str | None  # of spools
    decoded_bytes: int  # of one body without its codings

    async def screen(self, body: Body) -> Answer:
        """Screen one body.

        Raises
        ------
        SpoolError
            If the disk is full.
        """
        body = replace(body, until=self.gate.deadline())
        gap = body.gap or (Gap.PARTIAL if body.head.is_partial else None)
        if gap is not None:
            return await self._ask(replace(body, gap=gap))
        codings = body.head.codings
        if not codings:
            return await self._screen_plain(body)
        try:
            plain = await self._decoded(body.spool, codings)
        except Undecodable:
            return await self._ask(replace(body, gap=Gap.UNDECODABLE))
        except OverSize:
            return await self._ask(replace(body, gap=Gap.OVER_LIMIT))
        with plain:
            return await self._screen_plain(replace(body, spool=plain))

    async def _decoded(self, spool: Spool, codings: list[str]) -> Spool:
        await spool.flush()
        return await decoded(spool, codings, self.folder, self.decoded_bytes)

    async def _screen_plain(self, body: Body) -> Answer:
        if not body.head.is_multipart or not body.spool.size:
            return await self._ask(body)
        boundary = body.head.boundary
        await body.spool.flush()
        try:
            found = (
                await in_thread(parts, body.spool.descriptor, body.spool.size, boundary) if boundary else []
            )
        except TooManyParts:
            return await self._ask(replace(body, gap=Gap.OVER_LIMIT))
        return await (self._screen_parts(body, found) if found else self._screen_odd(body))

    async def _screen_odd(self, body: Body) -> Answer:
        """Several parts that cannot be told apart here, but perhaps where they go: look into the whole, and say so."""
        whole = await self._ask(body)
        return strictest((whole, await self._ask(replace(body, gap=Gap.UNDECODABLE)))) or whole

    async def _screen_parts(self, body: Body, found: list[Part]) -> Answer:
        room = asyncio.Semaphore(PARTS_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:  # which waits for all of them before the body is closed
                asked = [group.create_task(self._screen_part(body, part, room)) for part in found]
        except BaseExceptionGroup as e:
            raise e.exceptions[0] from e
        return strictest(task.result() for task in asked) or await self._ask(body)

    async def _screen_part(self, body: Body, part: Part, room: asyncio.Semaphore) -> Answer:
        async with room:
            return await self._screen_content(body, part)

    async def _screen_content(self, body: Body, part: Part) -> Answer:
        with Spool(self.folder, body.spool.limit) as spool:
            await in_thread(_copy, body.spool.descriptor, spool, part)
            submission = await spool.submission(
                protocol="icap",
                command=body.method,
                client=body.client,
                name=part.name,
                declared_type=part.declared_type,
                gap=None if part.is_sound else Gap.UNDECODABLE,
            )
            return await self.gate.ask(submission, until=body.until)

    async def _ask(self, body: Body) -> Answer:
        submission = await body.spool.submission(
            protocol="icap",
            command=body.method,
            client=body.client,
            name=body.head.name,
            declared_type=body.head.media_type,
            gap=body.gap,
        )
        return await self.gate.ask(submission, until=body.until)


def _copy(descriptor: int, target: Spool, part: Part) -> None:
    for data in content(descriptor, part):
        target.write(data)
