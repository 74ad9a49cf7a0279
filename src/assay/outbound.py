"""The way out: one small HTTP request to an address that somebody gave, without being led inside.

The name is resolved once, every address it has must be outside (private, loopback, link-local and the like are refused
unless a setting allows them), and the connection goes to the very address that was checked. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from assay.errors import AssayError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
HEAD_BYTES = 1 << 14
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\r|\n)")


class Unreachable(AssayError):
    """Nothing was sent, or no answer came; another time it may."""

    code = "unreachable"


class Inside(AssayError):
    """The address leads to this machine or its networks."""

    code = "inside"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: the name for TLS and the header Host, and the one address to connect to."""

    host: str
    port: int
    is_tls: bool
    target: str
    address: Address


def parsed(url: str) -> SplitResult:
    """Check the form of a URL that a webhook may have.

    Raises
    ------
    AssayError
        With the code ``not_an_address``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        raise _not_an_address("it is no URL") from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _not_an_address("it must begin with https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise _not_an_address("it must not carry a user or a password")
    if port == 0 or len(url) > 2048 or not url.isascii() or not url.isprintable() or " " in url:
        raise _not_an_address("write it in ASCII, with punycode and percent signs")
    return parts


async def resolved(url: str, allowed: Sequence[str] = ()) -> Place:
    """Find out where a URL leads, once.

    Raises
    ------
    Inside
        If any of its addresses is inside and no network in `allowed` holds it; or plain http leads outside.
    Unreachable
        If nobody knows the name.
    """
    parts = parsed(url)
    host, is_tls = str(parts.hostname), parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise Unreachable(f"no address is known for {host}") from e
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    networks = tuple(ipaddress.ip_network(text) for text in allowed)
    for address in addresses:
        is_allowed = any(address in network for network in networks)
        if not is_allowed and not is_outside(address):
            raise Inside(
                f"{host} leads inside", hint="api.webhook_inside lists the inside networks that may be told."
            )
        if not is_tls and not is_allowed:
            raise Inside("plain http is only for networks in api.webhook_inside", hint="Use https.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(host, port, is_tls, target, addresses[0])


def is_outside(address: Address) -> bool:
    """Is this an address of the public internet, whatever it is wrapped in?"""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_outside(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


async def post(place: Place, body: bytes, headers: Mapping[str, str], *, within_s: float) -> int:
    """Send a POST and return the status of the answer, whose body is not read.

    Raises
    ------
    Unreachable
        If it does not answer in time, or not in HTTP.
    """
    try:
        async with asyncio.timeout(within_s):
            return await _exchange(place, body, headers)
    except TimeoutError as e:
        raise Unreachable(f"{place.host} did not answer within {within_s:.0f} s") from e
    except ssl.SSLError as e:
        raise Unreachable(f"{place.host}: TLS failed ({e.reason})") from e
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
        raise Unreachable(f"{place.host} cannot be reached") from e


async def _exchange(place: Place, body: bytes, headers: Mapping[str, str]) -> int:
    context = ssl.create_default_context() if place.is_tls else None
    reader, writer = await asyncio.open_connection(
        str(place.address),
        place.port,
        ssl=context,
        server_hostname=place.host if place.is_tls else None,
        limit=HEAD_BYTES,
    )
    try:
        usual = 443 if place.is_tls else 80
        name = f"[{place.host}]" if ":" in place.host else place.host
        host = name if place.port == usual else f"{name}:{place.port}"
        lines = {"Host": host, "Content-Length": str(len(body)), "Connection": "close"} | dict(headers)
        head = f"POST {place.target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
        writer.write(head.encode("ascii") + b"\r\n" + body)
        await writer.drain()
        while True:
            line = await reader.readuntil(b"\n")
            match = STATUS.match(line)
            if not match:
                raise Unreachable(f"{place.host} does not speak HTTP")
            if int(match[1]) >= 200:
                return int(match[1])
            while (await reader.readuntil(b"\n")).strip():
                pass  # the head of an interim answer
    finally:
        writer.transport.abort()


def _not_an_address(why: str) -> AssayError:
    return AssayError(
        f"this address cannot be used: {why}", code="not_an_address", hint="Write https://host/path."
    )
