import json
import sqlite3
from contextlib import closing

import pytest

from assay.desk.stores import Stores


@pytest.fixture
def audited(installation):
    with Stores.open(installation.settings) as stores:
        for n in range(3):
            stores.audit.record("ann", "release", f"{n}" * 64, "why\x1b[31m")
    return installation


def test_an_empty_audit_is_whole(installation):
    assert installation.run("audit", "list").output == "No entries.\n"
    assert "whole: 0 entries" in installation.run("audit", "verify").output


def test_entries_are_listed_and_escaped(audited):
    output = audited.run("audit", "list", "-n", "2").output
    assert len(output.splitlines()) == 3
    assert "why\\x1b[31m" in output
    (line, *_) = audited.run("audit", "list", "--json").output.splitlines()
    assert json.loads(line)["seq"] == 1


def test_a_head_noted_earlier_is_still_in_the_chain(audited):
    head = audited.run("audit", "head").output.strip()
    with Stores.open(audited.settings) as stores:
        stores.audit.record("ann", "purge", "x", "")
    assert "whole: 4 entries" in audited.run("audit", "verify", "--head", head).output


def test_a_cut_end_is_found_with_a_head_and_exits_with_1(audited):
    head = audited.run("audit", "head").output.strip()
    with closing(sqlite3.connect(audited.settings.paths.database)) as raw, raw:
        raw.execute("drop trigger audit_no_delete")
        raw.execute("delete from audit where seq = 3")
    audited.run("audit", "verify")
    result = audited.run("audit", "verify", "--head", head, code=1)
    assert "cut off" in result.stderr
    assert "NOT whole" in result.stdout
