import click


def test_what_would_go_is_listed_and_stays(installation):
    installation.add(installation.folder / "inbox" / "a.jpg", take=True)
    output = installation.run("uninstall").output
    assert str(installation.settings.paths.database) in output
    assert "1 content in quarantine" in output
    assert "--purge removes" in output
    assert installation.settings.paths.database.exists()


def test_purge_needs_a_yes_and_removes_all(installation):
    installation.add()
    installation.run("uninstall", "--purge", code=click.UsageError)
    assert "Removed" in installation.run("uninstall", "--purge", "--yes").output
    assert not installation.settings.paths.data.exists()
    assert installation.run("uninstall").output == "Nothing is stored.\n"
