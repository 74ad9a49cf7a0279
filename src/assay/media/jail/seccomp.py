"""System call filters: an allow list for decoders, a wider one for examiners, as raw BPF.

Three answers to what is not allowed: file look-ups get EACCES and all else EPERM, because libraries ask for much that
they can do without; an escape (a new process, another program, somebody else's memory, signals, the kernel's
configuration) ends the process.

Source: Documentation/userspace-api/seccomp_filter.rst and linux/filter.h of the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from assay.media.jail.kernel import PR_SET_NO_NEW_PRIVS, invoke, machine, prctl
from assay.media.jail.numbers import AUDIT_ARCH, number_of

KILL, ALLOW, NOTIFY, ERRNO = 0x80000000, 0x7FFF0000, 0x7FC00000, 0x00050000
EACCES, EPERM, ENOSYS = (ERRNO | n for n in (errno.EACCES, errno.EPERM, errno.ENOSYS))
_TSYNC, _NEW_LISTENER, _TSYNC_ESRCH = 1, 8, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_CLONE_THREAD, _PROT_EXEC, _PR_SET_NAME, _AT_EMPTY_PATH = 0x10000, 4, 15, 0x1000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)
# DUPFD GETFD SETFD GETFL SETFL GETLK DUPFD_CLOEXEC GET_SEALS, and not SETOWN, which sends signals
_FCNTL = (0, 1, 2, 3, 4, 5, 1030, 1034)
_OURSELVES = 0x4F57_4E21  # stands for the process id until `Filter.install`
_BLOCK = 12  # rules between two range checks


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# What decoding takes, measured over every format that Assay reads, and a margin of harmless questions.
PLAIN = _names("""read write close fstat lseek munmap mremap brk madvise dup futex rt_sigaction rt_sigprocmask rt_sigreturn
    sigaltstack sched_getaffinity sched_yield set_robust_list rseq recvmsg exit exit_group restart_syscall clock_gettime
    clock_getres clock_nanosleep nanosleep gettimeofday getrandom gettid getpid pread64 readv poll ppoll sysinfo
    getrusage getcpu times membarrier getuid geteuid getgid getegid getppid""")

# Looking for files: codecs and libc do it in passing and live with the answer.
LOOKUPS = _names("""open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd
    chdir ioctl statfs getdents64""")

ESCAPES = _names("""execve execveat fork vfork ptrace process_vm_readv process_vm_writev kill tkill rt_sigqueueinfo
    rt_tgsigqueueinfo pidfd_send_signal pidfd_getfd mount umount2 move_mount open_tree fsopen fsmount pivot_root chroot
    setns unshare bpf perf_event_open init_module finit_module delete_module kexec_load kexec_file_load reboot swapon
    swapoff userfaultfd io_uring_setup io_uring_enter add_key request_key keyctl open_by_handle_at acct quotactl
    settimeofday setuid setgid setreuid setregid setresuid setresgid setgroups capset iopl ioperm""")

# An examiner also reads files (lazy imports, /proc/cpuinfo) and runs numba's and onnxruntime's threads.
READING = _names("""stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd statfs fstatfs getdents64
    uname flock dup3 preadv msync mincore fadvise64 pipe2 eventfd2 epoll_create1 epoll_ctl epoll_wait epoll_pwait getrlimit
    sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min sched_setaffinity get_mempolicy mmap mprotect""")

# Programs that an examiner's libraries may try to start (to ask the linker, or uname): refused, and survived.
STARTING = _names("execve execveat fork vfork")


@dataclass(frozen=True, slots=True)
class _Step:
    """One BPF instruction: compare, or answer."""

    code: int
    value: int
    if_true: int = 0
    if_false: int = 0

    def packed(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.if_true, self.if_false, self.value)


_Body = tuple[_Step, ...]


def decoder_program(processor: str, *, stat_empty_path: bool = False, watched: bool = False) -> bytes:
    """The filter of a decoder: computing, reading what was handed over, and nothing else.

    Parameters
    ----------
    processor
        A column of the number table, "x86_64" or "aarch64".
    stat_empty_path
        Some C libraries make fstat out of newfstatat with an empty path: allow that form.
    watched
        Ask a listener instead of refusing and killing, for debugging.
    """
    rules: dict[str, _Body] = {name: _answer(ALLOW) for name in PLAIN}
    rules |= {name: _answer(EACCES) for name in LOOKUPS}
    rules |= {name: _if_bits(2, _PROT_EXEC, EACCES, ALLOW) for name in ("mmap", "mprotect")}
    if stat_empty_path:
        rules["newfstatat"] = _if_bits(3, _AT_EMPTY_PATH, ALLOW, EACCES)
    if watched:
        rules["sendmsg"] = _answer(ALLOW)  # hands the listener to the parent
    return _assemble(processor, rules | _COMMON, watched=watched)


def examiner_program(processor: str, *, watched: bool = False) -> bytes:
    """The filter of an examiner: as a decoder, but it may read files and make code (numba does)."""
    rules: dict[str, _Body] = {name: _answer(EACCES) for name in LOOKUPS}
    rules |= {name: _answer(ALLOW) for name in (*PLAIN, *READING)}
    rules["open"] = _if_bits(1, _WRITING, EACCES, ALLOW)
    rules["openat"] = _if_bits(2, _WRITING, EACCES, ALLOW)
    rules["openat2"] = _answer(ENOSYS)  # its flags lie behind a pointer
    if watched:
        rules["sendmsg"] = _answer(ALLOW)
    softer = {name: _answer(EPERM) for name in STARTING} | {"clone": _if_bits(0, _CLONE_THREAD, ALLOW, EPERM)}
    return _assemble(processor, rules | _COMMON | softer, watched=watched)


class Filter:
    """A program made ready before the fork, so that the child has next to nothing to do."""

    def __init__(self, program: bytes, *, all_threads: bool = False, watched: bool = False) -> None:
        number = number_of("seccomp", machine()) if machine() else None
        if number is None:
            raise OSError(errno.ENOSYS, "no system call table for this processor")
        self._number = number
        self._flags = (_TSYNC if all_threads else 0) | (_NEW_LISTENER if watched else 0)
        self._flags |= _TSYNC_ESRCH if all_threads and watched else 0
        self._watched = watched
        self._own = [
            8 * i + 4 for i, (_, k) in enumerate(struct.iter_unpack("=II", program)) if k == _OURSELVES
        ]
        self._steps = ctypes.create_string_buffer(program, len(program))
        self._header = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(self._steps))

    def install(self) -> int:
        """Put it on, for good. Returns the listener's descriptor if watched, else 0; OSError if it cannot be."""
        for place in self._own:
            struct.pack_into("=I", self._steps, place, os.getpid())
        result = invoke(self._number, 1, self._flags, self._header)
        if result and not self._watched:
            raise OSError(errno.EBUSY, f"thread {result} could not be put under the filter")
        return result


