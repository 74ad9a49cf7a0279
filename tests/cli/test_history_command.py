import json
import os
from datetime import UTC, datetime, timedelta

import click

from assay.errors import StoreError
from assay.types import Label


def test_an_unused_installation_has_no_records_and_makes_nothing(installation):
    assert installation.run("history").output == "No records.\n"
    assert not installation.settings.paths.database.exists()


def test_records_are_listed_as_a_table_newest_first(installation):
    installation.add("old.jpg", at=datetime.now(UTC) - timedelta(days=1))
    installation.add("new.jpg", label=Label.BONA_FIDE)
    head, first, second = installation.run("history").output.splitlines()
    assert head.split() == ["SCREENED", "ID", "VERDICT", "ACTION", "PATH"]
    assert first.endswith("new.jpg")
    assert "bona fide" in first
    assert second.endswith("old.jpg")


def test_names_are_escaped(installation):
    installation.add(os.fsdecode(b"evil\n\x1b[31m\xe9.jpg"))
    output = installation.run("history").output
    assert "evil\\n\\x1b[31m\\xe9.jpg" in output
    assert len(output.splitlines()) == 2


def test_filters_narrow_the_list(installation):
    installation.add("a.jpg", source="mail")
    installation.add("b.jpg", b"b", label=Label.BONA_FIDE)
    for filters, names in (
        (["--source", "mail"], ["a.jpg"]),
        (["--label", "bona_fide"], ["b.jpg"]),
        (["--evidence", "grid_shifted"], ["a.jpg", "b.jpg"]),
        (["--evidence", "nothing"], []),
        (["--since", "1h"], ["a.jpg", "b.jpg"]),
        (["--before", "1h"], []),
    ):
        lines = installation.run("history", "--json", *filters).output.splitlines()
        assert sorted(json.loads(line)["path"] for line in lines) == names
    assert installation.run("history", "--label", "inconclusive").output == "No records match.\n"


def test_a_limit_says_that_there_is_more(installation):
    for n in range(3):
        installation.add(f"{n}.jpg", str(n).encode())
    result = installation.run("history", "--limit", "2")
    assert len(result.stdout.splitlines()) == 3
    assert "--limit 0" in result.stderr
    assert len(installation.run("history", "-n", "0").stdout.splitlines()) == 4


def test_what_cannot_be_asked_for_is_refused(installation):
    installation.run("history", "--since", "yesterday", code=StoreError)
    installation.run("history", "--label", "nonsense", code=click.UsageError)
