"""Schemathesis makes requests from the OpenAPI document, good and bad: none may end in a fault."""

from __future__ import annotations

from typing import Annotated

import gateways
import pytest
import schemathesis
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from gateways import Gateway, gateway
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup, ServerError
from schemathesis.openapi.checks import JsonSchemaError
from schemathesis.specs.openapi.checks import response_schema_conformance

pytestmark = pytest.mark.slow


class Counted(BaseModel):
    n: int


planted = APIRouter()


@planted.get("/v1/planted/fault")
async def fault(n: Annotated[int, Query(ge=0, le=9)]) -> Counted:
    return Counted(n=10 // n)  # which the document allows to be 0


@planted.get("/v1/planted/form", response_model=Counted)
async def form(n: Annotated[int, Query(ge=0, le=9)]) -> JSONResponse:
    return JSONResponse({"n": n} if n else {})


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    application = gateways.application

    def with_faults(*parts, **more):
        app = application(*parts, **more)
        app.include_router(planted)
        return app

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gateways, "application", with_faults)
        with gateway(tmp_path_factory.mktemp("api"), per_minute=0) as running:
            running.token = running.key("admin", "submit", "read")[1]
            running.schema = schemathesis.openapi.from_url(f"{running.url}/v1/openapi.json")
            yield running


def operations() -> list[str]:
    """Names of all routes, from the application itself."""
    from assay.serve.api import history, pictures, probes, progress, samples, subscriptions
    from assay.serve.compat import realitydefender

    modules = (samples, history, progress, pictures, subscriptions, probes, realitydefender)
    return [
        f"{method} {route.path}"
        for module in modules
        for route in module.router.routes
        for method in sorted(route.methods - {"HEAD"})
    ]


def fuzz(api: Gateway, operation: str) -> None:
    """Ask for one operation again and again; fails with what schemathesis says of the answer."""
    method, path = operation.split(" ")
    found = api.schema[path.replace(":path", "")][method]

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=found.as_strategy())
    def ask(case) -> None:
        if case.headers is not None:
            case.headers = {k: v for k, v in case.headers.items() if k.lower() != "authorization"}
        answer = case.call(headers={"Authorization": f"Bearer {api.token}"}, timeout=30)
        case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])

    ask()


@pytest.mark.parametrize("operation", operations())
def test_no_request_ends_in_a_fault(api, operation):
    fuzz(api, operation)


@pytest.mark.parametrize(("path", "failure"), [("fault", ServerError), ("form", JsonSchemaError)])
def test_a_fault_that_was_planted_is_found(api, path, failure):
    with pytest.raises((Failure, FailureGroup)) as found:
        fuzz(api, f"GET /v1/planted/{path}")
    failures = getattr(found.value, "exceptions", (found.value,))
    assert [type(f) for f in failures] == [failure]
