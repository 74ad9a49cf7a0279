"""What runs in the child: putting the layers on, then answering one message after another."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError, Failed
from assay.media.jail import landlock, limits, seccomp, wire
from assay.media.jail.profile import Profile

if TYPE_CHECKING:
    from assay.types import JSON

Handler = Callable[["JSON", list[int]], Iterator["JSON"]]
_LONGEST_MESSAGE: Final = 4000  # characters of an error's text


@dataclass(frozen=True, slots=True)
class Setting:
    """What the zygote decided for one child."""

    profile: Profile
    uid: int | None  # None: stay who we are
    filter: seccomp.Filter | None  # None: not for this processor
    address_space: int  # of the zygote, in bytes
    watched: bool


class _Layers:
    """Puts layers on and notes the ones that could not be, with the reason."""

    def __init__(self, skipped: tuple[str, ...]) -> None:
        self.off = dict.fromkeys(skipped, "left off on request")

    def put_on(self, name: str, action: Callable[[], object]) -> None:
        if name in self.off:
            return
        try:
            action()
        except OSError as e:
            self.off[name] = f"{errno.errorcode.get(e.errno or 0, '')} {e.strerror or e}".strip()


_locks: list[Callable[[], dict[str, str]]] = []  # of an examiner: how to lock it, until it is


def run(sock: socket.socket, setting: Setting, handler: Handler) -> None:
    """Be the child: never returns. The zygote ignores SIGINT, and so does the child: Ctrl-C is the parent's."""
    limits.die_with_parent()
    sock = limits.keep_only(sock, stderr=setting.watched)
    layers = _Layers(setting.profile.without)
    listener = _enter(setting, layers)
    if setting.profile.kind == "examiner":
        _locks.append(lambda: _lock(sock, setting))
    wire.send(sock, {"ready": {"off": layers.off, "uid": os.getuid()}}, [listener] if listener else [])
    serve(sock, handler)


def lock() -> dict[str, str]:
    """In an examiner, once its weights are open: no file opens for writing, no program starts, for good.

    Returns the layers that could not be put on, with the reason. Calling it again, or in a decoder, does nothing.
    """
    return _locks.pop()() if _locks else {}


def serve(sock: socket.socket, handler: Handler) -> None:
    """Answer until the parent hangs up: never returns."""
    try:
        while True:
            message, fds = wire.receive(sock)
            _answer(sock, handler, message, fds)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)


def _answer(sock: socket.socket, handler: Handler, message: JSON, fds: list[int]) -> None:
    try:
        for answer in handler(message, fds):
            wire.send(sock, {"answer": answer})
    except AssayError as e:
        _refuse(sock, type(e).__name__, e)
    except MemoryError:
        _refuse(sock, "Failed", _out_of_memory())
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as e:  # noqa: BLE001 - hostile bytes raise anything in a decoder; the parent gets one typed error
        _refuse(sock, "Failed", _unexpected(e))
    else:
        wire.send(sock, {"end": True})


def _refuse(sock: socket.socket, kind: str, error: AssayError) -> None:
    text, hint = error.message[:_LONGEST_MESSAGE], error.hint[:_LONGEST_MESSAGE]
    wire.send(sock, {"error": {"kind": kind, "code": error.code, "message": text, "hint": hint}})


def _unexpected(error: Exception) -> Failed:
    hint = "nothing can be imported inside: `prepare` must" if isinstance(error, ImportError) else ""
    return Failed(f"{type(error).__name__}: {error}", code="decoder_error", hint=hint)


def _out_of_memory() -> Failed:
    hint = "raise limits.memory_bytes if such media are expected"
    return Failed("the sandboxed process ran out of its memory", code="worker_out_of_memory", hint=hint)


def _enter(setting: Setting, layers: _Layers) -> int:
    """All layers of a decoder; of an examiner those that leave it free to open its weights."""
    profile = setting.profile
    layers.put_on("uid", lambda: _change_identity(setting))
    own = setting.uid is not None and setting.uid == os.getuid() != limits.NOBODY
    layers.put_on("limits", lambda: limits.limit_resources(profile, setting.address_space, own_uid=own))
    layers.put_on("no_new_privs", limits.forbid_privileges)
    layers.put_on("not_dumpable", limits.forbid_dumps)
    if profile.kind == "examiner":
        layers.put_on("landlock", landlock.deny_network)
        return 0
    layers.put_on("landlock", landlock.deny_all)
    return _filter(setting, layers)


def _change_identity(setting: Setting) -> None:
    decoder = setting.profile.kind == "decoder"
    if decoder and setting.uid is not None:
        limits.become(setting.uid)
    elif os.getuid() == 0:
        limits.keep_capabilities(*(() if decoder else (limits.CAP_DAC_OVERRIDE, limits.CAP_DAC_READ_SEARCH)))


def _lock(sock: socket.socket, setting: Setting) -> dict[str, str]:
    layers = _Layers(setting.profile.without)
    layers.put_on("limits", limits.forbid_growth)
    if os.getuid() == 0:
        layers.put_on("uid", lambda: limits.keep_capabilities(limits.CAP_DAC_READ_SEARCH))
    layers.put_on("landlock", landlock.deny_writes)
    listener = _filter(setting, layers)
    wire.send(sock, {"locked": layers.off}, [listener] if listener else [])
    return layers.off


def _filter(setting: Setting, layers: _Layers) -> int:
    """Put the system call filter on; returns the listener's descriptor when watched, else 0."""
    listeners: list[int] = []

    def install() -> None:
        if setting.filter is None:
            raise OSError(errno.ENOSYS, "no system call table for this processor")
        listeners.append(setting.filter.install())

    layers.put_on("seccomp", install)
    return listeners[0] if listeners else 0
