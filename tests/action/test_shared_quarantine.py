"""One quarantine of several machines: each has a folder of its own, holdings and keys lie in a bucket."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from obstore.store import MemoryStore
from pyrage import x25519

from assay.action import vault as module
from assay.action.identity import Recipients
from assay.action.quarantine import Quarantine
from assay.errors import QuarantineError, StoreError
from assay.objects import Bucket
from assay.types import Sample, sha256_of

CONTENT = b"what nobody must read in plain" + os.urandom(200_000)
ID = sha256_of(CONTENT)
IDENTITY, OTHER = x25519.Identity.generate(), x25519.Identity.generate()


@dataclass
class Lock:
    """Stands for the database: knows who holds what, and lets nobody in beside one who is alone."""

    held: dict[str, list[bool]] = field(default_factory=dict)
    change: threading.Condition = field(default_factory=threading.Condition)

    @contextlib.contextmanager
    def __call__(self, name, *, alone=False, wait=True):
        def free():
            holders = self.held.get(name, [])
            return not holders or not (alone or any(holders))

        with self.change:
            mine = self.change.wait_for(free, timeout=20 if wait else 0)
            if mine:
                self.held.setdefault(name, []).append(alone)
        if wait and not mine:
            raise StoreError("busy", code="busy")
        try:
            yield mine
        finally:
            with self.change:
                if mine:
                    self.held[name].remove(alone)
                self.change.notify_all()


@pytest.fixture
def bucket():
    return MemoryStore()


@pytest.fixture
def machine(tmp_path, bucket):
    lock = Lock()

    def made(name, *identities):
        to = Recipients(tuple(str(i.to_public()) for i in identities)) if identities else None
        return Quarantine(tmp_path / name / "quarantine", to, place=bucket, lock=lock)

    return made


def contents(bucket):
    return {m["path"]: bytes(bucket.get(m["path"]).bytes()) for batch in bucket.list() for m in batch}


def take(quarantine, folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fake.jpg"
    path.write_bytes(content)
    with path.open("rb") as file:
        sample = Sample("s1", sha256_of(content), len(content), "image/jpeg")
        return quarantine.take(file.fileno(), str(path), sample, {"label": "fake"})


def back(quarantine, target, identity=IDENTITY):
    holding = quarantine.vault.find(ID[:10])
    (origin,) = quarantine.origins(holding, [identity])
    quarantine.restore(holding, origin, os.fsencode(target), [identity])
    return target.read_bytes()


def test_what_one_machine_takes_another_lists_gives_back_and_removes(machine, bucket, tmp_path):
    assert take(machine("one", IDENTITY), tmp_path / "one" / "inbox").removed
    other = machine("other", IDENTITY)
    (holding,) = other.vault.holdings()
    assert (holding.id, holding.size, other.vault.damaged()) == (ID, len(CONTENT), [])
    assert back(other, tmp_path / "back") == CONTENT
    other.vault.remove(holding)
    assert machine("one", IDENTITY).vault.holdings() == []
    assert contents(bucket) == {}


def test_no_plaintext_and_no_name_leaves_the_process(machine, bucket, tmp_path):
    take(machine("one", IDENTITY), tmp_path / "one" / "inbox")
    assert len(contents(bucket)) == 3
    assert all(path.startswith("quarantine/vault/") for path in contents(bucket))
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()] + list(contents(bucket).values())
    assert not [w for w in written if CONTENT[:30] in w or b"fake.jpg" in w]


def test_machines_that_begin_at_once_share_one_identity(machine, monkeypatch, bucket):
    monkeypatch.setattr("pyrage.passphrase.encrypt", lambda data, *_: data)
    notes = []
    starts = [
        threading.Thread(target=lambda n=n: notes.append(machine(f"m{n}").keys.ensure(lambda: "long enough")))
        for n in range(4)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert sorted(note is None for note in notes) == [False, True, True, True]
    assert sorted(contents(bucket)) == ["quarantine/keys/identity.age", "quarantine/keys/recipients.txt"]
    assert len({machine(f"m{n}").recipients().digest for n in range(4)}) == 1


def test_the_identity_is_reached_from_any_machine_and_may_be_taken_away(machine, bucket, tmp_path):
    note = machine("one").keys.ensure(lambda: "correct horse")
    assert "quarantine/keys/identity.age" in note
    take(machine("two"), tmp_path / "two" / "inbox")
    (identity,) = machine("three").keys.open(lambda: "correct horse")
    assert back(machine("three"), tmp_path / "back", identity) == CONTENT
    with pytest.raises(QuarantineError, match="does not open"):
        machine("three").keys.open(lambda: "wrong")
    bucket.delete("quarantine/keys/identity.age")
    with pytest.raises(QuarantineError) as error:
        machine("three").keys.open(lambda: "correct horse")
    assert error.value.code == "no_identity"
    assert machine("three").keys.ensure(lambda: pytest.fail("asked")) is None
    bucket.delete("quarantine/keys/recipients.txt")
    bucket.put("quarantine/keys/identity.age", b"the only one")
    with pytest.raises(QuarantineError, match=r"recipients.txt is missing"):
        machine("three").keys.ensure(lambda: "correct horse")


def test_changed_recipients_hold_on_every_machine(machine, tmp_path):
    one = machine("one")
    one.keys.replace(Recipients((str(IDENTITY.to_public()),)))
    take(one, tmp_path / "one" / "inbox")
    both = Recipients(tuple(str(i.to_public()) for i in (IDENTITY, OTHER)))
    machine("two").keys.replace(both)
    assert machine("one").recipients() == both
    two = machine("two")
    (holding,) = two.vault.holdings()
    assert two.vault.rekey(holding, [IDENTITY], both)
    assert not two.vault.rekey(holding, [IDENTITY], both)
    assert back(machine("one"), tmp_path / "back", OTHER) == CONTENT


def test_what_a_machine_held_before_it_had_a_bucket_moves_there(machine, bucket, tmp_path):
    own = Quarantine(tmp_path / "one" / "quarantine")
    own.keys.ensure(lambda: "correct horse")
    take(own, tmp_path / "one" / "inbox")
    shared = machine("one")
    assert "are those of" in shared.keys.ensure(lambda: pytest.fail("asked"))
    assert "1 contents" in shared.sweep()[0]
    assert shared.sweep() == []
    assert own.vault.holdings() == []
    (identity,) = machine("two").keys.open(lambda: "correct horse")
    assert back(machine("two"), tmp_path / "back", identity) == CONTENT


def test_an_identity_without_a_passphrase_never_gets_into_the_bucket(machine, bucket, tmp_path):
    keys = tmp_path / "one" / "quarantine" / "keys"
    keys.mkdir(parents=True)
    (keys / "identity.age").write_text(f"{IDENTITY}\n")
    (keys / "recipients.txt").write_text(f"{IDENTITY.to_public()}\n")
    machine("one").keys.ensure(lambda: pytest.fail("asked"))
    assert list(contents(bucket)) == ["quarantine/keys/recipients.txt"]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_bucket_that_fails_at_any_step_loses_nothing(machine, bucket, tmp_path, monkeypatch, step):
    quarantine, real, count = machine("one", IDENTITY), Bucket.put, iter(range(1, 100))

    def failing(self, path, pieces):
        if next(count) == step:
            raise StoreError("the bucket is gone")
        real(self, path, pieces)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "put", failing)
        with pytest.raises(QuarantineError, match="cannot be quarantined: the bucket is gone"):
            take(quarantine, tmp_path / "inbox")
    assert (tmp_path / "inbox" / "fake.jpg").read_bytes() == CONTENT
    assert (quarantine.vault.holdings(), quarantine.vault.damaged()) == ([], [])
    assert take(quarantine, tmp_path / "inbox").removed
    assert back(machine("two", IDENTITY), tmp_path / "back") == CONTENT


def test_what_a_kill_left_unfinished_is_swept_once_it_is_old_and_nobody_works_on_it(
    machine, bucket, tmp_path, monkeypatch
):
    take(machine("one", IDENTITY), tmp_path / "inbox")
    bucket.delete(f"quarantine/vault/{ID}/holding.json")
    other = machine("two", IDENTITY)
    other.sweep()
    assert len(contents(bucket)) == 2, "somebody may be taking it"
    monkeypatch.setattr(module, "STALE", timedelta(seconds=-5))
    with machine("one", IDENTITY).vault.locked(ID):
        other.sweep()
        assert len(contents(bucket)) == 2
    other.sweep()
    assert contents(bucket) == {}


def test_nothing_is_removed_while_another_machine_takes_it_again(machine, tmp_path):
    one, two = machine("one", IDENTITY), machine("two", IDENTITY)
    take(one, tmp_path / "inbox")
    holding = one.vault.find(ID)
    removing = threading.Thread(target=two.vault.remove, args=(holding,))
    with one.vault.locked(ID):
        removing.start()
        removing.join(0.3)
        assert removing.is_alive()
        assert one.vault.holds(ID)
    removing.join()
    assert not one.vault.holds(ID)


def test_a_bucket_that_cannot_be_asked_is_not_an_empty_one(machine, bucket, tmp_path, monkeypatch):
    take(machine("one", IDENTITY), tmp_path / "inbox")

    def failing(*_):
        raise StoreError("the bucket is gone", code="store_media")

    monkeypatch.setattr(Bucket, "pieces", failing)
    for look in (lambda v: v.find(ID), lambda v: v.holdings(), lambda v: v.holds(ID)):
        with pytest.raises(StoreError, match="the bucket is gone"):
            look(machine("two", IDENTITY).vault)
