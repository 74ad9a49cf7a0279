"""A watched folder: what arrives in it is screened, what the policy diverts is moved out of it, and a note says so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.errors import AssayError, Overloaded, SampleError
from assay.ingest.admission import admit_path
from assay.report.contract import from_json
from assay.report.escape import printable
from assay.store.jobs import Priority, State
from assay.types import JSON, Action, Problem

if TYPE_CHECKING:
    from assay.desk.intake import Intake
    from assay.desk.stores import Stores

log = logging.getLogger(__name__)

OWN = ".assay"  # the folder inside of a watched one where held files go
NOTE = ".assay.txt"
HEAD = "Assay screened this file"
LONGEST_NOTE = 4096
EVERY_S = 1.0
SETTLED_S = 2.0  # a file that nobody has written to for so long is complete

Stamp = tuple[int, int, int, int]  # device, inode, size, time of change


@dataclass(slots=True)
class _Known:
    """What was made of one file."""

    stamp: Stamp
    job_id: str = ""
    settled: bool = False  # nothing is left to do


@dataclass(slots=True)
class Folder:
    """Watches one folder and all below it, by looking: network file systems tell nobody what changes.

    A file that was screened is not screened again unless it changes; after a restart it is answered by its digest.
    """

    path: str
    intake: Intake
    stores: Stores
    size_limit: int
    every_s: float = EVERY_S
    settled_s: float = SETTLED_S
    _known: dict[str, _Known] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return f"folder:{self.path}"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except (AssayError, OSError) as e:
                log.warning("a watched folder cannot be read or written: %s", e)
            await asyncio.sleep(self.every_s)

    def look(self) -> None:
        """Take in what is new and complete, and act on what has a verdict by now."""
        seen: set[str] = set()
        for path, stamp, age_s in _files(self.path):
            seen.add(path)
            known = self._known.get(path)
            if known is None or known.stamp != stamp:
                if age_s >= self.settled_s and not _is_note(path):
                    with contextlib.suppress(Overloaded):  # the next look tries again
                        self._known[path] = self._taken(path, stamp)
            elif not known.settled:
                self._look_after(path, known)
        for gone in self._known.keys() - seen:
            del self._known[gone]

    def _taken(self, path: str, stamp: Stamp) -> _Known:
        try:
            with admit_path(path, self.size_limit) as arrival:
                job = self.intake.submit(
                    descriptor=arrival.descriptor,
                    sha256=arrival.sha256,
                    size=arrival.size,
                    name=path,
                    source=self.source,
                    priority=Priority.DEEP,
                )
                return _Known(stamp, job.id)
        except SampleError as e:
            screening = self.intake.refuse(
                Problem(e.code, e.message, e.hint), sha256="", size=stamp[2], name=path, source=self.source
            )
            record = self.intake.result(screening.sample.id)
            if record is not None:
                self._act(path, stamp, record.document)
            return _Known(stamp, settled=True)

    def _look_after(self, path: str, known: _Known) -> None:
        job = self.intake.job(known.job_id)
        if job is not None and job.state is not State.DONE:
            return
        record = self.intake.result(known.job_id)
        if record is not None:
            self._act(path, known.stamp, record.document)
        known.settled = True

    def _act(self, path: str, stamp: Stamp, document: JSON) -> None:
        action = Action(document["action"] or Action.HOLD)
        if action is Action.DELIVER:
            return
        if action is Action.LABEL:
            _write_note(path, document, "It was left where it is.")
            return
        with contextlib.suppress(SampleError), admit_path(path, self.size_limit) as arrival:
            if _stamp(os.fstat(arrival.descriptor)) != stamp:
                return  # it changed: the next look takes it anew
            if action is Action.HOLD:
                where = self._put_aside(path)
                _write_note(path, document, f"It waits for a decision in {printable(where)}")
                return
            taken = self.stores.quarantine.take(
                arrival.descriptor, path, from_json(document).sample, document
            )
            done = f"It is encrypted in quarantine; `assay quarantine show {taken.quarantine_id[:12]}` says more."
            _write_note(path, document, f"{done} {taken.note}".strip())

    def _put_aside(self, path: str) -> str:
        held = os.path.join(self.path, OWN, "held")
        os.makedirs(held, mode=0o700, exist_ok=True)
        for n in range(10_000):
            target = os.path.join(held, os.path.basename(path) + (f".{n}" if n else ""))
            try:
                os.link(path, target, follow_symlinks=False)  # never over another file
            except FileExistsError:
                continue
            os.unlink(path)
            return target
        raise OSError("too many files of one name are held")


def _files(folder: str) -> Iterator[tuple[str, Stamp, float]]:
    """Every regular file below a folder with its stamp and its age, links not followed, Assay's own folders left out."""
    now, waiting = time.time(), [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode) and entry.name != OWN:
                        waiting.append(entry.path)
                    elif stat.S_ISREG(found.st_mode):
                        yield entry.path, _stamp(found), now - max(found.st_mtime, found.st_ctime)


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_note(path: str) -> bool:
    """Is it a note of ours? Plain short text, whoever wrote it, is no medium."""
    if not path.endswith(NOTE):
        return False
    try:
        with open(path, "rb") as file:
            text = file.read(LONGEST_NOTE + 1)
    except OSError:
        return False
    return len(text) <= LONGEST_NOTE and text.startswith(HEAD.encode()) and text.isascii()


def _write_note(path: str, document: JSON, what: str) -> None:
    """Leave a note where a file is or was; one that is there already stays."""
    text = (
        f"{HEAD}: {document['action']} (rule {document['rule']}).\n\n{document['summary']}\n\n{what}\n\n"
        f"Record {document['id']}\nSHA-256 {document['sha256']}\nScreened {document['screened_at']}\n"
    )
    plain = text.encode("ascii", "backslashreplace")[:LONGEST_NOTE]
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path + NOTE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(descriptor, "wb") as file:
            file.write(plain)
