"""Whatever a client sends: the connection ends, no task ends in a fault, and the next client is served."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FAKE, FakeScreen, Running, all_of, clamd, icap, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from icap_talk import OK, chunks, reqmod, respmod

from assay.serve.clamd_commands import WORDS, parse_command, seemly
from assay.serve.http_message import HttpHead
from assay.serve.icap_messages import Malformed, parse_request
from assay.serve.multipart import TooManyParts, parts
from assay.serve.roots import Entry, OutOfBounds, Roots

often = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OPTIONS = b"OPTIONS icap://127.0.0.1/scan ICAP/1.0\r\nConnection: close\r\n\r\n"

junk = st.binary(max_size=60)
lengths = st.integers(0, 2**32 - 1).map(lambda n: struct.pack(">I", n))
small = st.binary(max_size=40).map(lambda b: struct.pack(">I", len(b)) + b)
words = st.sampled_from([w.encode() for w in (*WORDS, "STREAM", "scan", "")])
commands = st.tuples(
    st.sampled_from([b"z", b"n", b"", b"x"]),
    words,
    st.sampled_from([b"", b" ", b" /tmp", b" /../..", b"\r"]),
    st.sampled_from([b"\0", b"\n", b"\r\n", b""]),
).map(b"".join)
clamd_talk = st.lists(st.one_of(commands, small, lengths, junk, st.just(bytes(4))), max_size=8).map(b"".join)

heads = st.sampled_from(
    [
        respmod(),
        respmod(preview=3),
        respmod(preview=0, allow=True),
        respmod(body=False),
        reqmod(b"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"),
        respmod(OK.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip, deflate\r\n\r\n"), allow=True),
        respmod(b"HTTP/1.1 206 \xff\r\nX-Assay-Verdict:\r\n\r\n"),
        OPTIONS.replace(b"Connection: close\r\n", b""),
    ]
)
bodies = st.one_of(
    st.lists(st.binary(max_size=20), max_size=4).map(lambda parts: chunks(*parts)),
    st.sampled_from(
        [
            chunks(gzip.compress(b"x")),
            chunks(zlib.compress(gzip.compress(b"fake"))),
            chunks(b"abc", end=b"0; ieof\r\n\r\n"),
            chunks(b"--b\r\n\r\nfake\r\n--b--"),
            b"ffffffffffffff\r\n",
            b"3;" * 99,
            b"0\r\n",
        ]
    ),
)
messages = st.tuples(heads, bodies).map(b"".join)
icap_talk = st.lists(st.one_of(messages, messages, messages, heads, junk), max_size=4).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Talk with a few bytes changed, left out, or put in."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    folder = tmp_path_factory.mktemp("fuzz")
    screen = FakeScreen({b"fake": FAKE})
    with (
        serving(clamd(screen, stream_bytes=100, roots=(str(folder),)), folder / "clamd.sock") as one,
        serving(icap(screen, body_bytes=100, decoded_bytes=100)) as other,
    ):
        yield one, other
        for run in (one, other):
            assert run.server.counters.faults == 0
            assert run.server.counters.timeouts == 0


def said(connection: socket.socket, sent: bytes) -> bytes:
    """What the server says until it ends the connection; a test that waits here for ten seconds has found a hang."""
    with connection:
        with contextlib.suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        try:
            return all_of(connection)
        except ConnectionError:
            return b""


@often
@given(damaged(clamd_talk), st.booleans())
def test_clamd_survives_every_client(servers, sent, over_unix):
    run, _ = servers
    said(run.connect_unix() if over_unix else run.connect(), sent)
    assert said(run.connect(), b"zPING\0") == b"PONG\0"


@often
@given(damaged(icap_talk))
def test_icap_survives_every_client(servers, sent):
    _, run = servers
    said(run.connect(), sent)
    assert said(run.connect(), OPTIONS).startswith(b"ICAP/1.0 200 OK")


@often
@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_none(data):
    command = parse_command(data)
    assert command.word in ("", *WORDS)
    assert not set(seemly(command.path)) & set("\n\r\0")


@often
@given(st.binary(max_size=60), st.binary(max_size=200))
def test_any_head_is_a_request_or_malformed(first, rest):
    with contextlib.suppress(Malformed):
        parse_request(first, rest)
    with contextlib.suppress(Malformed):
        assert parse_request(b"RESPMOD icap://x/respmod ICAP/1.0", rest).sections


@often
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=80).map(lambda b: b"HTTP/1.1 200 OK\r\nContent-Disposition: x; filename" + b),
        st.binary(max_size=80).map(lambda b: b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x; boundary" + b),
    )
)
def test_any_http_head_can_be_looked_into(raw):
    head = HttpHead(raw)
    told = (
        head.status,
        head.is_partial,
        head.codings,
        head.length,
        head.media_type,
        head.boundary,
        head.name,
    )
    assert len(told) == 7
    assert not head.claims_verdict or head.marked(None) != raw
    assert b"\nX-Assay-Verdict: label\r\n" in head.marked("label") or b"\n" not in raw


@often
@given(st.lists(st.binary(max_size=50).filter(lambda b: b"--b" not in b), max_size=5), st.binary(max_size=9))
def test_parts_come_out_as_they_went_in(contents, preamble):
    body = (
        preamble.replace(b"-", b"")
        + b"".join(b"\r\n--b\r\nX: y\r\n\r\n" + c for c in contents)
        + b"\r\n--b--"
    )
    descriptor = os.memfd_create("body")
    try:
        os.write(descriptor, body)
        found = parts(descriptor, len(body), b"b")
        assert [os.pread(descriptor, p.end - p.start, p.start) for p in found] == [c for c in contents if c]
    finally:
        os.close(descriptor)


@often
@given(st.binary(max_size=300))
def test_any_body_has_parts_or_none(data):
    body = b"--b\r\n" + data.replace(b"x", b"\n--b\n")
    descriptor = os.memfd_create("body")
    try:
        os.write(descriptor, body)
        with contextlib.suppress(TooManyParts):
            for part in parts(descriptor, len(body), b"b"):
                assert 0 <= part.start < part.end <= len(body)
    finally:
        os.close(descriptor)


@often
@given(st.text(max_size=40))
def test_no_path_leads_out_of_the_roots(text):
    here = str(Path(__file__).parent)
    path = f"{here}/{text}"
    entries = Roots([here]).entries(path)
    try:
        entry: Entry | None = next(entries, None)
    except (OutOfBounds, UnicodeEncodeError):
        return
    finally:
        entries.close()
    if entry is not None and entry.descriptor >= 0:
        assert os.path.realpath(f"/proc/self/fd/{entry.descriptor}").startswith(here)
        os.close(entry.descriptor)
