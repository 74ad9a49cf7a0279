"""The application: all routes, one form of error, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response

from assay import __version__
from assay.desk.courier import Courier
from assay.desk.webhooks import Webhooks
from assay.errors import AssayError
from assay.serve.api import history, packs, pictures, probes, progress, samples, subscriptions
from assay.serve.api.errors import api_error, invalid
from assay.serve.api.front import Front, told_of
from assay.serve.api.limits import AtOnce
from assay.serve.api.metrics import Metrics
from assay.serve.api.service import Service
from assay.serve.compat import realitydefender
from assay.store.keys import Keys
from assay.store.promises import Promises

if TYPE_CHECKING:
    from assay.desk.intake import Intake
    from assay.desk.stores import Stores
    from assay.serve.counters import Counters
    from assay.settings import Settings

log = logging.getLogger(__name__)

ABOUT = "Screens images, video, audio and what carries them for manipulation and synthesis. See docs/api.md."


def application(
    intake: Intake,
    stores: Stores,
    settings: Settings,
    counters: Counters,
    *,
    protocols: Mapping[str, Counters] | None = None,
    webhooks: Webhooks | None = None,
    deliver: bool = True,
) -> FastAPI:
    """Make the HTTP face of one gateway.

    Parameters
    ----------
    intake
        Takes the samples; its `after` must include `Webhooks.created`.
    counters
        What HTTP has done, in the numbers that every protocol has.
    protocols
        Those of the other protocols, by name, for /metrics.
    webhooks
        The outbox that the intake writes to in this process: then an event is carried at once.
    deliver
        Carry webhooks while the application runs (its lifespan).
    """
    webhooks = webhooks or Webhooks(stores.database, settings.api.webhook_inside)
    metrics = Metrics(
        {"http": counters} | dict(protocols or {}),
        lambda: {"jobs_backlog": intake.backlog, "webhook_deliveries_pending": webhooks.pending()},
    )
    service = Service(
        intake=intake,
        stores=stores,
        settings=settings,
        counters=counters,
        keys=Keys(stores.database),
        promises=Promises(stores.database),
        pictures=stores.pictures,
        webhooks=webhooks,
        metrics=metrics,
        uploading=AtOnce(settings.api.uploads),
    )
    app = FastAPI(
        title="Assay",
        version=__version__,
        description=ABOUT,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan(service) if deliver else None,
        middleware=[Middleware(Front, settings=settings.api, metrics=metrics)],
        generate_unique_id_function=_operation,
    )
    app.state.service = service
    for module in (samples, history, packs, progress, pictures, subscriptions, probes, realitydefender):
        app.include_router(module.router)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(HTTPException, _raised)
    app.add_exception_handler(AssayError, _raised)
    return app


def _operation(route: APIRoute) -> str:
    return f"{route.endpoint.__module__.rpartition('.')[2]}_{route.name}"


async def _raised(request: Request, error: Exception) -> Response:
    failure = api_error(error)
    told_of(cast("dict[str, object]", request.scope)).code = failure.code
    return JSONResponse(failure.document(request.scope["path"]), failure.status_code, failure.headers)


async def _refused(request: Request, error: Exception) -> Response:
    return await _raised(request, invalid(list(cast("RequestValidationError", error).errors())))


def _lifespan(service: Service) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        courier = Courier(service.webhooks, lambda outcome: service.metrics.deliveries.labels(outcome).inc())
        task = asyncio.create_task(courier.run(), name="courier")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return running
