"""Progress of one sample as server-sent events, until its verdict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from assay.errors import AssayError
from assay.serve.api import models
from assay.serve.api.samples import SampleId, Standing, described, standing
from assay.serve.api.service import ANONYMOUS, Reader, Served, Service, documented
from assay.store.keys import Key

router = APIRouter(prefix="/v1", tags=["samples"], dependencies=[documented])

LOOK_S = 1.0
SILENCE_S = 15.0  # after which a comment shows that the connection lives
LONGEST_S = 3600.0
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "Events `queued`, `running`, `done` with the sample as JSON; `done` carries its result.",
    }
}


@router.get(
    "/samples/{sample_id}/events",
    response_class=StreamingResponse,
    responses=STREAM | models.failures(404),
    summary="Progress, as server-sent events",
)
async def events(service: Served, key: Reader, sample_id: SampleId) -> StreamingResponse:
    first = await standing(service, key, sample_id)
    return StreamingResponse(_told(service, key, first), media_type="text/event-stream")


async def _told(service: Service, key: Key, found: Standing) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    end, silent_since, number, said = loop.time() + LONGEST_S, loop.time(), 0, ""
    while loop.time() < end:
        shown = described(found, with_result=True)
        if shown.state != said:
            yield _event(number, shown)
            said, number, silent_since = shown.state, number + 1, loop.time()
        if shown.state == "done":
            return
        if loop.time() - silent_since >= SILENCE_S:
            if not await _still_active(service, key):
                return
            yield ": waiting\n\n"
            silent_since = loop.time()
        try:
            await service.intake.wait(found.id, LOOK_S)
            found = await standing(service, key, found.id)
        except AssayError:
            yield "event: lost\ndata: {}\n\n"  # the store cannot be asked: the client asks again later
            return


def _event(number: int, shown: models.SampleOut) -> str:
    return f"id: {number}\nevent: {shown.state}\ndata: {json.dumps(shown.model_dump(mode='json'))}\n\n"


async def _still_active(service: Service, key: Key) -> bool:
    if key.id == ANONYMOUS.id:
        return service.settings.api.anonymous
    return await asyncio.to_thread(service.keys.active, key.id) is not None
