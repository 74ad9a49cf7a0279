"""Bodies that are too large, too slow, cut off or no form; names that lead elsewhere."""

from __future__ import annotations

import json
import logging
import os
import socket

import pytest
from api_talk import FAKE, done, error_of, spoken
from gateways import Gateway, gateway

from assay.serve.api.bodies import declared_name, declared_type

PART = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n1\r\n'
TWO = PART + PART + b"--b--\r\n"
HEAD = "PUT /v1/samples HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory) -> Gateway:
    folder = tmp_path_factory.mktemp("strict")
    with gateway(
        folder, limits={"size_bytes": 100_000}, stall_s=1.5, drain_bytes=400_000, head_s=1.5
    ) as running:
        yield running


def head(gate: Gateway, *more: str) -> bytes:
    token = gate.key()[1]
    return (HEAD.format(token=token) + "".join(f"{line}\r\n" for line in more) + "\r\n").encode()


def log_lines(caplog) -> list[dict]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == "assay.http"]


def test_a_sample_over_the_limit_is_drained_answered_and_logged(strict: Gateway, caplog):
    caplog.set_level(logging.INFO, "assay.http")
    client = strict.client()
    for content in (b"x" * 100_001, (b"y" * 50_000 for _ in range(6))):
        answer = client.put("/v1/samples", content=content)
        assert answer.status_code == 413
        assert error_of(answer) == "over_limit"
    assert client.get("/v1/history").json()["results"] == []
    assert [line["error"] for line in log_lines(caplog)][:2] == ["over_limit", "over_limit"]
    assert client.put("/v1/samples", content=b"x" * 100_000).status_code == 202


def test_a_form_over_the_limit_is_refused_too(strict: Gateway):
    answer = strict.client().post("/v1/samples", files={"file": ("a", b"z" * 100_001)})
    assert error_of(answer) == "over_limit"


def test_a_flood_is_cut_off_after_a_bounded_amount(strict: Gateway):
    with socket.create_connection(("127.0.0.1", strict.port), timeout=20) as connection:
        connection.sendall(head(strict, "Content-Length: 100000000000"))
        sent = 0
        with pytest.raises(OSError):
            while sent < 200_000_000:
                sent += connection.send(b"x" * 65536)
        assert sent < 200_000_000


