"""Samples: handed in, looked at while they wait, their result, what people say of them."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from assay.desk import feedback as feedback_notes
from assay.desk.retrohunt import changes_of, latest
from assay.serve.api import models
from assay.serve.api.bodies import received
from assay.serve.api.errors import again, hidden
from assay.serve.api.service import Judge, Reader, Served, Service, Submitter, documented
from assay.store.jobs import Job, Priority, State
from assay.store.keys import Key
from assay.store.records import Filter
from assay.types import JSON

if TYPE_CHECKING:
    from assay.serve.exchange import Submission
    from assay.store.records import Record

router = APIRouter(prefix="/v1", tags=["samples"], dependencies=[documented])

ID = r"^[0-9A-Za-z_-]{1,64}$"
DIGEST = r"^[0-9a-fA-F]{64}$"
SampleId = Annotated[str, Path(pattern=ID, description="The id that the upload was answered with.")]
Wait = Annotated[
    float, Query(ge=0, le=3600, description="Seconds to wait for the verdict; the gateway bounds them.")
]
Once = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        description="Your own name for this upload: sent again with it, it is the same sample and not another one.",
    ),
]
RAW = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
FORM: dict[str, Any] = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "format": "binary"}},
        }
    }
}
TAKEN: dict[int | str, dict[str, Any]] = {
    200: {"model": models.SampleOut, "description": "Done within the time that the client waits."},
    202: {"model": models.SampleOut, "description": "Taken; the verdict follows."},
}
RESULT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": models.result_schema()}}}
}


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """A sample as far as it is: its job, its record, or both."""

    id: str
    sha256: str
    job: Job | None
    record: Record | None


@router.post(
    "/samples",
    response_model=models.SampleOut,
    status_code=202,
    responses=TAKEN | models.failures(),
    openapi_extra={"requestBody": {"required": True, "content": FORM | RAW}},
    summary="Hand in a sample, as a form with one file or as the bytes alone",
)
async def upload(
    request: Request, service: Served, key: Submitter, wait: Wait = 0, once: Once = None
) -> Response:
    return await taken(request, service, key, wait=wait, once=once)


@router.put(
    "/samples",
    response_model=models.SampleOut,
    status_code=202,
    responses=TAKEN | models.failures(),
    openapi_extra={"requestBody": {"required": True, "content": RAW}},
    summary="Hand in a sample as a stream of its bytes",
)
async def stream(
    request: Request, service: Served, key: Submitter, wait: Wait = 0, once: Once = None
) -> Response:
    return await taken(request, service, key, wait=wait, once=once)


@router.put(
    "/samples/{name:path}",
    response_model=models.SampleOut,
    status_code=202,
    responses=TAKEN | models.failures(),
    openapi_extra={"requestBody": {"required": True, "content": RAW}},
    summary="Hand in a sample as a stream, with a name for people",
)
async def stream_named(
    request: Request, service: Served, key: Submitter, name: str, wait: Wait = 0, once: Once = None
) -> Response:
    return await taken(request, service, key, name=name, wait=wait, once=once)


@router.get("/samples/{sample_id}", responses=models.failures(404), summary="How far a sample is")
async def status(service: Served, key: Reader, sample_id: SampleId) -> models.SampleOut:
    return described(await standing(service, key, sample_id))


@router.get(
    "/samples/{sample_id}/result",
    responses=RESULT | {202: {"model": models.SampleOut, "description": "Not yet."}} | models.failures(404),
    summary="The verdict",
)
async def result(service: Served, key: Reader, sample_id: SampleId) -> Response:
    found = await standing(service, key, sample_id)
    if found.record is None:
        return JSONResponse(
            _plain(described(found)), 202, {"Retry-After": "1", "Location": f"/v1/samples/{sample_id}"}
        )
    return JSONResponse(found.record.document)


@router.get(
    "/digests/{sha256}", responses=RESULT | models.failures(404), summary="The newest verdict on a content"
)
async def by_digest(service: Served, key: Reader, sha256: Annotated[str, Path(pattern=DIGEST)]) -> Response:
    wanted = Filter(sha256=sha256.lower(), source=seen_by(key), limit=1)
    found = await asyncio.to_thread(selected, service, wanted)
    if not found:
        raise hidden()
    return JSONResponse(found[0].document)


@router.post(
    "/samples/{sample_id}/feedback",
    status_code=201,
    responses=models.failures(404),
    summary="Say what a sample really is",
)
async def feedback(
    service: Served,
    key: Judge,
    sample_id: SampleId,
    said: models.FeedbackIn,
) -> models.FeedbackOut:
    found = await standing(service, key, sample_id)
    await asyncio.to_thread(noted, service, key, found.sha256, said.label, said.reason)
    return models.FeedbackOut(sha256=found.sha256, label=said.label)


# What other faces use, too -------------------------------------------------------------------------------------------


async def taken(
    request: Request,
    service: Service,
    key: Key,
    *,
    name: str = "",
    wait: float = 0,
    once: str | None = None,
) -> Response:
    """Take a sample in and answer as its upload is answered everywhere in `/v1`."""
    job = await submitted(request, service, key, name=name, is_inline=wait > 0, once=once)
    if wait > 0 and job.state is not State.DONE:
        job = await service.intake.wait(job.id, min(wait, service.settings.api.wait_s))
    record = None
    if job.state is State.DONE:
        record = await asyncio.to_thread(_recorded, service, job.id)
    shown = described(Standing(job.id, job.sha256, job, record), with_result=True)
    place = {"Location": f"/v1/samples/{job.id}"}
    return JSONResponse(_plain(shown), 200 if record is not None else 202, place)


async def submitted(
    request: Request,
    service: Service,
    key: Key,
    *,
    name: str = "",
    is_inline: bool = False,
    once: str | None = None,
) -> Job:
    """Spool a request's sample and hand it to the intake: when this returns, it is safe."""
    with service.uploading.one():
        service.lost()
        async with received(request, service.settings, name=name) as submission:
            await _spent(service, key)
            return await _handed_over(service, key, submission, is_inline=is_inline, once=once or "")


