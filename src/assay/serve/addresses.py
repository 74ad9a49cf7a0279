"""Where a server may listen, and who may connect: loopback, unless an allow list says otherwise."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence

from assay.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
BACKLOG = 256


def networks(allow: Sequence[str]) -> tuple[Network, ...]:
    """Read an allow list: addresses and networks such as ``192.0.2.0/24``."""
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in allow)
    except ValueError as e:
        raise ConfigError(
            f"the allow list cannot be read: {e}", hint="Write 192.0.2.7 or 192.0.2.0/24."
        ) from e


def listening_tcp(host: str, port: int, allowed: tuple[Network, ...]) -> socket.socket:
    """Open a listening socket on one address.

    Raises
    ------
    ConfigError
        If `host` is not a loopback address and nobody is allowed in from elsewhere, or if it cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as e:
        raise ConfigError(f"no address is known for {host}", hint="Name an address such as 127.0.0.1.") from e
    if not ipaddress.ip_address(address[0]).is_loopback and not allowed:
        raise ConfigError(
            f"{host} can be reached from other machines, and no allow list says which may",
            hint="Bind to 127.0.0.1, or list the clients' addresses.",
        )
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as e:
        listening.close()
        raise ConfigError(
            f"{host} port {port} cannot be bound: {e.strerror}", hint="Choose another port."
        ) from e
    listening.setblocking(False)
    return listening


def listening_unix(path: str, mode: int) -> socket.socket:
    """Open a unix socket; one that a server left behind is replaced, one that answers is not.

    Raises
    ------
    ConfigError
        If something else lies there, another server answers there, or the folder does not let us.
    """
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(
            listening.fileno(), mode
        )  # Linux: the name is made with it, so nobody slips in before chmod
        listening.bind(path)
        os.chmod(path, mode)  # past the umask
        listening.listen(BACKLOG)
    except OSError as e:
        listening.close()
        raise ConfigError(f"the socket {path} cannot be made: {e.strerror or e}") from e
    listening.setblocking(False)
    return listening


def may_connect(peer: str, allowed: tuple[Network, ...]) -> bool:
    """May a client with this address connect? Loopback always may."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or any(address in network for network in allowed)


def _clear(path: str) -> None:
    try:
        there = os.lstat(path)
    except OSError:
        return
    if not stat.S_ISSOCK(there.st_mode):
        raise ConfigError(f"{path} exists and is no socket", hint="Move it away, or name another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        attempt.setblocking(False)
        failed = attempt.connect_ex(path)
    if failed != errno.ECONNREFUSED:
        raise ConfigError(f"another server answers at {path}", hint="Stop it, or name another path.")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
