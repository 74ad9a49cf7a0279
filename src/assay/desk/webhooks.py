"""Webhooks: who wants to be told of verdicts, and an outbox that is written together with them.

An event is put down in the transaction that records its verdict, so that none is lost and none told of that is not
recorded. Delivery is at least once, signed by the convention of Standard Webhooks (headers webhook-id,
webhook-timestamp, webhook-signature), tried again for about two days, and ends with the webhook switched off when it
failed for five.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from assay import outbound
from assay.errors import StoreError
from assay.report.contract import flatten, rfc3339, to_json
from assay.store.audit import Audit
from assay.store.keys import Key
from assay.store.tables import api_keys, deliveries, storable, webhooks

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from assay.store.database import Database
    from assay.types import JSON, Screening

log = logging.getLogger(__name__)

CREATED = "verdict.created"
CHANGED = "verdict.changed"
QUARANTINED = "sample.quarantined"
TEST = "webhook.test"
EVENTS = (CREATED, CHANGED, QUARANTINED)
MOST_OF_A_KEY = 10
BACKOFF_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 36000, 43200, 43200)  # about 50 hours in all
GIVEN_UP = timedelta(days=5)
LEASE = timedelta(seconds=60)  # of one attempt; whoever died in it is tried again after that
KEPT = timedelta(days=7)  # attempts end before that
# What a receiver is told of a sample: no name, no address, nothing of its content.
TOLD = (
    *(
        "id",
        "parent_id",
        "sha256",
        "size",
        "media_type",
        "status",
        "label",
        "why",
        "summary",
        "probability",
        "prior",
    ),
    *(
        "llr",
        "threshold",
        "kinds",
        "disclosed",
        "action",
        "rule",
        "quarantine_id",
        "screened_at",
        "assay_version",
    ),
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that is told of events; its secret only where it is made or used."""

    id: str
    key_id: str | None  # whose samples it is told of; None: of all
    url: str
    events: tuple[str, ...]
    created_at: datetime
    failing_since: datetime | None = None
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one address."""

    id: str
    url: str
    secret: str
    body: bytes
    attempts: int
    webhook_id: str


class Webhooks:
    """The webhooks and the outbox of one database."""

    def __init__(self, database: Database, inside: tuple[str, ...] = ()) -> None:
        self.database = database
        self.inside = inside  # networks that they may lead into
        self.wake: Callable[[], None] = lambda: None  # called when something new is due; from any thread

    async def add(
        self, url: str, events: Iterable[str], *, key: Key | None, actor: str
    ) -> tuple[Webhook, str]:
        """Add a webhook; returns it and its secret, which is shown this once.

        Raises
        ------
        AssayError
            ``not_an_address``, ``inside``, ``not_an_event``, ``exists`` where a key has too many.
        """
        wanted = tuple(dict.fromkeys(events)) or EVENTS
        if unknown := [event for event in wanted if event not in EVENTS]:
            raise StoreError(
                f"{unknown[0]} is not an event", code="not_an_event", hint=f"choose from {', '.join(EVENTS)}"
            )
        outbound.parsed(url)
        try:
            await outbound.resolved(url, self.inside)
        except outbound.Unreachable as e:
            log.info("a webhook's name is not known yet: %s", e)
        hook = Webhook("wh_" + secrets.token_hex(8), key.id if key else None, url, wanted, datetime.now(UTC))
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        with self.database.write() as connection:
            mine = sa.select(sa.func.count()).select_from(webhooks).where(webhooks.c.key_id == hook.key_id)
            if hook.key_id is not None and connection.execute(mine).scalar_one() >= MOST_OF_A_KEY:
                raise StoreError("this key has too many webhooks", code="exists", hint="remove one first")
            connection.execute(
                webhooks.insert().values(
                    id=hook.id,
                    key_id=hook.key_id,
                    url=url,
                    secret=secret,
                    events=" ".join(wanted),
                    created_at=hook.created_at,
                )
            )
            Audit.append(connection, actor, "webhook_add", hook.id, " ".join(wanted))
        return hook, secret

    def all(self, key_id: str | None = None) -> list[Webhook]:
        """Return the webhooks of a key, or all."""
        query = sa.select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id)
        if key_id is not None:
            query = query.where(webhooks.c.key_id == key_id)
        with self.database.read() as connection:
            return [_webhook(row) for row in connection.execute(query)]

    def remove(self, webhook_id: str, *, actor: str, key_id: str | None = None) -> bool:
        """Remove a webhook and what it was still to be told; False if there is none (of that key)."""
        mine = webhooks.c.id == webhook_id
        if key_id is not None:
            mine &= webhooks.c.key_id == key_id
        with self.database.write() as connection:
            removed = connection.execute(webhooks.delete().where(mine)).rowcount > 0
            if removed:
                Audit.append(connection, actor, "webhook_remove", webhook_id)
        return removed

    def test(self, webhook_id: str) -> None:
        """Queue a test event; a webhook that was switched off is switched on again by it.

        Raises
        ------
        StoreError
            If there is no such webhook.
        """
        with self.database.write() as connection:
            mine = webhooks.c.id == webhook_id
            found = connection.execute(
                webhooks.update().where(mine).values(disabled_at=None, failing_since=None)
            ).rowcount
            if not found:
                raise StoreError(f"there is no webhook {webhook_id}", code="not_found")
            _put_down(connection, webhook_id, TEST, "", {"webhook": webhook_id})
        self.wake()

    # The outbox ------------------------------------------------------------------------------------------------------

    def created(self, connection: Connection, screening: Screening) -> None:
        """Put down that a verdict was recorded, inside of the transaction that records it."""
        for one in flatten(screening):
            self._tell(connection, CREATED, one.sample.source, to_json(one))
            if one.quarantine_id is not None:
                self._tell(connection, QUARANTINED, one.sample.source, to_json(one))
        self.wake()

    def changed(self, connection: Connection, source: str, before: JSON, after: JSON) -> None:
        """Put down that a stored verdict is another one now: both are lines of the JSON contract."""
        was = {name: before.get(name) for name in ("label", "why", "action", "llr", "probability")}
        self._tell(connection, CHANGED, source, after, {"before": was})
        self.wake()

    def _tell(
        self, connection: Connection, event: str, source: str, document: JSON, more: JSON | None = None
    ) -> None:
        told = {name: document.get(name) for name in TOLD} | (more or {})
        for row in connection.execute(_subscribed()).all():
            if event in row.events.split() and _concerns(row, source):
                _put_down(connection, row.id, event, str(document["id"]), told)

    # Deliveries ------------------------------------------------------------------------------------------------------

    def due(self, most: int, now: datetime | None = None) -> list[Delivery]:
        """Take what is due; each is leased for a minute, so that of several processes one sends it."""
        moment = now or datetime.now(UTC)
        query = (
            sa.select(deliveries, webhooks.c.url, webhooks.c.secret)
            .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
            .where(deliveries.c.due_at <= moment, webhooks.c.disabled_at.is_(None))
            .order_by(deliveries.c.due_at)
            .limit(most)
        )
        with self.database.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return []  # the usual case takes no lock
        with self.database.write() as connection:
            rows = connection.execute(query).all()
            ids = [row.id for row in rows]
            connection.execute(
                deliveries.update().where(deliveries.c.id.in_(ids)).values(due_at=moment + LEASE)
            )
        return [Delivery(r.id, r.url, r.secret, r.body.encode(), r.attempts, r.webhook_id) for r in rows]

    def delivered(self, delivery: Delivery, now: datetime | None = None) -> None:
        moment = now or datetime.now(UTC)
        with self.database.write() as connection:
            connection.execute(
                deliveries.update()
                .where(deliveries.c.id == delivery.id)
                .values(due_at=None, delivered_at=moment, attempts=delivery.attempts + 1, failure="")
            )
            connection.execute(
                webhooks.update().where(webhooks.c.id == delivery.webhook_id).values(failing_since=None)
            )

    def failed(
        self, delivery: Delivery, why: str, now: datetime | None = None, *, gone: bool = False
    ) -> None:
        """Note a failure: the next attempt, the end of them, or the end of the webhook."""
        moment = now or datetime.now(UTC)
        wait_s = BACKOFF_S[delivery.attempts] if delivery.attempts < len(BACKOFF_S) else None
        jittered = (
            None
            if wait_s is None
            else moment + timedelta(seconds=wait_s * (1 + secrets.randbelow(200) / 1000))
        )
        mine = webhooks.c.id == delivery.webhook_id
        with self.database.write() as connection:
            connection.execute(
                deliveries.update()
                .where(deliveries.c.id == delivery.id)
                .values(due_at=jittered, attempts=delivery.attempts + 1, failure=storable(why)[:200])
            )
            row = connection.execute(sa.select(webhooks).where(mine)).one_or_none()
            if row is None:
                return
            since = row.failing_since or moment
            is_over = gone or moment - since >= GIVEN_UP
            connection.execute(
                webhooks.update()
                .where(mine)
                .values(failing_since=since, disabled_at=moment if is_over else row.disabled_at)
            )
        if is_over:
            log.warning("webhook %s is switched off: %s", delivery.webhook_id, why)

    def pending(self) -> int:
        """Count what is still to be delivered."""
        query = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.due_at.is_not(None))
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def expire(self, now: datetime | None = None) -> None:
        """Remove what is older than a week: it was delivered or given up by then, or its webhook is switched off."""
        with self.database.write() as connection:
            old = deliveries.c.created_at < (now or datetime.now(UTC)) - KEPT
            connection.execute(deliveries.delete().where(old))

    @staticmethod
    def forget(connection: Connection, sample_ids: Iterable[str]) -> int:
        """Remove what was or is to be told of these samples."""
        wanted = list(sample_ids)
        removed = 0
        for start in range(0, len(wanted), 500):
            mine = deliveries.c.sample_id.in_(wanted[start : start + 500])
            removed += connection.execute(deliveries.delete().where(mine)).rowcount
        return removed


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign as Standard Webhooks has it: HMAC-SHA256 over ``id.timestamp.body``.

    Examples
    --------
    >>> signature("whsec_AAAA", "msg_1", 1, b"{}")
    'v1,6Ko/QKOGwIwQMmvhxnPVtMLHS3tzaVbLi/lNSUrdgRQ='
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _subscribed() -> sa.Select[Any]:
    return (
        sa.select(webhooks, api_keys.c.scopes, api_keys.c.revoked_at, api_keys.c.expires_at)
        .outerjoin(api_keys, api_keys.c.id == webhooks.c.key_id)
        .where(webhooks.c.disabled_at.is_(None))
    )


def _concerns(row: Row[Any], source: str) -> bool:
    """Is a webhook told of samples from this source? As far as its key sees them, and as long as that is active."""
    if row.key_id is None:
        return True
    if row.scopes is None or row.revoked_at is not None:
        return False
    if row.expires_at is not None and row.expires_at <= datetime.now(UTC):
        return False
    scopes = row.scopes.split()
    return source == f"key:{row.key_id}" or "history:all" in scopes or "admin" in scopes


def _put_down(connection: Connection, webhook_id: str, event: str, sample_id: str, data: JSON) -> None:
    moment = datetime.now(UTC)
    body = {"type": event, "timestamp": rfc3339(moment), "data": data}
    connection.execute(
        deliveries.insert().values(
            id="msg_" + secrets.token_hex(16),
            webhook_id=webhook_id,
            sample_id=sample_id,
            event=event,
            body=json.dumps(body, ensure_ascii=True, allow_nan=False, separators=(",", ":")),
            created_at=moment,
            due_at=moment,
            attempts=0,
            failure="",
        )
    )


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        row.id,
        row.key_id,
        row.url,
        tuple(row.events.split()),
        row.created_at,
        row.failing_since,
        row.disabled_at,
    )
