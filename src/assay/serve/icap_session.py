"""One connection that speaks ICAP: requests one after another, previews, and what is sent back of each message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from assay.serve.counters import Counters
from assay.serve.exchange import OF_THE_MEDIUM, Answer, Gap
from assay.serve.gate import BUDGET_S
from assay.serve.http_message import VERDICT, HttpHead
from assay.serve.icap_body import LAST, Chunks, chunk
from assay.serve.icap_messages import (
    Enclosed,
    Malformed,
    Request,
    read_enclosed,
    read_request,
    response,
)
from assay.serve.icap_pages import blocking_head, blocking_page
from assay.serve.icap_screening import Body, Examination
from assay.serve.spool import OverSize, Spool, SpoolError
from assay.serve.threats import threat_name, token
from assay.serve.wire import HungUp, Patience, TooSlow, Wire
from assay.types import Action

log = logging.getLogger(__name__)

BOTH = frozenset({"REQMOD", "RESPMOD"})
SERVICES: Final[Mapping[str, frozenset[str]]] = {
    "reqmod": frozenset({"REQMOD"}),
    "respmod": frozenset({"RESPMOD"}),
    "scan": BOTH,  # rspamd's name for it, if nobody configures another
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IcapSettings:
    """What an operator decides of this protocol."""

    body_bytes: int = (
        2 << 30
    )  # of one message; what is larger is not examined, and the policy says what becomes of it
    decoded_bytes: int = 256 << 20  # of one body without its content codings
    preview_bytes: int = 4096
    spool: str | None = None  # the folder of what is arriving
    most_connections: int = 200
    options_ttl_s: int = 300  # how long a client may believe what OPTIONS said
    budget_s: float = BUDGET_S
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all sessions of a server share."""

    settings: IcapSettings
    examination: Examination
    counters: Counters
    istag: Callable[[], str]
    program: str  # its name and version


@dataclass(slots=True)
class _Message:
    """One message on its way through."""

    request: Request
    head: HttpHead
    chunks: Chunks
    spool: Spool
    in_preview: bool  # the client still holds all that it sent, and waits

    @property
    def may_204(self) -> bool:
        """May it be told that nothing changed (RFC 3507, 4.6)? Outside of a preview only if it said so."""
        return self.request.allows_204 or self.in_preview

    @property
    def side(self) -> str:
        return "req" if self.request.method == "REQMOD" else "res"


