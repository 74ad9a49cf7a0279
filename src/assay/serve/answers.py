"""The screen that protocols ask: hands a submission to the intake, waits as long as the client can, reads the record."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from assay.errors import Overloaded, StoreError
from assay.media.identify import family_of
from assay.serve.exchange import Answer, Gap, Submission, held
from assay.store.jobs import Job, Priority, State
from assay.types import JSON, Action, Decision, Kind, Problem, Screening

if TYPE_CHECKING:
    from assay.desk.intake import Intake

PROBLEMS = {
    Gap.OVER_LIMIT: Problem("over_size", "It is over the limit of size and was not examined."),
    Gap.ENCRYPTED: Problem("encrypted", "It is encrypted and could not be examined."),
    Gap.UNDECODABLE: Problem("undecodable", "It is damaged, or coded in a way that is not read."),
    Gap.UNSUPPORTED: Problem("unsupported", "Assay does not read this type."),
    Gap.PARTIAL: Problem("partial", "It is a part of something, which nobody can judge."),
}
REPEATED_S = (
    10.0  # so long an answer to the same bytes is given again from memory, without a record of its own
)
REMEMBERED = 4096
OURS = frozenset({"lost", "machine", "stopped"})  # troubles that say nothing of the sample
WAITS = "Screening takes longer than a client can wait. Try again later."
FULL = "Too much is waiting to be screened. Try again later."


class Asked:
    """A `Screen` on one installation's intake.

    The same bytes asked about again within seconds (one mail to a thousand receivers) are answered from memory.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._recent: OrderedDict[str, tuple[float, Answer]] = OrderedDict()  # digest: until when, what

    async def __call__(self, submission: Submission, /, *, budget_s: float) -> Answer:
        now = asyncio.get_running_loop().time()
        until, answer = self._recent.get(submission.sha256, (0.0, None))
        if answer is not None and now < until and submission.gap is None:
            return answer
        answer = await self._asked(submission, budget_s)
        if answer.gap is None:
            self._recent[submission.sha256] = now + REPEATED_S, answer
            self._recent.move_to_end(submission.sha256)
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return answer

    async def _asked(self, submission: Submission, budget_s: float) -> Answer:
        if submission.gap in PROBLEMS:
            screening = await asyncio.to_thread(self._refuse, submission)
            decision = screening.decision or Decision(Action.HOLD, str(submission.gap), "")
            return Answer(
                decision=decision,
                summary=PROBLEMS[submission.gap].message,
                gap=submission.gap,
                reference=screening.sample.id,
            )
        started = asyncio.get_running_loop().time()
        own = os.dup(submission.descriptor)  # the thread may outlast a client that went away
        try:
            job = await asyncio.to_thread(self._submit, submission, own)
        except Overloaded:
            return held(Gap.PENDING, FULL)
        left = budget_s - (asyncio.get_running_loop().time() - started)
        if job.state is not State.DONE:
            job = await self._intake.wait(job.id, max(0.0, left))
        if job.state is not State.DONE:
            return held(Gap.PENDING, WAITS)
        record = await asyncio.to_thread(self._intake.result, job.id)
        if record is None:
            raise StoreError("a verdict was recorded and is gone", code="not_found")
        return answer_of(record.document)

    def _submit(self, submission: Submission, descriptor: int) -> Job:
        try:
            return self._intake.submit(
                descriptor=descriptor,
                sha256=submission.sha256,
                size=submission.size,
                name=submission.name,
                declared_type=submission.declared_type,
                source=submission.protocol,
                priority=Priority.INLINE,
            )
        finally:
            os.close(descriptor)

    def _refuse(self, submission: Submission) -> Screening:
        assert submission.gap is not None
        return self._intake.refuse(
            PROBLEMS[submission.gap],
            sha256=submission.sha256,
            size=submission.size,
            name=submission.name,
            source=submission.protocol,
        )


def answer_of(document: JSON) -> Answer:
    """Read an answer out of a record.

    Parameters
    ----------
    document
        One line of the JSON contract.
    """
    error = document["error"]
    decision = Decision(
        Action(document["action"] or Action.HOLD), document["rule"] or "", document["policy_digest"] or ""
    )
    return Answer(
        decision=decision,
        summary=document["summary"],
        media=family_of(document["media_type"]),
        kinds=tuple(Kind(kind) for kind in document["kinds"]),
        probability=document["probability"] if document["label"] == "fake" else None,
        gap=None if error is None else _gap(error["code"], document["status"]),
        reference=document["id"],
    )


def _gap(code: str, status: str) -> Gap:
    if code in OURS:
        return Gap.FAULT
    if code.startswith("over_"):
        return Gap.OVER_LIMIT
    if code in ("encrypted", "partial"):
        return Gap(code)
    return Gap.UNSUPPORTED if status == "unsupported" else Gap.UNDECODABLE
