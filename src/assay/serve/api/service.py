"""What every route works with, and who is asking."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from assay.errors import StoreError
from assay.serve.api.errors import ApiError
from assay.serve.api.front import told_of
from assay.serve.api.limits import WRONG_PER_MINUTE, AtOnce, Rates, too_often
from assay.store.keys import Key, Keys
from assay.store.promises import Promises

if TYPE_CHECKING:
    from assay.desk.intake import Intake
    from assay.desk.pictures import Pictures
    from assay.desk.stores import Stores
    from assay.desk.webhooks import Webhooks
    from assay.serve.api.metrics import Metrics
    from assay.serve.counters import Counters
    from assay.settings import Settings

ANONYMOUS = Key("anonymous", "", frozenset({"submit", "read"}), datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One gateway's parts."""

    intake: Intake
    stores: Stores
    settings: Settings
    counters: Counters
    keys: Keys
    promises: Promises
    pictures: Pictures
    webhooks: Webhooks
    metrics: Metrics
    uploading: AtOnce
    rates: Rates = field(default_factory=Rates)

    def lost(self) -> None:
        """Fail if the database was removed under us: connections that are open would not notice."""
        path = self.stores.database.path
        if path is not None and not os.path.exists(path):
            raise StoreError("the database is gone", code="store_unopened", hint="restore a backup")


def service_of(request: Request) -> Service:
    return cast("Service", request.app.state.service)


Served = Annotated[Service, Depends(service_of)]
bearer = HTTPBearer(auto_error=False, description="A key made by `assay keys create`.")
header = APIKeyHeader(
    name="X-API-KEY", auto_error=False, description="The same key, for clients without Bearer."
)


async def caller(request: Request, service: Served) -> Key:
    """Find out whose request this is, and count it.

    Raises
    ------
    ApiError
        401 without a key that is active, 429 if it asks too often.
    """
    token = _token(request)
    if token is None and service.settings.api.anonymous:
        key: Key | None = ANONYMOUS
    elif token is None:
        raise _unknown("A key is needed.")
    else:
        service.lost()
        key = await asyncio.to_thread(service.keys.check, token)
    if key is None:
        if wait_s := service.rates.take(f"wrong {_address(request)}", WRONG_PER_MINUTE):
            raise too_often(wait_s)
        raise _unknown("This key is not known, has expired, or was revoked.")
    told_of(cast("dict[str, object]", request.scope)).key = key.id
    per_minute = service.settings.api.per_minute if key.per_minute is None else key.per_minute
    if wait_s := service.rates.take(f"key {key.id}", per_minute):
        raise too_often(wait_s)
    return key


def needs(scope: str) -> Callable[..., Awaitable[Key]]:
    """A dependency: the caller's key, if it has this scope."""

    async def allowed(key: Annotated[Key, Depends(caller)]) -> Key:
        if not key.may(scope):
            raise ApiError(403, "forbidden", f"This key has not the scope {scope}.", "Make one that has it.")
        return key

    return allowed


async def _shown(
    _bearer: Annotated[object, Security(bearer)], _header: Annotated[object, Security(header)]
) -> None:
    """Only for the OpenAPI document; `caller` reads the headers itself."""


documented = Depends(_shown)
Submitter = Annotated[Key, Depends(needs("submit"))]
Reader = Annotated[Key, Depends(needs("read"))]
Judge = Annotated[Key, Depends(needs("feedback"))]
Subscriber = Annotated[Key, Depends(needs("webhooks"))]


def _token(request: Request) -> str | None:
    given = {value.strip() for value in request.headers.getlist("x-api-key")}
    for value in request.headers.getlist("authorization"):
        kind, _, token = value.partition(" ")
        if kind.lower() == "bearer":
            given.add(token.strip())
        else:
            raise _unknown("Only Bearer is understood.")
    if len(given) > 1:
        raise ApiError(400, "two_keys", "The request carries two different keys.", "Send one.")
    return given.pop() if given else None


def _unknown(message: str) -> ApiError:
    hint = "`assay keys create` makes one; send it as Authorization: Bearer."
    return ApiError(401, "unauthorized", message, hint, {"WWW-Authenticate": "Bearer"})


def _address(request: Request) -> str:
    return request.client.host if request.client else "unix"
