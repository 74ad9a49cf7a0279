"""Reality Defender's own client, unchanged, pointed at the gateway."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gateways import Gateway
from realitydefender import RealityDefender
from realitydefender.errors import RealityDefenderError

from assay.serve.compat.realitydefender import _model
from assay.store.feedback import Feedback
from assay.store.keys import Keys
from assay.types import sha256_of

SCOPES = ("submit", "read", "feedback")


@pytest.fixture
def sample(tmp_path) -> Path:
    path = tmp_path / "portrait.jpg"
    path.write_bytes(b"fake" + b"x" * 5000)
    return path


def talk(gate: Gateway, conversation, token: str | None = None):
    """Run one conversation with the client inside of a loop of its own."""

    async def run():
        client = RealityDefender(token or gate.key(*SCOPES)[1], base_url=gate.url)
        try:
            return await conversation(client)
        finally:
            await client.cleanup()

    return asyncio.run(run())


async def result_of(client: RealityDefender, path: Path) -> tuple[str, dict]:
    uploaded = await client.upload(str(path))
    return uploaded["request_id"], await client.get_result(uploaded["request_id"], polling_interval=100)


def test_an_upload_is_polled_to_its_verdict(gate: Gateway, sample):
    async def conversation(client):
        request_id, result = await result_of(client, sample)
        assert result["request_id"] == request_id
        assert result["status"] == "MANIPULATED"
        assert result["score"] == pytest.approx(0.982, abs=0.001)
        (model,) = result["models"]
        assert (model["name"], model["status"]) == ("jpeg_grid", "MANIPULATED")
        assert 0.9 < model["score"] < 1
        return result

    talk(gate, conversation)


def test_a_heat_map_opens_at_the_address_that_the_client_gives(gate: Gateway, sample):
    async def conversation(client):
        return (await result_of(client, sample))[1]

    key, token = gate.key(*SCOPES)
    (address,) = talk(gate, conversation, token)["heatmaps"].values()
    browser = gate.anybody()
    answer = browser.get(address)
    assert answer.content.startswith(b"\x89PNG")
    assert browser.get(address.replace("heat_jpeg_grid", "heat_other")).status_code == 403
    assert browser.get(address[:-1] + ("0" if address[-1] != "0" else "1")).status_code == 403
    Keys(gate.stores.database).revoke(key.id, actor="ann", reason="over")
    assert browser.get(address).status_code == 404


def test_nothing_found_is_not_called_authentic(gate: Gateway, sample):
    sample.write_bytes(b"nothing here")

    async def conversation(client):
        _, result = await result_of(client, sample)
        assert result["status"] == "UNABLE_TO_EVALUATE"
        assert result["heatmaps"] is None

    talk(gate, conversation)


def test_events_of_the_client_arrive(gate: Gateway, sample):
    async def conversation(client):
        heard = []
        client.on("result", heard.append)
        client.on("error", heard.append)
        uploaded = await client.upload(str(sample))
        await client.poll_for_results(uploaded["request_id"], polling_interval=100, timeout=20_000)
        assert [h["status"] for h in heard] == ["MANIPULATED"]

    talk(gate, conversation)


def test_results_are_listed_in_pages_and_by_name_and_day(gate: Gateway, tmp_path):
    async def conversation(client):
        ids = []
        for n in range(3):
            path = tmp_path / f"picture{n}.png"
            path.write_bytes(b"fake %d" % n)
            ids.append((await result_of(client, path))[0])
        first = await client.get_results(0, 2)
        second = await client.get_results(1, 2)
        assert (first["total_items"], first["total_pages"], first["current_page_items_count"]) == (3, 2, 2)
        assert [i["request_id"] for i in [*first["items"], *second["items"]]] == ids[::-1]
        named = await client.get_results(name="picture1")
        assert [i["request_id"] for i in named["items"]] == [ids[1]]
        today = datetime.now(UTC).date()
        within = await client.get_results(start_date=today - timedelta(days=1), end_date=today)
        assert within["total_items"] == 3
        before = await client.get_results(end_date=today - timedelta(days=2))
        assert before["total_items"] == 0

    talk(gate, conversation)


def test_feedback_becomes_a_note(gate: Gateway, sample):
    async def conversation(client):
        request_id, _ = await result_of(client, sample)
        said = await client.create_user_feedback(request_id, "REAL", "FALSE_POSITIVE", comment="I was there")
        assert (said["requestId"], said["label"], said["category"]) == (request_id, "REAL", "FALSE_POSITIVE")
        await client.create_user_feedback(request_id, "UNKNOWN", "OTHER")
        with pytest.raises(RealityDefenderError):
            await client.create_user_feedback("nothing", "REAL", "OTHER")

    talk(gate, conversation)
    notes = Feedback(gate.stores.database).notes(sha256_of(sample.read_bytes()))
    assert [(n.said, n.text) for n in notes] == [
        ("bona_fide", "FALSE_POSITIVE: I was there"),
        ("unknown", "OTHER"),
    ]


def test_its_synchronous_calls_work_too(gate: Gateway, sample):
    client = RealityDefender(gate.key(*SCOPES)[1], base_url=gate.url)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        uploaded = client.upload_sync(str(sample))
        result = client.get_result_sync(uploaded["request_id"], polling_interval=100)
        assert result["status"] == "MANIPULATED"
        assert client.get_results_sync()["total_items"] == 1
    finally:
        client.cleanup_sync()
        asyncio.set_event_loop(None)
        loop.close()


def test_a_wrong_key_and_a_social_link_are_refused_in_words_that_it_understands(gate: Gateway, sample):
    async def wrong(client):
        with pytest.raises(RealityDefenderError) as refusal:
            await client.upload(str(sample))
        assert refusal.value.code == "unauthorized"

    async def social(client):
        with pytest.raises(RealityDefenderError, match="does not fetch links") as refusal:
            await client.upload_social_media("https://example.org/clip")
        assert refusal.value.code == "invalid_request"

    talk(gate, wrong, "assay_wrong")
    talk(gate, social)


def test_what_is_another_keys_is_not_found(gate: Gateway, sample):
    async def mine(client):
        return (await result_of(client, sample))[0]

    request_id = talk(gate, mine)

    async def theirs(client):
        with pytest.raises(RealityDefenderError) as refusal:
            await client.get_result(request_id, max_attempts=1)
        assert refusal.value.code == "not_found"
        assert (await client.get_results())["total_items"] == 0

    talk(gate, theirs)


def test_a_promised_address_works_once_and_cannot_be_made_up(gate: Gateway):
    client = gate.client()
    promise = client.post("/api/files/aws-presigned", data={"fileName": "../../a.jpg"}).json()
    address = promise["response"]["signedUrl"]
    sender = gate.anybody()
    assert client.get(f"/api/media/users/{promise['requestId']}").status_code == 404
    assert sender.put(address.replace("expires=1", "expires=2"), content=b"fake").status_code == 403
    assert sender.put(address, content=b"").status_code == 422
    assert sender.put(address, content=b"fake").status_code == 200
    assert sender.put(address, content=b"fake").status_code == 409
    answer = client.get(f"/api/media/users/{promise['requestId']}").json()
    assert answer["requestId"] == promise["requestId"]


@pytest.mark.parametrize(
    ("llr", "label", "status"),
    [
        (3.0, "fake", "FAKE"),
        (0.0, "inconclusive", "UNABLE_TO_EVALUATE"),
        (-3.0, "inconclusive", "UNABLE_TO_EVALUATE"),
        (-3.0, "bona_fide", "AUTHENTIC"),
        (None, "fake", "UNABLE_TO_EVALUATE"),
        (1e9, "fake", "FAKE"),
    ],
)
def test_a_model_takes_a_side_only_where_its_evidence_does(llr, label, status):
    evidence = {"detector": "d", "outcome": "scored", "llr": llr}
    assert _model(evidence, {"label": label, "prior": 0.5})["status"] == status
