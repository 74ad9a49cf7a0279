"""Which job is next: the most urgent one that nobody works on."""

# ruff: noqa: INP001 - Alembic runs this file by its path
from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_state_priority_submitted_at", "jobs", ["state", "priority", "submitted_at"])
