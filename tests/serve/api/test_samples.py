"""Samples over HTTP: handed in, waited for, read."""

from __future__ import annotations

import hashlib

FAKE = b"fake" + b"x" * 1000


def done(client, content: bytes = FAKE, **more) -> dict:
    """Hand one in and wait for its verdict."""
    answer = client.put("/v1/samples", content=content, params={"wait": 20}, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_upload_that_waits_is_answered_with_the_verdict(gate):
    client = gate.client()
    shown = done(client)
    assert shown["state"] == "done"
    assert shown["sha256"] == hashlib.sha256(FAKE).hexdigest()
    assert shown["result"]["label"] == "fake"
    assert shown["result"]["schema"] == "assay/screening/1"
    assert client.get(shown["links"]["result"]).json() == shown["result"]


def test_an_upload_that_does_not_wait_is_told_where_to_ask(gate):
    gate.examiner.go.clear()
    client = gate.client()
    answer = client.post("/v1/samples", files={"file": ("a.jpg", b"slow one", "image/jpeg")})
    assert answer.status_code == 202
    place = answer.headers["location"]
    assert client.get(place).json()["state"] in ("queued", "running")
    assert client.get(place + "/result").status_code == 202
    gate.examiner.go.set()
    with client.stream("GET", place + "/events") as events:
        text = "".join(events.iter_text())
    assert "event: done" in text
    assert client.get(place + "/result").json()["label"] == "fake"
