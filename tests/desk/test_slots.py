"""Slots and the line before them, in threads that the test lets go on one by one."""

from __future__ import annotations

import threading
import time

import pytest

from assay.desk.slots import SOON_S, Slots


class Holder:
    """Holds a slot in a thread until it is told to let go; `order` says who came to hold one, and when."""

    def __init__(self, slots: Slots, name: str, order: list[str], place: object | None = None) -> None:
        self._slots, self._name, self._order, self._place = slots, name, order, place
        self.has, self._let_go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._slots.hold(self._place):
            self._order.append(self._name)
            self.has.set()
            assert self._let_go.wait(10)

    def end(self) -> None:
        self._let_go.set()
        self._thread.join(10)


@pytest.fixture
def order() -> list[str]:
    return []


def test_no_more_hold_a_slot_than_there_are_and_the_first_to_come_is_the_first_to_have_one(order):
    slots = Slots(1)
    first = Holder(slots, "first", order)
    assert first.has.wait(10)
    others = []
    for name in ("second", "third"):
        others.append(Holder(slots, name, order))
        while len(slots._line) < len(others):  # each is in the line before the next one comes
            time.sleep(0.001)
    assert not others[0].has.wait(0.05)
    for one, following in zip((first, *others), (*others, None), strict=True):
        one.end()
        assert following is None or following.has.wait(10)
    assert order == ["first", "second", "third"]
    assert slots.all_free(1)


def test_who_could_go_elsewhere_joins_only_where_a_slot_is_free_or_soon_will_be(order):
    slots = Slots(2)
    slots._usual_s = SOON_S * 0.9  # two slots: two may wait
    holders = []
    for n in range(4):
        place = slots.join()
        assert place is not None, n
        holders.append(Holder(slots, str(n), order, place))
    assert slots.join() is None
    for holder in holders:
        holder.end()
    assert sorted(order) == ["0", "1", "2", "3"]


def test_slow_jobs_make_the_line_short_and_quick_ones_make_it_long():
    slots = Slots(1)
    slots._usual_s = 10 * SOON_S
    with slots.hold():
        assert slots.join() is None
    for _ in range(40):
        with slots.hold():
            pass
    with slots.hold():
        places = [slots.join() for _ in range(5)]
        assert None not in places
        for place in places:
            slots.leave(place)
    assert slots.all_free(0)


def test_whoever_waits_already_is_not_overtaken(order):
    slots = Slots(1)
    slots._usual_s = 10 * SOON_S
    first = Holder(slots, "first", order)
    assert first.has.wait(10)
    waiting = Holder(slots, "waits", order)
    assert not waiting.has.wait(0.05)
    assert slots.join() is None
    first.end()
    assert waiting.has.wait(10)
    waiting.end()


def test_a_closed_line_takes_nobody_and_those_in_it_come_to_their_turn(order):
    slots = Slots(1)
    first = Holder(slots, "first", order)
    assert first.has.wait(10)
    waiting = Holder(slots, "waits", order)
    slots.close()
    assert slots.join() is None
    assert not slots.all_free(0.05)
    first.end()
    assert waiting.has.wait(10)
    waiting.end()
    assert slots.all_free(1)


def test_what_fails_gives_its_slot_back():
    slots = Slots(1)
    with pytest.raises(ValueError, match="no"), slots.hold():
        raise ValueError("no")
    assert slots.all_free(0)
