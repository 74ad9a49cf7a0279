"""The first signal ends a batch in order, the second at once."""

from __future__ import annotations

import os
import signal

import pytest

from assay.cli.interrupts import SIGNALS, Interrupts


@pytest.fixture(autouse=True)
def usual():
    """Whatever a test does, the handlers of the test run come back."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_calls_and_the_second_raises(number: int) -> None:
    stopped: list[int] = []
    with Interrupts() as interrupts, interrupts.calling(lambda: stopped.append(1)):
        assert interrupts.signal == 0
        send(number)
        assert (stopped, interrupts.signal) == ([1], number)
        with pytest.raises(KeyboardInterrupt):
            send(number)
    assert stopped == [1]


def test_where_nothing_can_be_stopped_in_order_it_raises_at_once() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
        assert interrupts.signal == signal.SIGTERM


def test_signals_that_are_ignored_stay_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    with Interrupts() as interrupts:
        send(signal.SIGHUP)
        assert interrupts.signal == 0


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(n) for n in SIGNALS]
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(n) for n in SIGNALS] == before
