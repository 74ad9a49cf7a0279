"""Keys of the HTTP API: who may ask, for what, how often.

A token is ``assay_ID_SECRET`` and shown once. Stored is the SHA-256 of it: with 256 random bits in it there is nothing to
guess, so a slow hash would only cost time.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from assay.errors import StoreError
from assay.store.audit import Audit
from assay.store.tables import api_keys, key_usage, storable, uploads, webhooks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Row

    from assay.store.database import Database

SCOPES = {
    "submit": "hand in samples",
    "read": "read verdicts, pictures and the history of its own samples",
    "history:all": "read those of everybody",
    "feedback": "say what a sample really is",
    "webhooks": "be told of verdicts at an address of its own",
    "metrics": "read /metrics",
    "admin": "everything",
}
USUAL = ("submit", "read")
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
TOKEN = re.compile(r"assay_([a-z2-7]{8})_([A-Za-z0-9_-]{43})")
NOTED_EVERY = timedelta(minutes=1)
USAGE_KEPT = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without its secret."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    per_minute: int | None = None  # None: as configured
    per_day: int | None = None

    @property
    def prefix(self) -> str:
        """What people may see of the token."""
        return f"assay_{self.id}"

    @property
    def source(self) -> str:
        """The source of its samples."""
        return f"key:{self.id}"

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def standing(self, now: datetime) -> str:
        """Tell whether it is ``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class Keys:
    """The keys of one database; what they are asked is asked anew each time, so that a revocation counts at once."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        actor: str,
        expires_at: datetime | None = None,
        per_minute: int | None = None,
        per_day: int | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it and its token, which nobody can show again.

        Raises
        ------
        StoreError
            If a scope is not known.
        """
        wanted = frozenset(scopes)
        if unknown := sorted(wanted - SCOPES.keys()):
            raise StoreError(
                f"{unknown[0]} is not a scope", code="not_a_scope", hint=f"choose from {', '.join(SCOPES)}"
            )
        identity = "".join(secrets.choice(LETTERS) for _ in range(8))
        token = f"assay_{identity}_{secrets.token_urlsafe(32)}"
        key = Key(
            identity,
            storable(name),
            wanted,
            datetime.now(UTC),
            expires_at,
            per_minute=per_minute,
            per_day=per_day,
        )
        row = {
            "id": key.id,
            "digest": _digest(token),
            "name": key.name,
            "scopes": " ".join(sorted(wanted)),
            "created_at": key.created_at,
            "expires_at": expires_at,
            "per_minute": per_minute,
            "per_day": per_day,
        }
        with self.database.write() as connection:
            connection.execute(api_keys.insert().values(row))
            Audit.append(connection, actor, "key_create", key.prefix, " ".join(sorted(wanted)))
        return key, token

    def all(self) -> list[Key]:
        """Return all keys, the newest last; revoked ones too, since samples and audit name them."""
        query = sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        with self.database.read() as connection:
            return [_key(row) for row in connection.execute(query)]

    def revoke(self, prefix: str, *, actor: str, reason: str) -> Key:
        """Revoke the one active key whose id or prefix begins so, with its webhooks and promised uploads.

        Raises
        ------
        StoreError
            If there is none, or more than one.
        """
        start = prefix.strip().removeprefix("assay_").partition("_")[0]
        wanted = api_keys.c.id.startswith(start, autoescape=True) & api_keys.c.revoked_at.is_(None)
        with self.database.write() as connection:
            found = connection.execute(sa.select(api_keys).where(wanted).limit(2)).all()
            if len(found) != 1 or not start:
                raise StoreError(
                    f"{'more than one key begins' if len(found) > 1 else 'no active key begins'} with {prefix}",
                    code="ambiguous" if len(found) > 1 else "not_found",
                    hint="`assay keys list` shows them",
                )
            key = _key(found[0])
            now = datetime.now(UTC)
            connection.execute(api_keys.update().where(api_keys.c.id == key.id).values(revoked_at=now))
            connection.execute(webhooks.delete().where(webhooks.c.key_id == key.id))
            connection.execute(
                uploads.delete().where((uploads.c.key_id == key.id) & uploads.c.job_id.is_(None))
            )
            Audit.append(connection, actor, "key_revoke", key.prefix, reason)
        return key

    def check(self, token: str, now: datetime | None = None) -> Key | None:
        """Return the active key that has this token."""
        moment = now or datetime.now(UTC)
        match = TOKEN.fullmatch(token)
        query = sa.select(api_keys).where(api_keys.c.id == (match[1] if match else ""))
        with self.database.read() as connection:
            row = connection.execute(query).one_or_none()
        digest = row.digest if row is not None else "0" * 64
        is_right = hmac.compare_digest(digest, _digest(token))
        if row is None or not is_right:
            return None
        key = _key(row)
        if key.standing(moment) != "active":
            return None
        if key.used_at is None or not timedelta(0) <= moment - key.used_at < NOTED_EVERY:
            self._note_use(key.id, moment)
        return key

    def active(self, key_id: str, now: datetime | None = None) -> Key | None:
        """Return a key by its id, if it may still be used."""
        query = sa.select(api_keys).where(api_keys.c.id == key_id)
        with self.database.read() as connection:
            row = connection.execute(query).one_or_none()
        key = _key(row) if row is not None else None
        return key if key is not None and key.standing(now or datetime.now(UTC)) == "active" else None

    def spend(self, key_id: str, most: int, now: datetime | None = None) -> bool:
        """Count one sample of today; False, and nothing is counted, if `most` are spent."""
        moment = now or datetime.now(UTC)
        day = moment.strftime("%Y-%m-%d")
        mine = (key_usage.c.key_id == key_id) & (key_usage.c.day == day)
        with self.database.write() as connection:
            spent = connection.execute(sa.select(key_usage.c.samples).where(mine)).scalar()
            if (spent or 0) >= most:
                return False
            if spent is None:
                old = (moment - USAGE_KEPT).strftime("%Y-%m-%d")
                connection.execute(key_usage.delete().where(key_usage.c.day < old))
                connection.execute(key_usage.insert().values(key_id=key_id, day=day, samples=1))
            else:
                connection.execute(key_usage.update().where(mine).values(samples=spent + 1))
        return True

    def _note_use(self, key_id: str, moment: datetime) -> None:
        with (
            contextlib.suppress(StoreError),
            self.database.write() as connection,
        ):  # nobody is turned away for it
            connection.execute(api_keys.update().where(api_keys.c.id == key_id).values(used_at=moment))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: Row[Any]) -> Key:
    return Key(
        row.id,
        row.name,
        frozenset(row.scopes.split()),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.used_at,
        row.per_minute,
        row.per_day,
    )