class Session:
    """Serves one connection until either side ends it."""

    def __init__(self, service: Service, wire: Wire) -> None:
        self._service = service
        self._settings = service.settings
        self._wire = wire
        self._answering = False  # a response has begun: it is too late for an error

    async def run(self) -> None:
        try:
            while await self._wire.begins():
                if not await self._serve():
                    return
        except Malformed as e:
            self._service.counters.protocol_errors += 1
            log.warning("icap: refused with %d: %s", e.status, e)
            await self._refuse(e.status)
        except TooSlow:
            self._service.counters.timeouts += 1
            if self._wire.begun:
                await self._refuse(408)
        except SpoolError as e:
            self._service.counters.faults += 1
            log.error("icap: %s", e)  # noqa: TRY400  the cause says it all
            await self._refuse(500)

    async def _serve(self) -> bool:
        """Serve one request; says if another may follow."""
        self._answering = False
        request = await read_request(self._wire)
        self._service.counters.commands[request.method] += 1
        methods = SERVICES.get(request.service)
        if methods is None:
            raise Malformed(404, "no such service")
        if request.method == "OPTIONS":
            await self._tell_options(request, methods)
        elif request.method not in methods:
            raise Malformed(405, "a method that this service does not have")
        elif not await self._adapt(request, await read_enclosed(self._wire, request)):
            return False
        return "close" not in request.headers.tokens("connection")

    async def _tell_options(self, request: Request, methods: frozenset[str]) -> None:
        if request.has_body:
            raise Malformed(400, "OPTIONS with a body")
        lines = {
            "Methods": ", ".join(sorted(methods)),
            "Service": self._service.program,
            "Service-ID": request.service,
            "Max-Connections": str(self._settings.most_connections),
            "Options-TTL": str(self._settings.options_ttl_s),
            "Allow": "204",
            "Preview": str(self._settings.preview_bytes),
            "Transfer-Preview": "*",
            "Encapsulated": "null-body=0",
        }
        await self._send(200, lines)

    async def _adapt(self, request: Request, enclosed: Enclosed) -> bool:
        """Answer REQMOD or RESPMOD; says if the next request can be found on the wire."""
        head = enclosed.request if request.method == "REQMOD" else enclosed.response
        in_preview = request.preview is not None
        with Spool(self._settings.spool, self._settings.body_bytes) as spool:
            message = _Message(request, head, Chunks(self._wire), spool, in_preview)
            if not request.has_body:
                await self._pass(message, None)
                return True
            return await self._adapt_body(message)

    async def _adapt_body(self, message: _Message) -> bool:
        """Take the body, look into it, answer."""
        excess = await self._receive(message)
        if message.in_preview and not message.chunks.is_whole:
            if excess or (message.head.length or 0) > self._settings.body_bytes:
                return await self._pass_preview(message, excess)
            await self._go_on(message)
            excess = await self._receive(message)
        if excess:
            return await self._beyond(message, excess, await self._over_limit(message))
        answer = await self._service.examination.screen(self._body(message))
        await (self._block(answer) if answer.blocks else self._pass(message, answer))
        return True

    async def _receive(self, message: _Message) -> bytes:
        """Spool the body, or its preview, to its end; returns the first bytes that are too many."""
        self._wire.body_begins()
        if message.in_preview:
            message.chunks.most = message.request.preview
        while data := await message.chunks.some():
            try:
                await message.spool.add(data)
            except OverSize:
                return data
        return b""

    async def _go_on(self, message: _Message) -> None:
        """Ask for what comes after the preview."""
        await self._wire.send(response(100, {}))
        message.in_preview = False
        message.chunks.go_on()

    async def _pass_preview(self, message: _Message, excess: bytes) -> bool:
        """The preview tells that the message is too large: decide now, so that it need not be sent at all."""
        answer = await self._over_limit(message)
        rest = excess
        while data := await message.chunks.some():
            rest += data  # a preview is small
        if answer.blocks:
            await self._block(answer)
            return True
        if answer.action is Action.LABEL and message.head.raw:
            await self._go_on(message)
            return await self._beyond(message, rest, answer)
        await self._send(204, self._verdict_lines(answer))
        return True

    async def _over_limit(self, message: _Message) -> Answer:
        self._service.counters.over_size += 1
        return await self._service.examination.screen(self._body(message, Gap.OVER_LIMIT))

    def _body(self, message: _Message, gap: Gap | None = None) -> Body:
        return Body(
            spool=message.spool,
            head=message.head,
            method=message.request.method,
            client=self._wire.peer,
            gap=gap,
        )

    async def _beyond(self, message: _Message, excess: bytes, answer: Answer) -> bool:
        """Answer for a message that is larger than the spool: block it and read on to its end, or hand it through."""
        if answer.blocks:
            await self._block(answer)
            self._wire.drain_begins()
            while await message.chunks.some():
                pass
            return True
        await self._begin_echo(message, answer)
        await self._send_spooled(message)
        await self._wire.send(chunk(excess))
        self._wire.body_begins()
        while data := await message.chunks.some():
            await self._wire.send(chunk(data))
        await self._wire.send(LAST)
        return True

    async def _pass(self, message: _Message, answer: Answer | None) -> None:
        """Let a message through: say that nothing changed where that is allowed and true, else send it back."""
        head = message.head.marked(self._mark(answer))
        if message.may_204 and head == message.head.raw:
            await self._send(204, self._verdict_lines(answer))
            return
        await self._begin_echo(message, answer)
        if message.request.has_body:
            await self._send_spooled(message)
            await self._wire.send(LAST)

    async def _begin_echo(self, message: _Message, answer: Answer | None) -> None:
        head = message.head.marked(self._mark(answer))
        body = f"{message.side}-body" if message.request.has_body else "null-body"
        sections = f"{message.side}-hdr=0, {body}={len(head)}" if head else f"{body}=0"
        await self._send(200, self._verdict_lines(answer) | {"Encapsulated": sections}, head)

    async def _send_spooled(self, message: _Message) -> None:
        await message.spool.flush()
        offset = 0
        while data := await message.spool.block(offset):
            await self._wire.send(chunk(data))
            offset += len(data)

    async def _block(self, answer: Answer) -> None:
        """Send the page instead of the message; of a request too, which then never reaches its server."""
        page = blocking_page(answer)
        head = blocking_head(answer, len(page))
        kind = 2 if answer.gap in OF_THE_MEDIUM else 0  # a policy's violation, or a threat
        name = threat_name(answer)
        lines = {
            "X-Infection-Found": f"Type={kind}; Resolution=2; Threat={name};",
            "X-Virus-ID": name,
            "Encapsulated": f"res-hdr=0, res-body={len(head)}",
        }
        await self._send(200, self._verdict_lines(answer) | lines, head + chunk(page) + LAST)

    def _mark(self, answer: Answer | None) -> str | None:
        return _verdict(answer) if answer is not None and answer.action is Action.LABEL else None

    def _verdict_lines(self, answer: Answer | None) -> dict[str, str]:
        told = answer is not None and answer.action is not Action.DELIVER
        return {VERDICT: _verdict(answer)} if answer is not None and told else {}

    async def _send(self, status: int, lines: Mapping[str, str], rest: bytes = b"") -> None:
        self._answering = True
        shared = {"ISTag": self._service.istag(), "Server": self._service.program}
        await self._wire.send(response(status, shared | dict(lines)) + rest)

    async def _refuse(self, status: int) -> None:
        if self._answering:
            raise HungUp  # in the middle of a response: only the end of the connection is left to say so
        await self._send(status, {"Connection": "close", "Encapsulated": "null-body=0"})


def _verdict(answer: Answer) -> str:
    """What X-Assay-Verdict says: the action, the policy's rule, the name, and why it was not examined, if so."""
    text = f"{answer.action}; rule={token(answer.decision.rule)}; name={threat_name(answer)}"
    return f"{text}; reason={answer.gap}" if answer.gap else text
