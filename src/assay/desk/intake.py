"""Intake: what a sender hands over becomes a job, durable before he is told so; what is known already is answered at once."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from assay.action.policy import decide, effective
from assay.errors import Overloaded, StoreError
from assay.media.identify import UNKNOWN
from assay.media.identify import declared_type as promised_by
from assay.report.contract import from_json
from assay.store.jobs import Job, Jobs, Priority, State
from assay.store.records import Filter
from assay.store.tables import records
from assay.types import Problem, Sample, Screening, Status
from assay.version import __version__

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from assay.desk.stores import Stores
    from assay.settings import PolicySettings
    from assay.store.records import Record
    from assay.store.waiting import Waiting

log = logging.getLogger(__name__)

After = Callable[["Connection", Screening], None]
Put = Callable[[str, int, int], None]  # a job's id, its priority, the number of its attempt
Begin = Callable[[Job], bool]
MOST_COPIES = 20  # records of the same content that are asked for their pictures
LOOKS_S = (0.05, 0.1, 0.25, 0.5, 1.0)  # between looks for a verdict that another process may write


class Intake:
    """Takes samples in for one installation. Its methods block on the disk: call them in threads.

    Parameters
    ----------
    stores
        Records and judgements.
    waiting
        Where samples wait for their verdict.
    put
        Queues a job; a job that could not be queued is found by the reaper.
    begin
        Adds a job and begins it, if this process has a slot (`Worker.begin`): it needs no turn then. Not asked for bulk.
    rules
        The policy and the version of the calibration in force: verdicts under others are not given again.
    after
        Called inside of the transaction that records a verdict.
    backlog
        Unfinished jobs beyond which nothing more is taken.
    changed_at
        When signatures last changed: verdicts from before are not given again.
    """

    def __init__(
        self,
        stores: Stores,
        waiting: Waiting,
        *,
        put: Put,
        begin: Begin = lambda _job: False,
        rules: Callable[[], tuple[PolicySettings, str]],
        after: Sequence[After] = (),
        backlog: int = 1000,
        changed_at: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self.stores = stores
        self.jobs = Jobs(stores.database)
        self._waiting = waiting
        self._put = put
        self._begin = begin
        self._rules = rules
        self._after = tuple(after)
        self._most = backlog
        self._changed_at = changed_at
        self._lock = threading.Lock()
        self._listeners: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    @property
    def backlog(self) -> int:
        """Jobs that are not done."""
        return self.jobs.waiting()

    def submit(
        self,
        *,
        descriptor: int,
        sha256: str,
        size: int,
        name: str = "",
        declared_type: str | None = None,
        source: str,
        priority: Priority = Priority.DEEP,
        key: str = "",
    ) -> Job:
        """Take a sample in. When this returns, bytes and job are on the disk, or the verdict is.

        A sample that this source has waiting already is that job; content whose verdict still holds gets a record of
        its own at once.

        Parameters
        ----------
        descriptor, sha256, size
            The content; the descriptor stays the caller's.
        key
            A sender's own name for this submission: the same one again is the same job, however often it is sent.

        Raises
        ------
        Overloaded
            If too much is waiting.
        StoreError
            If it cannot be kept; nothing was taken then.
        """
        moment, job_id = datetime.now(UTC), _named(source, key) if key else uuid.uuid4().hex
        if key and (sent := self.jobs.find(job_id)) is not None:
            return sent
        job = Job(
            id=job_id,
            sha256=sha256,
            size=size,
            name=name,
            declared_type=declared_type or promised_by(name),
            source=source,
            priority=priority,
            state=State.QUEUED,
            submitted_at=moment,
        )
        earlier = self._standing(sha256)
        if earlier is not None:
            return self._given_again(job, earlier)
        if not key and (same := self.jobs.of_content(sha256, source)) is not None:
            if priority < same.priority:
                self.jobs.hasten(same.id, priority)
            return same
        if self.backlog >= self._most:
            raise Overloaded(
                f"{self._most} samples are waiting already",
                hint="Try again in a while; raise serve.backlog or start more workers if this happens often.",
            )
        self._waiting.put(job.id, descriptor)
        try:
            if priority < Priority.BULK and self._begin(job):
                return job
            self.jobs.add(job)
        except BaseException:
            self._waiting.remove(job.id)
            raise
        self._queue(job)
        return job

    def refuse(self, problem: Problem, *, sha256: str, size: int, name: str, source: str) -> Screening:
        """Decide by policy on what cannot be examined, and record that."""
        sample = Sample(uuid.uuid4().hex, sha256, size, UNKNOWN, promised_by(name), datetime.now(UTC), source)
        decision = decide(problem, self._rules()[0], status=Status.REFUSED)
        screening = Screening(
            sample, name, Status.REFUSED, datetime.now(UTC), __version__, decision=decision, error=problem
        )
        self.record(screening)
        return screening

    def record(
        self, screening: Screening, first: Callable[[Connection], None] = lambda _connection: None
    ) -> None:
        """Record a verdict, and tell whoever has to be told, in one transaction.

        Parameters
        ----------
        first : callable
            What must hold for the verdict to be written at all, in the same transaction: what it raises undoes it.
        """
        pictures = self.stores.pictures
        made = pictures.make(screening, self._records_of)  # before: it takes long
        try:
            with self.stores.database.write() as connection:
                first(connection)
                self.stores.records.add_within(connection, [screening])
                for tell in self._after:
                    tell(connection, screening)
                pictures.keep(made)
        except BaseException:
            pictures.discard(made)
            raise

    def _records_of(self, sha256: str) -> list[str]:
        query = sa.select(records.c.id).where(records.c.sha256 == sha256)
        with self.stores.database.read() as connection:
            newest = query.order_by(records.c.screened_at.desc()).limit(MOST_COPIES)
            return [str(i) for i in connection.execute(newest).scalars()]

    def job(self, job_id: str) -> Job | None:
        return self.jobs.find(job_id)

    def result(self, job_id: str) -> Record | None:
        """The record that a job became; None while it is not done."""
        try:
            found = self.stores.records.find(job_id)
        except StoreError as e:
            if e.code == "not_found":
                return None
            raise
        return found if found.id == job_id else None

    async def wait(self, job_id: str, timeout_s: float) -> Job:
        """Wait until a job is done, by whichever process, or until the time is up.

        A job for which nobody waits any more (the time is up, or the caller was cancelled) lets others go first.

        Raises
        ------
        StoreError
            If there is no such job (``not_found``).
        """
        loop = asyncio.get_running_loop()
        end, done, is_done = loop.time() + timeout_s, asyncio.Event(), False
        with self._lock:
            self._listeners.setdefault(job_id, []).append((loop, done))
        try:
            for look in _looks():
                job = await loop.run_in_executor(None, self.jobs.find, job_id)
                if job is None:
                    raise StoreError(f"no job {job_id}", code="not_found")
                left, is_done = end - loop.time(), job.state is State.DONE
                if is_done or left <= 0:
                    return job
                try:
                    await asyncio.wait_for(done.wait(), min(look, left))
                except TimeoutError:
                    continue
                done.clear()
            raise AssertionError
        finally:
            with self._lock:
                left_over = [own for own in self._listeners[job_id] if own[1] is not done]
                if left_over:
                    self._listeners[job_id] = left_over
                else:
                    del self._listeners[job_id]
            if not left_over and not is_done:
                with contextlib.suppress(RuntimeError):  # the loop is ending, and with it all waiting
                    loop.run_in_executor(None, self._let_others_go_first, job_id)

    def announce(self, job_id: str) -> None:
        """Wake those of this process that wait for a job; from any thread."""
        with self._lock:
            listeners = list(self._listeners.get(job_id, ()))
        for loop, done in listeners:
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:  # the loop has ended
                log.debug("nobody waits for job %s any more", job_id)

    def _let_others_go_first(self, job_id: str) -> None:
        try:
            self.jobs.yield_turn(job_id)
        except StoreError as e:
            log.warning("job %s keeps its place, though nobody waits for it: %s", job_id[:12], e.message)

    def _queue(self, job: Job) -> None:
        try:
            self._put(job.id, int(job.priority), 0)
        except Exception:
            log.exception("job %s was admitted and could not be queued; it will be", job.id[:12])

    def _standing(self, sha256: str) -> Record | None:
        """The newest verdict on this content, if today's screening would say the same."""
        if self.stores.judgements.known(sha256) is not None:
            return None  # a person spoke, perhaps since; asking again is quick
        found = next(
            iter(
                self.stores.records.select(Filter(sha256=sha256, status="screened", outermost=True, limit=1))
            ),
            None,
        )
        if found is None:
            return None
        d, changed, (policy, calibration) = found.document, self._changed_at(), self._rules()
        same = (
            d["assay_version"] == __version__
            and d["calibration"] == calibration
            and d["policy_digest"] == effective(policy).digest
            and (changed is None or found.screened_at >= changed)
        )
        lost = d["action"] in ("quarantine", "reject") and found.quarantine_id is None
        return found if same and not lost else None

    def _given_again(self, job: Job, earlier: Record) -> Job:
        before = from_json(earlier.document)
        note = f"the same content was examined before (record {earlier.id[:12]}); what was found inside of it stands there"
        sample = dataclasses.replace(
            before.sample,
            id=job.id,
            declared_type=job.declared_type,
            received_at=job.submitted_at,
            source=job.source,
            parent=None,
        )
        screening = dataclasses.replace(
            before,
            sample=sample,
            path=job.name,
            screened_at=datetime.now(UTC),
            elapsed_s=0.0,
            cpu_s=0.0,
            quality=earlier.quality,
            quarantine_id=earlier.quarantine_id,
            warnings=tuple(dict.fromkeys((*before.warnings, note))),
        )
        done = dataclasses.replace(
            job, state=State.DONE, started_at=job.submitted_at, finished_at=screening.screened_at
        )
        self.record(screening, lambda connection: self.jobs.add_within(connection, done))
        return done


def _named(source: str, key: str) -> str:
    return hashlib.sha256(f"{source}\0{key}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _looks() -> Iterable[float]:
    yield from LOOKS_S
    while True:
        yield LOOKS_S[-1]
