import os
import shutil
import subprocess
import threading

import pytest
from pyrage import x25519

from assay.action.identity import (
    BACK_THIS_UP,
    Keys,
    Recipients,
    open_identities,
    passphrase_source,
    read_recipients,
    without,
)
from assay.action.quarantine import Quarantine
from assay.errors import QuarantineError
from assay.types import Sample, sha256_of

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Keys as the first use makes them; the protection takes a second each time, so they are made once."""
    keys = Keys(tmp_path_factory.mktemp("quarantine") / "keys")
    return keys, keys.ensure(lambda: PASSPHRASE)


def test_the_first_use_makes_a_protected_identity_and_says_to_back_it_up(made):
    keys, note = made
    assert BACK_THIS_UP in note
    assert str(keys.identity) in note
    assert b"AGE-SECRET-KEY" not in keys.identity.read_bytes()
    assert keys.identity.stat().st_mode & 0o077 == 0
    (identity,) = open_identities(keys.identity, lambda: PASSPHRASE)
    assert keys.read().keys == (str(identity.to_public()),)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("age") is None, reason="Debian's age is not installed")
def test_debians_age_opens_what_assay_sealed(tmp_path):
    """Should Assay be gone, nothing is lost: age itself and the identity are enough."""
    identity = x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{identity}\n")
    (tmp_path / "sample").write_bytes(b"content")
    quarantine = Quarantine(tmp_path / "quarantine", Recipients((str(identity.to_public()),)))
    with open(tmp_path / "sample", "rb") as file:
        sample = Sample("s", sha256_of(b"content"), 7, "image/jpeg")
        quarantine.take(file.fileno(), str(tmp_path / "sample"), sample, {})
    (sealed,) = (tmp_path / "quarantine" / "vault" / sha256_of(b"content")).glob("content-*.age")
    opened = subprocess.run(
        ["age", "--decrypt", "--identity", tmp_path / "key.txt", sealed], capture_output=True, check=True
    )
    assert opened.stdout == b"content"


def test_the_second_use_asks_for_nothing(made):
    keys, _ = made
    assert keys.ensure(lambda: pytest.fail("asked")) is None


def test_a_wrong_passphrase_is_said_to_be_one(made):
    keys, _ = made
    with pytest.raises(QuarantineError) as error:
        open_identities(keys.identity, lambda: "wrong")
    assert error.value.code == "wrong_passphrase"


def test_processes_that_begin_at_once_share_one_identity(tmp_path, monkeypatch):
    monkeypatch.setattr("pyrage.passphrase.encrypt", lambda data, *_: data)
    keys = Keys(tmp_path / "keys")
    notes = []
    threads = [
        threading.Thread(target=lambda: notes.append(keys.ensure(lambda: PASSPHRASE))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(note is None for note in notes) == [False, True, True, True]
    assert sorted(os.listdir(tmp_path)) == ["keys", "keys.lock"]


def test_without_a_passphrase_nothing_is_made(tmp_path):
    keys = Keys(tmp_path / "quarantine" / "keys")
    with pytest.raises(QuarantineError) as error:
        keys.ensure(passphrase_source({}, None, None, new=True))
    assert error.value.code == "no_passphrase"
    assert "nothing was moved" in error.value.hint
    assert list(tmp_path.iterdir()) == []


def test_lost_recipients_do_not_make_a_second_identity(tmp_path):
    keys = Keys(tmp_path / "keys")
    keys.folder.mkdir()
    keys.identity.write_bytes(b"the only one")
    with pytest.raises(QuarantineError, match=r"recipients.txt is missing"):
        keys.ensure(lambda: PASSPHRASE)
    assert keys.identity.read_bytes() == b"the only one"


def test_the_passphrase_comes_from_the_file_then_the_environment_then_the_person(tmp_path):
    file = tmp_path / "pass"
    file.write_text("from the file\nsecond line\n")
    environ = {"ASSAY_PASSPHRASE": "from the environment"}
    assert passphrase_source(environ, file, None)() == "from the file"
    assert passphrase_source(environ, None, lambda _: "from a person")() == "from the environment"
    assert passphrase_source({}, None, lambda _: "from a person")() == "from a person"


def test_a_new_passphrase_is_asked_for_twice():
    answers = iter(["one passphrase", "another one"])
    with pytest.raises(QuarantineError, match="differ"):
        passphrase_source({}, None, lambda _: next(answers), new=True)()
    asked = []
    passphrase_source({}, None, lambda text: asked.append(text) or "long enough", new=True)()
    assert len(asked) == 2


def test_a_short_new_passphrase_is_refused():
    with pytest.raises(QuarantineError, match="shorter"):
        passphrase_source({"ASSAY_PASSPHRASE": "short"}, None, None, new=True)()


@pytest.mark.parametrize("content", [b"", b"\nsecond", b"\xff\xfe"])
def test_a_passphrase_file_without_a_passphrase_is_refused(tmp_path, content):
    (tmp_path / "pass").write_bytes(content)
    with pytest.raises(QuarantineError):
        passphrase_source({}, tmp_path / "pass", None)()
    with pytest.raises(QuarantineError):
        passphrase_source({}, tmp_path / "none", None)()


def test_recipients_are_read_without_comments_and_doubles(tmp_path):
    one, two = (str(x25519.Identity.generate().to_public()) for _ in range(2))
    ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ann@example"
    (tmp_path / "r").write_text(f"# ann\n{one}\n\n  {two}  \n{one}\n{ssh}\n")
    recipients = read_recipients(tmp_path / "r")
    assert recipients.keys == (one, two, ssh)
    assert len(recipients.parsed()) == 3


@pytest.mark.parametrize("line", ["age1garbage", "hello", "AGE-SECRET-KEY-1XXX", "ssh-ed25519 zzz"])
def test_a_line_that_is_no_key_is_named_by_its_number(tmp_path, line):
    (tmp_path / "r").write_text(f"# one\n{line}\n")
    with pytest.raises(QuarantineError, match="line 2") as error:
        read_recipients(tmp_path / "r")
    assert "AGE-SECRET" not in error.value.message


def test_no_recipients_are_refused(tmp_path):
    (tmp_path / "r").write_text("# none\n")
    with pytest.raises(QuarantineError):
        read_recipients(tmp_path / "r")
    with pytest.raises(QuarantineError) as error:
        read_recipients(tmp_path / "missing")
    assert error.value.code == "no_keys"


def test_a_plain_age_identity_is_read_as_it_is(tmp_path):
    identity = x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"# created: today\n{identity}\n")
    (found,) = open_identities(tmp_path / "key.txt", lambda: pytest.fail("asked"))
    assert str(found) == str(identity)


@pytest.mark.parametrize("content", [b"", b"nothing", b"AGE-SECRET-KEY-1BROKEN", b"\xff" * 100])
def test_a_file_that_is_no_identity_is_refused(tmp_path, content):
    (tmp_path / "key.txt").write_bytes(content)
    with pytest.raises(QuarantineError) as error:
        open_identities(tmp_path / "key.txt", lambda: "")
    assert error.value.code == "no_identity"


def test_recipients_are_added_and_removed_but_never_all(tmp_path):
    one, two = (str(x25519.Identity.generate().to_public()) for _ in range(2))
    keys = Keys(tmp_path / "keys")
    keys.folder.mkdir()
    keys.replace(Recipients((one, two)))
    keys.replace(without(keys.read(), one))
    assert keys.read().keys == (two,)
    with pytest.raises(QuarantineError, match="not among"):
        without(keys.read(), one)
    with pytest.raises(QuarantineError, match="last recipient"):
        keys.replace(without(keys.read(), two))
    with pytest.raises(QuarantineError, match="not a public key"):
        keys.replace(Recipients(("nonsense",)))
    assert os.listdir(keys.folder) == ["recipients.txt"]


def test_the_digest_of_recipients_does_not_depend_on_their_order():
    assert Recipients(("a", "b")).digest == Recipients(("b", "a")).digest != Recipients(("a",)).digest
