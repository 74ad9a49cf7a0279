"""From submission to verdict: intake, worker and reaper, with a pipeline that says what the test tells it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from assay.desk.intake import Intake
from assay.desk.reaper import Reaper
from assay.desk.work import Worker
from assay.errors import Failed, Overloaded, QuarantineError, StoreError
from assay.store.jobs import ATTEMPTS, Priority, State
from assay.store.records import Filter
from assay.types import Action, Decision, Label, Screening, Status, sha256_of
from screenings import screened


class Pipeline:
    """Says "nothing found", or what a test put into `says`; `before` is called while a sample is examined."""

    def __init__(self):
        self.seen: list[bytes] = []
        self.action = Action.DELIVER
        self.before = lambda: None
        self.raises: Exception | None = None

    def screen(self, arrival, /, *, sample_id, source):
        content = os.pread(arrival.descriptor, 1000, 0)
        self.seen.append(content)
        self.before()
        if self.raises is not None:
            raise self.raises
        label = Label.FAKE if self.action is Action.QUARANTINE else Label.INCONCLUSIVE
        made = screened(arrival.path, content, label=label, id=sample_id, source=source)
        from assay.action.policy import effective
        from assay.settings import PolicySettings

        return dataclasses.replace(
            made,
            decision=Decision(self.action, "a_rule", effective(PolicySettings()).digest),
            assay_version="0.1.0",
        )

    def unread(self, path, e, sample):
        from assay.types import Problem

        problem = Problem(e.code, e.message, e.hint)
        decision = Decision(Action.LABEL, "undecodable", "p")
        return Screening(
            sample, path, Status.FAILED, datetime.now(UTC), "0.1.0", decision=decision, error=problem
        )


class House:
    """One installation whose queue is a list."""

    def __init__(self, stores, tmp_path):
        self.stores, self.folder = stores, tmp_path
        self.pipeline, self.put, self.told = Pipeline(), [], []
        self.intake = Intake(
            stores,
            stores.waiting,
            put=lambda *entry: self.put.append(entry),
            rules=lambda: (stores.settings.policy, "c1"),
            after=(lambda _connection, screening: self.told.append(screening.sample.id),),
            backlog=5,
        )
        self.workers: list[Worker] = []

    def worker(self, name="one"):
        self.workers.append(
            Worker(self.stores, self.stores.waiting, self.intake, self.pipeline, executor=name)
        )
        return self.workers[-1]

    def submit(self, content=b"content", **more):
        path = self.folder / "arrives"
        path.write_bytes(content)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return self.intake.submit(
                descriptor=descriptor,
                sha256=more.pop("sha256", sha256_of(content)),
                size=len(content),
                **({"name": "a.jpg", "source": "test"} | more),
            )
        finally:
            os.close(descriptor)

    @property
    def waits(self):
        spool = self.stores.settings.paths.spool
        return sorted(p.name for p in spool.iterdir()) if spool.exists() else []

    def reaper(self, dead=()):
        return Reaper(
            self.stores,
            self.stores.waiting,
            put=lambda *entry: self.put.append(entry),
            is_dead=lambda name: name in dead,
            chores=lambda: None,
        )


@pytest.fixture
def house(stores, identity, tmp_path):
    made = House(stores, tmp_path)
    yield made
    for worker in made.workers:
        worker.close()


def test_a_sample_waits_on_the_disk_until_its_verdict_stands(house):
    job = house.submit()
    assert (job.state, house.put) == (State.QUEUED, [(job.id, int(Priority.DEEP), 0)])
    assert house.waits == [job.id]
    assert house.intake.result(job.id) is None
    house.worker().work(job.id)
    assert house.intake.job(job.id).state is State.DONE
    assert house.intake.result(job.id).document["label"] == "inconclusive"
    assert house.waits == []
    assert house.told == [job.id]


def test_a_job_that_is_queued_twice_is_done_once(house):
    job = house.submit()
    for _ in range(2):
        house.worker().work(job.id)
    assert len(house.pipeline.seen) == 1
    assert house.stores.records.count() == 1


def test_known_content_is_answered_at_once_with_a_record_of_its_own(house):
    first = house.submit()
    house.worker().work(first.id)
    second = house.submit(name="b.jpg", source="another")
    assert second.state is State.DONE
    assert house.waits == []
    again = house.intake.result(second.id)
    assert (again.source, again.document["path"]) == ("another", "b.jpg")
    assert any(first.id[:12] in warning for warning in again.document["warnings"])
    assert house.told == [first.id, second.id]


@pytest.mark.parametrize("newer", ["calibration", "policy", "version", "signatures", "word"])
def test_a_verdict_under_other_rules_is_not_given_again(house, newer, monkeypatch):
    first = house.submit()
    house.worker().work(first.id)
    if newer == "calibration":
        house.intake._rules = lambda: (house.stores.settings.policy, "c2")
    elif newer == "policy":
        from assay.settings import PolicySettings

        house.intake._rules = lambda: (PolicySettings({"inconclusive": Action.HOLD}), "c1")
    elif newer == "version":
        monkeypatch.setattr("assay.desk.intake.__version__", "9.9")
    elif newer == "signatures":
        house.intake._changed_at = lambda: datetime.now(UTC)
    else:
        with house.stores.database.write() as connection:
            house.stores.judgements.mark_known(connection, first.sha256, "known_fake", actor="a", reason="r")
    assert house.submit().state is State.QUEUED


def test_content_that_its_sender_has_waiting_is_the_same_job(house):
    first = house.submit()
    assert house.submit().id == first.id
    assert house.submit(source="another").id != first.id


def test_a_senders_own_key_makes_a_submission_once(house):
    first = house.submit(key="k1")
    assert house.submit(key="k1").id == first.id
    assert house.submit(b"other", key="k2").id != first.id
    house.worker().work(first.id)
    assert house.submit(key="k1").state is State.DONE
    assert house.stores.records.count() == 1


def test_beyond_the_backlog_nothing_is_taken(house):
    for n in range(5):
        house.submit(b"%d" % n)
    with pytest.raises(Overloaded) as e:
        house.submit(b"one more")
    assert e.value.hint
    assert len(house.waits) == 5


def test_a_job_that_cannot_be_queued_is_admitted_and_found_by_the_reaper(house):
    def broken(*_entry):
        raise RuntimeError("no queue")

    house.intake._put = broken
    job = house.submit()
    assert house.reaper().reap() == 0
    with house.stores.database.write() as connection:
        connection.exec_driver_sql("update jobs set leased_until = '2026-01-01 00:00:00'")
    assert house.reaper().reap() == 1
    assert [entry[:2] for entry in house.put] == [(job.id, int(Priority.DEEP))]


def test_a_database_that_is_lost_leaves_no_orphan(house, monkeypatch):
    def lost(_job):
        raise StoreError("the database is gone")

    monkeypatch.setattr(house.intake.jobs, "add", lost)
    with pytest.raises(StoreError):
        house.submit()
    assert house.waits == []


def test_a_worker_whose_job_was_taken_over_writes_nothing(house, stores):
    house.pipeline.action = Action.QUARANTINE
    job = house.submit()
    sleeper, successor = house.worker("sleeper"), house.worker("successor")

    def overslept():
        house.pipeline.before = lambda: None
        house.reaper(dead={"sleeper"}).reap()
        house.pipeline.action = Action.DELIVER
        successor.work(job.id)
        house.pipeline.action = Action.QUARANTINE

    house.pipeline.before = overslept
    sleeper.work(job.id)
    assert len(house.pipeline.seen) == 2
    assert house.intake.result(job.id).document["action"] == "deliver"
    assert list(stores.quarantine.vault.holdings()) == []
    assert house.told == [job.id]


def test_what_is_diverted_is_encrypted_and_nothing_of_it_stays_in_the_clear(house, stores):
    house.pipeline.action = Action.QUARANTINE
    content = b"a fake that is long enough to be found again" * 3
    job = house.submit(content)
    house.worker().work(job.id)
    assert house.intake.result(job.id).quarantine_id == sha256_of(content)
    assert [h.id for h in stores.quarantine.vault.holdings()] == [sha256_of(content)]
    data = stores.settings.paths.data
    assert not [p for p in data.rglob("*") if p.is_file() and content in p.read_bytes()]


def test_a_quarantine_that_fails_keeps_the_sample_and_tries_again(house, stores, monkeypatch):
    house.pipeline.action = Action.QUARANTINE
    job = house.submit()

    def full(*_a):
        raise QuarantineError("the disk is full", hint="make room")

    with monkeypatch.context() as patch:
        patch.setattr(type(stores.quarantine), "take", full)
        house.worker().work(job.id)
    assert house.intake.job(job.id).state is State.QUEUED
    assert house.intake.job(job.id).attempts == 0
    assert house.waits == [job.id]
    house.worker().work(job.id)
    assert house.intake.result(job.id).quarantine_id is not None


def test_a_sample_that_ends_its_workers_is_given_up_and_said_so(house):
    class Killed(BaseException):
        pass

    job = house.submit()
    house.pipeline.raises = Killed()
    for n in range(ATTEMPTS):
        with pytest.raises(Killed):
            house.worker(f"w{n}").work(job.id)
        house.reaper(dead={f"w{n}"}).reap()
    house.worker("last").work(job.id)
    assert house.intake.result(job.id).document["error"]["code"] == "given_up"
    assert len(house.pipeline.seen) == ATTEMPTS


def test_a_sample_that_was_altered_while_it_waited_is_not_examined(house):
    job = house.submit()
    (house.stores.settings.paths.spool / job.id).write_bytes(b"altered")
    house.worker().work(job.id)
    assert house.intake.result(job.id).document["error"]["code"] == "changed"
    assert house.pipeline.seen == []


def test_a_sample_that_was_lost_while_it_waited_is_said_to_be(house):
    job = house.submit()
    (house.stores.settings.paths.spool / job.id).unlink()
    house.worker().work(job.id)
    document = house.intake.result(job.id).document
    assert (document["error"]["code"], document["sha256"]) == ("lost", job.sha256)


def test_trouble_with_a_sample_is_its_verdict(house):
    house.pipeline.raises = Failed("it is damaged", code="undecodable")
    job = house.submit()
    house.worker().work(job.id)
    assert house.intake.result(job.id).document["error"]["code"] == "undecodable"


def test_leases_are_renewed_while_a_sample_is_examined(house, monkeypatch):
    monkeypatch.setattr("assay.desk.work.LEASE", timedelta(seconds=0.15))
    job = house.submit()
    renewed = threading.Event()
    real = house.intake.jobs.renew

    def noting(self, claims, now=None):
        renewed.set()
        return real(claims, now)

    monkeypatch.setattr("assay.store.jobs.Jobs.renew", noting)
    house.pipeline.before = lambda: renewed.wait(10)
    house.worker().work(job.id)
    assert renewed.is_set()


def test_the_sweep_removes_what_waits_for_nobody_and_jobs_long_done(house):
    left = house.stores.settings.paths.spool / ("f" * 32)
    job = house.submit()
    left.write_bytes(b"of a kill between two steps")
    (left.parent / ("e" * 32 + ".part")).write_bytes(b"half")
    now = datetime.now(UTC)
    assert house.reaper().sweep(now) == 0
    assert house.reaper().sweep(now + timedelta(hours=2)) == 2
    assert house.waits == [job.id]
    house.worker().work(job.id)
    house.reaper().sweep(now + timedelta(days=2))
    assert house.intake.job(job.id) is None
    assert house.intake.result(job.id) is not None


def test_whoever_waits_is_woken_by_the_verdict(house):
    job = house.submit()

    async def main():
        waiting = asyncio.create_task(house.intake.wait(job.id, 20))
        await asyncio.sleep(0)
        await asyncio.to_thread(house.worker().work, job.id)
        return await waiting

    assert asyncio.run(main()).state is State.DONE
    assert house.intake._listeners == {}


def test_a_sample_whose_client_gave_up_is_passed_by_one_whose_client_waits(house):
    abandoned = house.submit(b"abandoned", priority=Priority.INLINE)
    asyncio.run(house.intake.wait(abandoned.id, 0.05))
    assert house.intake.job(abandoned.id).priority is Priority.DEEP
    fresh = house.submit(b"fresh", priority=Priority.INLINE)
    worker = house.worker()
    for turn in house.put:
        worker.work(turn[0])
    assert house.pipeline.seen == [b"fresh", b"abandoned"]
    assert [house.intake.job(j.id).state for j in (fresh, abandoned)] == [State.DONE] * 2


def test_a_client_who_comes_back_is_urgent_again(house):
    first = house.submit(priority=Priority.INLINE)
    asyncio.run(house.intake.wait(first.id, 0.0))
    again = house.submit(priority=Priority.INLINE)
    assert again.id == first.id
    assert house.intake.job(first.id).priority is Priority.INLINE


def test_as_long_as_one_client_waits_a_job_keeps_its_place(house):
    job = house.submit(priority=Priority.INLINE)

    async def one_of_two_gives_up():
        staying = asyncio.create_task(house.intake.wait(job.id, 5))
        await asyncio.sleep(0)
        await house.intake.wait(job.id, 0.05)
        await asyncio.sleep(0.2)
        kept = house.intake.job(job.id).priority
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)
        return kept

    assert asyncio.run(one_of_two_gives_up()) is Priority.INLINE
    assert house.intake.job(job.id).priority is Priority.DEEP


def test_whoever_waits_in_vain_is_told_how_things_stand(house):
    job = house.submit()
    assert asyncio.run(house.intake.wait(job.id, 0.05)).state is State.QUEUED
    with pytest.raises(StoreError, match="no job"):
        asyncio.run(house.intake.wait("0" * 32, 1))


def test_what_cannot_be_examined_follows_the_policy_and_stands_in_the_history(house, stores):
    from assay.types import Problem

    told = house.intake.refuse(
        Problem("over_size", "too large"), sha256="a" * 64, size=9, name="x", source="s"
    )
    assert (told.decision.rule, told.status) == ("over_limit", Status.REFUSED)
    assert [r.id for r in stores.records.select(Filter(source="s"))] == [told.sample.id]


def test_admission_is_synced_before_a_sender_is_told(house, stores):
    house.submit()
    with stores.database.read() as connection:
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2  # FULL
