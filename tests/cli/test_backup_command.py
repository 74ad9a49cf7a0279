from assay.errors import StoreError


def test_a_backup_comes_back(installation):
    installation.add(installation.folder / "inbox" / "a.jpg", take=True)
    file = installation.folder / "b.tar"
    assert "files, " in installation.run("backup", file).output
    installation.run("backup", file, code=StoreError)
    installation.run("restore", file, code=StoreError)
    output = installation.run("restore", file, "--force").output
    assert "What was there before is in" in output
    assert "a.jpg" in installation.run("quarantine", "list").output


def test_a_file_that_is_no_backup_is_refused(installation):
    (installation.folder / "x.tar").write_bytes(b"nonsense" * 1000)
    result = installation.run("restore", installation.folder / "x.tar", code=StoreError)
    assert result.exception.code == "no_backup"
