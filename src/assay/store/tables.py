"""The tables, the same for SQLite and PostgreSQL; the migrations build them, a test keeps both equal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

REVISION = "0005"  # the newest migration; a database with a higher number belongs to a newer program


class Moment(TypeDecorator[datetime]):
    """A time in UTC. SQLite stores no zone, so every value is brought to UTC before and marked as such after."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

records = Table(
    "records",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("path", Text, nullable=False),  # readable; the exact bytes are in the document
    Column("source", Text, nullable=False, index=True),
    Column("media_type", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("label", String(16)),
    Column("llr", Float),
    Column("action", String(16)),
    Column("screened_at", Moment, nullable=False, index=True),
    Column("parent_id", String(64), index=True),
    Column("quarantine_id", String(64), index=True),
    Column("quality", Integer),  # of a JPEG, estimated: calibration needs it beside the findings
    Column("assay_version", Text, nullable=False),
    Column("calibration", Text),
    Column("policy_digest", Text),
    Column("document", Text, nullable=False),  # the line of the JSON contract
)

findings = Table(
    "findings",
    metadata,
    Column("record_id", ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("detector", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("family", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("score", Float),
    Column("llr", Float),
    Column("codes", Text, nullable=False),  # of the reasons, each between blanks: " a b "
    Index(None, "detector", "score"),
)

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("record_id", ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("position", Integer, primary_key=True),  # several of one kind: frames, windows
    Column("value", LargeBinary, nullable=False),
    Index(None, "kind", "value"),
)

jobs = Table(  # samples that were admitted and wait for their verdict, or got it lately
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),  # of the sample, and of the record that it becomes
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("declared_type", Text),
    Column("source", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("submitted_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("attempts", Integer, nullable=False),
    Column("executor", Text),
    Column("fence", Integer, nullable=False),  # rises with every claim: who holds an older one writes nothing
    Column(
        "leased_until", Moment
    ),  # running: until then nobody else takes it; queued: not yet to be queued again
    Index(None, "state", "leased_until"),
    Index(None, "state", "priority", "submitted_at"),
)

api_keys = Table(  # who may use the gateway's HTTP API; the token itself is stored nowhere
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),  # the public part of the token, behind "assay_"
    Column(
        "digest", String(64), nullable=False
    ),  # SHA-256 of the whole token: 256 random bits need no slow hash
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # blanks between them
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("used_at", Moment),  # last, to the minute
    Column("per_minute", Integer),  # requests; null: as configured
    Column("per_day", Integer),  # samples; null: as configured
)

key_usage = Table(
    "key_usage",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("day", String(10), primary_key=True),  # UTC
    Column("samples", Integer, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key_id", String(16), index=True),  # whose samples it tells of; null: of all
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),  # both sides must have it to sign
    Column("events", Text, nullable=False),  # blanks between them
    Column("created_at", Moment, nullable=False),
    Column("failing_since", Moment),
    Column("disabled_at", Moment),
)

deliveries = Table(  # the outbox: a row is written in the transaction that records its verdict
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),  # the header webhook-id: receivers drop what they know
    Column("webhook_id", ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("sample_id", String(64), nullable=False, index=True),
    Column("event", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment, index=True),  # null: over, one way or the other
    Column("attempts", Integer, nullable=False),
    Column("delivered_at", Moment),
    Column("failure", Text, nullable=False),
)

uploads = Table(  # ids that were promised to a client before its bytes came (Reality Defender's way)
    "uploads",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("name", Text, nullable=False),  # emptied as soon as the sample is there
    Column("created_at", Moment, nullable=False),
    Column("job_id", String(64), index=True),
)

secrets = Table(  # what the gateway signs its own addresses with
    "secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

known_digests = Table(
    "known_digests",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("standing", String(16), nullable=False),  # known_fake | known_original
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("added_at", Moment, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("label", String(32), nullable=False),  # fake | bona_fide, said by a person
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("labelled_at", Moment, nullable=False),
    Column("chosen", String(16)),  # how it came before a reviewer: quarantine, review; null: not kept then
    Column("share", Float),  # of such samples that are offered: 1 over it is what a label stands for
    Column("used_in", Text),  # the calibration that it went into; null: pending
)

reviews = Table(  # delivered samples that were drawn at random for somebody to look at
    "reviews",
    metadata,
    Column("record_id", ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    Column("share", Float, nullable=False),  # of delivered samples that was drawn then
    Column("offered_at", Moment, nullable=False),
    Column("answered_at", Moment),
)

notes = Table(  # what clients said of a verdict: no label, since anybody can say anything
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("said", String(32), nullable=False),
    Column("client", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("noted_at", Moment, nullable=False),
)

signatures = Table(  # those of this installation and of imported lists; those of packs lie in their files
    "signatures",
    metadata,
    Column("list", String(64), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("about", String(16), nullable=False),
    Column("format", String(32), nullable=False),
    Column("state", String(16), nullable=False),  # active | shadow | suspended | withdrawn
    Column("actor", Text, nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("line", Text, nullable=False),  # its canonical text
)

signature_matches = Table(  # of any list, packs too
    "signature_matches",
    metadata,
    Column("list", String(64), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("matches", BigInteger, nullable=False),
    Column("since", Moment, nullable=False),
    Column("suspended_at", Moment),  # it matched too much
)

signature_changes = Table(  # every change of what is in force: the newest serial names the edition
    "signature_changes",
    metadata,
    Column("serial", Integer, primary_key=True),
    Column("changed_at", Moment, nullable=False),
    Column("list", String(64), nullable=False),
    Column("what", Text, nullable=False),
)

packs = Table(
    "packs",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("serial", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),  # of its header
    Column("key", String(16), nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("installed_at", Moment, nullable=False),
    Column("count", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # active | shadow | suspended
    Column("url", Text, nullable=False),  # where newer issues are pulled from, or empty
    Column("refused", BigInteger, nullable=False),  # no serial up to this one is installed again
)

verdict_changes = Table(  # what a retrohunt found: once for each record and cause
    "verdict_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("record_id", ForeignKey("records.id", ondelete="CASCADE"), nullable=False),
    Column("cause", String(64), nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("outcome", String(32), nullable=False),  # changed | needs_identity | needs_sample
    Column("before", Text, nullable=False),  # lines of the JSON contract
    Column("after", Text, nullable=False),
    Index(None, "record_id", "cause", unique=True),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),  # RFC 3339 with microseconds: the very text that was hashed
    Column("actor", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

audit_start = Table(  # where the chain begins after retention cut off its oldest part
    "audit_start",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
)

chores = Table(  # when a periodic job last ran
    "chores",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("done_at", Moment, nullable=False),
)


def storable(text: str) -> str:
    """Text that every database accepts: bytes that were not UTF-8 and NUL spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
