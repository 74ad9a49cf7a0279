from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from assay.errors import StoreError
from assay.store.jobs import LEASE, UNSEEN, Job, Jobs, Overtaken, Priority, State
from assay.store.waiting import Waiting

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_job(n=1, **more) -> Job:
    fields = {
        "id": f"{n:032x}", "sha256": f"{n:064x}", "size": 3, "name": "a.jpg", "declared_type": None, "source": "test",
        "priority": Priority.DEEP, "state": State.QUEUED, "submitted_at": NOON,
    }  # fmt: skip
    return Job(**(fields | more))


@pytest.fixture
def jobs(database):
    return Jobs(database)


def test_a_job_comes_back_as_it_was_added(jobs):
    jobs.add(a_job())
    assert jobs.find(a_job().id) == a_job()
    assert jobs.find("0" * 32) is None


def test_of_two_who_claim_a_job_one_gets_it(jobs):
    jobs.add(a_job())
    claim = jobs.claim(a_job().id, "one", NOON)
    assert claim.job.attempts == 1
    assert claim.job.state is State.RUNNING
    assert jobs.claim(a_job().id, "two", NOON) is None


def test_a_lease_that_ran_out_is_taken_over_and_the_first_writes_nothing(jobs, database):
    jobs.add(a_job())
    asleep = jobs.claim(a_job().id, "one", NOON)
    later = NOON + LEASE + timedelta(seconds=1)
    awake = jobs.claim(a_job().id, "two", later)
    assert awake.fence > asleep.fence
    assert jobs.renew([asleep], later) == set()
    with pytest.raises(Overtaken), database.write() as connection:
        jobs.finish(connection, asleep)
    with database.write() as connection:
        jobs.finish(connection, awake)
    assert jobs.find(a_job().id).state is State.DONE
    with pytest.raises(Overtaken), database.write() as connection:
        jobs.finish(connection, awake)


def test_a_renewed_lease_is_not_taken_over(jobs):
    jobs.add(a_job())
    claim = jobs.claim(a_job().id, "one", NOON)
    assert jobs.renew([claim], NOON + LEASE / 2) == {a_job().id}
    assert jobs.claim(a_job().id, "two", NOON + LEASE + timedelta(seconds=1)) is None


def test_a_job_that_is_given_back_costs_no_attempt(jobs):
    jobs.add(a_job())
    jobs.give_back(jobs.claim(a_job().id, "one", NOON))
    assert jobs.find(a_job().id).state is State.QUEUED
    assert jobs.claim(a_job().id, "two").job.attempts == 1


def test_overdue_are_jobs_whose_lease_ran_out_and_those_that_nobody_began(jobs):
    for n in (1, 2, 3):
        jobs.add(a_job(n))
    jobs.claim(a_job(1).id, "one", NOON)
    assert jobs.overdue(now=NOON + LEASE / 2) == []
    late = NOON + UNSEEN + timedelta(seconds=1)
    found = jobs.overdue(now=late)
    assert {job.id for job in found} == {a_job(n).id for n in (1, 2, 3)}
    assert [job.id for job in jobs.overdue(now=late)] == [a_job(1).id], "what was queued again is put off"


def test_the_dead_lose_their_leases_at_once(jobs):
    jobs.add(a_job())
    jobs.claim(a_job().id, "dead")
    assert jobs.executors() == {"dead"}
    assert jobs.claim(a_job().id, "alive") is None
    jobs.expire(["dead"])
    assert jobs.claim(a_job().id, "alive").fence == 2


SOON = timedelta(seconds=2)


def test_a_turn_goes_to_the_most_urgent_job_and_among_these_to_the_first(jobs):
    jobs.add(a_job(1, priority=Priority.BULK))
    jobs.add(a_job(2, priority=Priority.INLINE, submitted_at=NOON + SOON / 4))
    jobs.add(a_job(3, priority=Priority.INLINE, submitted_at=NOON))
    assert jobs.next(a_job(1).id, SOON, NOON + SOON / 2) == a_job(3).id
    assert jobs.next(a_job(2).id, SOON, NOON + SOON / 2) == a_job(3).id


def test_once_clients_have_waited_too_long_the_last_is_served_first(jobs):
    for n in (1, 2, 3):
        jobs.add(a_job(n, priority=Priority.INLINE, submitted_at=NOON + n * SOON))
    assert jobs.next(a_job(1).id, SOON, NOON + 3.1 * SOON) == a_job(3).id
    jobs.claim(a_job(3).id, "one")
    assert jobs.next(a_job(1).id, SOON, NOON + 3.1 * SOON) == a_job(2).id


def test_patience_is_a_matter_of_clients_alone(jobs):
    for n in (1, 2):
        jobs.add(a_job(n, submitted_at=NOON + n * SOON))
    assert jobs.next(a_job(2).id, SOON, NOON + 9 * SOON) == a_job(1).id


def test_a_job_for_which_nobody_waits_is_passed_until_it_is_asked_for_again(jobs):
    for n in (1, 2):
        jobs.add(a_job(n, priority=Priority.INLINE, submitted_at=NOON + n * SOON / 4))
    jobs.yield_turn(a_job(1).id)
    assert jobs.find(a_job(1).id).priority is Priority.DEEP
    assert jobs.next(a_job(1).id, SOON, NOON + SOON) == a_job(2).id
    jobs.hasten(a_job(1).id, Priority.INLINE)
    assert jobs.next(a_job(2).id, SOON, NOON + SOON) == a_job(1).id