def stat_needs_empty_path() -> bool:
    """Does this C library make fstat out of newfstatat? Found out in a child under the strict filter."""
    if not machine():
        return False
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prctl(PR_SET_NO_NEW_PRIVS, 1)
            Filter(decoder_program(machine())).install()
            os.fstat(0)
            code = 0
        except PermissionError:
            code = 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def _answer(answer: int) -> _Body:
    return (_Step(_RETURN, answer),)


def _argument(index: int, *, high: bool = False) -> _Step:
    return _Step(_LOAD, 16 + 8 * index + (4 if high else 0))  # struct seccomp_data, little-endian


def _if_bits(index: int, mask: int, yes: int, no: int) -> _Body:
    return (_argument(index), _Step(_ANY_BIT, mask, 0, 1), _Step(_RETURN, yes), _Step(_RETURN, no))


def _if_among(index: int, values: tuple[int, ...], yes: int, no: int) -> _Body:
    tests = tuple(step for v in values for step in (_Step(_EQUAL, v, 0, 1), _Step(_RETURN, yes)))
    return (_argument(index), *tests, _Step(_RETURN, no))


def _if_null(index: int) -> _Body:
    """Allow if the pointer is null, else go on with what follows."""
    high = _argument(index, high=True)
    return (_argument(index), _Step(_EQUAL, 0, 0, 3), high, _Step(_EQUAL, 0, 0, 1), _Step(_RETURN, ALLOW))


def _assemble(processor: str, rules: dict[str, _Body], *, watched: bool) -> bytes:
    """Rules in the order of their numbers, in blocks that a call of a higher number jumps over.

    The kernel runs a new filter once for every number there is: straight down the list takes it 2 ms.
    """
    ask: Callable[[_Step], _Step] = _asking if watched else lambda step: step
    otherwise = ask(_Step(_RETURN, EPERM))
    numbered = sorted(
        (n, body) for name, body in rules.items() if (n := number_of(name, processor)) is not None
    )
    steps = [
        _Step(_LOAD, 4),
        _Step(_EQUAL, AUDIT_ARCH[processor], 1, 0),
        _Step(_RETURN, KILL),
        _Step(_LOAD, 0),
    ]
    if processor == "x86_64":
        steps += [_Step(_AT_LEAST, 0x40000000, 0, 1), _Step(_RETURN, KILL)]  # the x32 numbers
    for first in range(0, len(numbered), _BLOCK):
        block = [
            step
            for number, body in numbered[first : first + _BLOCK]
            for step in (_Step(_EQUAL, number, 0, len(body)), *(ask(s) for s in body))
        ]
        if first + _BLOCK < len(numbered):
            steps.append(_Step(_AT_LEAST, numbered[first + _BLOCK][0], len(block) + 1, 0))
        steps += [*block, otherwise]
    return b"".join(s.packed() for s in steps)


def _asking(step: _Step) -> _Step:
    refusing = step.code == _RETURN and step.value in (KILL, EACCES, EPERM)
    return _Step(_RETURN, NOTIFY) if refusing else step


# Of both filters: what ends the process, and calls that depend on their arguments.
_COMMON: dict[str, _Body] = {
    **{name: _answer(KILL) for name in ESCAPES},
    "clone": _if_bits(0, _CLONE_THREAD, ALLOW, KILL),
    "clone3": _answer(ENOSYS),  # its flags lie behind a pointer; libc falls back to clone
    "prctl": _if_among(0, (_PR_SET_NAME,), ALLOW, EPERM),
    "fcntl": _if_among(1, _FCNTL, ALLOW, EPERM),
    "tgkill": _if_among(0, (_OURSELVES,), ALLOW, KILL),  # abort signals its own thread
    "prlimit64": (*_if_null(2), _Step(_RETURN, EPERM)),  # asking is free, setting is not
}
