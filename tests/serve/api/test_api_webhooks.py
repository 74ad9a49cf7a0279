"""Webhooks: put down with the verdict, signed, tried again, switched off; never led inside."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from api_talk import done, error_of
from gateways import Gateway, gateway, settings_in
from receivers import receiver, silent

from assay import outbound
from assay.desk.courier import Courier
from assay.desk.stores import Stores
from assay.desk.webhooks import BACKOFF_S, GIVEN_UP, Webhooks, signature
from assay.store.keys import Keys
from assay.store.tables import deliveries
from screenings import screened

LOCAL = ("127.0.0.0/8",)
INSIDE = [
    "https://127.0.0.1/",
    "https://localhost/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://10.1.2.3/",
    "https://192.168.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://0.0.0.0/",
    "https://[fe80::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://2130706433/",
]


def is_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Check as a receiver does, from the specification alone."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(one == f"v1,{expected}" for one in headers["webhook-signature"].split(" "))


@pytest.fixture
def outbox(tmp_path):
    """The outbox without a gateway: a test carries by itself."""
    with Stores.open(settings_in(tmp_path)) as stores:
        yield Outbox(stores)


class Outbox:
    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.webhooks = Webhooks(stores.database, LOCAL)
        self.outcomes: list[str] = []

    def add(self, url: str, *events: str, key=None):
        return asyncio.run(self.webhooks.add(url, events, key=key, actor="ann"))

    def tell(self, **sample) -> None:
        with self.stores.database.write() as connection:
            self.webhooks.created(connection, screened(**sample))

    def carry(self, *, after: timedelta = timedelta(0), within_s: float = 5.0) -> None:
        """One round, `after` so long a time."""
        with self.stores.database.write() as connection:
            moved = sa.select(deliveries.c.id, deliveries.c.due_at).where(deliveries.c.due_at.is_not(None))
            for row in connection.execute(moved).all():
                mine = deliveries.c.id == row.id
                connection.execute(deliveries.update().where(mine).values(due_at=row.due_at - after))

        async def rounds():
            await Courier(self.webhooks, self.outcomes.append, within_s=within_s).round()

        asyncio.run(rounds())

    def row(self):
        with self.stores.database.read() as connection:
            return connection.execute(sa.select(deliveries)).one()


def test_the_secret_of_the_specification_signs_as_it_says():
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    body = b'{"a":1}'
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1700000000"}
    headers["webhook-signature"] = signature(secret, "msg_1", 1_700_000_000, body)
    assert is_signed(headers, body, secret)
    assert not is_signed(headers, body + b" ", secret)


def test_a_running_gateway_tells_of_a_verdict(fresh: Gateway):
    token = fresh.key("submit", "read", "webhooks")[1]
    client = fresh.client(token=token)
    with receiver() as told:
        made = client.post("/v1/webhooks", json={"url": told.url})
        assert made.status_code == 201, made.text
        secret = made.json()["secret"]
        shown = done(client, b"fake news", "secret-name.jpg")
        assert fresh.until(lambda: bool(told.got))
        done(fresh.client(), b"fake of somebody else")
        assert client.post(f"/v1/webhooks/{made.json()['id']}/test").status_code == 202
        assert fresh.until(lambda: len(told.got) == 2)
    (headers, body), (_, test) = told.got
    assert is_signed(headers, body, secret)
    assert b"secret-name" not in body
    message = json.loads(body)
    assert message["type"] == "verdict.created"
    assert (message["data"]["id"], message["data"]["label"]) == (shown["id"], "fake")
    assert json.loads(test)["type"] == "webhook.test"
    (listed,) = client.get("/v1/webhooks").json()["webhooks"]
    assert "secret" not in listed
    assert fresh.client("webhooks").get("/v1/webhooks").json() == {"webhooks": []}
    assert fresh.client("webhooks").delete(f"/v1/webhooks/{listed['id']}").status_code == 404
    assert client.delete(f"/v1/webhooks/{listed['id']}").status_code == 204
    assert client.get("/v1/webhooks").json() == {"webhooks": []}


def test_an_event_is_put_down_with_its_verdict_or_not_at_all(outbox):
    outbox.add("http://127.0.0.1:9/")

    def broken():
        with outbox.stores.database.write() as connection:
            outbox.webhooks.created(connection, screened())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert outbox.webhooks.pending() == 0
    outbox.tell()
    assert outbox.webhooks.pending() == 1


def test_a_sample_in_quarantine_is_an_event_of_its_own(outbox):
    import dataclasses

    outbox.add("http://127.0.0.1:9/", "sample.quarantined")
    outbox.tell()
    assert outbox.webhooks.pending() == 0
    with outbox.stores.database.write() as connection:
        outbox.webhooks.created(connection, dataclasses.replace(screened(), quarantine_id="q"))
    assert outbox.row().event == "sample.quarantined"


def test_a_changed_verdict_tells_what_it_was(outbox):
    outbox.add("http://127.0.0.1:9/", "verdict.changed")
    with outbox.stores.database.write() as connection:
        outbox.webhooks.changed(connection, "inbox", {"label": "inconclusive"}, {"id": "x", "label": "fake"})
    data = json.loads(outbox.row().body)["data"]
    assert (data["label"], data["before"]["label"]) == ("fake", "inconclusive")


@pytest.mark.parametrize("status", [500, 302])
def test_what_fails_is_tried_again_later_with_the_same_id(outbox, status):
    with receiver(status, 204, Location="http://127.0.0.1:9/") as told:
        outbox.add(told.url)
        outbox.tell()
        outbox.carry()
        outbox.carry()  # not due yet
        assert len(told.got) == 1
        assert outbox.row().failure == f"it answered {status}"
        outbox.carry(after=timedelta(seconds=10))
    assert outbox.outcomes == ["failed", "delivered"]
    assert len({headers["webhook-id"] for headers, _ in told.got}) == 1
    assert outbox.webhooks.pending() == 0
    assert outbox.webhooks.all()[0].failing_since is None


def test_a_receiver_that_hangs_is_cut_off(outbox):
    with silent() as port:
        outbox.add(f"http://127.0.0.1:{port}/")
        outbox.tell()
        outbox.carry(within_s=0.2)
    assert "did not answer" in outbox.row().failure
    assert outbox.outcomes == ["failed"]


def test_a_receiver_that_is_not_there_is_an_ordinary_failure(outbox):
    with silent() as port:
        pass
    outbox.add(f"http://127.0.0.1:{port}/")
    outbox.tell()
    outbox.carry()
    assert "cannot be reached" in outbox.row().failure


def test_an_event_is_given_up_after_its_attempts_and_the_webhook_after_days(outbox):
    assert 40 < sum(BACKOFF_S) / 3600 < 60
    outbox.add("http://127.0.0.1:9/")
    outbox.tell()
    now = datetime.now(UTC)
    for attempt in range(len(BACKOFF_S) + 1):
        moment = now + timedelta(hours=14 * attempt)
        (delivery,) = outbox.webhooks.due(1, moment)
        outbox.webhooks.failed(delivery, "no", moment)
        if outbox.webhooks.all()[0].disabled_at is not None:
            break
    (hook,) = outbox.webhooks.all()
    assert hook.disabled_at - hook.failing_since >= GIVEN_UP
    assert outbox.webhooks.due(1, now + timedelta(days=30)) == []
    outbox.tell()
    with outbox.stores.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(deliveries)).scalar() == 1
    outbox.webhooks.test(hook.id)
    assert outbox.webhooks.all()[0].disabled_at is None


def test_a_receiver_that_says_gone_is_told_no_more(outbox):
    with receiver(410) as told:
        outbox.add(told.url)
        outbox.tell()
        outbox.carry()
    assert outbox.webhooks.all()[0].disabled_at is not None


def test_of_two_couriers_one_carries_an_event(outbox):
    outbox.add("http://127.0.0.1:9/")
    outbox.tell()
    now = datetime.now(UTC)
    assert len(outbox.webhooks.due(5, now)) == 1
    assert outbox.webhooks.due(5, now) == []
    assert len(outbox.webhooks.due(5, now + timedelta(minutes=2))) == 1, (
        "its courier died: somebody else does"
    )


def test_a_webhook_is_told_what_its_key_sees(outbox):
    keys = Keys(outbox.stores.database)
    mine, _ = keys.create("mine", ["webhooks"], actor="ann")
    everything, _ = keys.create("all", ["webhooks", "history:all"], actor="ann")
    outbox.add("http://127.0.0.1:9/", key=mine)
    outbox.tell(source="inbox")
    assert outbox.webhooks.pending() == 0
    outbox.tell(source=mine.source)
    assert outbox.webhooks.pending() == 1
    outbox.add("http://127.0.0.1:9/", key=everything)
    outbox.tell(source="inbox")
    assert outbox.webhooks.pending() == 2
    keys.revoke(mine.id, actor="ann", reason="over")
    assert [hook.key_id for hook in outbox.webhooks.all()] == [everything.id]


def test_what_is_forgotten_is_not_told_of(outbox):
    outbox.add("http://127.0.0.1:9/")
    outbox.tell()
    with outbox.stores.database.write() as connection:
        assert outbox.webhooks.forget(connection, [outbox.row().sample_id]) == 1


def test_an_address_inside_is_refused(outbox):
    outbox.webhooks.inside = ()
    for url in INSIDE:
        with pytest.raises(outbound.Inside, match="inside"):
            outbox.add(url)
    assert outbox.webhooks.all() == []


def test_a_name_that_moves_inside_later_is_not_followed(outbox, monkeypatch):
    outbox.add("http://127.0.0.1:9/")
    outbox.webhooks.inside = ()
    outbox.tell()
    outbox.carry()
    assert "inside" in outbox.row().failure


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"url": "ftp://example.org/"}, "not_an_address"),
        ({"url": "https://user:pass@example.org/"}, "not_an_address"),
        ({"url": "https://"}, "not_an_address"),
        ({"url": "https://example.org:99999/"}, "not_an_address"),
        ({"url": "https://exa mple.org/"}, "not_an_address"),
        ({"url": "https://[::1"}, "not_an_address"),
        ({"url": "https://10.0.0.1/"}, "inside"),
        ({"url": "http://127.0.0.1:9/", "events": ["verdict.unmade"]}, "not_an_event"),
        ({"url": "http://127.0.0.1:9/", "more": 1}, "invalid"),
        ({}, "invalid"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(gate: Gateway, wanted, code):
    answer = gate.client("webhooks").post("/v1/webhooks", json=wanted)
    assert error_of(answer) == code
    assert answer.status_code == 422


def test_a_key_has_so_many_webhooks_and_no_more(tmp_path):
    with gateway(tmp_path) as running:
        client = running.client("webhooks")
        codes = [
            client.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"}).status_code for _ in range(11)
        ]
    assert codes == [201] * 10 + [409]
