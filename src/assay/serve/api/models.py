"""The shapes of requests and answers at the edge. A result itself is the JSON contract (docs/json.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from assay.report.contract import schema


class Strict(BaseModel):
    """What a client sends: a field that nobody reads is an error."""

    model_config = ConfigDict(extra="forbid", str_max_length=4096)


class ErrorOut(BaseModel):
    code: str = Field(description="A word for programs.")
    message: str = Field(description="A sentence for people.")
    hint: str = Field(description="What to do about it; may be empty.")


class Failure(BaseModel):
    """Every error has this form."""

    error: ErrorOut


class SampleOut(BaseModel):
    """A sample that was handed in, and how far it is."""

    id: str
    sha256: str
    size: int
    state: Literal["queued", "running", "done"]
    submitted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    links: dict[str, str] = Field(description="Where to ask further: self, result, events, pictures.")
    result: dict[str, Any] | None = Field(
        None, description="The verdict, once it is done: the JSON contract."
    )


class PictureOut(BaseModel):
    name: str
    shows: Literal["preview", "marked", "heat"]
    media_type: str
    detector: str | None = None
    time_s: float | None = None
    href: str


class PicturesOut(BaseModel):
    pictures: list[PictureOut]


class HistoryOut(BaseModel):
    """Results, the newest first; `next` is the cursor of the following page."""

    results: list[dict[str, Any]]
    next: str | None = None


class FeedbackIn(Strict):
    label: Literal["fake", "bona_fide"] = Field(description="What the sample really is.")
    reason: str = Field("", max_length=1000)


class FeedbackOut(BaseModel):
    sha256: str
    label: Literal["fake", "bona_fide"]


class WebhookIn(Strict):
    url: str = Field(max_length=2048, description="https://...")
    events: list[str] = Field(default_factory=list, max_length=16, description="Empty: all of them.")


class WebhookOut(BaseModel):
    id: str
    url: str
    events: list[str]
    created_at: datetime
    failing_since: datetime | None = None
    disabled_at: datetime | None = None


class WebhookMade(WebhookOut):
    secret: str = Field(description="Shown this once.")


class WebhooksOut(BaseModel):
    webhooks: list[WebhookOut]


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


def result_schema() -> dict[str, Any]:
    """The JSON contract as part of the OpenAPI document."""
    return {k: v for k, v in schema().items() if not k.startswith("$")}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for the OpenAPI document; those of every route are among them."""
    return {s: {"model": Failure} for s in (*statuses, 400, 401, 403, 408, 413, 422, 429, 500, 503, 507)}
