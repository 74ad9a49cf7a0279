"""The way out leads to public addresses only, whatever they are wrapped in."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import outbound
from assay.errors import AssayError


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_outside(text):
    assert outbound.is_outside(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::"),
        *("2001:db8::1", "64:ff9b:1::1"),
    ],
)  # fmt: skip
def test_others_are_inside(text):
    assert not outbound.is_outside(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_where_its_inner_one_is(inner):
    for wrapped in (f"::ffff:{inner}", f"64:ff9b::{inner}"):
        assert outbound.is_outside(ipaddress.ip_address(wrapped)) == outbound.is_outside(inner)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_addresses(text):
    for url in (text, f"https://{text}", f"https://a.example/{text}"):
        try:
            outbound.parsed(url)
        except AssayError as e:
            assert e.code == "not_an_address"


def test_plain_http_is_for_listed_networks_only():
    with pytest.raises(outbound.Inside, match="plain http"):
        asyncio.run(outbound.resolved("http://8.8.8.8/"))
    place = asyncio.run(outbound.resolved("http://127.0.0.1:81/a?b", ("127.0.0.0/8",)))
    assert (str(place.address), place.port, place.target, place.is_tls) == ("127.0.0.1", 81, "/a?b", False)


def test_one_inside_address_among_several_refuses_the_name(monkeypatch):
    async def two(*_: object, **__: object) -> list[object]:
        return [(0, 0, 0, "", ("8.8.8.8", 443)), (0, 0, 0, "", ("10.0.0.1", 443))]

    async def ask() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
        await outbound.resolved("https://both.example/")

    with pytest.raises(outbound.Inside):
        asyncio.run(ask())


def test_what_does_not_speak_http_is_an_ordinary_failure():
    async def talk(answer: bytes) -> int:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            place = await outbound.resolved(f"http://127.0.0.1:{port}/", ("127.0.0.1/32",))
            return await outbound.post(place, b"{}", {}, within_s=5)

    for answer in (b"", b"SSH-2.0-x\r\n", b"x" * 100_000, b"HTTP/1.1 abc\r\n\r\n"):
        with pytest.raises(outbound.Unreachable):
            asyncio.run(talk(answer))
    assert asyncio.run(talk(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")) == 204
