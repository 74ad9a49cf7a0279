"""Samples over HTTP: handed in, waited for, read, found again."""

from __future__ import annotations

import hashlib

from api_talk import FAKE, done
from gateways import Gateway

from assay.store.feedback import Feedback


def test_an_upload_that_waits_is_answered_with_the_verdict(gate: Gateway):
    client = gate.client()
    shown = done(client)
    assert shown["state"] == "done"
    assert shown["sha256"] == hashlib.sha256(FAKE).hexdigest()
    assert shown["result"]["label"] == "fake"
    assert shown["result"]["schema"] == "assay/screening/1"
    assert client.get(shown["links"]["result"]).json() == shown["result"]
    assert client.get(shown["links"]["self"]).json()["result"] is None


def test_an_upload_that_does_not_wait_is_told_where_to_ask(gate: Gateway):
    gate.examiner.go.clear()
    client = gate.client()
    answer = client.post("/v1/samples", files={"file": ("a.jpg", b"slow one", "image/jpeg")})
    assert answer.status_code == 202
    place = answer.headers["location"]
    assert client.get(place).json()["state"] in ("queued", "running")
    assert client.get(place + "/result").status_code == 202
    assert client.get(place + "/pictures").status_code == 409
    gate.examiner.go.set()
    with client.stream("GET", place + "/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        text = "".join(events.iter_text())
    assert text.endswith("\n\n")
    assert "event: done\ndata: {" in text
    assert '"label": "fake"' in text
    result = client.get(place + "/result").json()
    assert (result["label"], result["declared_type"]) == ("fake", "image/jpeg")


def test_form_raw_post_and_put_take_the_same_sample(gate: Gateway):
    client = gate.client()
    first = client.put("/v1/samples/b.png", content=FAKE, headers={"Content-Type": "image/png"}).json()
    second = client.post("/v1/samples", content=FAKE).json()
    third = client.post("/v1/samples", files={"file": ("c.jpg", FAKE)}).json()
    assert {s["sha256"] for s in (first, second, third)} == {hashlib.sha256(FAKE).hexdigest()}


def test_a_digest_finds_the_newest_own_verdict(gate: Gateway):
    client = gate.client()
    shown = done(client)
    found = client.get(f"/v1/digests/{shown['sha256'].upper()}")
    assert found.json()["id"] == shown["id"]
    assert client.get("/v1/digests/" + "0" * 64).status_code == 404
    assert client.get("/v1/digests/xyz").status_code == 422


def test_a_key_sees_its_own_samples_and_history_all_sees_everybodys(gate: Gateway):
    owner, other, auditor = gate.client(), gate.client(), gate.client("read", "history:all")
    shown = done(owner)
    for path in (shown["links"]["self"], shown["links"]["result"], shown["links"]["events"]):
        assert owner.get(path).status_code == 200
        assert other.get(path).status_code == 404
        assert auditor.get(path).status_code == 200
    assert other.get(shown["links"]["pictures"]).status_code == 404
    assert other.get(f"/v1/digests/{shown['sha256']}").status_code == 404
    assert other.get("/v1/history").json() == {"results": [], "next": None}
    nobodys = other.get("/v1/samples/" + "0" * 32)
    anothers = other.get(shown["links"]["self"])
    assert nobodys.json() == anothers.json(), "the words must not tell which of the two it is"


def test_the_same_content_from_another_key_becomes_a_record_of_its_own(gate: Gateway):
    one, two = gate.client(), gate.client()
    first, second = done(one), done(two)
    assert first["id"] != second["id"]
    assert second["result"]["label"] == first["result"]["label"]
    assert one.get(second["links"]["self"]).status_code == 404
    assert two.get(second["links"]["pictures"]).json()["pictures"], (
        "its pictures are copies of the first one's"
    )


def test_what_a_client_says_of_a_sample_is_a_note_and_no_label(gate: Gateway):
    shown = done(gate.client(), b"fake, they say")
    judge = gate.client("read", "feedback", "history:all")
    place = shown["links"]["self"] + "/feedback"
    assert gate.client().post(place, json={"label": "fake"}).status_code == 403
    answer = judge.post(place, json={"label": "bona_fide", "reason": "I took it"})
    assert answer.status_code == 201, answer.text
    (note,) = Feedback(gate.stores.database).notes(shown["sha256"])
    assert (note.said, note.text) == ("bona_fide", "I took it")
    assert gate.stores.judgements.labels_of(shown["sha256"]) == []
    assert judge.post(place, json={"label": "maybe"}).status_code == 422
    assert judge.post(place, json={"label": "fake", "more": 1}).status_code == 422
