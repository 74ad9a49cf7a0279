"""A worker: takes one job after the other from claim to verdict, and lets go of it if another took it over."""

from __future__ import annotations

import dataclasses
import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from assay.desk.screening import cause_of_diversion, rule_of
from assay.desk.slots import Slots
from assay.errors import Failed, QuarantineError, SampleError, StoreError
from assay.ingest.admission import admit_descriptor
from assay.report.contract import to_json
from assay.store.jobs import ATTEMPTS, LEASE, Claim, Job, Jobs, Overtaken
from assay.store.queue import CUT_OFF
from assay.types import Sample, Screening

if TYPE_CHECKING:
    from assay.desk.intake import Intake
    from assay.desk.stores import Stores
    from assay.ingest.admission import Arrival
    from assay.store.waiting import Waiting

log = logging.getLogger(__name__)

ACTOR = "gateway"
LATER = timedelta(seconds=20)  # when a store that failed is tried again
PATIENCE = timedelta(seconds=2)  # half of what clients wait, unless they are told otherwise
CHANGED = Failed(
    "what waited is not what was admitted", code="changed", hint="The spool was altered: check the disk."
)


class Examiner(Protocol):
    """What a worker needs of the pipeline."""

    def screen(self, arrival: Arrival, /, *, sample_id: str, source: str) -> Screening: ...
    def unread(self, path: str, e: SampleError, sample: Sample) -> Screening: ...


