import io
import json
import os
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.desk import quarantine as desk
from assay.desk.backup import CONFIGURATION, MANIFEST, _safe, backup, restore
from assay.desk.stores import Stores
from assay.errors import StoreError
from assay.settings import Paths, Store


@pytest.fixture
def filled(stores, settings, taken, tmp_path):
    """Something of everything."""
    taken()
    stores.audit.record("ann", "test", "x", "")
    (settings.paths.quarantine / "keys" / "identity.age").write_bytes(b"age-encryption.org/v1 protected")
    settings.paths.trust.mkdir()
    (settings.paths.trust / "list.pem").write_text("certificates")
    (settings.paths.pictures / "r1").mkdir(parents=True)
    (settings.paths.pictures / "r1" / "index.json").write_text("[]")
    (tmp_path / "assay.toml").write_text("prior = 0.3\n")
    return replace(settings, paths=replace(settings.paths, config=(tmp_path / "assay.toml",)))


@pytest.fixture
def elsewhere(settings, tmp_path):
    return replace(settings, paths=Paths(tmp_path / "elsewhere", tmp_path / "cache2"))


def _files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_everything_comes_back_elsewhere_and_can_be_released(filled, elsewhere, identity, deed, tmp_path):
    done = backup(filled, tmp_path / "b.tar")
    assert done.path.stat().st_mode & 0o077 == 0
    back = restore(elsewhere, tmp_path / "b.tar")
    assert (back.aside, back.files) == (None, done.files)
    assert (back.configuration / "0-assay.toml").read_text() == "prior = 0.3\n"
    assert (elsewhere.paths.trust / "list.pem").read_text() == "certificates"
    assert (elsewhere.paths.pictures / "r1" / "index.json").read_text() == "[]"
    with Stores.open(elsewhere) as stores:
        assert stores.records.count() == 1
        assert stores.audit.verify().faults == ()
        (entry,) = desk.entries(stores)
        desk.release(stores, entry.holding, tmp_path / "back", [identity], deed)
    assert (tmp_path / "back").read_bytes() == b"content"


def test_a_backup_overwrites_nothing(filled, tmp_path):
    (tmp_path / "b.tar").write_bytes(b"mine")
    with pytest.raises(StoreError) as error:
        backup(filled, tmp_path / "b.tar")
    assert error.value.code == "exists"
    assert (tmp_path / "b.tar").read_bytes() == b"mine"


def test_a_backup_of_nothing_is_a_backup(settings, elsewhere, tmp_path):
    assert backup(settings, tmp_path / "b.tar").files == 0
    assert restore(elsewhere, tmp_path / "b.tar").files == 0


def test_an_identity_without_a_passphrase_stays_out(filled, tmp_path):
    (filled.paths.quarantine / "keys" / "identity.age").write_text("AGE-SECRET-KEY-1ABC\n")
    done = backup(filled, tmp_path / "b.tar")
    assert "left out" in done.notes[0]
    assert b"AGE-SECRET" not in (tmp_path / "b.tar").read_bytes()


def test_what_lies_on_servers_is_said_to_be_missing(filled, tmp_path):
    assert backup(filled, tmp_path / "own.tar").notes == ()
    served = Store(database="postgresql://db/assay", media="s3://bucket/assay")
    records, media = backup(replace(filled, store=served), tmp_path / "b.tar").notes
    assert "pg_dump" in records
    assert "s3://bucket/assay" in media


def test_a_backup_while_others_write_is_consistent(filled, stores, screening, elsewhere, tmp_path):
    with stores.database.write() as connection:
        connection.exec_driver_sql("insert into audit_start values (99, 'uncommitted')")
        backup(filled, tmp_path / "b.tar")
    restore(elsewhere, tmp_path / "b.tar")
    with closing(sqlite3.connect(elsewhere.paths.database)) as raw:
        assert raw.execute("select count(*) from audit_start").fetchone() == (0,)
        assert raw.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_full_disk_leaves_no_half_backup(filled, tmp_path, monkeypatch):
    before = _files(tmp_path)

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError) as error:
        backup(filled, tmp_path / "b.tar")
    assert error.value.code == "store_full"
    assert {f for f in _files(tmp_path) if not f.startswith("data/assay.db-")} <= before