def test_who_waits_for_leave_is_refused_before_it_sends(strict: Gateway):
    answer = spoken(strict.port, head(strict, "Content-Length: 100000000", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize("sent", [b"", b"fake and no more"])
def test_a_client_that_stalls_inside_of_a_body_is_cut_off(strict: Gateway, sent):
    answer = spoken(strict.port, head(strict, "Content-Length: 1000") + sent)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"too_slow"' in answer
    assert b"connection: close" in answer.lower()


def test_a_client_that_drips_is_cut_off_by_its_average(tmp_path):
    with gateway(tmp_path, stall_s=0.5, rate_bytes_s=10_000) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
            connection.settimeout(0.1)
            connection.sendall(head(running, "Content-Length: 1000"))
            answer = b""
            for _ in range(100):
                try:
                    connection.send(b"x")
                    answer += connection.recv(1000)
                except TimeoutError:
                    continue
                except OSError:
                    break
                if answer:
                    break
        assert b" 408 " in answer


@pytest.mark.parametrize("sent", [b"", b"PUT /v1/sam", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_head_that_never_ends_is_cut_off(strict: Gateway, sent):
    assert spoken(strict.port, sent) == b""
    assert strict.client().get("/healthz").status_code == 200


def test_a_client_that_hangs_up_inside_of_a_body_leaves_nothing(fresh: Gateway, caplog):
    caplog.set_level(logging.INFO, "assay.http")
    with socket.create_connection(("127.0.0.1", fresh.port)) as connection:
        connection.sendall(head(fresh, "Content-Length: 1000") + b"fake")
    assert fresh.until(lambda: any(line["status"] == 499 for line in log_lines(caplog)))
    client = fresh.client()
    assert client.get("/v1/history").json()["results"] == []
    assert fresh.intake.backlog == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 400_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_answered_in_the_one_form(gate: Gateway, sent):
    answer = spoken(gate.port, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_request"


def test_a_small_route_takes_no_large_body(gate: Gateway):
    client = gate.client("webhooks", "feedback", "read")
    for path in ("/v1/webhooks", "/api/v2/user-feedback"):
        assert error_of(client.post(path, content=b"[" * 200_000)) == "over_limit"


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"", "multipart/form-data; boundary=b", "bad_form"),
        (b"--b\r\n", "multipart/form-data; boundary=b", "bad_form"),
        (b"x" * 100, "multipart/form-data; boundary=b", "bad_form"),
        (b"--b--\r\n", "multipart/form-data", "bad_form"),
        (b"--b--\r\n", "multipart/form-data; boundary=" + "b" * 500, "bad_form"),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n', "multipart/form-data; boundary=b", "no_file"),
        (
            TWO,
            "multipart/form-data; boundary=b",
            "many_files",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "empty",
        ),
        (b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\ncut', "multipart/form-data; boundary=b", "bad_form"),
        (b"--b\r\nX: " + b"a" * 9000 + b"\r\n\r\n", "multipart/form-data; boundary=b", "bad_form"),
        (b"", "image/jpeg", "empty"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_read_is_refused(gate: Gateway, content, kind, code):
    answer = gate.client().post("/v1/samples", content=content, headers={"Content-Type": kind})
    assert error_of(answer) == code
    assert answer.status_code < 500


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("holiday.jpg", "holiday.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\a.png", "a.png"),
        ("/etc/", ""),
        ("..", ""),
        (".", ""),
        ("a\x00\r\n\x1b[2Jb", "a[2Jb"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("x" * 5000, "x" * 255),
        ("", ""),
    ],
)
def test_a_declared_name_is_only_a_word(given, kept):
    assert declared_name(given) == kept


def test_a_name_that_leads_elsewhere_touches_nothing(gate: Gateway, tmp_path):
    client = gate.client()
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    shown = client.request(
        "PUT", "/v1/samples/..%2f..%2f..%2fowned.jpg", content=FAKE, params={"wait": 20}
    ).json()
    assert shown["result"]["path"] == "owned.jpg"
    made = {p for p in tmp_path.rglob("*") if p.is_file()} - before
    assert not any("owned" in os.fspath(p) for p in made)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("image/jpeg", "image/jpeg"),
        ("IMAGE/PNG; charset=x", "image/png"),
        ("application/octet-stream", None),
        ("text/html<script>", None),
        ("", None),
        (None, None),
        ("a" * 100 + "/b", None),
    ],
)
def test_a_declared_type_is_a_type_or_nothing(given, kept):
    assert declared_type(given) == kept


def test_more_uploads_at_once_than_agreed_are_turned_away(tmp_path):
    with gateway(tmp_path, uploads=1) as running:
        client = running.client()
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(head(running, "Content-Length: 1000") + b"fake")
            assert running.until(lambda: running.service.uploading.count == 1)
            refused = client.put("/v1/samples", content=FAKE)
            assert error_of(refused) == "busy"
            assert refused.headers["retry-after"]
        assert running.until(lambda: running.service.uploading.count == 0)
        assert client.put("/v1/samples", content=FAKE).status_code == 202


def test_a_full_backlog_is_said_with_a_time_to_come_back(tmp_path):
    with gateway(tmp_path, backlog=1) as running:
        running.examiner.go.clear()
        client = running.client()
        assert client.put("/v1/samples", content=b"slow 1").status_code == 202
        refused = client.put("/v1/samples", content=b"slow 2")
        assert error_of(refused) == "overloaded"
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        running.examiner.go.set()


def test_no_log_line_names_a_sample_or_a_token(gate: Gateway, caplog):
    caplog.set_level(logging.DEBUG)
    key, token = gate.key()
    client = gate.client(token=token)
    shown = done(client, name="secret-name.jpg")
    client.get("/v1/nowhere/secret-name.jpg")
    client.get("/v1/history", params={"evidence": "secret-name"})
    told = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore")))
    assert "secret-name" not in told
    assert token not in told
    assert token.split("_", 2)[2] not in told
    line = next(line for line in log_lines(caplog) if line["route"] == "/v1/samples/{name:path}")
    assert (line["method"], line["status"], line["key"]) == ("PUT", 200, key.id)
    assert line["sha256"] == shown["sha256"]
    assert line["received"] == len(FAKE)
