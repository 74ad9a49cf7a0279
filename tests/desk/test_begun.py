"""Samples that a free slot takes at once, without a turn of the queue."""

from __future__ import annotations

import logging
import threading

import pytest
from test_work import House

from assay.errors import StoreError
from assay.store.jobs import Priority, State


@pytest.fixture
def house(stores, identity, tmp_path):
    made = House(stores, tmp_path)
    made.intake._begin = made.worker().begin
    yield made
    for worker in made.workers:
        worker.close(10)


def done(house, job) -> bool:
    return house.workers[0]._slots.all_free(10) and house.intake.job(job.id).state is State.DONE


@pytest.mark.parametrize("priority", [Priority.INLINE, Priority.DEEP])
def test_a_free_slot_takes_a_sample_at_once(house, priority):
    job = house.submit(priority=priority)
    assert done(house, job)
    assert (house.put, house.waits, house.told) == ([], [], [job.id])
    assert house.intake.result(job.id).document["label"] == "inconclusive"
    finished = house.intake.job(job.id)
    assert finished.attempts == 1
    assert finished.submitted_at <= finished.started_at <= finished.finished_at


def test_bulk_waits_for_its_turn(house):
    job = house.submit(priority=Priority.BULK)
    assert (job.state, len(house.put)) == (State.QUEUED, 1)


def test_where_a_slot_takes_long_to_come_free_the_queue_is_asked(house):
    let_go = threading.Event()
    house.pipeline.before = lambda: let_go.wait(10)
    begun = [
        house.submit(b"%d" % n) for n in range(2)
    ]  # both slots; the first jobs are thought to take a second
    later = house.submit(b"2")
    assert [entry[0] for entry in house.put] == [later.id]
    assert house.intake.job(later.id).state is State.QUEUED
    let_go.set()
    assert all(done(house, job) for job in begun)
    house.workers[0].work(later.id)
    assert sorted(house.told) == sorted(j.id for j in (*begun, later))


def test_what_a_dead_process_had_begun_is_taken_over_and_done_once(house):
    let_go = threading.Event()
    house.pipeline.before = lambda: let_go.wait(10)
    job = house.submit()
    assert house.intake.job(job.id).state is State.RUNNING
    assert house.reaper(dead=["one"]).reap() == 1
    house.pipeline.before = lambda: None
    house.worker("two").work(house.put[0][0])
    let_go.set()  # the one thought dead wakes up, and finds that its claim is old
    assert done(house, job)
    assert house.told == [job.id]
    assert house.stores.records.count() == 1
    assert house.intake.job(job.id).attempts == 2


def test_a_worker_that_closes_begins_nothing_more(house):
    house.workers[0].begin_no_more()
    assert house.submit().state is State.QUEUED


def test_a_sample_that_cannot_be_recorded_is_not_taken_and_its_slot_stays_free(house, monkeypatch):
    def broken(*_):
        raise StoreError("the disk is full")

    monkeypatch.setattr(house.workers[0]._jobs, "add_begun", broken)
    with pytest.raises(StoreError, match="disk is full"):
        house.submit()
    assert house.waits == []
    assert house.workers[0]._slots.all_free(0)


def test_without_a_thread_a_sample_is_admitted_and_left_to_the_queue(house, monkeypatch):
    def none_left(_self):
        raise RuntimeError("can't start new thread")

    worker = house.workers[0]
    monkeypatch.setattr("assay.desk.work.threading.Thread.start", none_left)
    job = house.submit()
    monkeypatch.undo()
    assert (house.intake.job(job.id).state, house.waits) == (State.QUEUED, [job.id])
    assert worker.busy == 0  # nothing lengthens its lease
    assert worker._slots.all_free(0)
    assert house.reaper().reap() == 1
    worker.work(job.id)
    assert house.told == [job.id]


def test_what_nobody_expected_is_logged_and_left_to_the_reaper(house, caplog):
    house.pipeline.raises = RuntimeError("a bug")
    with caplog.at_level(logging.ERROR):
        job = house.submit()
        assert house.workers[0]._slots.all_free(10)
    assert f"job {job.id[:12]} could not be finished" in caplog.text
    assert house.intake.job(job.id).state is State.RUNNING
    house.pipeline.raises = None
    assert house.reaper(dead=["one"]).reap() == 1
    house.worker("two").work(job.id)
    assert house.told == [job.id]
