"""Watched folders: complete files, files that change, notes, and what is over the limit."""

from __future__ import annotations

import asyncio

import pytest
from house import running

from assay.serve.folder import Folder


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with running(tmp_path_factory.mktemp("gateway")) as made:
        yield made


def test_a_watched_folder_waits_until_a_file_is_complete_and_looks_again_when_it_changes(house, tmp_path):
    inbox = tmp_path / "inbox"
    (inbox / "deep").mkdir(parents=True)
    path = inbox / "deep" / "a.jpg"
    path.write_bytes(b"deliver growing")
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=3600)
    folder.look()
    assert folder._known == {}
    folder.settled_s = 0
    folder.look()
    (known,) = folder._known.values()
    asyncio.run(house.intake.wait(known.job_id, 20))
    folder.look()
    assert known.settled
    path.write_bytes(b"label it has grown")
    folder.look()
    (again,) = folder._known.values()
    assert again.job_id != known.job_id
    asyncio.run(house.intake.wait(again.job_id, 20))
    folder.look()
    assert (inbox / "deep" / "a.jpg.assay.txt").read_text().startswith("Assay screened this file: label")
    folder.look()
    assert len(folder._known) == 1, "a note is no sample"
    path.unlink()
    folder.look()
    assert folder._known == {}


def test_a_file_that_is_replaced_while_it_is_screened_is_not_moved(house, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    path = inbox / "a.jpg"
    path.write_bytes(b"quarantine the first")
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=0)
    folder.look()
    (known,) = folder._known.values()
    asyncio.run(house.intake.wait(known.job_id, 20))
    record = house.intake.result(known.job_id)
    path.write_bytes(b"deliver the second one")
    folder._act(str(path), known.stamp, record.document)
    assert path.read_bytes() == b"deliver the second one"


def test_a_note_does_not_hide_a_medium(house, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "b.assay.txt").write_bytes(b"\xff\xd8 quarantine")
    (inbox / "c.assay.txt").write_bytes(b"Assay screened this file: \xff\xd8")
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=0)
    folder.look()
    assert len(folder._known) == 2


def test_a_file_over_the_limit_is_noted_and_left(house, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.jpg").write_bytes(bytes(200_000))
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=0)
    folder.look()
    assert "larger than the limit" in (inbox / "a.jpg.assay.txt").read_text()
    assert (inbox / "a.jpg").exists()
