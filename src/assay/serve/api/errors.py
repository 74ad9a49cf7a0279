"""One form for every error: ``{"error": {"code", "message", "hint"}}``. No traceback, no path of this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

from assay.errors import AssayError, SampleError
from assay.serve.spool import OverSize, SpoolError
from assay.types import JSON

log = logging.getLogger(__name__)

AGAIN_S = 5
WORDS: dict[int, tuple[str, str, str]] = {
    400: ("bad_request", "This request cannot be understood.", ""),
    404: ("not_found", "There is nothing here.", "GET /v1/openapi.json lists what there is."),
    405: (
        "method_not_allowed",
        "This method is not answered here.",
        "The header Allow names those that are.",
    ),
}
# What a caller did wrong, by the code of the error.
OF_CALLERS = {
    "not_found": 404,
    "ambiguous": 404,
    "not_a_digest": 422,
    "not_a_time": 422,
    "not_a_scope": 422,
    "not_an_address": 422,
    "not_an_event": 422,
    "inside": 422,
    "exists": 409,
}


class ApiError(HTTPException):
    """An answer that is not the one that was asked for."""

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.code = code
        self.hint = hint

    def document(self, path: str = "") -> JSON:
        """What is sent; below /api, where clients of others ask, with the words that those look for beside it."""
        said = {"code": self.code, "message": str(self.detail), "hint": self.hint}
        beside = {"code": self.code, "response": str(self.detail)} if path.startswith("/api/") else {}
        return {"error": said} | beside


def again(status: int, code: str, message: str, hint: str = "", after_s: int = AGAIN_S) -> ApiError:
    """An error that goes away: with Retry-After."""
    return ApiError(status, code, message, hint, {"Retry-After": str(after_s)})


def hidden() -> ApiError:
    """What is not there, and what is another key's: the same words, or they would tell which."""
    return ApiError(404, "not_found", "No such sample.", "A key sees its own samples; history:all sees all.")


def api_error(error: Exception) -> ApiError:
    """Translate what went wrong; what is not foreseen is logged and becomes a 500 without any detail."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        code, message, hint = WORDS.get(error.status_code, ("error", str(error.detail), ""))
        return ApiError(error.status_code, code, message, hint, error.headers)
    if isinstance(error, OverSize):
        return ApiError(
            413, "over_limit", "The sample is larger than the limit.", "limits.size_bytes sets it."
        )
    if isinstance(error, SpoolError):
        log.error("the spool failed: %s", error)
        return again(507, "store_full", "There is no room for the sample.", "Try again later.", 60)
    if isinstance(error, AssayError):
        return _of_assay(error)
    log.error("a request ended in a fault", exc_info=error)
    return ApiError(500, "fault", "The gateway failed at this request.", "The gateway's log says why.")


def _of_assay(error: AssayError) -> ApiError:
    if error.code == "overloaded":
        return again(429, "overloaded", error.message, error.hint or "Try again later.")
    if error.code in OF_CALLERS:
        return ApiError(OF_CALLERS[error.code], error.code, error.message, error.hint)
    if isinstance(error, SampleError):
        return ApiError(422, error.code, error.message, error.hint)
    log.error("the store failed: %s (%s)", error.message, error.code)
    if error.code == "store_full":
        return again(
            507, "store_full", "The gateway's disk is full; nothing was taken.", "Try again later.", 60
        )
    return again(
        503, error.code, "The gateway's store cannot be used; nothing was taken.", "Try again later."
    )


def invalid(problems: list[Any]) -> ApiError:
    """Name the first thing that pydantic did not like, without what was given: that may be anything."""
    first = problems[0] if problems else {}
    where = ".".join(str(part)[:64] for part in first.get("loc", ()))
    said = str(first.get("msg", "it is not valid"))[:200]
    return ApiError(
        422, "invalid", f"{where}: {said}" if where else said, "GET /v1/openapi.json says what is taken."
    )
