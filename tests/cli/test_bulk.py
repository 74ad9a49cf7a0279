from __future__ import annotations

import threading

import pytest

from assay.cli import bulk
from assay.desk.intake import Intake
from assay.desk.reaper import Reaper
from assay.desk.stores import Stores
from assay.desk.work import Worker
from assay.settings import Paths, Serve, Settings
from assay.store.records import Filter
from screenings import screened


class NothingFound:
    def screen(self, arrival, /, *, sample_id, source):
        from dataclasses import replace

        from assay.types import Action, Decision

        made = screened(arrival.path, b"", id=sample_id, source=source)
        return replace(
            made,
            decision=Decision(Action.DELIVER, "r", "p"),
            sample=replace(made.sample, sha256=arrival.sha256),
        )


@pytest.fixture
def settings(tmp_path):
    return Settings(Paths(tmp_path / "data", tmp_path / "cache"), serve=Serve(backlog=2))


@pytest.fixture
def working(settings):
    """A worker that does what its reaper finds, until the test ends."""
    stop = threading.Event()
    with Stores.open(settings) as stores:
        intake = Intake(stores, stores.waiting, put=lambda *_: None, rules=lambda: (settings.policy, "c1"))
        worker = Worker(stores, stores.waiting, intake, NothingFound(), executor="one")
        reaper = Reaper(
            stores,
            stores.waiting,
            put=lambda job, *_: worker.work(job),
            is_dead=lambda _: False,
            chores=lambda: None,
        )

        def work():
            while not stop.wait(0.02):
                reaper.reap()

        thread = threading.Thread(target=work)
        thread.start()
        yield stores
        stop.set()
        thread.join()
        worker.close()


def a_folder(tmp_path, count=5):
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(count):
        (folder / f"{n}.jpg").write_bytes(b"picture %d" % n)
    return folder


def test_a_folder_is_handed_over_a_few_at_a_time_and_waited_for(settings, working, tmp_path, capsys):
    folder = a_folder(tmp_path)
    (folder / "empty.jpg").touch()
    assert bulk.run(settings, (str(folder),), "archive", lambda: False) == 2
    told = capsys.readouterr().out
    assert "5 of 5 screened" in told
    assert "5 deliver" in told
    assert "empty.jpg: the file is empty" in told
    assert working.records.count(Filter(source="archive")) == 5


def test_the_same_command_again_does_nothing_twice(settings, working, tmp_path, capsys):
    folder = a_folder(tmp_path, 3)
    for _ in range(2):
        assert bulk.run(settings, (str(folder),), "", lambda: False) == 0
    assert working.records.count() == 3
    (folder / "0.jpg").write_bytes(b"another picture")
    bulk.run(settings, (str(folder),), "", lambda: False)
    assert working.records.count() == 4


def test_a_prefix_of_an_object_store_is_read_object_by_object(settings, working, tmp_path):
    a_folder(tmp_path, 2)
    assert bulk.run(settings, (f"file://{tmp_path}/photos",), "", lambda: False) == 0
    paths = {r.document["path"] for r in working.records.select()}
    assert paths == {f"file://{tmp_path}/photos/{n}.jpg" for n in range(2)}


def test_stopping_leaves_what_was_handed_over_to_the_workers(settings, tmp_path, capsys):
    folder = a_folder(tmp_path)
    asked = iter([False] * 6)
    assert bulk.run(settings, (str(folder),), "", lambda: next(asked, True)) == 0
    assert "The same command goes on where it was" in capsys.readouterr().out
    with Stores.open(settings) as stores:
        intake = Intake(stores, stores.waiting, put=print, rules=lambda: (settings.policy, "c1"))
        assert intake.backlog == 2
