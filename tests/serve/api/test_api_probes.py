"""Probes, numbers, the OpenAPI document, and what is answered when disk or database fail."""

from __future__ import annotations

import errno
import os

import pytest
from api_talk import FAKE, done, error_of
from gateways import Gateway, gateway
from prometheus_client.parser import text_string_to_metric_families

from assay.errors import StoreError
from assay.serve import spool


def numbers(gate: Gateway) -> dict[tuple[str, ...], float]:
    text = gate.client("metrics").get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_is_alive_and_ready(gate: Gateway):
    for path in ("/healthz", "/readyz"):
        assert gate.anybody().get(path).json() == {"status": "ok"}


def test_requests_and_jobs_are_counted_without_names(fresh: Gateway):
    done(fresh.client(), FAKE, "secret-name.jpg")
    fresh.client().get("/v1/nowhere/secret-name")
    found = numbers(fresh)
    assert found["assay_http_requests_total", "/v1/samples/{name:path}", "200", "PUT"] == 1
    assert found["assay_http_requests_total", "-", "404", "GET"] == 1
    assert found["assay_http_received_bytes_total",] == len(FAKE)
    assert found["assay_jobs_backlog",] == 0
    assert found["assay_webhook_deliveries_pending",] == 0
    assert found["assay_protocol_connections_total", "http"] >= 2
    assert not any("secret-name" in part for name in found for part in name)


def test_the_description_is_whole_and_every_error_has_its_form(gate: Gateway):
    document = gate.anybody().get("/v1/openapi.json").json()
    operations = [o for methods in document["paths"].values() for o in methods.values()]
    assert len({o["operationId"] for o in operations}) == len(operations)
    assert all(o["summary"] for o in operations)
    failure = {"$ref": "#/components/schemas/Failure"}
    for operation in operations:
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer["content"]["application/json"]["schema"] == failure


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/docs", 404),
        ("GET", "/console/..%2f..%2fetc/passwd", 404),
        ("DELETE", "/v1/history", 405),
        ("PATCH", "/healthz", 405),
        ("BREW", "/healthz", 405),
    ],
)
def test_what_is_not_there_is_said_in_the_one_form(gate: Gateway, method, path, status):
    answer = gate.client().request(method, path)
    assert answer.status_code == status
    assert error_of(answer) in ("not_found", "method_not_allowed")


def test_a_full_disk_is_said_and_nothing_is_taken(fresh: Gateway, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    client = fresh.client()
    monkeypatch.setattr(spool.os, "write", full)
    answer = client.put("/v1/samples", content=FAKE * 100)
    monkeypatch.undo()
    assert answer.status_code == 507
    assert error_of(answer) == "store_full"
    assert answer.headers["retry-after"]
    assert client.get("/v1/history").json()["results"] == []
    assert client.put("/v1/samples", content=FAKE).status_code == 202


def test_a_store_that_fails_is_said_without_a_path_of_this_machine(fresh: Gateway, monkeypatch):
    client = fresh.client()
    for code, status in (("store_full", 507), ("store_io", 503), ("store_busy", 503)):

        def failing(*_: object, code: str = code, **__: object) -> None:
            raise StoreError("the database /var/lib/assay/assay.db: broken", code=code)

        monkeypatch.setattr(fresh.intake, "submit", failing)
        answer = client.put("/v1/samples", content=FAKE)
        assert answer.status_code == status
        assert error_of(answer) == code
        assert "/var/lib" not in answer.text


def test_a_lost_database_is_said_everywhere(fresh: Gateway):
    client = fresh.client()
    shown = done(client)
    path = fresh.stores.database.path
    os.rename(path, f"{path}.away")
    try:
        for method, place in (
            ("PUT", "/v1/samples"),
            ("GET", "/v1/history"),
            ("GET", shown["links"]["self"]),
        ):
            answer = client.request(method, place, content=b"fake 2" if method == "PUT" else None)
            assert answer.status_code == 503, place
            assert answer.headers["retry-after"]
            assert error_of(answer) == "store_unopened"
        ready = fresh.anybody().get("/readyz")
        assert ready.status_code == 503
        assert error_of(ready) == "not_ready"
        assert fresh.anybody().get("/healthz").status_code == 200
    finally:
        os.rename(f"{path}.away", path)
    assert client.get("/v1/history").status_code == 200


def test_a_fault_of_ours_is_said_without_a_traceback(fresh: Gateway, monkeypatch, caplog):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret of this machine")

    client = fresh.client()
    monkeypatch.setattr(fresh.intake, "submit", broken)
    answer = client.put("/v1/samples", content=FAKE)
    assert answer.status_code == 500
    assert error_of(answer) == "fault"
    assert "secret" not in answer.text
    assert any(r.exc_info for r in caplog.records), "the log has it"


def test_more_requests_than_agreed_are_told_to_come_back(tmp_path):
    with gateway(tmp_path, requests=1) as running:
        running.examiner.go.clear()
        client, other = running.client(), running.client()
        place = client.put("/v1/samples", content=b"slow").headers["location"]
        with client.stream("GET", place + "/events") as events:
            lines = events.iter_lines()
            assert next(lines).startswith("id: ")
            refused = other.get("/healthz")
            assert refused.status_code == 503
            assert error_of(refused) == "busy"
            running.examiner.go.set()
            assert any("done" in line for line in lines)
