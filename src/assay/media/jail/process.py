"""The parent's side: a zygote that is started once, and children that it forks, one for each hostile sample."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay import errors
from assay.closing import Closing
from assay.errors import AssayError, Failed, JailError
from assay.media.jail import denials
from assay.media.jail.limits import NOBODY
from assay.media.jail.link import Gone, Link
from assay.media.jail.profile import DECODER, EXAMINER, Profile
from assay.media.jail.wire import Channel, TooLate

if TYPE_CHECKING:
    from assay.types import JSON

__all__ = ["DECODER", "EXAMINER", "Child", "Profile", "Usage", "Zygote"]

_SPAWN_S: Final = 30.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_KINDS: Final = {
    k.__name__: k for k in (AssayError, errors.SampleError, errors.Refused, errors.Unsupported, Failed)
}
_KINDS["ModelError"] = errors.ModelError


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child used over its life."""

    cpu_s: float = 0.0
    max_rss_bytes: int = 0


class Zygote(Closing):
    """An interpreter that imported what children need, and forks them in milliseconds. Safe to use from any thread.

    It starts at once and in the background; the first `spawn` waits until it is ready. A zygote that was lost is
    started again by the next `spawn`.

    Parameters
    ----------
    prepare
        "module:function", called once before the first fork to import and warm everything; may be empty.
    profile
        The rules, with `serve` set.
    log
        Told a line about each layer that is missing and each refused call (see `denials`).
    path
        Directories for the front of the zygote's ``sys.path``.
    """

    def __init__(
        self,
        prepare: str,
        profile: Profile,
        *,
        log: Callable[[str], None] | None = None,
        path: Sequence[str | Path] = (),
    ) -> None:
        self._prepare = prepare
        self._profile = profile
        self._log = log
        self._path = [str(p) for p in path]
        self._lock = threading.Lock()
        self._closed = False
        self.warnings: list[str] = []
        self._link = self._start()

    def spawn(self) -> Child:
        """Fork one child, in its sandbox when this returns.

        Raises
        ------
        JailError
            If the zygote or the child cannot be set up.
        """
        link = self._living()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                answer, fds = link.request({"spawn": True}, [theirs.fileno()], timeout_s=_SPAWN_S)
            child = Child(link, int(answer["pid"]), fds[0], ours, self._profile, self._warn)
        except (Gone, TooLate) as e:
            ours.close()
            raise JailError(
                f"the sandbox's parent process ended: {link.last_words()}", code="jail_gone"
            ) from e
        except BaseException:
            ours.close()
            raise
        try:
            child.wait_until_ready(timeout_s=_SPAWN_S)
        except BaseException:
            child.close()
            raise
        return child

    def close(self) -> None:
        """End the zygote and every child it still has."""
        with self._lock:
            self._closed = True
            self._link.close()

    def _start(self) -> Link:
        start = {
            "prepare": self._prepare,
            "profile": self._profile.as_json(),
            "path": self._path,
            "watched": denials.wanted(),
        }
        return Link(start)

    def _living(self) -> Link:
        with self._lock:
            if self._closed:
                raise JailError("this sandbox was closed", code="jail_closed")
            if (
                self._link.lost and self._link.was_ready
            ):  # killed from outside, by the kernel out of memory perhaps
                self._link.close()
                self._link = self._start()
            link = self._link
        ready = link.wait_until_ready()
        if ready["threads"] > 1:
            self._warn(
                f"{self._prepare} left {ready['threads'] - 1} threads running, which forks do not carry over"
            )
        return link

    def _warn(self, line: str) -> None:
        with self._lock:
            if line in self.warnings:
                return
            self.warnings.append(line)
        if self._log:
            self._log(line)