def test_only_a_client_can_lose_patience_and_nobody_is_made_less_urgent_by_haste(jobs):
    jobs.add(a_job(1, priority=Priority.BULK))
    jobs.add(a_job(2, priority=Priority.INLINE))
    jobs.yield_turn(a_job(1).id)
    jobs.hasten(a_job(2).id, Priority.DEEP)
    assert [jobs.find(a_job(n).id).priority for n in (1, 2)] == [Priority.BULK, Priority.INLINE]


def test_what_a_worker_had_begun_has_its_own_turn(jobs):
    jobs.add(a_job(1, priority=Priority.BULK))
    jobs.give_back(jobs.claim(a_job(1).id, "one", NOON))
    jobs.add(a_job(2, priority=Priority.INLINE))
    assert jobs.next(a_job(1).id, SOON, NOON) == a_job(1).id
    jobs.claim(a_job(2).id, "one", NOON)
    assert jobs.next(a_job(2).id, SOON, NOON) == a_job(2).id, "a store that failed puts a job off"


def test_what_waits_is_counted_by_urgency(jobs, database):
    for n, priority in enumerate(Priority, 1):
        jobs.add(a_job(n, priority=priority))
    assert [jobs.waiting(at_most=p) for p in Priority] == [1, 2, 3]
    claim = jobs.claim(a_job(1).id, "one")
    with database.write() as connection:
        jobs.finish(connection, claim)
    assert jobs.waiting() == 2
    assert jobs.unfinished([a_job(n).id for n in (1, 2, 9)]) == {a_job(2).id}


def test_the_unfinished_job_of_a_sender_is_found_by_its_content(jobs):
    jobs.add(a_job())
    assert jobs.of_content(a_job().sha256, "test").id == a_job().id
    assert jobs.of_content(a_job().sha256, "another") is None


def test_jobs_long_done_are_pruned_and_others_stay(jobs):
    jobs.add(a_job(1, state=State.DONE, finished_at=NOON))
    jobs.add(a_job(2, state=State.DONE, finished_at=NOON + timedelta(days=2)))
    jobs.add(a_job(3))
    assert jobs.prune(NOON + timedelta(days=1)) == 1
    assert [jobs.find(a_job(n).id) is not None for n in (1, 2, 3)] == [False, True, True]


# What waits -----------------------------------------------------------------------------------------------------------


def local(folder):
    return Waiting(folder / "spool")


def remote(_folder):
    from obstore.store import MemoryStore

    return Waiting(MemoryStore())


@pytest.fixture(params=[local, remote])
def waiting(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample"
    path.write_bytes(b"content" * 1000)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_what_waits_is_read_as_it_was_put_until_it_is_removed(waiting, sample):
    os.lseek(sample, 5, os.SEEK_SET)
    waiting.put("a" * 32, sample)
    with waiting.open("a" * 32) as descriptor:
        assert os.pread(descriptor, 10_000, 0) == b"content" * 1000
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
    assert os.lseek(sample, 0, os.SEEK_CUR) == 5, "the caller's position stays"
    waiting.remove("a" * 32)
    waiting.remove("a" * 32)
    with pytest.raises(StoreError, match="gone"), waiting.open("a" * 32):
        pass


def test_leftovers_are_named_by_their_age(waiting, sample):
    waiting.put("a" * 32, sample)
    now = datetime.now(UTC).timestamp()
    assert waiting.ids(60, now) == []
    assert waiting.ids(60, now + 100) == ["a" * 32]


@pytest.mark.parametrize("name", ["", "../x", "A" * 32, "a" * 31, "a" * 32 + "/x"])
def test_only_ids_of_jobs_name_what_waits(waiting, sample, name):
    with pytest.raises(StoreError, match="not the id"):
        waiting.put(name, sample)


def test_what_waits_on_this_machine_is_for_its_owner_only(tmp_path, sample):
    waiting = local(tmp_path)
    waiting.put("a" * 32, sample)
    assert waiting.folder.stat().st_mode & 0o777 == 0o700
    assert (waiting.folder / ("a" * 32)).stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path, sample, monkeypatch):
    waiting = local(tmp_path)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space") as e:
        waiting.put("a" * 32, sample)
    assert e.value.code == "store_full"
    assert list(waiting.folder.iterdir()) == []


def test_two_jobs_of_one_content_wait_apart(waiting, sample):
    waiting.put("a" * 32, sample)
    waiting.put("b" * 32, sample)
    waiting.remove("a" * 32)
    with waiting.open("b" * 32) as descriptor:
        assert os.fstat(descriptor).st_size == 7000


def test_a_nameless_file_is_given_a_name_and_one_with_a_name_is_copied(tmp_path, sample):
    waiting = local(tmp_path)
    (tmp_path / "spool").mkdir()
    nameless = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        os.write(nameless, b"as it arrived")
        waiting.put("a" * 32, nameless)
        assert os.fstat(nameless).st_ino == (waiting.folder / ("a" * 32)).stat().st_ino
    finally:
        os.close(nameless)
    waiting.put("b" * 32, sample)
    assert os.fstat(sample).st_ino != (waiting.folder / ("b" * 32)).stat().st_ino
    assert sorted(p.name for p in waiting.folder.iterdir()) == ["a" * 32, "b" * 32]


def test_what_is_forgotten_leaves_no_job(jobs, database):
    for n in (1, 2, 3):
        jobs.add(a_job(n, source=f"s{n}"))
    with database.write() as connection:
        gone = Jobs.forget(connection, digests=[a_job(1).sha256], ids=[], source="s2")
    assert sorted(gone) == [a_job(1).id, a_job(2).id]
    assert jobs.find(a_job(3).id) is not None
