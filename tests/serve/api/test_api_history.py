"""Search in the history over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from api_talk import error_of
from gateways import Gateway, gateway

from assay.store.tables import verdict_changes
from assay.types import Label
from screenings import screened

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> tuple[Gateway, str]:
    """Five records of one key, an hour apart, and one of somebody else."""
    with gateway(tmp_path_factory.mktemp("history")) as running:
        key, token = running.key("read")
        made = [
            screened(
                f"{n}.jpg",
                b"content %d" % n,
                at=NOW - timedelta(hours=n),
                label=Label.FAKE if n % 2 else Label.INCONCLUSIVE,
                source=key.source,
            )
            for n in range(5)
        ]
        running.stores.records.add([*made, screened("other.jpg", b"other", source="inbox")])
        yield running, token


def names(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["path"] for result in answer.json()["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "01234"),
        ({"label": "fake"}, "13"),
        ({"evidence": "jpeg_grid"}, "01234"),
        ({"evidence": "grid_shifted"}, "01234"),
        ({"evidence": "copy_move"}, ""),
        ({"action": "quarantine"}, "01234"),
        ({"action": "hold"}, ""),
        ({"status": "screened", "label": "inconclusive"}, "024"),
        ({"since": "90min"}, "01"),
        ({"before": "90min"}, "234"),
        ({"since": (NOW - timedelta(hours=3, minutes=30)).isoformat(), "label": "fake"}, "13"),
        ({"limit": 2}, "01"),
    ],
)
def test_the_history_is_searched(filled, query, expected):
    running, token = filled
    found = names(running.client(token=token).get("/v1/history", params=query))
    assert found == [f"{n}.jpg" for n in expected]


def test_a_digest_or_its_beginning_finds_its_record(filled):
    running, token = filled
    client = running.client(token=token)
    digest = client.get("/v1/history", params={"limit": 1}).json()["results"][0]["sha256"]
    assert names(client.get("/v1/history", params={"sha256": digest[:10].upper()})) == ["0.jpg"]


def test_pages_follow_each_other_without_gap_or_repeat(filled):
    running, token = filled
    client = running.client(token=token)
    found: list[str] = []
    cursor = None
    while True:
        answer = client.get("/v1/history", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        found += names(answer)
        cursor = answer.json()["next"]
        if cursor is None:
            break
    assert found == [f"{n}.jpg" for n in range(5)]


def test_another_source_is_seen_with_history_all_only(filled):
    running, token = filled
    assert error_of(running.client(token=token).get("/v1/history", params={"source": "inbox"})) == "forbidden"
    auditor = running.client("read", "history:all")
    assert names(auditor.get("/v1/history", params={"source": "inbox"})) == ["other.jpg"]
    assert len(names(auditor.get("/v1/history"))) == 6


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "99999999d"},
        {"label": "true"},
        {"limit": 0},
        {"limit": 10**9},
        {"sha256": "xyz"},
        {"cursor": "x"},
        {"cursor": "WyJub3QiLCAiYSJd"},
        {"cursor": "WzEsMl0="},
        {"evidence": ""},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(filled, query):
    running, token = filled
    answer = running.client(token=token).get("/v1/history", params=query)
    assert answer.status_code == 422
    assert error_of(answer)


def test_a_verdict_that_a_retrohunt_changed_is_told_as_it_is_today(filled):
    running, token = filled
    client = running.client(token=token)
    before = client.get("/v1/history", params={"limit": 1}).json()["results"][0]
    after = before | {"label": "fake", "action": "hold"}
    row = {"record_id": before["id"], "cause": "c", "changed_at": NOW, "outcome": "changed"}
    told = {"before": json.dumps(before), "after": json.dumps(after)}
    with running.stores.database.write() as connection:
        connection.execute(verdict_changes.insert().values(row | told))
    for answer in (
        client.get(f"/v1/samples/{before['id']}/result").json(),
        client.get(f"/v1/digests/{before['sha256']}").json(),
        client.get("/v1/history", params={"limit": 1}).json()["results"][0],
    ):
        assert (answer["label"], answer["action"]) == ("fake", "hold")
