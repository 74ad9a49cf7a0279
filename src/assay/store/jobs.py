"""Jobs: samples that were admitted, from the moment that their sender was told so until their verdict stands.

This table is the truth; a queue only says who might take what next. Whoever works on a job holds a lease and a fencing
token: a worker that slept while another took its job over finds that its token is old, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from assay.store.tables import jobs, storable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection, Row

    from assay.store.database import Database

LEASE = timedelta(seconds=30)  # of a claim; renewed every third of it
UNSEEN = timedelta(seconds=60)  # a job that is queued and was not begun by then is queued again
ATTEMPTS = 3  # a sample that ended so many workers is given up


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class Priority(IntEnum):
    """Who waits: a client, a person later, nobody. Lower numbers go first."""

    INLINE = 1
    DEEP = 5
    BULK = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One admitted sample; its id is that of the sample and of the record that it becomes."""

    id: str
    sha256: str
    size: int
    name: str  # as declared; personal data
    declared_type: str | None
    source: str
    priority: Priority
    state: State
    submitted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to finish a job, as long as nobody holds a newer one."""

    job: Job
    executor: str
    fence: int


class Overtaken(Exception):
    """Another worker has taken the job over: whatever this one found is not written."""


class Jobs:
    """The jobs of one database. Every method is one short transaction, or takes part in the caller's."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, job: Job) -> None:
        with self.database.write() as connection:
            self.add_within(connection, job)

    def add_begun(self, job: Job, executor: str) -> Claim:
        """Add a job that a worker of this process takes at once: it is claimed before anybody else sees it."""
        moment = datetime.now(UTC)
        begun = replace(job, state=State.RUNNING, started_at=moment, attempts=1)
        claim = Claim(begun, executor, fence=1)
        with self.database.write() as connection:
            self.add_within(connection, begun, claim)
        return claim

    @staticmethod
    def add_within(connection: Connection, job: Job, claim: Claim | None = None) -> None:
        """Add a job in the caller's transaction; with a claim it is under way already."""
        connection.execute(
            jobs.insert().values(
                id=job.id,
                sha256=job.sha256,
                size=job.size,
                name=storable(job.name),
                declared_type=job.declared_type,
                source=storable(job.source),
                priority=int(job.priority),
                state=str(job.state),
                submitted_at=job.submitted_at,
                started_at=job.started_at,
                finished_at=job.finished_at,
                attempts=job.attempts,
                executor=claim.executor if claim else None,
                fence=claim.fence if claim else 0,
                leased_until=_first_lease(job),
            )
        )

    def find(self, job_id: str) -> Job | None:
        with self.database.read() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).first()
        return None if row is None else _job(row)

    def of_content(self, sha256: str, source: str) -> Job | None:
        """The unfinished job of a sender for this content, if he has one."""
        query = sa.select(jobs).where(
            jobs.c.sha256 == sha256, jobs.c.source == storable(source), jobs.c.state != str(State.DONE)
        )
        with self.database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else _job(row)

    def waiting(self, *, at_most: Priority = Priority.BULK) -> int:
        """Count jobs that are not done, of this urgency or a higher one."""
        query = sa.select(sa.func.count()).where(
            jobs.c.state != str(State.DONE), jobs.c.priority <= int(at_most)
        )
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def next(self, job_id: str, patience: timedelta, now: datetime | None = None) -> str:
        """Tell whoever has this job's turn which one to take: the most urgent that nobody has begun, or the job itself.

        Turns are worth the same, so that a job which became less urgent while it waited is passed by those that
        are more urgent now. Of clients that wait, the first to come is served first; once that one has waited for
        longer than `patience`, the last: he still has the time to hear his verdict.

        Parameters
        ----------
        job_id
            Whose turn it is. One that a worker had begun before is taken as it is: it has waited already.
        """
        moment = now or datetime.now(UTC)
        fresh = (jobs.c.state == str(State.QUEUED)) & (jobs.c.fence == 0)
        begun = (jobs.c.id == job_id) & (jobs.c.fence > 0) & _free(moment)
        columns = (jobs.c.id, jobs.c.priority, jobs.c.submitted_at)
        query = sa.select(*columns).where(fresh).order_by(jobs.c.priority, jobs.c.submitted_at).limit(1)
        with self.database.read() as connection:
            if connection.execute(sa.select(jobs.c.id).where(begun)).first():
                return job_id
            first = connection.execute(query).first()
            if first is None:
                return job_id
            if first.priority == int(Priority.INLINE) and moment - first.submitted_at > patience:
                inline = fresh & (jobs.c.priority == int(Priority.INLINE))
                newest = sa.select(*columns).where(inline).order_by(jobs.c.submitted_at.desc()).limit(1)
                first = connection.execute(newest).first() or first
        return str(first.id)

    def hasten(self, job_id: str, priority: Priority) -> None:
        """Make a job that nobody works on as urgent as this, if it is not more so already."""
        self._reprioritise(job_id, jobs.c.priority > int(priority), priority)

    def yield_turn(self, job_id: str) -> None:
        """Let a job for which no client waits any more be passed by those for which one does."""
        self._reprioritise(job_id, jobs.c.priority == int(Priority.INLINE), Priority.DEEP)

    def _reprioritise(self, job_id: str, condition: sa.ColumnElement[bool], priority: Priority) -> None:
        mine = (jobs.c.id == job_id) & (jobs.c.state == str(State.QUEUED)) & condition
        with self.database.write() as connection:
            connection.execute(jobs.update().where(mine).values(priority=int(priority)))

    def claim(self, job_id: str, executor: str, now: datetime | None = None) -> Claim | None:
        """Take a job that nobody works on; None if it is done, gone, or leased by another."""
        moment = now or datetime.now(UTC)
        with self.database.write() as connection:
            taken = connection.execute(
                jobs.update()
                .where(jobs.c.id == job_id, _free(moment))
                .values(
                    state=str(State.RUNNING),
                    executor=executor,
                    fence=jobs.c.fence + 1,
                    attempts=jobs.c.attempts + 1,
                    started_at=sa.func.coalesce(
                        jobs.c.started_at, sa.literal(moment, jobs.c.started_at.type)
                    ),
                    leased_until=moment + LEASE,
                )
            )
            if not taken.rowcount:
                return None
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).one()
            return Claim(_job(row), executor, row.fence)

    def renew(self, claims: Iterable[Claim], now: datetime | None = None) -> set[str]:
        """Lengthen leases; returns the ids of those that are still ours."""
        moment, ours = now or datetime.now(UTC), set()
        with self.database.write() as connection:
            for claim in claims:
                done = connection.execute(
                    jobs.update().where(_held(claim)).values(leased_until=moment + LEASE)
                )
                ours |= {claim.job.id} if done.rowcount else set()
        return ours

    @staticmethod
    def finish(connection: Connection, claim: Claim, now: datetime | None = None) -> None:
        """Mark a job as done, in the transaction that records its verdict.

        Raises
        ------
        Overtaken
            If another worker took it meanwhile; the caller's transaction must be rolled back.
        """
        moment = now or datetime.now(UTC)
        done = connection.execute(
            jobs.update()
            .where(_held(claim))
            .values(state=str(State.DONE), finished_at=moment, leased_until=None)
        )
        if not done.rowcount:
            raise Overtaken(claim.job.id)

    def give_back(self, claim: Claim, after: timedelta = timedelta(0)) -> None:
        """Queue a job again that was begun and cannot be finished now, through no fault of the sample's."""
        with self.database.write() as connection:
            connection.execute(
                jobs.update()
                .where(_held(claim))
                .values(
                    state=str(State.QUEUED),
                    attempts=jobs.c.attempts - 1,
                    leased_until=datetime.now(UTC) + after,
                )
            )

    def expire(self, executors: Iterable[str]) -> None:
        """End the leases of executors that are known to be dead."""
        with self.database.write() as connection:
            connection.execute(
                jobs.update()
                .where(jobs.c.state == str(State.RUNNING), jobs.c.executor.in_(list(executors)))
                .values(leased_until=datetime.now(UTC) - LEASE)
            )

    def executors(self) -> set[str]:
        """Name everyone who holds a job."""
        query = sa.select(jobs.c.executor).where(jobs.c.state == str(State.RUNNING)).distinct()
        with self.database.read() as connection:
            return {str(name) for name in connection.execute(query).scalars()}

    def overdue(self, most: int = 500, now: datetime | None = None) -> list[Job]:
        """Name jobs whose lease or patience has run out; those that nobody began are put off meanwhile."""
        moment = now or datetime.now(UTC)
        late = (jobs.c.state != str(State.DONE)) & (jobs.c.leased_until < moment)
        query = sa.select(jobs).where(late).order_by(jobs.c.priority, jobs.c.submitted_at).limit(most)
        with self.database.write() as connection:
            rows = connection.execute(query).all()
            waiting = [row.id for row in rows if row.state == str(State.QUEUED)]
            if waiting:
                connection.execute(
                    jobs.update().where(jobs.c.id.in_(waiting)).values(leased_until=moment + UNSEEN)
                )
        return [_job(row) for row in rows]

    def unfinished(self, ids: Iterable[str]) -> set[str]:
        """Tell which of these are not done."""
        wanted = list(ids)
        found: set[str] = set()
        with self.database.read() as connection:
            for start in range(0, len(wanted), 500):
                query = sa.select(jobs.c.id).where(
                    jobs.c.id.in_(wanted[start : start + 500]), jobs.c.state != str(State.DONE)
                )
                found |= {str(i) for i in connection.execute(query).scalars()}
        return found

    @staticmethod
    def forget(
        connection: Connection, *, digests: Iterable[str], ids: Iterable[str], source: str | None
    ) -> list[str]:
        """Remove the jobs of these contents, of these records and of a source; returns their ids."""
        condition = jobs.c.sha256.in_(list(digests)) | jobs.c.id.in_(list(ids))
        if source is not None:
            condition |= jobs.c.source == storable(source)
        gone = [str(i) for i in connection.execute(sa.select(jobs.c.id).where(condition)).scalars()]
        connection.execute(jobs.delete().where(condition))
        return gone

    def prune(self, before: datetime) -> int:
        """Remove jobs that were done before a moment; their records stay."""
        with self.database.write() as connection:
            return connection.execute(
                jobs.delete().where(jobs.c.state == str(State.DONE), jobs.c.finished_at < before)
            ).rowcount


def _first_lease(job: Job) -> datetime:
    if job.started_at is not None:
        return job.started_at + LEASE
    return job.submitted_at + (
        UNSEEN if job.priority < Priority.BULK else timedelta(0)
    )  # bulk waits for the reaper


def _free(moment: datetime) -> sa.ColumnElement[bool]:
    """Jobs that may be claimed: queued, or left behind by a worker whose lease ran out."""
    left = (jobs.c.state == str(State.RUNNING)) & (jobs.c.leased_until < moment)
    return (jobs.c.state == str(State.QUEUED)) | left


def _held(claim: Claim) -> sa.ColumnElement[bool]:
    return (jobs.c.id == claim.job.id) & (jobs.c.state == str(State.RUNNING)) & (jobs.c.fence == claim.fence)


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        sha256=row.sha256,
        size=row.size,
        name=row.name,
        declared_type=row.declared_type,
        source=row.source,
        priority=Priority(row.priority),
        state=State(row.state),
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
    )
