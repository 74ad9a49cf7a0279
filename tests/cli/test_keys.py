"""`assay keys` and `assay webhooks`, as a person types them."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path


def database(home: Path) -> Path:
    return home / ".local/share/assay/assay.db"


def test_a_key_is_made_shown_once_listed_and_revoked(assay, home):
    made = assay("keys", "create", "picture desk", "--scope", "submit", "--expires", "90d", "--per-day", "7")
    token = made.stdout.decode().strip()
    assert re.fullmatch(r"assay_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", token), made.stderr
    with closing(sqlite3.connect(database(home))) as raw:
        assert raw.execute("select digest from api_keys").fetchone() == (
            hashlib.sha256(token.encode()).hexdigest(),
        )
    assert token.split("_", 2)[2].encode() not in database(home).read_bytes()

    (row,) = [json.loads(line) for line in assay("keys", "list", "--json").stdout.splitlines()]
    assert (row["prefix"], row["state"], row["scopes"], row["per_day"]) == (
        token[:14],
        "active",
        ["submit"],
        7,
    )
    assert row["expires_at"] > row["created_at"]
    listed = assay("keys", "list").stdout.decode()
    assert token[:14] in listed
    assert token not in listed

    revoked = assay("keys", "revoke", token[:10], "--reason", "lost")
    assert revoked.returncode == 0, revoked.stderr
    assert b"revoked" in assay("keys", "list").stdout
    assert assay("keys", "revoke", token[:10], "--reason", "lost").returncode == 2
    audit = assay("audit", "list").stdout.decode()
    assert "key_create" in audit
    assert "key_revoke" in audit


def test_what_cannot_be_is_refused_in_a_line(assay):
    for arguments, words in [
        (("create", "x", "--scope", "everything"), b"not a scope"),
        (("create", "x", "--expires", "soon"), b"--expires"),
        (("create", "x", "--expires", "2001-01-01"), b"over already"),
        (("revoke", "assay_x", "--reason", "y"), b"no active key"),
        (("revoke", "", "--reason", "y"), b"key begins"),
    ]:
        done = assay("keys", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert b"Traceback" not in done.stderr


def test_listing_makes_no_store(assay, home):
    assert b"No keys" in assay("keys", "list").stdout
    assert b"No webhooks" in assay("webhooks", "list").stdout
    assert not database(home).exists()


def test_the_scopes_are_explained(assay):
    assert b"history:all" in assay("keys", "scopes").stdout


def test_a_webhook_is_added_listed_and_removed(assay):
    inside = {"ASSAY_API_WEBHOOK_INSIDE": "127.0.0.0/8"}
    refused = assay("webhooks", "add", "http://127.0.0.1:9/")
    assert refused.returncode == 2
    assert b"inside" in refused.stderr
    made = assay("webhooks", "add", "http://127.0.0.1:9/", env=inside)
    assert made.stdout.startswith(b"whsec_"), made.stderr
    identity = made.stderr.split()[0].decode()
    listed = assay("webhooks", "list").stdout
    assert identity.encode() in listed
    assert b"whsec_" not in listed
    assert assay("webhooks", "test", identity).returncode == 0
    assert assay("webhooks", "remove", identity).returncode == 0
    assert assay("webhooks", "remove", identity).returncode == 2
    assert assay("webhooks", "test", identity).returncode == 2
