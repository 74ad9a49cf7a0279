"""Landlock: a process gives up the file system, the network and signals to others, for good.

Source: Documentation/userspace-api/landlock.rst of the kernel; the rights grow with its ABI number.
"""

from __future__ import annotations

import errno
import os
import struct

from assay.media.jail.kernel import invoke

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_NETWORK = 0b11  # bind and connect TCP, from ABI 4
_SCOPES = 0b11  # abstract unix sockets, signals, from ABI 6


def abi() -> int:
    """The kernel's Landlock ABI; 0 where it has none or it is switched off."""
    try:
        return invoke(_CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


def forbidden() -> bool:
    """Is it there, but turned away by a container's own filter?"""
    try:
        invoke(_CREATE_RULESET, None, 0, 1)
    except OSError as e:
        return e.errno == errno.EPERM
    return False


def deny_all() -> int:
    """No file can be opened, no TCP port bound or connected, no process outside signalled. Returns the ABI."""
    return _restrict(_file_rights(abi()), readable=False)


def deny_writes() -> int:
    """Files open for reading only; network and signals as in `deny_all`. Of the calling thread alone."""
    return _restrict(_file_rights(abi()), readable=True)


def deny_network() -> int:
    """Files as before, network and signals as in `deny_all`. Raises OSError below ABI 4, which knows no network."""
    return _restrict(0, readable=False)


def _file_rights(version: int) -> int:
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    return (1 << bits) - 1


def _restrict(files: int, *, readable: bool) -> int:
    version = abi()
    attributes = struct.pack("=QQQ", files, _NETWORK if version >= 4 else 0, _SCOPES if version >= 6 else 0)[
        : 8 if version < 4 else 16 if version < 6 else 24
    ]
    rules = invoke(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        if readable:
            root = os.open("/", os.O_PATH | os.O_CLOEXEC)
            try:
                invoke(_ADD_RULE, rules, 1, struct.pack("=Qi", _READ_FILE | _READ_DIR, root), 0)
            finally:
                os.close(root)
        invoke(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return version
