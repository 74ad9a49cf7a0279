"""Reality Defender's API, as its public client speaks it: upload, poll, list, feedback, heat maps.

The client is pointed here with ``base_url``; its API key is one of Assay's. An upload is promised an id first and its
bytes follow to a signed address; heat maps are signed addresses, too, since people open them without a key. Errors have
Assay's form, and beside it the words `code` and `response` that the client looks for.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import secrets as randomness
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from assay.serve.api import models
from assay.serve.api.bodies import declared_name
from assay.serve.api.errors import ApiError
from assay.serve.api.pictures import PICTURE, delivered, shown
from assay.serve.api.samples import ID, Standing, noted, seen_by, selected, standing, submitted
from assay.serve.api.service import ANONYMOUS, Judge, Reader, Served, Service, Submitter, documented, needs
from assay.store.records import Filter, Record
from assay.types import JSON

if TYPE_CHECKING:
    from assay.store.keys import Key

router = APIRouter(prefix="/api", tags=["Reality Defender's client"])
shut = [documented]

UPLOAD_S = 900  # a promised upload must begin within
HEAT_S = 3600  # an address of a heat map works for
UNABLE, ANALYZING = "UNABLE_TO_EVALUATE", "ANALYZING"
STATUS = {"fake": "FAKE", "bona_fide": "AUTHENTIC"}
# Of what is inconclusive, some found traces; that nothing was found is never called authentic.
SUSPICIOUS = frozenset({"conflicting", "unstable", "too_little"})
LABELS = {"REAL": "bona_fide", "SYNTHETIC": "fake", "MANIPULATED": "fake", "UNKNOWN": "unknown"}
Signature = Annotated[str, Query(pattern="^[0-9a-f]{64}$")]
Expires = Annotated[int, Query(ge=0, le=2**40)]
RequestId = Annotated[str, Path(pattern=ID)]
Day = Annotated[date | None, Query()]


class FeedbackIn(BaseModel):
    requestId: str = Field(pattern=ID)  # noqa: N815  the client's names
    label: Literal["REAL", "SYNTHETIC", "MANIPULATED", "UNKNOWN"]
    feedbackCategory: Literal["FALSE_POSITIVE", "FALSE_NEGATIVE", "CONFIRMATION", "OTHER"]  # noqa: N815
    comment: str | None = Field(None, max_length=1000)


@router.post(
    "/files/aws-presigned",
    dependencies=shut,
    responses=models.failures(),
    openapi_extra={
        "requestBody": {
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {"type": "object", "properties": {"fileName": {"type": "string"}}}
                }
            }
        }
    },
    summary="Promise an id, and an address for the bytes",
)
async def promise(request: Request, service: Served, key: Submitter) -> JSONResponse:
    async with request.form(max_files=0, max_fields=8) as form:
        given = form.get("fileName")
    name = declared_name(given) if isinstance(given, str) else ""
    request_id = randomness.token_hex(16)
    await asyncio.to_thread(service.promises.add, request_id, key.id, name)
    address = await _signed(service, request, f"api/files/uploads/{request_id}", UPLOAD_S)
    said = {"code": "ok", "errno": 0, "requestId": request_id, "mediaId": request_id}
    return JSONResponse(said | {"response": {"signedUrl": address}})


@router.put(
    "/files/uploads/{request_id}",
    responses=models.failures(404, 409),
    openapi_extra={
        "requestBody": {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        }
    },
    summary="The bytes of a promised upload",
)
async def upload(
    request: Request, service: Served, request_id: RequestId, expires: Expires, signature: Signature
) -> JSONResponse:
    await _check(service, f"api/files/uploads/{request_id}", expires, signature)
    promised = await asyncio.to_thread(service.promises.find, request_id)
    key = await asyncio.to_thread(service.keys.active, promised.key_id) if promised is not None else None
    if promised is None or key is None or not key.may("submit"):
        raise ApiError(404, "not_found", "No such upload was promised.", "Ask for another address.")
    if promised.job_id is not None:
        raise ApiError(409, "exists", "This upload is complete.", "Ask for another address.")
    request.scope["assay"].key = key.id
    job = await submitted(request, service, key, name=promised.name)
    await asyncio.to_thread(service.promises.keep, request_id, job.id)
    return JSONResponse({"code": "ok", "requestId": request_id})


@router.post(
    "/files/social",
    dependencies=[documented, Depends(needs("submit"))],
    responses=models.failures(),
    summary="Refused: Assay fetches nothing",
)
async def social() -> JSONResponse:
    raise ApiError(400, "not_supported", "Assay does not fetch links.", "Upload the file itself.")


@router.get(
    "/media/users/{request_id}", dependencies=shut, responses=models.failures(404), summary="A result"
)
async def result(request: Request, service: Served, key: Reader, request_id: RequestId) -> JSONResponse:
    found = await _found(service, key, request_id)
    if found.record is None:
        return JSONResponse(_pending(request_id))
    heat = await _heatmaps(service, request, key, found.record)
    return JSONResponse(_described(request_id, found.record, heat))


@router.get("/v2/media/users/pages/{page}", dependencies=shut, responses=models.failures(), summary="Results")
async def results(
    request: Request,
    service: Served,
    key: Reader,
    page: Annotated[int, Path(ge=0, le=10**6)],
    *,
    size: Annotated[int, Query(ge=1, le=100)] = 10,
    name: Annotated[str | None, Query(max_length=255)] = None,
    startDate: Day = None,  # noqa: N803
    endDate: Day = None,  # noqa: N803
) -> JSONResponse:
    wanted: dict[str, Any] = {
        "source": seen_by(key),
        "outermost": True,
        "name": name or None,
        "since": _midnight(startDate),
        "before": _midnight(endDate, 1),
    }
    total = await asyncio.to_thread(service.stores.records.count, Filter(**wanted))
    chosen = Filter(**wanted, offset=page * size, limit=size)
    found = await asyncio.to_thread(selected, service, chosen)
    known_as = await asyncio.to_thread(service.promises.ids_of, [record.id for record in found])
    items = [
        _described(known_as.get(record.id, record.id), record, await _heatmaps(service, request, key, record))
        for record in found
    ]
    counts = {"totalItems": total, "totalPages": math.ceil(total / size), "currentPage": page}
    return JSONResponse(counts | {"currentPageItemsCount": len(items), "mediaList": items})


@router.post(
    "/v2/user-feedback",
    status_code=201,
    dependencies=shut,
    responses=models.failures(404),
    summary="Say what a sample really is",
)
async def feedback(service: Served, key: Judge, said: FeedbackIn) -> JSONResponse:
    found = await _found(service, key, said.requestId)
    reason = f"{said.feedbackCategory}: {said.comment}" if said.comment else said.feedbackCategory
    await asyncio.to_thread(noted, service, key, found.sha256, LABELS[said.label], reason)
    answer = {
        "id": randomness.token_hex(16),
        "userId": key.id,
        "requestId": said.requestId,
        "institutionId": "assay",
        "category": said.feedbackCategory,
        "label": said.label,
        "createdAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "text": said.comment,
    }
    return JSONResponse(answer, 201)


@router.get(
    "/files/heatmaps/{sample_id}/{name}",
    response_class=Response,
    responses=PICTURE | models.failures(404, 409),
    summary="A heat map, at the address that a result gave",
)
async def heatmap(
    service: Served,
    sample_id: RequestId,
    name: Annotated[str, Path(pattern="^heat_[a-z0-9_]{1,80}[.]png$")],
    *,
    key: Annotated[str, Query(max_length=16)],
    expires: Expires,
    signature: Signature,
) -> Response:
    await _check(service, f"api/files/heatmaps/{sample_id}/{name}", expires, signature, key)
    who = await _holder(service, key)
    if who is None:
        raise ApiError(404, "not_found", "This address is no longer valid.", "Ask for the result again.")
    shown(await standing(service, who, sample_id))
    return await delivered(service, sample_id, name)


async def _found(service: Service, key: Key, request_id: str) -> Standing:
    """Find a sample by the id that was promised for it, or by its own."""
    promised = await asyncio.to_thread(service.promises.find, request_id)
    if promised is not None and promised.job_id is None:
        raise ApiError(
            404, "not_found", "Its bytes have not arrived yet.", "Send them to the signed address."
        )
    return await standing(service, key, request_id if promised is None else promised.job_id or "")


# What the client reads -----------------------------------------------------------------------------------------------


def _pending(request_id: str) -> JSON:
    return {
        "requestId": request_id,
        "overallStatus": ANALYZING,
        "resultsSummary": None,
        "models": [],
        "heatmaps": {},
    }


def _described(request_id: str, record: Record, heatmaps: dict[str, str]) -> JSON:
    document = record.document
    status, probability = _status(document), document["probability"]
    metadata = {
        "finalScore": None if probability is None else round(100 * probability, 2),
        "reasons": [{"code": document["why"] or document["rule"] or "", "message": document["summary"]}],
    }
    return {
        "requestId": request_id,
        "mediaId": record.id,
        "name": document["path"],
        "mediaType": document["media_type"].partition("/")[0].upper(),
        "createdAt": document["screened_at"],
        "overallStatus": status,
        "resultsSummary": {"status": status, "metadata": metadata},
        "models": [_model(evidence, document) for evidence in document["evidence"]],
        "heatmaps": heatmaps,
    }


def _status(document: JSON) -> str:
    label = document["label"]
    if label == "inconclusive":
        return "SUSPICIOUS" if document["why"] in SUSPICIOUS else UNABLE
    return STATUS.get(label, UNABLE)


def _model(evidence: JSON, document: JSON) -> JSON:
    """One detector: the probability that its evidence alone would make, and its side.

    One that found nothing has no side, unless the verdict itself is that the sample is bona fide.
    """
    llr, outcome, prior = evidence["llr"], evidence["outcome"], document["prior"]
    if outcome == "not_applicable":
        return {"name": evidence["detector"], "status": "NOT_APPLICABLE", "predictionNumber": None}
    if llr is None or outcome != "scored":
        return {"name": evidence["detector"], "status": UNABLE, "predictionNumber": None}
    probability = 1 / (1 + math.exp(-max(-700.0, min(700.0, llr + math.log(prior / (1 - prior))))))
    if llr > 0:
        status = "FAKE" if probability >= 0.5 else "SUSPICIOUS"
    else:
        status = "AUTHENTIC" if llr < 0 and document["label"] == "bona_fide" else UNABLE
    return {"name": evidence["detector"], "status": status, "predictionNumber": round(probability, 4)}


async def _heatmaps(service: Service, request: Request, key: Key, record: Record) -> dict[str, str]:
    if record.quarantine_id is not None:
        return {}
    pictures = await asyncio.to_thread(service.pictures.listed, record.id)
    return {
        str(p.detector): await _signed(
            service, request, f"api/files/heatmaps/{record.id}/{p.name}", HEAT_S, key.id
        )
        for p in pictures
        if p.shows == "heat"
    }


def _midnight(day: date | None, later: int = 0) -> datetime | None:
    if day is None:
        return None
    try:
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=later)
    except OverflowError:
        return None  # the end of all days restricts nothing


# Signed addresses ----------------------------------------------------------------------------------------------------


async def _signed(service: Service, request: Request, path: str, seconds: int, key: str = "") -> str:
    """An absolute address that works without a key, for a while; at the host and scheme by which the client came."""
    expires = int(time.time()) + seconds
    secret = await asyncio.to_thread(service.promises.secret)
    whose = f"key={key}&" if key else ""
    return f"{request.base_url}{path}?{whose}expires={expires}&signature={_signature(secret, path, expires, key)}"


async def _check(service: Service, path: str, expires: int, signature: str, key: str = "") -> None:
    secret = await asyncio.to_thread(service.promises.secret)
    is_right = hmac.compare_digest(_signature(secret, path, expires, key), signature)
    if not is_right or expires < time.time():
        raise ApiError(
            403, "forbidden", "This address is not valid, or not any more.", "Ask for another one."
        )


def _signature(secret: bytes, path: str, expires: int, key: str) -> str:
    return hmac.new(secret, f"{path}\n{expires}\n{key}".encode(), hashlib.sha256).hexdigest()


async def _holder(service: Service, key_id: str) -> Key | None:
    if key_id == ANONYMOUS.id:
        return ANONYMOUS if service.settings.api.anonymous else None
    return await asyncio.to_thread(service.keys.active, key_id)
