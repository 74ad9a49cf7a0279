"""The outermost layer of every request: deadlines and limits of its body, one line of log, one form of error.

uvicorn has no time-out inside of a body and no limit of its size; here both hold for every route, also for those that
never look at their body.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from assay.serve.api.errors import ApiError, again, api_error

if TYPE_CHECKING:
    from assay.serve.api.metrics import Metrics
    from assay.settings import Api

log = logging.getLogger("assay.http")

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

SMALL_BODY = 1 << 16  # bytes of a request that is no upload
UNKNOWN_DRAIN = 1 << 20  # bytes still read of a request whose sender did not say who it is
DRAIN_S = 30.0
SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


@dataclass(slots=True)
class Told:
    """What is known of one request, for its log line; and how much body it may have."""

    started: float = field(default_factory=time.perf_counter)
    key: str = ""
    digest: str = ""
    code: str = ""  # of the error
    most: int = SMALL_BODY  # bytes of body; uploads raise it
    received: int = 0
    status: int = 0


class TooMuch(ApiError):
    def __init__(self) -> None:
        super().__init__(
            413, "over_limit", "The request is larger than the limit.", "limits.size_bytes sets it."
        )


def told_of(scope: Scope) -> Told:
    told: Told = scope["assay"]
    return told


class Front:
    """Wraps the application. A request whose body is not wanted to its end is answered after some of it was read."""

    def __init__(self, app: App, settings: Api, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = scope["assay"] = Told()
        body = _Body(receive, scope, told, self._settings)
        answer = _Answer(send, body, told, self._settings)
        self._open += 1
        try:
            if self._open > self._settings.requests:
                raise again(503, "busy", "Too many requests are under way.")  # noqa: TRY301
            await self._app(scope, body.receive, answer.send)
        except (ClientDisconnect, ConnectionError):
            told.status = 499
        except Exception as e:  # noqa: BLE001  every fault becomes one form of answer
            await self._failed(e, answer, told, scope)
        finally:
            self._open -= 1
            self._note(scope, told)

    async def _failed(self, error: Exception, answer: _Answer, told: Told, scope: Scope) -> None:
        failure = api_error(error)
        if answer.begun:
            log.error("an answer broke off", exc_info=error)
            raise error  # the server cuts the connection: the client sees that it is incomplete
        told.code = failure.code
        try:
            await answer.fail(failure, scope["path"])
        except (ClientDisconnect, ConnectionError):
            told.status = 499

    def _note(self, scope: Scope, told: Told) -> None:
        elapsed_s = time.perf_counter() - told.started
        route = getattr(scope.get("route"), "path", "-")  # the template: a path may hold a name
        method = scope["method"] if scope["method"] in METHODS else "-"
        line = {
            "event": "request",
            "method": method,
            "route": route,
            "status": told.status,
            "elapsed_ms": round(1000 * elapsed_s, 1),
            "received": told.received,
            "key": told.key or None,
            "sha256": told.digest or None,
            "error": told.code or None,
        }
        log.info("%s", json.dumps(line))
        self._metrics.request(method, route, told.status, elapsed_s, told.received)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class _Body:
    """Reads a request's body within its limits."""

    def __init__(self, receive: Receive, scope: Scope, told: Told, settings: Api) -> None:
        self._receive = receive
        self._told = told
        self._settings = settings
        self._began = time.monotonic()
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        self.declared = int(declared) if declared.isdigit() else 0
        self.waits = headers.get(b"expect", b"").lower() == b"100-continue"
        self.more = True
        self.gone = False

    async def receive(self) -> Message:
        if not self.more:
            return await self._next(None)
        if max(self.declared, self._told.received) > self._told.most:
            raise TooMuch
        message = await self._next(self._deadline())
        if self._told.received > self._told.most:
            raise TooMuch
        return message

    async def drain(self, most: int) -> None:
        """Read over what is left, up to so many bytes: who is cut off while writing never reads the answer."""
        if self.waits and not self._told.received:
            return  # it has not begun to send, and now it need not
        end = time.monotonic() + DRAIN_S
        until = self._told.received + most
        while self.more and not self.gone and self._told.received < until:
            try:
                await self._next(min(end, self._deadline()))
            except ApiError:
                return

    async def _next(self, deadline: float | None) -> Message:
        left_s = None if deadline is None else max(0.001, deadline - time.monotonic())
        try:
            async with asyncio.timeout(left_s):
                message: Message = await self._receive()
        except TimeoutError as e:
            raise ApiError(408, "too_slow", "The request came too slowly.", "Send it again.") from e
        if message["type"] == "http.disconnect":
            self.more, self.gone = False, True
        elif message["type"] == "http.request":
            self.more = bool(message.get("more_body", False))
            self._told.received += len(message.get("body", b""))
        return message

    def _deadline(self) -> float:
        stall_s = self._settings.stall_s
        average = self._began + stall_s + self._told.received / self._settings.rate_bytes_s
        return min(time.monotonic() + stall_s, average)


class _Answer:
    """Sends the answer, and its error if it has one."""

    def __init__(self, send: Send, body: _Body, told: Told, settings: Api) -> None:
        self._send = send
        self._body = body
        self._told = told
        self._settings = settings
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = await self._start(message)
        try:
            async with asyncio.timeout(self._settings.stall_s):
                await self._send(message)
        except TimeoutError as e:  # it does not read
            raise ClientDisconnect from e

    async def fail(self, error: ApiError, path: str) -> None:
        content = json.dumps(error.document(path)).encode()
        named = {k.lower().encode(): v.encode("latin-1", "replace") for k, v in (error.headers or {}).items()}
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        start = {
            "type": "http.response.start",
            "status": error.status_code,
            "headers": [*headers, *named.items()],
        }
        await self.send(start)
        await self.send({"type": "http.response.body", "body": content})

    async def _start(self, message: Message) -> Message:
        self._told.status = message["status"]
        headers = [*message.get("headers", []), *SECURITY]
        if self._body.more:
            await self._body.drain(self._settings.drain_bytes if self._told.key else UNKNOWN_DRAIN)
            if self._body.gone:
                raise ClientDisconnect
            if self._body.more:
                headers.append((b"connection", b"close"))
        self.begun = True
        return message | {"headers": headers}
