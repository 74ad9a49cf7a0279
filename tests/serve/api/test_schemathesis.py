"""Schemathesis makes requests from the OpenAPI document, good and bad: none may end in a fault."""

from __future__ import annotations

import pytest
import schemathesis
from gateways import gateway
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("api"), per_minute=0) as running:
        token = running.key("admin", "submit", "read")[1]
        schema = schemathesis.openapi.from_url(f"{running.url}/v1/openapi.json")
        running.token = token
        running.schema = schema
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


@pytest.mark.parametrize("operation", operations())
def test_no_request_ends_in_a_fault(api, operation):
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
    @schemathesis_given(found)
    def ask(case) -> None:
        if case.headers is not None:
            case.headers = {k: v for k, v in case.headers.items() if k.lower() != "authorization"}
        answer = case.call(headers={"Authorization": f"Bearer {api.token}"}, timeout=30)
        case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])

    ask()


def schemathesis_given(operation):
    from hypothesis import given

    return given(case=operation.as_strategy())
