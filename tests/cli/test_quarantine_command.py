import json

import click
import pytest
from pyrage import x25519

from assay.desk.stores import Stores
from assay.errors import QuarantineError
from assay.store.judgements import Judgements


@pytest.fixture
def held(installation):
    """A file in quarantine: the installation, the path that it had, the id."""
    path = installation.folder / "inbox" / "a.jpg"
    one = installation.add(path, take=True)
    assert not path.exists()
    return installation, path, one.quarantine_id


def test_an_empty_quarantine_says_so(installation):
    assert installation.run("quarantine", "list").output == "Nothing in quarantine.\n"


def test_the_list_shows_what_when_and_why(held):
    installation, path, wanted = held
    head, row = installation.run("quarantine", "list").output.splitlines()
    assert head.split() == ["TAKEN", "ID", "SIZE", "VERDICT", "PATH"]
    assert wanted[:12] in row
    assert "7 B" in row
    assert "fake" in row
    assert row.endswith(str(path))


def test_the_list_can_be_searched_by_evidence(held):
    installation, _, wanted = held
    for filters, found in (
        (["--evidence", "grid_shifted"], True),
        (["--evidence", "jpeg_grid", "--label", "fake"], True),
        (["--evidence", "other"], False),
        (["--label", "bona_fide"], False),
        (["--since", "1h"], True),
    ):
        output = installation.run("quarantine", "list", *filters).output
        assert (wanted[:12] in output) is found, filters
        assert found or output == "Nothing matches.\n"


def test_the_list_is_there_as_json(held):
    installation, path, wanted = held
    (line,) = installation.run("quarantine", "list", "--json").output.splitlines()
    assert json.loads(line)["quarantine_id"] == wanted
    assert json.loads(line)["path"] == str(path)


def test_show_tells_what_is_known_without_opening(held):
    installation, path, wanted = held
    output = installation.run("quarantine", "show", wanted[:8]).output
    assert wanted in output
    assert "The grid is shifted.\\x1b[31m" in output
    assert "\x1b" not in output
    shown = json.loads(installation.run("quarantine", "show", wanted[:8], "--json").output)
    assert shown["records"][0]["path"] == str(path)
    assert shown["origins"] == []


def test_show_open_decrypts_the_paths(held):
    installation, path, wanted = held
    output = installation.run(
        "quarantine", "show", wanted[:8], "--open", "--identity", installation.key
    ).output
    assert f"Was       {path} (mode 0" in output


def test_a_release_brings_the_file_back_and_asks_for_a_reason(held):
    installation, path, wanted = held
    options = ["--identity", installation.key]
    installation.run("quarantine", "release", wanted[:8], *options, code=click.UsageError)
    output = installation.run("quarantine", "release", wanted[:8], *options, "--reason", "a mistake").output
    assert output == f"{wanted[:12]} released to {path}\n"
    assert path.read_bytes() == b"content"
    audit = installation.run("audit", "list").output
    assert "ann  release" in audit
    assert "a mistake" in audit


def test_a_release_does_not_overwrite(held):
    installation, path, wanted = held
    path.write_bytes(b"newer")
    result = installation.run(
        "quarantine", "release", wanted, "--identity", installation.key, "--reason", "x", code=QuarantineError
    )
    assert result.exception.code == "exists"
    assert path.read_bytes() == b"newer"


def test_a_release_without_an_identity_says_where_it_looked(held):
    installation, _, wanted = held
    result = installation.run("quarantine", "release", wanted, "--reason", "x", code=QuarantineError)
    assert result.exception.code == "no_identity"
    assert "identity.age" in result.exception.message


def test_a_confirmed_fake_is_known(held):
    installation, _, wanted = held
    output = installation.run("quarantine", "confirm", wanted[:8], "--reason", "seen").output
    assert "confirmed as fake" in output
    with Stores.open(installation.settings) as stores:
        assert Judgements(stores.database).known(wanted) == "known_fake"


def test_a_purge_needs_a_yes(held):
    installation, path, wanted = held
    installation.run("quarantine", "purge", wanted, "--reason", "x", code=click.UsageError)
    assert installation.run("quarantine", "purge", wanted, "--reason", "x", "--yes").output.endswith(
        "purged\n"
    )
    assert installation.run("quarantine", "list").output == "Nothing in quarantine.\n"
    assert not path.exists()


def test_one_unknown_id_among_several_stops_before_anything_is_done(held):
    installation, _, wanted = held
    installation.run("quarantine", "purge", wanted, "abcdef", "--reason", "x", "--yes", code=QuarantineError)
    assert wanted[:12] in installation.run("quarantine", "list").output


def test_rekey_changes_the_keys_and_reports(held):
    installation, path, wanted = held
    new = x25519.Identity.generate()
    (installation.folder / "new.txt").write_text(f"{new}\n")
    options = ["--add", str(new.to_public()), "--identity", installation.key, "--reason", "a second reviewer"]
    output = installation.run("quarantine", "rekey", *options).output
    assert output == "1 content encrypted anew to 2 recipients, 0 already were, 0 failed.\n"
    installation.run(
        "quarantine", "release", wanted, "--identity", installation.folder / "new.txt", "--reason", "y"
    )
    assert path.exists()


def test_rekey_with_the_wrong_identity_fails_loudly(held):
    installation, _, _ = held
    new = x25519.Identity.generate()
    (installation.folder / "new.txt").write_text(f"{new}\n")
    options = ["--add", str(new.to_public()), "--identity", installation.folder / "new.txt", "--reason", "r"]
    result = installation.run("quarantine", "rekey", *options, code=2)
    assert "1 failed" in result.stdout
    assert "cannot be opened" in result.stderr


def test_a_damaged_holding_is_reported_and_the_rest_is_listed(held):
    installation, _, wanted = held
    other = installation.add(installation.folder / "inbox" / "b.jpg", b"b", take=True).quarantine_id
    (installation.settings.paths.quarantine / "vault" / other / "holding.json").write_bytes(b"")
    result = installation.run("quarantine", "list")
    assert wanted[:12] in result.stdout
    assert f"{other[:12]} is damaged" in result.stderr
