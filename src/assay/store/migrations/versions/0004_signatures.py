"""Signatures and packs, what they matched, verdicts that changed, what reviewers and clients said."""

# ruff: noqa: INP001 - Alembic runs this file by its path
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _signatures()
    _packs()
    _changes()
    _feedback()


def _signatures() -> None:
    op.create_table(
        "signatures",
        sa.Column("list", sa.String(64), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("about", sa.String(16), nullable=False),
        sa.Column("format", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("list", "id", name="pk_signatures"),
    )
    op.create_table(
        "signature_matches",
        sa.Column("list", sa.String(64), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("matches", sa.BigInteger(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("suspended_at", TIME),
        sa.PrimaryKeyConstraint("list", "id", name="pk_signature_matches"),
    )
    op.create_table(
        "signature_changes",
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("list", sa.String(64), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_signature_changes"),
    )


def _packs() -> None:
    op.create_table(
        "packs",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("key", sa.String(16), nullable=False),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("installed_at", TIME, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_packs"),
    )


def _changes() -> None:
    op.create_table(
        "verdict_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("cause", sa.String(64), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verdict_changes"),
        sa.ForeignKeyConstraint(
            ["record_id"], ["records.id"], name="fk_verdict_changes_record_id", ondelete="CASCADE"
        ),
    )
    op.create_index(
        "ix_verdict_changes_record_id_cause", "verdict_changes", ["record_id", "cause"], unique=True
    )


def _feedback() -> None:
    op.add_column("labels", sa.Column("chosen", sa.String(16)))
    op.add_column("labels", sa.Column("share", sa.Float()))
    op.add_column("labels", sa.Column("used_in", sa.Text()))
    op.create_table(
        "reviews",
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("offered_at", TIME, nullable=False),
        sa.Column("answered_at", TIME),
        sa.PrimaryKeyConstraint("record_id", name="pk_reviews"),
        sa.ForeignKeyConstraint(
            ["record_id"], ["records.id"], name="fk_reviews_record_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("said", sa.String(32), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("noted_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
    )
    op.create_index("ix_notes_sha256", "notes", ["sha256"])
