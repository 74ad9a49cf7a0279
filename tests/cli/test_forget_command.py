import click

from assay.types import sha256_of

WHY = ("--reason", "asked to", "--yes")


def test_a_sample_is_forgotten_by_its_digest(installation):
    installation.add(installation.folder / "inbox" / "a.jpg", take=True)
    output = installation.run("forget", sha256_of(b"content").upper(), *WHY).output
    assert output.startswith("Forgotten: 1 record, 1 fingerprint, 0 labels, 0 kept media, 1 in quarantine.")
    assert installation.run("history").output == "No records.\n"


def test_a_source_is_forgotten_by_its_name(installation):
    installation.add("a.jpg", source="mail")
    installation.add("b.jpg", b"b", source="web")
    assert "1 record," in installation.run("forget", "--source", "mail", *WHY).output
    assert "b.jpg" in installation.run("history").output


def test_half_a_digest_is_not_enough(installation):
    installation.run("forget", "abcdef", *WHY, code=click.UsageError)
    installation.run("forget", *WHY, code=click.UsageError)
    installation.run("forget", "a" * 64, "--source", "x", *WHY, code=click.UsageError)


def test_forgetting_needs_a_yes_and_a_reason(installation):
    installation.run("forget", "a" * 64, "--reason", "x", code=click.UsageError)
    installation.run("forget", "a" * 64, "--yes", code=click.UsageError)


def test_copies_are_named(installation):
    installation.add()
    installation.settings.paths.backups.mkdir()
    (installation.settings.paths.backups / "old.db").write_bytes(b"")
    output = installation.run("forget", sha256_of(b"content"), *WHY).output
    assert "Not looked into:" in output
    assert "old.db" in output
