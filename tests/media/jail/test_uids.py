from __future__ import annotations

from assay.media.jail.limits import NOBODY
from assay.media.jail.uids import COUNT, FIRST, UidPool


def test_each_child_has_a_uid_that_no_other_has():
    one, other = UidPool(), UidPool()
    uids = [pool.take() for _ in range(20) for pool in (one, other)]
    assert len(set(uids)) == 40
    assert all(FIRST <= uid < FIRST + COUNT for uid in uids)
    for uid in uids:
        one.give_back(uid)
        other.give_back(uid)


def test_a_uid_that_was_given_back_is_taken_again():
    pool = UidPool()
    seen = set()
    for _ in range(COUNT + 1):
        uid = pool.take()
        pool.give_back(uid)
        seen.add(uid)
    assert NOBODY not in seen
    assert len(seen) <= COUNT


def test_nobody_steps_in_where_all_are_taken(monkeypatch):
    monkeypatch.setattr("assay.media.jail.uids.COUNT", 4)
    pool = UidPool()
    taken = [pool.take() for _ in range(6)]
    assert taken[-1] == NOBODY
    for uid in taken:
        pool.give_back(uid)
