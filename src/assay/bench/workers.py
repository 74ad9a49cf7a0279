"""Processes that work through tasks, each message tied to its task: a death or a hang costs one step, never the run.

Children are spawned (they import the program anew and share nothing), take one task at a time, and end with their parent.
"""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from assay.bench.cache import Result
from assay.bench.cells import DECODING, LAUNDERING, Hands, Row, Step, Task, Want
from assay.errors import AssayError
from assay.media.jail.kernel import PR_SET_PDEATHSIG, prctl
from assay.types import Outcome

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
START_S = 600.0  # for imports, weights, the jail; a decoder has a limit of its own
Make = Callable[[], Hands]


@dataclass(frozen=True, slots=True)
class _Done:
    """The end of a task, or what ended it."""

    error: AssayError | None = None


class _Worker:
    """One child, the task that it has and the step it is at."""

    def __init__(self, make: Make) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None
        self.step = Step("", "")
        self.since = time.monotonic()

    def give(self, task: Task) -> None:
        self.task, self.step, self.since = task, Step("", ""), time.monotonic()
        self.connection.send(task)

    def go_on(self) -> None:
        """Let the child compute more: a kill of all costs each child one result, not a pipe full of them."""
        with contextlib.suppress(OSError):  # it died: that is told by its silence
            self.connection.send(None)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def spread(
    tasks: Iterable[Task],
    make: Make,
    *,
    jobs: int,
    step_s: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Row]:
    """Work through the tasks on `jobs` processes; rows come as they are ready, in any order.

    Parameters
    ----------
    make
        Makes the hands in each child; picklable.
    step_s
        Seconds that one detector may take on one rendition.
    stopped
        Asked between messages; True ends it, what is finished has been yielded.

    Raises
    ------
    AssayError
        If a child cannot set itself up (weights, the jail).
    """
    waiting = collections.deque(tasks)
    workers: list[_Worker] = []
    try:
        while (waiting or any(w.task for w in workers)) and not stopped():
            while len(workers) < jobs and len([w for w in workers if w.task is None]) < len(waiting):
                workers.append(_Worker(make))
            for idle in workers:
                if idle.task is None and waiting:
                    idle.give(waiting.popleft())
            for worker in _heard(workers):
                message = _next(worker)
                if isinstance(message, Row):
                    assert worker.task is not None
                    worker.task = without(worker.task, {message.key})
                    yield message  # whoever takes it has kept it when this goes on
                    worker.go_on()
                elif isinstance(message, Step):
                    worker.step, worker.since = message, time.monotonic()
                elif isinstance(message, _Done):
                    if message.error is not None:
                        raise message.error
                    worker.task = None
                else:
                    yield from _lost(worker, workers, waiting, Outcome.FAILED, "its process died")
            for worker in [w for w in workers if w.task and _overdue(w, step_s)]:
                yield from _lost(worker, workers, waiting, Outcome.TIMED_OUT, f"stopped after {step_s:g} s")
    finally:
        for worker in workers:
            worker.end()


def inline(tasks: Iterable[Task], make: Make) -> Iterator[Row]:
    """Work through the tasks in this process: for few of them, and for detectors that cannot be pickled."""
    hands = make()
    try:
        for task in tasks:
            yield from (m for m in hands.work(task) if isinstance(m, Row))
    finally:
        hands.close()


def without(task: Task, done: set[Any]) -> Task:
    """Take finished keys out of a task."""
    wants = (
        replace(w, keys={name: key for name, key in w.keys.items() if key not in done}) for w in task.wants
    )
    return replace(task, wants=tuple(w for w in wants if w.keys))


def _serve(connection: Connection, make: Make, parent: int) -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it died before we asked to die with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends us
    try:
        hands = make()
        while True:
            for message in hands.work(connection.recv()):
                connection.send(message)
                if isinstance(message, Row):
                    connection.recv()
            connection.send(_Done())
    except AssayError as e:
        connection.send(_Done(e))
    except (EOFError, BrokenPipeError):
        return


def _heard(workers: list[_Worker]) -> list[_Worker]:
    by_connection = {w.connection: w for w in workers if w.task}
    return [by_connection[c] for c in wait(list(by_connection), timeout=0.5) if isinstance(c, Connection)]


def _next(worker: _Worker) -> Any:
    """Read one message; None where the child has gone."""
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        return None


def _overdue(worker: _Worker, step_s: float) -> bool:
    allowed = step_s if worker.step.what not in ("", DECODING, LAUNDERING) else max(step_s, START_S)
    return time.monotonic() - worker.since > allowed and not worker.connection.poll()


def _lost(
    worker: _Worker, workers: list[_Worker], waiting: collections.deque[Task], outcome: Outcome, text: str
) -> Iterator[Row]:
    """Give up the step at which a child died or hung, and let another child do the rest of its task."""
    worker.end()
    workers.remove(worker)
    task = worker.task
    assert task is not None
    rows = [Row(key, _obituary(outcome, worker.step, text)) for key in _keys_at(task, worker.step)]
    yield from rows
    rest = without(task, {row.key for row in rows})
    if rest.wants:
        waiting.appendleft(rest)


def _keys_at(task: Task, step: Step) -> list[Any]:
    """Collect what cannot be had: everything while decoding, a cell while laundering, else one detector's result."""
    if step.what in ("", DECODING):
        return [key for want in task.wants for key in want.keys.values()]
    here: list[Want] = [w for w in task.wants if w.laundering == step.laundering]
    keys = [(name, key) for w in here for name, key in w.keys.items()]
    return [key for name, key in keys if step.what in (LAUNDERING, name)]


def _obituary(outcome: Outcome, step: Step, text: str) -> Result:
    code = "worker_timed_out" if outcome is Outcome.TIMED_OUT else "worker_crashed"
    return Result(outcome, None, (code,), problem=f"{step.what or 'start'}: {text}")
