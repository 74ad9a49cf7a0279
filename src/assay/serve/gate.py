"""The one way from a protocol to the screen: asks, watches the clock, finds test files, counts and logs."""

from __future__ import annotations

import asyncio
import logging
import time

from assay.serve import testfiles
from assay.serve.counters import Counters
from assay.serve.exchange import Answer, Gap, Screen, Submission, held
from assay.serve.threats import token

log = logging.getLogger(__name__)

BUDGET_S = 4.0  # rspamd gives up after 5
GRACE_S = 0.5  # a screen that keeps its budget is never cut off
LATE = "Screening takes longer than a client can wait. Try again later."


class Gate:
    """Asks a screen on behalf of a protocol; always has an answer.

    Parameters
    ----------
    screen
        Who answers.
    budget_s
        Seconds that a client waits at most.
    counters
        Where answers are counted.
    """

    def __init__(self, screen: Screen, *, budget_s: float = BUDGET_S, counters: Counters) -> None:
        self._screen = screen
        self._counters = counters
        self._budget_s = budget_s

    def deadline(self) -> float:
        """When a client who is asked for now must be answered, on the event loop's clock."""
        return asyncio.get_running_loop().time() + self._budget_s

    async def ask(self, submission: Submission, *, until: float | None = None) -> Answer:
        """Ask the screen. A test file is found whatever it says; no answer in time, or none at all, is a hold.

        `until` is the `deadline` that several submissions of one message share.
        """
        started = time.perf_counter()
        left_s = self._budget_s if until is None else until - asyncio.get_running_loop().time()
        answer = testfiles.recognised(submission) or await self._ask(submission, left_s)
        self._counters.actions[str(answer.action)] += 1
        if answer.gap is not None:
            self._counters.gaps[str(answer.gap)] += 1
        log.info(
            "%s %s: %s rule=%s gap=%s sha256=%s size=%d elapsed_ms=%d",
            submission.protocol,
            submission.command,
            answer.action,
            token(answer.decision.rule),
            answer.gap or "none",
            submission.sha256,
            submission.size,
            1000 * (time.perf_counter() - started),
        )
        return answer

    async def _ask(self, submission: Submission, left_s: float) -> Answer:
        if left_s <= 0:
            return held(Gap.PENDING, LATE)
        task = asyncio.ensure_future(self._screen(submission, budget_s=left_s))
        try:
            await asyncio.wait({task}, timeout=left_s + GRACE_S)
        finally:
            overran = task.cancel()  # False once it has ended
            await asyncio.wait({task}, timeout=GRACE_S)  # its hands off the descriptor
        if overran or task.cancelled():
            return held(Gap.PENDING, LATE)
        error = task.exception()
        if error is None:
            return task.result()
        self._counters.faults += 1
        log.error("%s %s: the screen failed", submission.protocol, submission.command, exc_info=error)
        return held(Gap.FAULT, "Screening failed. Try again later.")
