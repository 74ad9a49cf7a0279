"""The queue: who takes which job next, on DBOS, durable in a database of its own. The table of jobs is the truth.

DBOS orders by priority, bounds what one process does at once, and lets any number of processes share one database. It is
kept behind this file, since its interface changes often. What it does not do (take over from a machine that died) is
done by leases on jobs: `desk.intake.Reaper` queues an overdue job again under the number of its next attempt, and the
workflow that was lost finds nothing left to do.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import create_engine, event, make_url

from assay.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

log = logging.getLogger(__name__)

NAME = "screen"
LOOK_S = 0.05  # between two looks for work: what a client waits more
VERSION = (
    "1"  # of what is queued: raised only when the arguments change, or an upgrade would strand the queue
)
CUT_OFF = "work on job %s was cut off by the end of this process; it is begun again"
KEPT = 1000  # finished entries that are removed at once, at most


class Queue:
    """The queue of one process. There can be one at a time, since DBOS is a singleton.

    Parameters
    ----------
    url
        An SQLAlchemy URL: an SQLite file of its own, or the PostgreSQL database, where it has its own schema.
    executor
        A name that no other process has ever had (`executor_name`).
    work
        Called in a thread with a job's id; what it raises is logged, and the job is overdue some time later.
    at_once
        Jobs that this process works on at the same time.
    """

    _work: ClassVar[Callable[[str], None] | None] = None

    def __init__(self, url: str, *, executor: str, work: Callable[[str], None], at_once: int) -> None:
        self._url = url
        self._executor = executor
        self._callable = work
        self._at_once = at_once
        self._engine: Engine | None = None

    def start(self) -> None:
        """Connect, make the schema where there is none, and begin to take work.

        Raises
        ------
        StoreError
            If the database cannot be used, or this process has a queue already.
        """
        if Queue._work is not None:
            raise StoreError("this process has a queue already", code="queue")
        from dbos import DBOS, DBOSPortableJSONSerializer
        from dbos import error as dbos_error
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("dbos").setLevel(logging.ERROR)
        Queue._work = self._callable
        self._engine = _engine(self._url)
        workflow = _workflow()
        try:
            DBOS(
                config={
                    "name": "assay",
                    "system_database_url": self._url,
                    "system_database_engine": self._engine,
                    "executor_id": self._executor,
                    "application_version": VERSION,
                    "serializer": DBOSPortableJSONSerializer(),
                    "max_executor_threads": 4 * self._at_once + 16,
                    "use_listen_notify": False,
                    "log_level": "ERROR",
                    "console_log_level": "ERROR",
                }
            )
            DBOS.listen_queues([NAME])
            DBOS.launch()
            DBOS.register_queue(
                NAME,
                worker_concurrency=self._at_once,
                polling_interval_sec=LOOK_S,
                on_conflict="always_update",
            )
        except (dbos_error.DBOSException, SQLAlchemyError, OSError) as e:
            self.stop(0)
            text = str(e).splitlines()[0] if str(e) else type(e).__name__
            raise StoreError(
                f"the queue cannot be opened: {text}", code="queue", hint="check the database"
            ) from e
        self._workflow = workflow

    def put(self, job_id: str, priority: int, attempt: int = 0) -> None:
        """Queue a job; the same attempt of it twice is one entry."""
        from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

        with SetWorkflowID(f"{job_id}.{attempt}"), SetEnqueueOptions(priority=priority):
            DBOS.enqueue_workflow(NAME, self._workflow, job_id)

    def prune(self, older_than_s: float) -> int:
        """Remove entries that ended, or whose process died, so long ago; returns how many."""
        from dbos import DBOS

        before = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - older_than_s))
        found = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "PENDING"],
            end_time=before,
            limit=KEPT,
            load_input=False,
            load_output=False,
        )
        ids = [
            w.workflow_id for w in found if not (w.status == "PENDING" and w.executor_id == self._executor)
        ]
        if ids:
            DBOS.delete_workflows(ids)
        return len(ids)

    def stop(self, grace_s: float) -> None:
        """Take no more work, and wait for what is under way."""
        from dbos import DBOS

        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # of work that is cut off `_run` tells
        DBOS.destroy(workflow_completion_timeout_sec=round(grace_s))
        if self._engine is not None:
            self._engine.dispose()
        Queue._work = None


def _workflow() -> Any:
    """Register the one function that is queued; DBOS finds it by its name after a restart."""
    from dbos import DBOS

    return DBOS.workflow(name=NAME, max_recovery_attempts=None)(_run)


def _run(job_id: str) -> None:
    work = Queue._work  # noqa: SLF001 - of this module
    if work is None:  # stopped while it was handed over: the job is overdue some time later
        return
    try:
        work(job_id)
    except Exception:
        if Queue._work is None:  # noqa: SLF001 - of this module
            log.warning(CUT_OFF, job_id[:12])
        else:
            log.exception("job %s could not be finished", job_id[:12])


def _engine(url: str) -> Engine:
    """Make an engine; an SQLite file is private, in WAL mode, and synced lazily: the jobs are the truth."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=10)
    path = str(parsed.database)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def executor_name() -> str:
    """Name this process as no other process of any machine was ever named: host, number, start."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(executor: str) -> bool:
    """Is this a process of this machine that has ended? False for one of another machine: nobody can know."""
    host, _, rest = executor.partition(":")
    pid, _, started = rest.partition(":")
    return host == socket.gethostname() and pid.isdigit() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot, with the boot's own id; "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            ticks = file.read().rpartition(b")")[2].split()[19].decode()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read(8)}-{ticks}"
    except (OSError, IndexError):
        return ""
