from __future__ import annotations

import os
import socket
import struct
import threading

import pytest

from assay.errors import Failed
from assay.media.jail import wire
from assay.media.jail.wire import Channel, TooLate


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def test_messages_and_descriptors_cross_both_ways(ends):
    channel, child = ends
    read, write = os.pipe()
    channel.send({"a": ["ü", 1.5, None]}, [read, write], timeout_s=1)
    message, fds = wire.receive(child)
    assert message == {"a": ["ü", 1.5, None]}
    os.write(fds[1], b"x")
    assert os.read(read, 1) == b"x"
    wire.send(child, {"b": 1}, [read])
    got: list[int] = []
    assert channel.receive(timeout_s=1, fds=got) == {"b": 1}
    for fd in (read, write, *fds, *got):
        os.close(fd)


def test_a_long_message_crosses_in_pieces(ends):
    channel, child = ends
    text = "x" * (5 << 20)
    sender = threading.Thread(target=wire.send, args=(child, {"t": text}))
    sender.start()
    assert channel.receive(timeout_s=10)["t"] == text
    sender.join()


def test_descriptors_that_nobody_expects_are_dropped(ends):
    channel, child = ends
    before = set(os.listdir("/proc/self/fd"))
    with open(os.devnull) as null:
        wire.send(child, {}, [null.fileno()])
    assert channel.receive(timeout_s=1) == {}
    assert set(os.listdir("/proc/self/fd")) == before


def test_waiting_ends_at_the_deadline_and_ticks_meanwhile(ends):
    channel, _ = ends
    ticks = []
    with pytest.raises(TooLate):
        channel.receive(timeout_s=0.2, while_waiting=lambda: ticks.append(1))
    assert 1 <= len(ticks) <= 4


def test_a_reader_that_does_not_read_does_not_hold_the_sender_up(ends):
    channel, _ = ends
    with pytest.raises(TooLate):
        channel.send({"t": "x" * (20 << 20)}, timeout_s=0.2)


def test_half_a_message_is_not_waited_for_beyond_the_deadline(ends):
    channel, child = ends
    child.sendall(struct.pack("<I", 100) + b"{")
    with pytest.raises(TooLate):
        channel.receive(timeout_s=0.2)


def test_the_end_of_the_other_side_is_an_eof(ends):
    channel, child = ends
    child.sendall(b"\x05\0")
    child.close()
    with pytest.raises(EOFError):
        channel.receive(timeout_s=1)
    with pytest.raises(BrokenPipeError):
        channel.send({}, timeout_s=1)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"12",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1e999}x',
        b"[" * 100_000,
        b'{"a":' + b"1" * 9999 + b"}",
    ],
)
def test_malformed_bodies_are_failures(ends, body):
    channel, child = ends
    child.sendall(struct.pack("<I", len(body)) + body)
    with pytest.raises(Failed) as caught:
        channel.receive(timeout_s=1)
    assert caught.value.code == "malformed_answer"


def test_an_announced_length_is_not_believed(ends):
    channel, child = ends
    child.sendall(struct.pack("<I", wire.LONGEST + 1))
    with pytest.raises(Failed, match="too long"):
        channel.receive(timeout_s=1)


def test_many_small_values_are_not_parsed(ends):
    channel, child = ends
    body = b'{"a":[' + b",".join([b"[]"] * (wire.MOST_VALUES // 2 + 1)) + b"]}"
    sender = threading.Thread(target=child.sendall, args=(struct.pack("<I", len(body)) + body,))
    sender.start()
    with pytest.raises(Failed, match="too many values"):
        channel.receive(timeout_s=10)
    sender.join()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_not_json_is_not_sent(ends, value):
    _, child = ends
    with pytest.raises((ValueError, TypeError)):
        wire.send(child, {"x": value})


def test_too_long_an_answer_is_refused_by_its_sender(ends, monkeypatch):
    monkeypatch.setattr(wire, "LONGEST", 1000)
    _, child = ends
    with pytest.raises(Failed) as caught:
        wire.send(child, {"x": "y" * 1000})
    assert caught.value.code == "answer_too_long"