class Worker:
    """Works on jobs, as many at once as there are slots; `work` and `begin` may be called from any thread.

    Parameters
    ----------
    intake
        Of the same installation: records verdicts, and tells who waits in this process.
    executor
        The name of this process (`store.queue.executor_name`).
    at_once
        Slots.
    patience
        How long a client may have waited and still be served before those who came after him.
    """

    def __init__(
        self,
        stores: Stores,
        waiting: Waiting,
        intake: Intake,
        screener: Examiner,
        *,
        executor: str,
        at_once: int = 2,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._stores = stores
        self._jobs = Jobs(stores.database)
        self._waiting = waiting
        self._intake = intake
        self._screener = screener
        self._executor = executor
        self._slots = Slots(at_once)
        self._patience = patience
        self._claims: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._renewing.start()

    def begin_no_more(self) -> None:
        """Refuse from now on to begin what the queue does not bring."""
        self._slots.close()

    def close(self, grace_s: float = 0.0) -> None:
        """Wait for what is under way, so long at most; leases are not renewed after that."""
        self.begin_no_more()
        self._slots.all_free(grace_s)
        self._stop.set()
        self._renewing.join()

    @property
    def busy(self) -> int:
        """Jobs under way."""
        return len(self._claims)

    def work(self, job_id: str) -> None:
        """Take a job to its end, or one that is more urgent; nothing happens if there is none to take."""
        with self._slots.hold():
            claim = self._claim(job_id)
            if claim is not None:
                self._carry_out(claim)

    def begin(self, job: Job) -> bool:
        """Add a job that was just admitted and work on it in a thread of its own, if a slot is free or soon will be.

        It has no entry in the queue: should this process end, the reaper finds its lease run out.

        Raises
        ------
        StoreError
            If it cannot be added.
        """
        place = self._slots.join()
        if place is None:
            return False
        try:
            claim = self._jobs.add_begun(job, self._executor)
        except BaseException:
            self._slots.leave(place)
            raise
        with self._lock:
            self._claims[job.id] = claim  # its lease is renewed while it waits for its slot
        try:
            threading.Thread(target=self._begun, args=(claim, place), name="begun", daemon=True).start()
        except RuntimeError:  # no more threads on this machine: the job is admitted, and the reaper queues it
            log.warning("job %s waits: no thread can be started", job.id[:12])
            self._slots.leave(place)
            with self._lock:
                del self._claims[job.id]
            self._jobs.give_back(claim)
        return True

    def _begun(self, claim: Claim, place: object) -> None:
        with self._slots.hold(place):
            try:
                self._carry_out(claim)
            except Exception:
                if self._stop.is_set():
                    log.warning(CUT_OFF, claim.job.id[:12])
                else:
                    log.exception("job %s could not be finished", claim.job.id[:12])

    def _carry_out(self, claim: Claim) -> None:
        job_id = claim.job.id
        with self._lock:
            self._claims[job_id] = claim
        try:
            self._finish(claim)
        except Overtaken:
            log.warning("job %s was taken over by another worker; nothing was written", job_id[:12])
        except (StoreError, QuarantineError) as e:
            log.warning("job %s waits: %s. %s", job_id[:12], e.message, e.hint)
            self._jobs.give_back(claim, LATER)
        finally:
            with self._lock:
                self._claims.pop(job_id, None)
        self._intake.announce(job_id)

    def _claim(self, job_id: str) -> Claim | None:
        while (chosen := self._jobs.next(job_id, self._patience)) != job_id:
            claim = self._jobs.claim(chosen, self._executor)
            if claim is not None:
                return claim  # otherwise another worker was quicker: look again
        return self._jobs.claim(job_id, self._executor)

    def _finish(self, claim: Claim) -> None:
        job = claim.job
        try:
            with self._waiting.open(job.id) as descriptor:
                screening = self._screened(claim, descriptor)
                self._hold_on(claim)
                screening = self._diverted(screening, descriptor)
        except StoreError as e:
            if e.code != "not_found":
                raise
            screening = self._lost(job)
        self._intake.record(screening, lambda connection: self._jobs.finish(connection, claim))
        self._waiting.remove(job.id)

    def _screened(self, claim: Claim, descriptor: int) -> Screening:
        job = claim.job
        try:
            if job.attempts > ATTEMPTS:
                raise _given_up()
            with admit_descriptor(descriptor, job.name, self._stores.settings.limits.size_bytes) as arrival:
                return self._examined(job, arrival)
        except SampleError as e:
            return self._screener.unread(job.name, e, sample_of(job))

    def _examined(self, job: Job, arrival: Arrival) -> Screening:
        if arrival.sha256 != job.sha256:
            raise CHANGED
        screening = self._screener.screen(arrival, sample_id=job.id, source=job.source)
        declared = job.declared_type or screening.sample.declared_type
        return dataclasses.replace(
            screening,
            sample=dataclasses.replace(
                screening.sample, declared_type=declared, received_at=job.submitted_at
            ),
        )

    def _lost(self, job: Job) -> Screening:
        e = Failed("it was lost before it was examined", code="lost", hint="Ask for it again.")
        return self._screener.unread(job.name, e, sample_of(job))

    def _hold_on(self, claim: Claim) -> None:
        """Make sure that the job is still ours before anything is written anywhere.

        Raises
        ------
        Overtaken
            If it is not.
        """
        if claim.job.id not in self._jobs.renew([claim]):
            raise Overtaken(claim.job.id)

    def _diverted(self, screening: Screening, descriptor: int) -> Screening:
        cause = cause_of_diversion(screening)
        if cause is None:
            return screening
        outermost = None if cause is screening else screening.sample
        taken = self._stores.quarantine.take(descriptor, None, cause.sample, to_json(screening), outermost)
        self._stores.audit.record(ACTOR, "quarantine", screening.sample.sha256, rule_of(cause))
        return dataclasses.replace(screening, quarantine_id=taken.quarantine_id)

    def _renew(self) -> None:
        while not self._stop.wait(LEASE.total_seconds() / 3):
            with self._lock:
                claims = list(self._claims.values())
            if claims:
                try:
                    self._jobs.renew(claims)
                except StoreError as e:
                    log.warning("leases could not be renewed: %s", e.message)


def sample_of(job: Job) -> Sample:
    """What is known of a sample that could not be examined."""
    return Sample(
        job.id,
        job.sha256,
        job.size,
        "application/octet-stream",
        job.declared_type,
        job.submitted_at,
        job.source,
    )


def _given_up() -> Failed:
    return Failed(
        f"{ATTEMPTS} workers ended while they examined it",
        code="given_up",
        hint="It may be made to end them: keep it apart, and report this.",
    )
