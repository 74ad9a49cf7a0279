"""The first schema. A migration is history: it spells its tables out and is never edited once released."""

# ruff: noqa: INP001 - Alembic runs this file by its path
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
START = "(SELECT coalesce(max(seq), 0) FROM audit_start)"
REFUSALS = {
    "update": "1",
    "delete": f"OLD.seq > {START}",  # retention moves the start first, inside of its own transaction
    "insert": f"NEW.seq <= max({START}, (SELECT coalesce(max(seq), 0) FROM audit))",  # noqa: S608 - constants; against INSERT OR REPLACE
}


def upgrade() -> None:
    _records()
    _evidence()
    _people()
    _audit()


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("label", sa.String(16)),
        sa.Column("llr", sa.Float()),
        sa.Column("action", sa.String(16)),
        sa.Column("screened_at", TIME, nullable=False),
        sa.Column("parent_id", sa.String(64)),
        sa.Column("quarantine_id", sa.String(64)),
        sa.Column("quality", sa.Integer()),
        sa.Column("assay_version", sa.Text(), nullable=False),
        sa.Column("calibration", sa.Text()),
        sa.Column("policy_digest", sa.Text()),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_records"),
    )
    for column in ("sha256", "source", "screened_at", "parent_id", "quarantine_id"):
        op.create_index(f"ix_records_{column}", "records", [column])


def _evidence() -> None:
    op.create_table(
        "findings",
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("detector", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("score", sa.Float()),
        sa.Column("llr", sa.Float()),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "position", name="pk_findings"),
        sa.ForeignKeyConstraint(
            ["record_id"], ["records.id"], name="fk_findings_record_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_findings_detector_score", "findings", ["detector", "score"])
    op.create_table(
        "fingerprints",
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "kind", "position", name="pk_fingerprints"),
        sa.ForeignKeyConstraint(
            ["record_id"], ["records.id"], name="fk_fingerprints_record_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_fingerprints_kind_value", "fingerprints", ["kind", "value"])


def _people() -> None:
    op.create_table(
        "known_digests",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_known_digests"),
    )
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("label", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("labelled_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
    )
    op.create_index("ix_labels_sha256", "labels", ["sha256"])
    op.create_table(
        "chores",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("done_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_chores"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_table(
        "audit_start",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_start"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for verb, condition in REFUSALS.items():
            op.execute(
                f"CREATE TRIGGER audit_no_{verb} BEFORE {verb.upper()} ON audit WHEN {condition} "
                "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
