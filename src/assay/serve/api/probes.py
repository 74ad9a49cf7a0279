"""Is it alive, is it ready, and its numbers."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from fastapi import APIRouter, Depends, Response

from assay.errors import AssayError
from assay.serve.api import models
from assay.serve.api.errors import again
from assay.serve.api.service import Served, Service, documented, needs

router = APIRouter(tags=["probes"])
NUMBERS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
LEAST_FREE = 64 * 2**20  # bytes on the spool's disk


@router.get("/healthz", summary="The process answers")
async def healthz() -> models.Alive:
    return models.Alive()


@router.get("/readyz", responses={503: {"model": models.Failure}}, summary="It can take samples")
async def readyz(service: Served) -> models.Alive:
    problem = await asyncio.to_thread(trouble, service)
    if problem:
        raise again(503, "not_ready", problem)
    return models.Alive()


@router.get(
    "/metrics",
    dependencies=[documented, Depends(needs("metrics"))],
    response_class=Response,
    responses=NUMBERS | models.failures(),
    summary="Numbers for Prometheus",
)
async def metrics(service: Served) -> Response:
    text = await asyncio.to_thread(service.metrics.text)
    return Response(text, media_type="text/plain; version=0.0.4")


def trouble(service: Service) -> str:
    """Name what keeps it from working; "" if nothing does. Says nothing of this machine."""
    try:
        service.lost()
        with service.stores.database.read() as connection:
            connection.exec_driver_sql("SELECT 1").scalar()
    except AssayError:
        return "The store cannot be used."
    place = service.settings.paths.spool
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = os.statvfs(place)
    except OSError:
        return "The spool cannot be used."
    if disk.f_bavail * disk.f_frsize < LEAST_FREE or not os.access(place, os.W_OK):
        return "The spool's disk is full or cannot be written."
    return ""