class Child(Closing):
    """One sandboxed process. For one thread at a time, but for `kill`; close it in the end, whatever happened."""

    def __init__(
        self,
        link: Link,
        pid: int,
        pidfd: int,
        sock: socket.socket,
        profile: Profile,
        warn: Callable[[str], None],
    ) -> None:
        self.pid = pid
        self.uid = -1
        self._link = link
        self._pidfd = pidfd
        self._channel = Channel(sock)
        self._profile = profile
        self._warn = warn
        self._lock = threading.Lock()
        self._usage: Usage | None = None
        self._status = 0
        self._watching = denials.wanted()

    def wait_until_ready(self, *, timeout_s: float) -> None:
        """Read the child's first words: which layers are on."""
        try:
            ready = self._next(timeout_s, None)["ready"]
        except (EOFError, TooLate, KeyError, Failed) as e:
            self.kill()
            raise JailError(
                f"a sandboxed process could not be set up ({_ended(self._status)})",
                code="jail",
                hint="assay doctor says which layer fails; ASSAY_JAIL_DEBUG=1 prints what the process says",
            ) from e
        self.uid = int(ready["uid"])
        self._note_missing(ready["off"])
        if self._profile.kind == "decoder" and os.geteuid() == 0 and self.uid in (0, NOBODY):
            who = (
                "root, whom this process may not leave"
                if self.uid == 0
                else "nobody, which other decoders may be too"
            )
            self._warn(f"decoders run as {who}: they are less apart than they could be")

    def call(
        self, message: JSON, fds: Sequence[int] = (), *, timeout_s: float, memory_bytes: int | None = None
    ) -> JSON:
        """Send a request that has exactly one answer. As `stream` otherwise."""
        answers = list(self.stream(message, fds, timeout_s=timeout_s, memory_bytes=memory_bytes))
        if len(answers) != 1:
            raise Failed(
                f"a sandboxed process gave {len(answers)} answers where one is due", code="malformed_answer"
            )
        return answers[0]

    def stream(
        self, message: JSON, fds: Sequence[int] = (), *, timeout_s: float, memory_bytes: int | None = None
    ) -> Iterator[JSON]:
        """Send a request and yield its answers as they come.

        Parameters
        ----------
        message, fds
            What the handler gets. The child has copies of the descriptors; the caller's stay open.
        timeout_s
            For each answer. Time that the caller spends between two answers does not count.
        memory_bytes
            Kill the child when its resident memory, shared pages included, passes this; looked at 20 times a second.

        Raises
        ------
        AssayError
            What the handler raised; or Failed with the code ``worker_timed_out``, ``worker_out_of_memory``,
            ``worker_crashed`` (the child is gone then) or ``decoder_error``. A caller that stops before the last
            answer ends the child.
        """
        if self._usage is not None:
            raise Failed("the sandboxed process has ended already", code="worker_crashed")
        tick = None if memory_bytes is None else lambda: self._check_memory(memory_bytes)
        finished = False
        try:
            self._send(message, fds, timeout_s)
            while not finished:
                said = self._hear(timeout_s, tick)
                if "answer" in said and isinstance(said["answer"], dict):
                    yield said["answer"]
                    continue
                finished = "end" in said or "error" in said
                if "error" in said:
                    raise _raised(said["error"])
                if not finished:
                    raise Failed("a sandboxed process broke the order of answers", code="malformed_answer")
        finally:
            if not finished:
                self.kill()

    def close(self) -> Usage:
        """End it and say what it used."""
        return self.kill()

    def kill(self) -> Usage:
        """End it at once; it holds nothing that would be lost. May be called again, and from another thread."""
        with self._lock:
            if self._usage is None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                self._usage = self._reap()
            return self._usage

    def _send(self, message: JSON, fds: Sequence[int], timeout_s: float) -> None:
        try:
            self._channel.send(message, fds, timeout_s=timeout_s)
        except TooLate as e:
            raise _timed_out(timeout_s) from e
        except OSError as e:
            raise self._post_mortem() from e

    def _hear(self, timeout_s: float, tick: Callable[[], None] | None) -> JSON:
        """The next message that is for the caller."""
        try:
            while "locked" in (said := self._next(timeout_s, tick)):
                self._note_missing(said["locked"])
        except TooLate as e:
            raise _timed_out(timeout_s) from e
        except EOFError as e:
            raise self._post_mortem() from e
        return said

    def _next(self, timeout_s: float, tick: Callable[[], None] | None) -> JSON:
        if not self._watching:
            return self._channel.receive(timeout_s=timeout_s, while_waiting=tick)
        fds: list[int] = []
        said = self._channel.receive(timeout_s=timeout_s, while_waiting=tick, fds=fds)
        for fd in fds:
            denials.watch(fd, self._profile.kind, self._warn)
        return said

    def _check_memory(self, most: int) -> None:
        try:
            resident = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            return  # it ended just now, or /proc hides it
        if resident > most:
            raise Failed(
                f"the sandboxed process took more than {most >> 20} MiB of memory",
                code="worker_out_of_memory",
                hint="raise limits.memory_bytes or limits.examiner_bytes if such media are expected",
            )

    def _note_missing(self, off: object) -> None:
        if not isinstance(off, dict):
            return
        for name, why in list(off.items())[:16]:
            self._warn(f"{self._profile.kind}s run without the layer {str(name)[:40]}: {str(why)[:200]}")

    def _reap(self) -> Usage:
        self._channel.close()
        _wait_for_end(self._pidfd, timeout_s=10.0)
        os.close(self._pidfd)
        try:
            answer, _ = self._link.request({"reap": self.pid}, timeout_s=10.0)
        except (Gone, TooLate):
            return Usage()  # the zygote is gone, and its children with it
        self._status = int(answer["status"])
        return Usage(float(answer["cpu_s"]), int(answer["max_rss_bytes"]))

    def _post_mortem(self) -> Failed:
        """Why did it hang up?"""
        with self._lock:
            if self._usage is not None:
                return Failed("the sandboxed process was ended while it worked", code="worker_crashed")
            _wait_for_end(self._pidfd, timeout_s=1.0)
        cpu_s = self.kill().cpu_s
        limit = self._profile.cpu_s
        if self._status == -signal.SIGXCPU or (limit and self._status == -signal.SIGKILL and cpu_s >= limit):
            return Failed(
                f"the sandboxed process used more than {limit} s of processor time", code="worker_timed_out"
            )
        if self._status == -signal.SIGKILL:
            return Failed(
                "the sandboxed process was killed from outside, most likely because the machine ran out of memory",
                code="worker_out_of_memory",
                hint="run fewer jobs at a time",
            )
        return Failed(
            f"the sandboxed process crashed on this sample ({_ended(self._status)})",
            code="worker_crashed",
            hint="a sample that crashes a decoder may be an attack; keep it apart",
        )


def _raised(told: object) -> AssayError:
    """Rebuild the error that a child reports; nothing in it is trusted beyond its form."""
    if not isinstance(told, dict):
        return Failed("a sandboxed process reported an error without saying which", code="malformed_answer")
    code, message, hint = (str(told.get(k, ""))[:4000] for k in ("code", "message", "hint"))
    if not (code.isascii() and code.replace("_", "").isalnum() and len(code) <= 64):
        code = "malformed_answer"
    kind = _KINDS.get(str(told.get("kind")), Failed)
    return kind(message, code=code, hint=hint)


def _timed_out(timeout_s: float) -> Failed:
    return Failed(
        f"the sandboxed process gave no answer within {timeout_s:g} s and was ended",
        code="worker_timed_out",
        hint="raise limits.decode_s or limits.detector_s if such media are expected",
    )


def _ended(status: int) -> str:
    if status == -signal.SIGSYS:
        return "SIGSYS: it made a forbidden system call"
    if status < 0:
        return signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    return f"exit status {status}"


def _wait_for_end(pidfd: int, *, timeout_s: float) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(1000 * timeout_s)
