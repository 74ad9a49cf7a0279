"""One running zygote: its process, the control socket, and what it wrote to stderr before it died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from assay.errors import Failed, JailError
from assay.media.jail.wire import Channel, TooLate

if TYPE_CHECKING:
    from assay.types import JSON

_READY_S: Final = 300.0  # importing numba and compiling for an empty cache on a slow disk
_CLOSE_S: Final = 2.0
_SET: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=268435456",
}
# What an interpreter and its libraries need to be found; a compromised decoder shall find no credentials in its memory.
_KEPT: Final = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "ASSAY_JAIL_DEBUG",
)
_KEPT_PREFIXES: Final = ("PYTHON", "LC_", "NUMBA_", "XDG_", "COVERAGE_")


class Gone(Exception):
    """The zygote has ended."""


class Link:
    """Starts the zygote; `request` is safe from any thread."""

    def __init__(self, start: JSON) -> None:
        self._lock = threading.Lock()
        self._ready: JSON | None = None
        self._failure: JailError | None = None  # it would fail again in the same way
        self.lost = False
        self._stderr = os.memfd_create("assay-zygote-stderr", os.MFD_CLOEXEC)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        try:
            with theirs:
                self._program = self._launch(theirs.fileno(), loud=bool(start["watched"]))
            stays = threading.current_thread() is threading.main_thread()
            self._channel.send(start | {"parent_thread_stays": stays}, timeout_s=_CLOSE_S)
        except OSError as e:
            self._channel.close()
            os.close(self._stderr)
            raise JailError(f"the sandbox's parent process could not be started: {e}") from e
        self._end = weakref.finalize(
            self, _end, self._program, self._channel, self._stderr, os.getpid(), self._lock
        )

    def wait_until_ready(self) -> JSON:
        """Wait for the imports, the first time; raises JailError with the program's last words if they failed."""
        with self._lock:
            if self._failure:
                raise self._failure
            if self._ready is None:
                try:
                    self._ready = self._channel.receive(timeout_s=_READY_S)["ready"]
                except (EOFError, TooLate, KeyError, Failed) as e:
                    self.lost = True
                    self._failure = JailError(
                        f"the sandbox's parent process did not get ready: {self.last_words()}",
                        hint="run assay doctor; a broken installation is the usual cause",
                    )
                    raise self._failure from e
            return self._ready

    @property
    def was_ready(self) -> bool:
        return self._ready is not None

    def request(self, message: JSON, fds: Sequence[int] = (), *, timeout_s: float) -> tuple[JSON, list[int]]:
        """Ask for one thing and wait for the answer. Raises Gone, or TooLate."""
        received: list[int] = []
        with self._lock:
            if self.lost:
                raise Gone
            try:
                self._channel.send(message, fds, timeout_s=timeout_s)
                return self._channel.receive(timeout_s=timeout_s, fds=received), received
            except (EOFError, OSError, TooLate, Failed) as e:
                self.lost = True  # after a missed answer the next one would be taken for it
                raise Gone from e

    def last_words(self) -> str:
        """The last line of its stderr."""
        with suppress(OSError):
            size = os.fstat(self._stderr).st_size
            text = os.pread(self._stderr, 4000, max(0, size - 4000)).decode(errors="replace").strip()
            if text:
                return text.splitlines()[-1]
        return "it said nothing"

    def close(self) -> None:
        """Hang up. A zygote that is still importing is not waited for."""
        self.lost = True
        if self._ready is None:
            self._program.kill()
        self._end()

    def _launch(self, fd: int, *, loud: bool) -> subprocess.Popen[bytes]:
        kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
        return subprocess.Popen(
            [sys.executable, *_flags(), "-m", "assay.media.jail.zygote", str(fd)],
            pass_fds=[fd],
            env=kept | _SET,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if loud else self._stderr,
            start_new_session=True,  # out of the terminal's reach: Ctrl-C is the parent's to decide
        )


def _flags() -> list[str]:
    """-P: the working directory may hold hostile files that are named like modules. The rest as for this process."""
    flags = {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site}
    return ["-P", *(name for name, on in flags.items() if on)]


def _end(
    program: subprocess.Popen[bytes], channel: Channel, stderr: int, owner: int, lock: threading.Lock
) -> None:
    """Hang up; the zygote ends its children and itself."""
    if os.getpid() != owner:  # a fork of the parent: the zygote is not its own
        return
    with lock:
        channel.close()
        os.close(stderr)
    try:
        program.wait(timeout=_CLOSE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            program.send_signal(signal.SIGKILL)
        program.wait()
