"""The zygote: a program that imports what children need, then forks them. Started by `process.Zygote` alone.

It has one thread when it forks, holds no hostile bytes, and ends when its parent does.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.media.jail import arena as _for_handlers  # noqa: F401 - nothing can be imported inside
from assay.media.jail import inside, limits, seccomp, wire
from assay.media.jail.kernel import bare_fork, machine, trim_heap
from assay.media.jail.profile import Profile
from assay.media.jail.uids import UidPool

if TYPE_CHECKING:
    from assay.types import JSON


def main(fd: int) -> None:
    """Take the instructions from the socket `fd`, get ready, and fork on request until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    try:
        start, _ = wire.receive(sock)
        if start["parent_thread_stays"]:
            limits.die_with_parent()
        sys.path[:0] = start["path"]
        zygote = _Nursery(sock, Profile.from_json(start["profile"]), watched=start["watched"])
        wire.send(sock, {"ready": zygote.prepare(start["prepare"])})
        zygote.serve()
    except (EOFError, BrokenPipeError):
        return


class _Nursery:
    def __init__(self, sock: socket.socket, profile: Profile, *, watched: bool) -> None:
        self._sock = sock
        self._profile = profile
        self._watched = watched
        self._uids = UidPool() if profile.kind == "decoder" and limits.can_change_uid() else None
        self._filter = self._made_filter()
        self._children: dict[int, int | None] = {}  # pid -> uid

    def prepare(self, where: str) -> JSON:
        """Import and warm everything, then freeze the heap, so that forks share its pages."""
        began = time.monotonic()
        if where:
            _named(where)()
        self._handler: inside.Handler = _named(self._profile.serve)
        self._address_space = limits.address_space()
        gc.collect()
        gc.freeze()
        trim_heap()
        threads = len(list(Path("/proc/self/task").iterdir()))
        self._single = threads == 1
        return {"threads": threads, "seconds": time.monotonic() - began, "own_uids": self._uids is not None}

    def _made_filter(self) -> seccomp.Filter | None:
        if not machine():
            return None
        watched = self._watched
        if self._profile.kind == "examiner":
            program = seccomp.examiner_program(machine(), watched=watched)
            return seccomp.Filter(program, all_threads=True, watched=watched)
        empty = seccomp.stat_needs_empty_path()
        program = seccomp.decoder_program(machine(), stat_empty_path=empty, watched=watched)
        return seccomp.Filter(program, watched=watched)

    def serve(self) -> None:
        try:
            while True:
                request, fds = wire.receive(self._sock)
                if "reap" in request:
                    wire.send(self._sock, self._reap(int(request["reap"])))
                else:
                    self._fork(fds[0])
        finally:
            self._end_children()

    def _fork(self, fd: int) -> None:
        uid = self._uids.take() if self._uids else None
        setting = inside.Setting(self._profile, uid, self._filter, self._address_space, self._watched)
        pid = bare_fork() if self._single else os.fork()
        if pid == 0:
            try:
                inside.run(socket.socket(fileno=fd), setting, self._handler)
            except OSError:
                traceback.print_exc()
            finally:
                os._exit(70)  # EX_SOFTWARE: `run` came back
        os.close(fd)
        self._children[pid] = uid
        pidfd = os.pidfd_open(pid)
        wire.send(self._sock, {"pid": pid}, [pidfd])
        os.close(pidfd)

    def _reap(self, pid: int) -> JSON:
        uid = self._children.pop(pid)
        _, status, usage = os.wait4(pid, 0)
        if self._uids and uid is not None:
            self._uids.give_back(uid)
        cpu_s = usage.ru_utime + usage.ru_stime
        return {
            "status": os.waitstatus_to_exitcode(status),
            "cpu_s": cpu_s,
            "max_rss_bytes": usage.ru_maxrss << 10,
        }

    def _end_children(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)


def _named(where: str) -> Any:
    module, _, function = where.partition(":")
    return getattr(importlib.import_module(module), function)


if __name__ == "__main__":
    main(int(sys.argv[1]))
