"""The pictures that show what was found: previews, heat maps, marked regions."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response

from assay.serve.api import models
from assay.serve.api.errors import ApiError
from assay.serve.api.samples import SampleId, Standing, standing
from assay.serve.api.service import Reader, Served, Service, documented

router = APIRouter(prefix="/v1", tags=["pictures"], dependencies=[documented])

PNG = {"schema": {"type": "string", "format": "binary"}}
PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": PNG, "image/png": PNG}}}


@router.get(
    "/samples/{sample_id}/pictures", responses=models.failures(404, 409), summary="Which pictures there are"
)
async def listed(service: Served, key: Reader, sample_id: SampleId) -> models.PicturesOut:
    shown(found := await standing(service, key, sample_id))
    pictures = await asyncio.to_thread(service.pictures.listed, found.id)
    place = f"/v1/samples/{found.id}/pictures/"
    return models.PicturesOut(
        pictures=[models.PictureOut(**asdict(p), href=place + p.name) for p in pictures]
    )


@router.get(
    "/samples/{sample_id}/pictures/{name}",
    response_class=Response,
    responses=PICTURE | models.failures(404, 409),
    summary="One picture",
)
async def picture(
    service: Served,
    key: Reader,
    sample_id: SampleId,
    name: Annotated[str, Path(max_length=100)],
) -> Response:
    shown(found := await standing(service, key, sample_id))
    return await delivered(service, found.id, name)


async def delivered(service: Service, sample_id: str, name: str) -> Response:
    content = await asyncio.to_thread(service.pictures.read, sample_id, name)
    if content is None:
        raise ApiError(404, "not_found", "No such picture.", "GET .../pictures lists them.")
    return Response(content, media_type="image/png" if name.endswith(".png") else "image/jpeg")


def shown(found: Standing) -> None:
    """Refuse what must not be shown; also where it was diverted after its pictures were made."""
    if found.record is None:
        raise ApiError(409, "pending", "The sample has no verdict yet.", "Its events tell when.")
    if found.record.quarantine_id is not None:
        raise ApiError(
            409,
            "quarantined",
            "The sample lies in quarantine; what shows it is encrypted with it.",
            "A reviewer opens it with `assay quarantine show --open`.",
        )
