"""Packs of signatures that this installation passes on, signed by whoever published them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Response
from fastapi.responses import FileResponse

from assay.desk.pulling import MEDIA_TYPE, pack_response
from assay.serve.api import models
from assay.serve.api.errors import ApiError
from assay.serve.api.service import Reader, Served, documented

PACK: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {}}},
    304: {"description": "You have it."},
}
router = APIRouter(prefix="/v1", tags=["packs"], dependencies=[documented])
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="The pack's name.")]
Etag = Annotated[str, Header(alias="If-None-Match", max_length=1024)]


@router.get(
    "/packs/{name}",
    response_class=Response,
    responses=PACK | models.failures(404),
    summary="A signed pack that is installed here",
)
async def pack(service: Served, _key: Reader, name: Name, etag: Etag = "") -> Response:
    found = await asyncio.to_thread(pack_response, service.stores, name, etag)
    if found.status == 404:
        raise ApiError(404, "not_found", "No such pack.", "`assay signatures list` shows what is installed.")
    if found.body is None:
        return Response(status_code=found.status, headers=found.headers)
    return FileResponse(found.body, headers=found.headers, media_type=MEDIA_TYPE)
