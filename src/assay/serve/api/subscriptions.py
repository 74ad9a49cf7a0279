"""Webhooks of a key: addresses that are told of its verdicts."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from assay.serve.api import models
from assay.serve.api.errors import ApiError
from assay.serve.api.service import Served, Subscriber, documented
from assay.store.keys import Key

router = APIRouter(prefix="/v1", tags=["webhooks"], dependencies=[documented])

WebhookId = Annotated[str, Path(pattern="^wh_[0-9a-f]{16}$")]


@router.post("/webhooks", status_code=201, responses=models.failures(409), summary="Be told of verdicts")
async def add(service: Served, key: Subscriber, wanted: models.WebhookIn) -> models.WebhookMade:
    hook, secret = await service.webhooks.add(wanted.url, wanted.events, key=key, actor=key.source)
    return models.WebhookMade(**_shown(asdict(hook)), secret=secret)


@router.get("/webhooks", responses=models.failures(), summary="The webhooks of this key")
async def listed(service: Served, key: Subscriber) -> models.WebhooksOut:
    hooks = await asyncio.to_thread(service.webhooks.all, _of(key))
    return models.WebhooksOut(webhooks=[models.WebhookOut(**_shown(asdict(hook))) for hook in hooks])


@router.delete(
    "/webhooks/{webhook_id}", status_code=204, responses=models.failures(404), summary="Be told no more"
)
async def remove(service: Served, key: Subscriber, webhook_id: WebhookId) -> Response:
    if not await asyncio.to_thread(
        lambda: service.webhooks.remove(webhook_id, actor=key.source, key_id=_of(key))
    ):
        raise _none()
    return Response(status_code=204)


@router.post(
    "/webhooks/{webhook_id}/test",
    status_code=202,
    responses=models.failures(404),
    summary="Send a test event",
)
async def test(service: Served, key: Subscriber, webhook_id: WebhookId) -> Response:
    mine = await asyncio.to_thread(service.webhooks.all, _of(key))
    if webhook_id not in {hook.id for hook in mine}:
        raise _none()
    await asyncio.to_thread(service.webhooks.test, webhook_id)
    return Response(status_code=202)


def _of(key: Key) -> str | None:
    return None if key.may("admin") else key.id


def _none() -> ApiError:
    return ApiError(404, "not_found", "No such webhook.", "GET /v1/webhooks lists them.")


def _shown(hook: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in hook.items() if name != "key_id"}