async def standing(service: Service, key: Key, sample_id: str) -> Standing:
    """Find a sample that this key may see.

    Raises
    ------
    ApiError
        404 if there is none, in the same words if it is another key's.
    """
    if not re.fullmatch(ID, sample_id):
        raise hidden()
    service.lost()
    job = await asyncio.to_thread(service.intake.job, sample_id)
    record = None
    if job is None or job.state is State.DONE:
        record = await asyncio.to_thread(_recorded, service, sample_id)
    known = record or job
    if known is None or seen_by(key) not in (None, known.source):
        raise hidden()
    return Standing(sample_id, known.sha256, job, record)


def selected(service: Service, wanted: Filter) -> list[Record]:
    """Search records; each says what is said of it today, where a retrohunt changed that."""
    found = list(service.stores.records.select(wanted))
    today = {change.record_id: change.after for change in changes_of(service.stores, [r.id for r in found])}
    return [dataclasses.replace(r, document=today.get(r.id, r.document)) for r in found]


def _recorded(service: Service, sample_id: str) -> Record | None:
    record = service.intake.result(sample_id)
    return None if record is None else dataclasses.replace(record, document=latest(service.stores, record))


def seen_by(key: Key) -> str | None:
    """The only source that a key sees; None: it sees all."""
    return None if key.may("history:all") else key.source


def described(found: Standing, *, with_result: bool = False) -> models.SampleOut:
    job, record = found.job, found.record
    state = "done" if record is not None else str(job.state if job else State.QUEUED)
    submitted_at = job.submitted_at if job else record.screened_at if record else None
    own = f"/v1/samples/{found.id}"
    shown: dict[str, Any] = {
        "id": found.id,
        "sha256": found.sha256,
        "size": job.size if job else record.document["size"] if record else 0,
        "state": state,
        "submitted_at": submitted_at,
        "started_at": job.started_at if job else None,
        "finished_at": job.finished_at if job else record.screened_at if record else None,
        "links": {"self": own} | {name: f"{own}/{name}" for name in ("result", "events", "pictures")},
        "result": record.document if with_result and record else None,
    }
    return models.SampleOut(**shown)


def noted(service: Service, key: Key, sha256: str, said: str, text: str) -> None:
    """Keep what a client says of a content: a note for reviewers, no label, and nothing is judged by it."""
    feedback_notes.note(service.stores, sha256, said, key.source, text)


def _plain(shown: models.SampleOut) -> JSON:
    return shown.model_dump(mode="json")


async def _spent(service: Service, key: Key) -> None:
    most = service.settings.api.per_day if key.per_day is None else key.per_day
    if most and not await asyncio.to_thread(service.keys.spend, key.id, most):
        raise again(
            429,
            "quota",
            f"This key's {most} samples of today are used up.",
            "It begins anew at 0:00 UTC.",
            3600,
        )


async def _handed_over(
    service: Service, key: Key, submission: Submission, *, is_inline: bool, once: str
) -> Job:
    from assay.serve.threads import in_thread

    parts: Mapping[str, Any] = {
        "descriptor": submission.descriptor,
        "sha256": submission.sha256,
        "size": submission.size,
        "name": submission.name,
        "declared_type": submission.declared_type,
        "source": key.source,
        "priority": Priority.INLINE if is_inline else Priority.DEEP,
        "key": once,
    }
    return await in_thread(lambda: service.intake.submit(**parts))
