"""Handlers that the tests run inside: the attempts of a hostile decoder, and small decoders of real media."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import threading
import time

import numpy as np

from assay.errors import Refused
from assay.media.jail.arena import ArenaWriter
from assay.media.jail.inside import lock
from assay.media.jail.kernel import invoke, machine
from assay.media.jail.numbers import number_of

STATE = {}


def prepare():
    np.random.default_rng(1)


def prepare_with_a_thread():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def prepare_badly():
    raise RuntimeError("a library is missing")


def handle(message, fds):
    """One operation by name; an attempt answers what became of it."""
    if message["op"] == "attempt":
        yield attempt(message["what"], message)
    else:
        yield from OPERATIONS[message["op"]](message, fds)


def attempt(what, message):
    try:
        return {"done": str(ATTEMPTS[what](message))}
    except OSError as e:
        return {"refused": errno.errorcode[e.errno]}


def syscall(name, *arguments):
    number = number_of(name, machine())
    if number is None:
        raise OSError(errno.ENOSYS, "not on this machine")
    return invoke(number, *arguments)


def set_owner(message):
    import fcntl

    return fcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())


ATTEMPTS = {
    "nothing": lambda m: os.getpid(),
    "open /etc/passwd": lambda m: os.open("/etc/passwd", os.O_RDONLY),
    "open by openat2": lambda m: syscall("openat2", -100, b"/etc/passwd\0", bytes(24), 24),
    "list /": lambda m: os.listdir("/"),
    "look at /etc/passwd": lambda m: os.stat("/etc/passwd"),
    "look at an open file": lambda m: os.fstat(3).st_mode,
    "open for writing": lambda m: os.open(m["path"], os.O_WRONLY),
    "create": lambda m: os.open(m["path"] + ".new", os.O_WRONLY | os.O_CREAT),
    "truncate while reading": lambda m: os.open(m["path"], os.O_RDONLY | os.O_TRUNC),
    "remove": lambda m: os.unlink(m["path"]),
    "rename": lambda m: os.rename(m["path"], m["path"] + ".moved"),
    "make a directory": lambda m: os.mkdir(m["path"] + ".d"),
    "change mode": lambda m: os.chmod(m["path"], 0o777),
    "make memory files": lambda m: os.memfd_create("x"),
    "socket": lambda m: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "unix socket": lambda m: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "connect": lambda m: syscall("connect", 3, bytes(16), 16),
    "exec": lambda m: os.execv("/bin/true", ["true"]),
    "fork": lambda m: os.fork(),
    "vfork": lambda m: syscall("vfork"),
    "clone a process": lambda m: syscall("clone", int(signal.SIGCHLD), 0, 0, 0, 0),
    "clone3": lambda m: syscall("clone3", bytes(64), 64),
    "ptrace the parent": lambda m: syscall("ptrace", 16, os.getppid(), 0, 0),
    "read the parent's memory": lambda m: syscall("process_vm_readv", os.getppid(), None, 0, None, 0, 0),
    "signal the parent": lambda m: os.kill(os.getppid(), 0),
    "kill the parent": lambda m: os.kill(os.getppid(), signal.SIGKILL),
    "signal the parent's thread": lambda m: syscall("tgkill", os.getppid(), os.getppid(), 9),
    "signal by pidfd": lambda m: syscall("pidfd_send_signal", 3, 9, None, 0),
    "own the socket's signals": set_owner,
    "executable memory": lambda m: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ),
    "mount": lambda m: syscall("mount", None, None, None, 0, None),
    "unshare": lambda m: syscall("unshare", 0x10000000),
    "load bpf": lambda m: syscall("bpf", 0, None, 0),
    "become root": lambda m: os.setuid(0),
    "raise limits": lambda m: syscall("prlimit64", 0, resource.RLIMIT_CORE, bytes(16), None),
    "ask limits": lambda m: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "be dumpable": lambda m: syscall("prctl", 4, 1, 0, 0, 0),
    "use 32-bit numbers": lambda m: invoke(0x40000000 + 39),
    "io_uring": lambda m: syscall("io_uring_setup", 1, bytes(120)),
    "write to the sample": lambda m: os.write(STATE["sample"], b"x"),
}


def echo(message, fds):
    yield {"message": message, "fds": len(fds), "uid": os.getuid()}
    for fd in fds:
        os.close(fd)


def keep(message, fds):
    STATE["sample"] = fds[0]
    yield {"text": os.pread(fds[0], 100, 0).decode()}


def count(message, fds):
    for n in range(message["n"]):
        yield {"n": n}


def doze(message, fds):
    for n in range(message["n"]):
        time.sleep(message["seconds"])
        yield {"n": n}


def spin(message, fds):
    while True:
        pass
    yield {}


def segfault(message, fds):
    yield {"address": ctypes.string_at(0)}


def abort(message, fds):
    os.abort()
    yield {}


def leave(message, fds):
    os._exit(3)
    yield {}


def swell(message, fds):
    held = []
    for _ in range(message["blocks"]):
        held.append(np.ones(message["mib"] << 17))
        time.sleep(message.get("pause_s", 0.0))
    yield {"held": len(held)}


def refuse(message, fds):
    raise Refused("too many pixels", code="over_pixels", hint="raise limits.pixels")
    yield {}


def stumble(message, fds):
    raise ValueError("marker out of range")
    yield {}


def nan(message, fds):
    yield {"x": float("nan")}


def long_answer(message, fds):
    yield {"x": "y" * message["length"]}


def raw_bytes(message, fds):
    os.write(3, bytes.fromhex(message["hex"]))
    yield from ()


def threads(message, fds):
    found = []
    workers = [threading.Thread(target=lambda k=k: found.append(k)) for k in range(message["n"])]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    yield {"found": sorted(found)}


def fill(message, fds):
    with ArenaWriter(fds[0]) as arena:
        rng = np.random.default_rng(1)
        offsets = [arena.put(rng.integers(0, 255, n, dtype=np.uint8)) for n in message["sizes"]]
        yield {"offsets": offsets, "used": arena.used}


def resize(message, fds):
    try:
        os.ftruncate(fds[0], message["to"])
    except OSError as e:
        yield {"refused": errno.errorcode[e.errno]}
    else:
        yield {"done": True}


def lock_up(message, fds):
    yield {"off": lock()}


def threads_before_lock(message, fds):
    """Threads that run before the lock is taken are under the filter afterwards."""
    go, results = threading.Event(), []

    def later():
        go.wait()
        results.append(attempt(message["what"], message))

    thread = threading.Thread(target=later)
    thread.start()
    lock()
    go.set()
    thread.join()
    yield results[0]


OPERATIONS = {
    f.__name__: f
    for f in (
        *(echo, keep, count, doze, spin, segfault, abort, leave, swell, refuse, stumble, nan, long_answer),
        *(raw_bytes, threads, fill, resize, lock_up, threads_before_lock),
    )
}
