import contextlib
import errno
import itertools
import json
import os
import signal
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyrage import x25519

from assay.action.identity import Recipients
from assay.action.quarantine import Quarantine
from assay.errors import QuarantineError
from assay.types import Sample, sha256_of

CONTENT = os.urandom(200_000)
TIMES = (1_500_000_000_123_456_789, 1_600_000_000_987_654_321)
IDENTITY = x25519.Identity.generate()
OTHER = x25519.Identity.generate()


@pytest.fixture
def quarantine(tmp_path):
    return Quarantine(tmp_path / "quarantine", _to(IDENTITY))


@pytest.fixture
def victim(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    path = folder / "fake.jpg"
    path.write_bytes(CONTENT)
    path.chmod(0o640)
    os.utime(path, ns=TIMES)
    return path


def _to(*identities):
    return Recipients(tuple(str(i.to_public()) for i in identities))


def _sample(content):
    return Sample("s1", sha256_of(content), len(content), "image/jpeg")


@contextlib.contextmanager
def _opened(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _take(quarantine, path, content=CONTENT, **more):
    with _opened(path) as descriptor:
        return quarantine.take(descriptor, os.fspath(path), _sample(content), {"label": "fake"}, **more)


def _restored(quarantine, target, content=CONTENT, identity=IDENTITY):
    holding = quarantine.vault.find(sha256_of(content))
    origin = quarantine.origins(holding, [identity])[0]
    quarantine.restore(holding, origin, os.fsencode(target), [identity])
    return target.read_bytes()


def _place(quarantine, holding):
    return quarantine.vault.folder / "vault" / holding.id


def _content(quarantine, holding):
    (found,) = _place(quarantine, holding).glob("content-*.age")
    return found


def _files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_a_taken_file_is_gone_and_comes_back_with_mode_and_times(quarantine, victim, tmp_path):
    taken = _take(quarantine, victim)
    assert (taken.quarantine_id, taken.removed, taken.note) == (sha256_of(CONTENT), True, "")
    assert list(victim.parent.iterdir()) == []
    back = tmp_path / "back.jpg"
    assert _restored(quarantine, back) == CONTENT
    status = back.stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert (status.st_atime_ns, status.st_mtime_ns)[1] == TIMES[1]


def test_the_vault_shows_neither_content_nor_name_and_is_private(quarantine, victim):
    _take(quarantine, victim)
    for path in _files(quarantine.vault.folder):
        assert b"fake.jpg" not in path.read_bytes()
        assert CONTENT[:64] not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    assert quarantine.vault.folder.stat().st_mode & 0o077 == 0


def test_the_name_the_path_and_the_screening_are_kept_inside(quarantine, victim):
    _take(quarantine, victim)
    (origin,) = quarantine.origins(quarantine.vault.find(sha256_of(CONTENT)), [IDENTITY])
    assert origin.path == os.fsencode(victim)
    assert origin.name == b"fake.jpg"
    assert origin.screening == {"label": "fake"}


@pytest.mark.parametrize("name", [b"two\nlines", b"caf\xe9.jpg", b"\x1b[31m.jpg", b"-rf", b" ", b"a" * 255])
def test_any_name_is_taken_and_restored(quarantine, victim, name):
    path = os.path.join(os.fsencode(victim.parent), name)
    os.rename(victim, path)
    with _opened(path) as descriptor:
        assert quarantine.take(descriptor, os.fsdecode(path), _sample(CONTENT), {}).removed
    holding = quarantine.vault.find(sha256_of(CONTENT))
    (origin,) = quarantine.origins(holding, [IDENTITY])
    quarantine.restore(holding, origin, path, [IDENTITY])
    with open(path, "rb") as file:
        assert file.read() == CONTENT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(content=st.binary(max_size=400) | st.sampled_from([b"x" * 65536, b"y" * 65537, b"z" * 131072]))
def test_any_content_survives_the_round_trip(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("round")
    quarantine = Quarantine(folder / "q", _to(IDENTITY))
    path = folder / "file"
    path.write_bytes(content)
    assert _take(quarantine, path, content).removed
    assert quarantine.vault.holds(sha256_of(content))
    assert _restored(quarantine, folder / "back", content) == content


def test_the_descriptors_position_is_neither_used_nor_moved(quarantine, victim):
    with _opened(victim) as descriptor:
        os.lseek(descriptor, 1234, os.SEEK_SET)
        quarantine.take(descriptor, str(victim), _sample(CONTENT), {})
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 1234


def test_a_stream_is_stored_and_nothing_is_removed(quarantine, victim, tmp_path):
    with _opened(victim) as descriptor:
        taken = quarantine.take(descriptor, "-", _sample(CONTENT), {})
    assert not taken.removed
    assert victim.exists()
    holding = quarantine.vault.find(taken.quarantine_id)
    (origin,) = quarantine.origins(holding, [IDENTITY])
    assert origin.name is None


def test_of_a_member_the_outermost_file_is_held(quarantine, victim):
    member = Sample("m", "f" * 64, 10, "image/png", parent="s1")
    with _opened(victim) as descriptor:
        taken = quarantine.take(descriptor, str(victim), member, {}, outermost=_sample(CONTENT))
    assert taken.quarantine_id == sha256_of(CONTENT)
    assert taken.removed


def test_the_same_content_at_two_paths_is_stored_once_and_both_paths_are_kept(quarantine, victim):
    second = victim.with_name("copy.jpg")
    second.write_bytes(CONTENT)
    assert _take(quarantine, victim) == _take(quarantine, second)
    assert list(victim.parent.iterdir()) == []
    (holding,) = quarantine.vault.holdings()
    assert len(list(_place(quarantine, holding).glob("content-*"))) == 1
    assert {o.name for o in quarantine.origins(holding, [IDENTITY])} == {b"fake.jpg", b"copy.jpg"}


def test_taking_the_same_path_again_changes_nothing(quarantine, victim):
    _take(quarantine, victim)
    victim.write_bytes(CONTENT)
    assert _take(quarantine, victim).removed
    (holding,) = quarantine.vault.holdings()
    assert len(list(_place(quarantine, holding).glob("origin-*"))) == 1


def test_a_damaged_holding_is_replaced_before_the_path_is_removed(quarantine, victim, tmp_path):
    _take(quarantine, victim)
    (holding,) = quarantine.vault.holdings()
    with open(_content(quarantine, holding), "r+b") as file:
        file.truncate(1000)
    (_place(quarantine, holding) / "holding.json").write_bytes(b"")
    assert quarantine.vault.damaged()
    victim.write_bytes(CONTENT)
    assert _take(quarantine, victim).removed
    assert _restored(quarantine, tmp_path / "back") == CONTENT
    assert quarantine.vault.damaged() == []


def test_a_file_that_changed_before_it_was_taken_is_left_and_not_stored(quarantine, victim):
    with _opened(victim) as descriptor:
        victim.write_bytes(b"changed" + CONTENT[7:])
        with pytest.raises(QuarantineError) as error:
            quarantine.take(descriptor, str(victim), _sample(CONTENT), {})
    assert error.value.code == "changed"
    assert victim.read_bytes().startswith(b"changed")
    assert quarantine.vault.holdings() == []
    assert list(quarantine.vault.incoming.iterdir()) == []


def test_a_file_that_changed_while_its_content_is_held_already_is_left(quarantine, victim):
    _take(quarantine, victim)
    victim.write_bytes(CONTENT)
    with _opened(victim) as descriptor:
        victim.write_bytes(b"changed" + CONTENT[7:])
        taken = quarantine.take(descriptor, str(victim), _sample(CONTENT), {})
    assert not taken.removed
    assert "changed" in taken.note
    assert victim.exists()


def test_another_file_under_the_name_is_left_alone(quarantine, victim):
    with _opened(victim) as descriptor:
        new = victim.with_name("new")
        new.write_bytes(CONTENT)  # even with the same content: it is not the file that was screened
        new.rename(victim)
        taken = quarantine.take(descriptor, str(victim), _sample(CONTENT), {})
    assert not taken.removed
    assert "another file" in taken.note
    assert victim.read_bytes() == CONTENT


def test_a_file_replaced_at_the_last_moment_is_put_back(quarantine, victim, monkeypatch):
    new = victim.with_name("new")
    new.write_bytes(b"innocent")
    real = os.rename

    def swapping(source, target, **more):
        monkeypatch.setattr(os, "rename", real)
        real(new, victim)
        return real(source, target, **more)

    with _opened(victim) as descriptor:
        quarantine.take(
            descriptor, None, _sample(CONTENT), {}
        )  # held already: the next rename is the removal's
        monkeypatch.setattr(os, "rename", swapping)
        taken = quarantine.take(descriptor, str(victim), _sample(CONTENT), {})
    assert not taken.removed
    assert "last moment" in taken.note
    assert [p.name for p in victim.parent.iterdir()] == ["fake.jpg"]
    assert victim.read_bytes() == b"innocent"


def test_a_file_that_vanished_is_held_all_the_same(quarantine, victim):
    with _opened(victim) as descriptor:
        victim.unlink()
        taken = quarantine.take(descriptor, str(victim), _sample(CONTENT), {})
    assert "gone" in taken.note
    assert quarantine.vault.holds(taken.quarantine_id)


def test_a_symbolic_link_removes_what_it_points_to(quarantine, victim):
    link = victim.with_name("link")
    link.symlink_to(victim)
    assert _take(quarantine, link).removed
    assert not victim.exists()
    assert link.is_symlink()


def test_other_hard_links_are_named(quarantine, victim):
    victim.with_name("second").hardlink_to(victim)
    taken = _take(quarantine, victim)
    assert taken.removed
    assert "1 other name" in taken.note


def test_a_pipe_is_not_removed(quarantine, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "spooled").write_bytes(CONTENT)
    with _opened(tmp_path / "spooled") as descriptor:
        taken = quarantine.take(descriptor, str(tmp_path / "pipe"), _sample(CONTENT), {})
    assert (taken.removed, taken.note) == (False, "")
    assert (tmp_path / "pipe").exists()


def test_without_a_key_nothing_is_moved(tmp_path, victim):
    with pytest.raises(QuarantineError) as error:
        _take(Quarantine(tmp_path / "quarantine"), victim)
    assert error.value.code == "no_keys"
    assert victim.exists()


def test_a_release_never_overwrites(quarantine, victim, tmp_path):
    _take(quarantine, victim)
    occupied = tmp_path / "occupied"
    occupied.write_bytes(b"mine")
    with pytest.raises(QuarantineError) as error:
        _restored(quarantine, occupied)
    assert error.value.code == "exists"
    assert occupied.read_bytes() == b"mine"
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(QuarantineError):
        _restored(quarantine, dangling)


def test_a_release_without_nameless_files_works_and_leaves_nothing_on_failure(
    quarantine, victim, tmp_path, monkeypatch
):
    _take(quarantine, victim)
    real = os.open

    def plain(path, flags, *more, **named):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", plain)
    assert _restored(quarantine, tmp_path / "back") == CONTENT
    holding = quarantine.vault.find(sha256_of(CONTENT))
    (origin,) = quarantine.origins(holding, [IDENTITY])
    with pytest.raises(QuarantineError):
        quarantine.restore(holding, origin, os.fsencode(tmp_path / "no"), [OTHER])
    assert not (tmp_path / "no").exists()


def test_a_wrong_identity_releases_nothing(quarantine, victim, tmp_path):
    _take(quarantine, victim)
    holding = quarantine.vault.find(sha256_of(CONTENT))
    (origin,) = quarantine.origins(holding, [IDENTITY])
    with pytest.raises(QuarantineError) as error:
        quarantine.restore(holding, origin, os.fsencode(tmp_path / "back"), [OTHER])
    assert error.value.code == "not_opened"
    assert not (tmp_path / "back").exists()


def test_an_altered_content_is_not_released(quarantine, victim, tmp_path):
    _take(quarantine, victim)
    holding = quarantine.vault.find(sha256_of(CONTENT))
    (origin,) = quarantine.origins(holding, [IDENTITY])
    sealed = bytearray(_content(quarantine, holding).read_bytes())
    sealed[len(sealed) // 2] ^= 1
    _content(quarantine, holding).write_bytes(sealed)
    with pytest.raises(QuarantineError):
        quarantine.restore(holding, origin, os.fsencode(tmp_path / "back"), [IDENTITY])
    assert not (tmp_path / "back").exists()


def test_a_content_exchanged_for_another_is_not_released(quarantine, victim, tmp_path):
    import pyrage

    _take(quarantine, victim)
    holding = quarantine.vault.find(sha256_of(CONTENT))
    (origin,) = quarantine.origins(holding, [IDENTITY])
    _content(quarantine, holding).write_bytes(pyrage.encrypt(b"planted", [IDENTITY.to_public()]))
    with pytest.raises(QuarantineError, match="not what was taken"):
        quarantine.restore(holding, origin, os.fsencode(tmp_path / "back"), [IDENTITY])
    assert not (tmp_path / "back").exists()


def test_set_user_id_is_not_restored(quarantine, victim, tmp_path):
    victim.chmod(0o4755)
    _take(quarantine, victim)
    _restored(quarantine, tmp_path / "back")
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o755


def test_each_of_several_recipients_can_open(tmp_path, victim):
    quarantine = Quarantine(tmp_path / "quarantine", _to(IDENTITY, OTHER))
    _take(quarantine, victim)
    assert _restored(quarantine, tmp_path / "one", identity=IDENTITY) == CONTENT
    assert _restored(quarantine, tmp_path / "two", identity=OTHER) == CONTENT


def test_rekey_moves_everything_to_the_new_recipients(quarantine, victim, tmp_path):
    _take(quarantine, victim)
    (holding,) = quarantine.vault.holdings()
    assert quarantine.vault.rekey(holding, [IDENTITY], _to(OTHER))
    assert not quarantine.vault.rekey(holding, [IDENTITY], _to(OTHER))
    assert len(_files(_place(quarantine, holding))) == 3
    assert _restored(quarantine, tmp_path / "back", identity=OTHER) == CONTENT
    with pytest.raises(QuarantineError):
        quarantine.origins(holding, [IDENTITY])


def test_rekey_with_a_wrong_identity_changes_nothing(quarantine, victim, tmp_path):
    _take(quarantine, victim)
    (holding,) = quarantine.vault.holdings()
    with pytest.raises(QuarantineError):
        quarantine.vault.rekey(holding, [OTHER], _to(OTHER))
    assert len(_files(_place(quarantine, holding))) == 3
    assert _restored(quarantine, tmp_path / "back") == CONTENT


def test_a_holding_is_found_by_its_beginning_or_refused(quarantine, victim):
    taken = _take(quarantine, victim)
    assert quarantine.vault.find(taken.quarantine_id[:8].upper()).id == taken.quarantine_id
    for wrong in ("", "zz", "../..", "*"):
        with pytest.raises(QuarantineError):
            quarantine.vault.find(wrong)


def test_a_removed_holding_is_gone(quarantine, victim):
    _take(quarantine, victim)
    quarantine.vault.remove(quarantine.vault.holdings()[0])
    assert quarantine.vault.holdings() == []
    assert [p.name for p in _files(quarantine.vault.folder)] == ["lock"]


def test_sweeping_a_quarantine_that_never_was_makes_nothing(tmp_path):
    assert Quarantine(tmp_path / "quarantine").sweep() == []
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_leaves_what_others_are_writing(quarantine, victim):
    with quarantine.vault.locked():
        (quarantine.vault.incoming / "busy").mkdir(parents=True)
        assert Quarantine(quarantine.vault.folder).sweep() == []
        assert (quarantine.vault.incoming / "busy").exists()
    quarantine.sweep()
    assert not (quarantine.vault.incoming / "busy").exists()


def test_a_broken_intent_is_dropped(quarantine, victim):
    _take(quarantine, victim)
    (quarantine.vault.removing / "x.json").write_bytes(b'{"folder": "')
    assert quarantine.sweep() == []
    assert list(quarantine.vault.removing.iterdir()) == []


def test_a_file_aside_that_is_not_held_goes_back(quarantine, victim):
    with quarantine.vault.locked():
        pass
    aside = victim.with_name(".assay-00.removing")
    status = victim.stat()
    victim.rename(aside)
    coded = {"folder": victim.parent, "name": victim.name, "aside": aside.name}
    intent = {key: _b64(value) for key, value in coded.items()}
    intent |= {"sha256": sha256_of(CONTENT), "dev": status.st_dev, "ino": status.st_ino}
    (quarantine.vault.removing / "00.json").write_text(json.dumps(intent))
    assert quarantine.sweep() == []
    assert victim.read_bytes() == CONTENT
    assert not aside.exists()


def _b64(value):
    import base64

    return base64.b64encode(os.fsencode(value)).decode()


# ---- faults: each call to the system that changes something fails, or is the last one that ever runs

CALLS = ("mkdir", "open", "write", "fsync", "rename", "replace", "link", "unlink", "fchmod", "utime", "rmdir")


class _Faults:
    """Let the n-th changing call do `fault` instead of, or after, its work."""

    def __init__(self, monkeypatch, fault, *, at, after=False, skip=()):
        self.count = 0
        self._numbers = itertools.count(1)  # several threads call: each call has a number of its own
        for name in CALLS:
            if name not in skip:
                monkeypatch.setattr(os, name, self._wrapped(getattr(os, name), name, fault, at, after))

    def _wrapped(self, real, name, fault, at, after):
        def call(*arguments, **named):
            if name == "open" and not arguments[1] & os.O_CREAT:
                return real(*arguments, **named)
            self.count = number = next(self._numbers)
            if number == at and not after:
                fault()
            result = real(*arguments, **named)
            if number == at and after:
                fault()
            return result

        return call


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _killed_at(monkeypatch, work, at, *, after):
    """Run `work` in a child that is killed at its n-th changing call; False if it came to its end."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _Faults(monkeypatch, _kill, at=at, after=after)
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _plaintexts(folder):
    return [p for p in _files(folder) if CONTENT[:64] in p.read_bytes()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_of_taking_nothing_is_lost_and_the_sweep_finishes(tmp_path, monkeypatch, after):
    for step in range(1, 200):
        folder = tmp_path / str(step)
        folder.mkdir()
        victim = folder / "inbox" / "fake.jpg"
        victim.parent.mkdir()
        victim.write_bytes(CONTENT)
        quarantine = Quarantine(folder / "quarantine", _to(IDENTITY))
        killed = _killed_at(monkeypatch, lambda q=quarantine, v=victim: _take(q, v), step, after=after)
        assert len(_plaintexts(folder)) <= 1
        assert quarantine.sweep() == []
        assert not list(folder.glob("quarantine/incoming/*"))
        assert not list(folder.glob("quarantine/removing/*"))
        assert not list(folder.glob("quarantine/vault/*/.fresh*"))
        assert sorted(p.name for p in victim.parent.iterdir()) in ([], ["fake.jpg"])
        if victim.exists():
            assert victim.read_bytes() == CONTENT
            assert _take(quarantine, victim).removed, "a second run finishes it"
        assert _restored(quarantine, folder / "back") == CONTENT
        if not killed:
            break
    assert 20 < step < 199


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_killed_at_any_step_of_rekeying_somebody_can_open_it_and_it_resumes(tmp_path, monkeypatch):
    for step in range(1, 200):
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "fake.jpg").write_bytes(CONTENT)
        quarantine = Quarantine(folder / "quarantine", _to(IDENTITY))
        _take(quarantine, folder / "fake.jpg")
        (holding,) = quarantine.vault.holdings()

        def work(q=quarantine, h=holding):
            q.vault.rekey(h, [IDENTITY], _to(OTHER))

        killed = _killed_at(monkeypatch, work, step, after=False)
        quarantine.sweep()
        quarantine.vault.rekey(holding, [IDENTITY, OTHER], _to(OTHER))
        assert len(_files(_place(quarantine, holding))) == 3
        assert _restored(quarantine, folder / "back", identity=OTHER) == CONTENT
        assert len(_plaintexts(folder)) == 1, "the released one"
        if not killed:
            break
    assert 8 < step < 199


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_killed_at_any_step_of_releasing_no_half_file_appears(tmp_path, monkeypatch, quarantine, victim):
    _take(quarantine, victim)
    for step in range(1, 200):
        back = tmp_path / "out" / str(step) / "back"
        back.parent.mkdir(parents=True)
        killed = _killed_at(monkeypatch, lambda b=back: _restored(quarantine, b), step, after=False)
        left = list(back.parent.iterdir())
        assert left in ([], [back])
        if left:
            assert back.read_bytes() == CONTENT
        if not killed:
            break
    assert 3 < step < 199


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_disk_that_is_full_at_any_step_loses_nothing_and_leaves_nothing_half_written(tmp_path):
    for step in range(1, 200):
        folder = tmp_path / str(step)
        folder.mkdir()
        victim = folder / "inbox" / "fake.jpg"
        victim.parent.mkdir()
        victim.write_bytes(CONTENT)
        quarantine = Quarantine(folder / "quarantine", _to(IDENTITY))
        with pytest.MonkeyPatch.context() as patch:
            faults = _Faults(patch, _full, at=step, skip=("unlink", "rmdir"))
            problem = None
            try:
                taken = _take(quarantine, victim)
                assert taken.removed != victim.exists()
                assert taken.removed or "space" in taken.note
            except QuarantineError as e:
                problem = e
        if problem is not None:
            assert problem.code == "disk_full"
            assert "free space" in problem.hint
            assert victim.read_bytes() == CONTENT
        assert not list(folder.glob("quarantine/incoming/*"))
        assert not list(folder.glob("quarantine/removing/*"))
        assert not list(folder.glob("quarantine/vault/*/.fresh*"))
        assert sorted(p.name for p in victim.parent.iterdir()) in ([], ["fake.jpg"])
        if victim.exists():
            assert _take(quarantine, victim).removed
        assert _restored(quarantine, folder / "back") == CONTENT
        if faults.count < step:
            break
    assert 15 < step < 199


@pytest.mark.parametrize("step", range(2, 9))
def test_a_release_onto_a_full_disk_leaves_nothing(quarantine, victim, tmp_path, step):
    _take(quarantine, victim)
    with pytest.MonkeyPatch.context() as patch:
        faults = _Faults(patch, _full, at=step)
        with pytest.raises(QuarantineError, match="no space"):
            _restored(quarantine, tmp_path / "back")
    assert faults.count >= step
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("step", range(1, 7))
def test_rekeying_onto_a_full_disk_keeps_the_old_encryption(quarantine, victim, tmp_path, step):
    _take(quarantine, victim)
    (holding,) = quarantine.vault.holdings()
    with pytest.MonkeyPatch.context() as patch:
        _Faults(patch, _full, at=step, skip=("unlink",))
        with pytest.raises((QuarantineError, OSError), match=r"(?i)no space"):
            quarantine.vault.rekey(holding, [IDENTITY], _to(OTHER))
    assert quarantine.vault.rekey(holding, [IDENTITY, OTHER], _to(OTHER))
    assert _restored(quarantine, tmp_path / "back", identity=OTHER) == CONTENT
