"""What time does to jobs: overdue ones are queued again, leftovers removed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from assay.errors import StoreError
from assay.store.jobs import Jobs, Priority

if TYPE_CHECKING:
    from assay.desk.stores import Stores
    from assay.store.waiting import Waiting

log = logging.getLogger(__name__)


class Reaper:
    """One thread of a process that takes care of every process's jobs.

    Parameters
    ----------
    put
        Queues a job: its id, its priority, the number of its attempt.
    is_dead
        Tells of an executor whether it is known to have ended.
    chores
        What else is to be done every hour.
    """

    EVERY_S = 3.0
    SWEEP = timedelta(hours=1)
    KEPT = timedelta(days=1)  # of jobs that are done, and of what the queue says of them

    def __init__(
        self,
        stores: Stores,
        waiting: Waiting,
        *,
        put: Callable[[str, int, int], None],
        is_dead: Callable[[str], bool],
        chores: Callable[[], None],
    ) -> None:
        self._jobs = Jobs(stores.database)
        self._waiting = waiting
        self._put = put
        self._is_dead = is_dead
        self._chores = chores
        self._swept_at: datetime | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def reap(self) -> int:
        """Queue again what is overdue; returns how many jobs that were.

        What a worker had begun goes to the front: it has waited for its turn already.
        """
        dead = [name for name in self._jobs.executors() if self._is_dead(name)]
        if dead:
            self._jobs.expire(dead)
        overdue = self._jobs.overdue()
        minute = int(time.time()) // 60
        for job in overdue:
            # One entry a minute and attempt, whoever reaps: a queue knows each entry once.
            attempt = job.attempts << 32 | minute
            self._put(job.id, int(Priority.INLINE if job.attempts else job.priority), attempt)
        return len(overdue)

    def sweep(self, now: datetime | None = None) -> int:
        """Remove what waits for no job, and jobs long done; returns how many files went."""
        moment = now or datetime.now(UTC)
        old = self._waiting.ids(self.SWEEP.total_seconds(), moment.timestamp())
        unfinished = self._jobs.unfinished(old)
        gone = [name for name in old if name not in unfinished]
        for name in gone:
            self._waiting.remove(name)
        self._jobs.prune(moment - self.KEPT)
        return len(gone)

    def _run(self) -> None:
        while True:
            try:
                self.reap()
                moment = datetime.now(UTC)
                if self._swept_at is None or moment - self._swept_at > self.SWEEP:
                    self._swept_at = moment
                    self.sweep()
                    self._chores()
            except StoreError as e:
                log.warning("the reaper waits: %s. %s", e.message, e.hint)
            except Exception:
                log.exception("the reaper failed and goes on")
            if self._stop.wait(self.EVERY_S):
                return
