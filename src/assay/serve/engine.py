"""The engine of one process: stores, detectors, queue, workers and reaper, put together and taken apart in order."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from assay.desk import feedback, hunting, retention
from assay.desk.intake import Intake
from assay.desk.reaper import Reaper
from assay.desk.signatures import Shelf, note_matches
from assay.desk.stores import Stores
from assay.desk.webhooks import Webhooks
from assay.desk.work import Worker
from assay.pipeline import Screener
from assay.serve.exchange import Edition
from assay.signatures import trust
from assay.store.queue import Queue, executor_name, is_dead
from assay.verdict import calibration

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from assay.settings import Settings
    from assay.store.jobs import Job
    from assay.types import Screening

log = logging.getLogger(__name__)

PRUNED_S = 86_400.0


class Engine:
    """What `assay serve` and `assay worker` have in common; use it as a context manager.

    Parameters
    ----------
    load
        Reads what the operator decided; asked again by `reload`.
    passphrase
        Asked once, where the quarantine has no identity yet.
    """

    def __init__(self, load: Callable[[], Settings], *, passphrase: Callable[[], str]) -> None:
        self._load = load
        self.settings = load()
        self._passphrase = passphrase
        self._opened = contextlib.ExitStack()
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        settings, opened = self.settings, self._opened
        self.stores = opened.enter_context(Stores.open(settings))
        note = self.stores.quarantine.keys.ensure(self._passphrase)
        for line in [*([note] if note else []), *self.stores.quarantine.sweep()]:
            log.warning(line)
        self.spool = settings.paths.spool
        self.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting = self.stores.waiting
        self.webhooks = Webhooks(self.stores.database, settings.api.webhook_inside)
        self.shelf = Shelf(self.stores.database, settings, tell=log.error)
        opened.callback(self.shelf.close)
        self.intake = Intake(
            self.stores,
            waiting,
            put=self._put,
            begin=self._begin,
            rules=lambda: (self.settings.policy, self.calibration),
            after=(self.webhooks.created, self._note_matches, self._draw),
            backlog=settings.serve.backlog,
            changed_at=self._signatures_changed_at,
        )
        self.screener = opened.enter_context(
            Screener(
                settings,
                known=self.stores.judgements.known,
                library=self.shelf.library,
                trust=trust.load(settings.paths.trust),
            )
        )
        self.screener.warm()
        executor = executor_name()
        self.worker = Worker(
            self.stores,
            waiting,
            self.intake,
            self.screener,
            executor=executor,
            at_once=self.screener.jobs,
            patience=timedelta(seconds=settings.serve.budget_s / 2),
        )
        opened.callback(self.worker.close)
        self.queue = Queue(
            queue_url(settings), executor=executor, work=self.worker.work, at_once=self.screener.jobs
        )
        self.queue.start()
        self.reaper = Reaper(self.stores, waiting, put=self._put, is_dead=is_dead, chores=self._chores)
        self.reaper.start()

    def close(self) -> None:
        """Take no more work, wait for what is under way, and close everything."""
        self._closing.set()
        end = time.monotonic() + self.settings.serve.drain_s
        with contextlib.suppress(AttributeError):  # never opened as far as that
            self.worker.begin_no_more()
            self.reaper.close()
            self.queue.stop(end - time.monotonic())
            self.worker.close(end - time.monotonic())
        self._opened.close()

    @property
    def calibration(self) -> str:
        """The version in force."""
        return calibration.shipped(self.settings.reasons, self.settings.paths.calibration).version

    def edition(self) -> Edition:
        """Tell what answers: for clamd's VERSION and ICAP's ISTag."""
        serial, published_at = self.shelf.edition()
        return Edition(serial=serial, published_at=published_at, calibration=self.calibration)

    def reload(self) -> None:
        """Read settings, signatures, trust lists and calibration again; where it listens and stores stays as it was at the start.

        Raises
        ------
        AssayError
            If they cannot be read; the old ones stay in force then.
        """
        settings = self._load()
        self.shelf.reload()
        calibration.shipped(settings.reasons, settings.paths.calibration)
        self.screener.reconfigure(settings, trust.load(settings.paths.trust))
        self.settings = settings
        log.info("reloaded")

    def hunt(self) -> int | None:
        """Ask what was delivered again, if the rules have changed since; stops when the engine is closed."""
        return hunting.hunt_if_due(
            self.stores, self.shelf.library(), (self.webhooks.changed,), stopping=self._closing.is_set
        )

    def _signatures_changed_at(self) -> datetime:
        return self.shelf.edition()[1]

    def _note_matches(self, connection: Connection, screening: Screening) -> None:
        for tally in note_matches(connection, screening, self.settings):
            log.warning("signature %s of %s matches too often and was suspended", tally.id, tally.listed)

    def _draw(self, connection: Connection, screening: Screening) -> None:
        feedback.draw(connection, screening, self.settings)

    def _begin(self, job: Job) -> bool:
        return self.worker.begin(job)

    def _put(self, job_id: str, priority: int, attempt: int) -> None:
        self.queue.put(job_id, priority, attempt)

    def _chores(self) -> None:
        self.queue.prune(PRUNED_S)
        hunting.pull_all(self.stores)
        retention.enforce_daily(self.settings)


def queue_url(settings: Settings) -> str:
    """Where the queue lies: a file of its own beside the SQLite database, or the same PostgreSQL database."""
    return settings.store.database or f"sqlite:///{os.fspath(settings.paths.data)}/queue.db"
