"""Which layers of the sandbox work on this machine, found out by trying: for `assay doctor` and CI."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError, JailError
from assay.media.jail import landlock
from assay.media.jail.inside import lock
from assay.media.jail.kernel import machine
from assay.media.jail.process import DECODER, EXAMINER, Child, Zygote
from assay.media.jail.uids import COUNT, FIRST

if TYPE_CHECKING:
    from assay.types import JSON

_SERVE: Final = f"{__name__}:attempts"
_ALONE: Final = {"landlock": ("uid", "seccomp"), "seccomp": ("uid", "landlock")}
_LIMITS: Final = (
    "Max file size",
    "Max core file size",
    "Max cpu time",
    "Max open files",
    "Max address space",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. `on` is None where this machine cannot have it, which is not a fault."""

    name: str
    on: bool | None
    why: str
    hint: str = ""


def layers() -> list[Layer]:
    """Start a decoder and an examiner, look at them from outside and let them try what they must not."""
    with ExitStack() as stack:

        def started(kind: str, *without: str) -> Zygote:
            profile = (EXAMINER if kind == "examiner" else DECODER).serving(_SERVE, without=without)
            return stack.enter_context(Zygote("", profile))

        whole, examiner = started("decoder"), started("examiner")
        alone = {name: started("decoder", *without) for name, without in _ALONE.items()}
        try:
            with whole.spawn() as child:
                found = [_uid(child), *_privileges(child), _limits(child)]
            found += [_landlock(alone["landlock"]), _seccomp(alone["seccomp"]), _lock(examiner)]
        except JailError as e:
            return [Layer("zygote", on=False, why=e.message, hint=e.hint)]
        except OSError as e:
            why = f"/proc does not show sandboxed processes ({e.strerror}): their memory cannot be bounded"
            return [Layer("proc", on=False, why=why, hint="no ProtectProc=invisible, no hidepid=2 on /proc")]
    return [Layer("zygote", on=True, why="sandboxed processes can be started"), *found]


def attempts(message: JSON, _: list[int]) -> Iterator[JSON]:
    """Inside: try what a hostile decoder would, and tell which attempts went through."""
    if message.get("lock"):
        lock()
    yield {name: _goes_through(name) for name in ("read", "write", "connect")}


def _goes_through(name: str) -> bool:
    try:
        if name == "connect":
            socket.socket(socket.AF_INET).close()
        else:
            os.close(
                os.open(
                    "/etc/passwd" if name == "read" else os.devnull,
                    os.O_RDONLY if name == "read" else os.O_WRONLY,
                )
            )
    except PermissionError:
        return False
    except OSError:
        return True  # not for lack of a right
    return True


def _tried(zygote: Zygote, *, locked: bool = False) -> dict[str, bool]:
    with zygote.spawn() as child:
        try:
            return {k: bool(v) for k, v in child.call({"lock": locked}, timeout_s=10).items()}
        except AssayError as e:
            raise JailError(f"a sandboxed process did not answer: {e.message}", hint=e.hint) from e


def _uid(child: Child) -> Layer:
    if os.geteuid() != 0:
        why = "Assay runs as a plain user, and its decoders with it"
        return Layer(
            "uid",
            on=None,
            why=why,
            hint="as a service, start it as root: each decoder then has a uid of its own",
        )
    uid = int(_status(child)["Uid"].split()[1])
    if FIRST <= uid < FIRST + COUNT:
        return Layer("uid", on=True, why=f"each decoder has a uid of its own, {FIRST} to {FIRST + COUNT - 1}")
    why = f"decoders run with the uid {uid}"
    return Layer(
        "uid", on=False, why=why, hint="allow the capabilities SETUID, SETGID and KILL, and map 65536 uids"
    )


def _privileges(child: Child) -> Iterator[Layer]:
    status = _status(child)
    nnp, caps = status.get("NoNewPrivs") == "1", int(status.get("CapEff", "0"), 16)
    yield Layer("no_new_privs", on=nnp and not caps, why=f"no new privileges: {nnp}, capabilities: {caps:#x}")
    shut = Path(f"/proc/{child.pid}/environ").stat().st_uid == 0  # of a dumpable process: its own uid
    yield Layer(
        "not_dumpable",
        on=shut,
        why="no core, and no ptrace by others of the same uid" if shut else "it is dumpable",
    )


def _limits(child: Child) -> Layer:
    lines = Path(f"/proc/{child.pid}/limits").read_text().splitlines()
    missing = [
        name
        for name in _LIMITS
        for line in lines
        if line.startswith(name) and line[len(name) :].split()[0] == "unlimited"
    ]
    why = (
        "unlimited: " + ", ".join(missing)
        if missing
        else "memory, processor time, file size and descriptors are bounded"
    )
    return Layer("limits", on=not missing, why=why)


def _landlock(zygote: Zygote) -> Layer:
    abi = landlock.abi()
    if landlock.forbidden():
        why = "this container forbids it"
        return Layer("landlock", on=False, why=why, hint="let its seccomp profile allow the landlock_* calls")
    if not abi:
        hint = "Linux 5.13 or later, with landlock in the kernel's lsm= list"
        return Layer(
            "landlock", on=None, why="this kernel has no Landlock, or has it switched off", hint=hint
        )
    if _tried(zygote)["read"]:
        hint = "a container's seccomp profile may forbid the landlock_* calls: allow them"
        return Layer(
            "landlock", on=False, why="files can be opened although the kernel has Landlock", hint=hint
        )
    return Layer(
        "landlock", on=True, why=f"ABI {abi}: no files{', no TCP' * (abi >= 4)}{', no signals' * (abi >= 6)}"
    )


def _seccomp(zygote: Zygote) -> Layer:
    if not machine():
        why = f"there is no system call table for {os.uname().machine}"
        return Layer("seccomp", on=None, why=why, hint="x86-64 and aarch64 have one")
    if not Path("/proc/sys/kernel/seccomp").exists():
        return Layer(
            "seccomp",
            on=None,
            why="this kernel has no system call filters",
            hint="CONFIG_SECCOMP_FILTER is needed",
        )
    through = [name for name, went in _tried(zygote).items() if went]
    if through:
        hint = "a container's seccomp profile may forbid seccomp(2): allow it"
        return Layer("seccomp", on=False, why=f"a decoder can {', '.join(through)}", hint=hint)
    return Layer("seccomp", on=True, why="unlisted calls are refused, escapes end the process")


def _lock(zygote: Zygote) -> Layer:
    tried = _tried(zygote, locked=True)
    through = [name for name in ("write", "connect") if tried[name]]
    if through:
        why = f"an examiner can still {' and '.join(through)} after it is locked"
        return Layer("examiner_lock", on=False, why=why, hint="see landlock and seccomp")
    return Layer("examiner_lock", on=True, why="a locked examiner neither writes nor connects")


def _status(child: Child) -> dict[str, str]:
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
