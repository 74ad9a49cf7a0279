"""Search in what was screened: by evidence, label, action, source, time and digest."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from assay.desk.history import moment
from assay.errors import StoreError
from assay.serve.api import models
from assay.serve.api.errors import ApiError
from assay.serve.api.samples import seen_by, selected
from assay.serve.api.service import Reader, Served, documented
from assay.store.records import Filter, Record

router = APIRouter(prefix="/v1", tags=["history"], dependencies=[documented])

MOST = 200
LABELS = Literal["fake", "bona_fide", "inconclusive"]
ACTIONS = Literal["deliver", "label", "hold", "quarantine", "reject"]
STATUSES = Literal["screened", "refused", "unsupported", "failed"]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]


@router.get("/history", responses=models.failures(), summary="Search results, the newest first")
async def search(
    service: Served,
    key: Reader,
    *,
    evidence: Annotated[Text, Query(description="A detector that scored, or the code of a reason.")] = None,
    label: LABELS | None = None,
    action: ACTIONS | None = None,
    status: STATUSES | None = None,
    source: Annotated[Text, Query(description="Where it came from; only with history:all.")] = None,
    since: Annotated[Text, Query(description="2026-03-01, 2026-03-01T12:00, 24h or 7d.")] = None,
    before: Text = None,
    sha256: Annotated[
        str | None, Query(pattern="^[0-9a-fA-F]{1,64}$", description="A beginning is enough.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> models.HistoryOut:
    own = seen_by(key)
    if own is not None and source not in (None, own):
        raise ApiError(
            403, "forbidden", "This key sees only its own samples.", "history:all sees all sources."
        )
    wanted = Filter(
        evidence=evidence,
        label=label,
        action=action,
        status=status,
        source=own or source,
        since=_moment(since),
        before=_moment(before),
        sha256=sha256,
        after=_place(cursor),
        limit=limit + 1,
    )
    found = await asyncio.to_thread(selected, service, wanted)
    results = [record.document for record in found[:limit]]
    return models.HistoryOut(results=results, next=_cursor(found[limit - 1]) if len(found) > limit else None)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else moment(text)
    except StoreError as e:
        raise ApiError(422, e.code, "This is not a time.", e.hint) from e


def _cursor(last: Record) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.screened_at.isoformat(), last.id]).encode()).decode()


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        at, last = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        place = datetime.fromisoformat(at)
    except (ValueError, TypeError, binascii.Error, RecursionError) as e:
        raise ApiError(422, "not_a_cursor", "This is not a cursor.", "Give `next` of the page before.") from e
    if place.tzinfo is None or not isinstance(last, str):
        raise ApiError(422, "not_a_cursor", "This is not a cursor.", "Give `next` of the page before.")
    return place, last