def test_a_restore_refuses_to_overwrite_and_force_moves_aside(filled, stores, screening, tmp_path):
    backup(filled, tmp_path / "b.tar")
    stores.records.add([screening("later.jpg", b"later")])
    stores.database.close()
    before = _files(filled.paths.data)
    with pytest.raises(StoreError) as error:
        restore(filled, tmp_path / "b.tar")
    assert error.value.code == "exists"
    assert _files(filled.paths.data) == before
    back = restore(filled, tmp_path / "b.tar", force=True)
    with Stores.open(filled) as opened:
        assert opened.records.count() == 1
    with closing(sqlite3.connect(back.aside / "assay.db")) as raw:
        assert raw.execute("select count(*) from records").fetchone() == (2,)
    assert not list(filled.paths.data.glob("restoring-*"))


def _tampered(source, target, change):
    """Copy a backup, letting `change` alter each (TarInfo, bytes) or drop it."""
    with tarfile.open(source) as old, tarfile.open(target, "w:") as new:
        for member in old:
            changed = change(member, old.extractfile(member).read())
            if changed is not None:
                info, content = changed
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))


def _altered(member, content):
    return member, (b"X" + content[1:] if member.name.endswith(".age") else content)


def _dropped(member, content):
    return None if member.name == "assay.db" else (member, content)


def _renamed(member, content):
    if member.name == "assay.db":
        member.name = "../../escape"
    return member, content


def _listed_escape(member, content):
    if member.name == MANIFEST:
        content = content.replace(b'"trust/list.pem"', b'"trust/../../../x"')
    return member, content


def _newer(member, content):
    if member.name == MANIFEST:
        manifest = json.loads(content) | {"schema": "9999"}
        content = json.dumps(manifest).encode()
    return member, content


def _linked(member, content):
    if member.name.endswith("list.pem"):
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        return member, b""
    return member, content


@pytest.mark.parametrize("change", [_altered, _dropped, _renamed, _listed_escape, _newer, _linked])
def test_a_backup_that_was_tampered_with_changes_nothing(filled, elsewhere, tmp_path, change):
    backup(filled, tmp_path / "b.tar")
    _tampered(tmp_path / "b.tar", tmp_path / "bad.tar", change)
    with pytest.raises(StoreError):
        restore(elsewhere, tmp_path / "bad.tar")
    assert not elsewhere.paths.data.exists() or _files(elsewhere.paths.data) == set()
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 3000, 0.5, 0.9])
def test_a_backup_that_was_cut_changes_nothing(filled, elsewhere, tmp_path, cut):
    backup(filled, tmp_path / "b.tar")
    content = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(content[: int(cut * len(content)) if isinstance(cut, float) else cut])
    with pytest.raises(StoreError) as error:
        restore(elsewhere, tmp_path / "cut.tar")
    assert error.value.code == "no_backup"
    assert not elsewhere.paths.data.exists() or _files(elsewhere.paths.data) == set()


@pytest.mark.parametrize(
    "name", ["assay.db", "quarantine/vault/x/y.age", "media/ab/cd", "trust/a.pem", "config/0-a.toml"]
)
def test_names_of_a_backup_are_accepted(name):
    _safe(name)


@given(
    st.lists(st.sampled_from(["..", ".", "", "/", "etc", "passwd", "media", "quarantine", "\0"]), max_size=5)
)
def test_no_accepted_name_leads_out_of_its_folder(parts):
    name = "/".join(parts)
    try:
        _safe(name)
    except ValueError:
        return
    assert os.path.normpath(name) == name
    assert not name.startswith(("/", ".."))


def test_the_restored_configuration_is_put_beside_and_not_used(filled, elsewhere, tmp_path):
    backup(filled, tmp_path / "b.tar")
    restore(elsewhere, tmp_path / "b.tar")
    assert (tmp_path / "assay.toml").read_text() == "prior = 0.3\n"
    assert (elsewhere.paths.data / CONFIGURATION).is_dir()
