"""The keys of the quarantine: public ones that encrypt, and the identity that alone opens what was encrypted.

The gateway needs only `recipients.txt`. The identity is made on first use, encrypted with a passphrase, in age's own
format: ``age -d -i identity.age FILE`` opens what Assay wrote, should Assay be gone. It may, and on a server should, be moved to
where the reviewers are; ``--identity`` names it then.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import QuarantineError, StoreError
from assay.objects import Folder, Objects

if TYPE_CHECKING:
    from collections.abc import Iterator

BACK_THIS_UP = "back this up: without it nothing can be released"
VARIABLE = "ASSAY_PASSPHRASE"
SHORTEST = 8  # characters; scrypt makes each guess cost about a second, not more
LARGEST = 1 << 20  # bytes of a key file

Ask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Recipients:
    """Public keys that quarantined media are encrypted to."""

    keys: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Eight hex digits that name this set of keys: part of every file's name, so that `rekey` can resume."""
        return hashlib.sha256("\n".join(sorted(self.keys)).encode()).hexdigest()[:8]

    def parsed(self) -> list[Any]:
        """Return the keys as pyrage wants them."""
        return [_recipient(key) for key in self.keys]


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the keys lie.

    Parameters
    ----------
    folder : Path
        Of this machine.
    objects : Objects, optional
        Where the quarantine of several machines lies: its keys are in there, so that all encrypt to the same ones.
        What this machine had in its own folder before becomes theirs.
    alone : callable, optional
        Opens a context in which no other machine makes keys.
    """

    folder: Path
    objects: Objects | None = None
    alone: Callable[[], AbstractContextManager[object]] = nullcontext

    @property
    def identity(self) -> Path:
        return self.folder / "identity.age"

    @property
    def recipients(self) -> Path:
        return self.folder / "recipients.txt"

    @property
    def place(self) -> str:
        """Where they are, for people."""
        return self._objects.name(self.folder.name)

    def exist(self) -> bool:
        return self._size("recipients.txt") is not None

    @property
    def _objects(self) -> Objects:
        return self.objects or Folder(self.folder.parent)

    def _size(self, name: str) -> int | None:
        return self._objects.size(f"{self.folder.name}/{name}")

    def read(self) -> Recipients:
        """Read the public keys.

        Raises
        ------
        QuarantineError
            If there are none, or a line is not a key.
        """
        path = f"{self.folder.name}/recipients.txt"
        with _reading(self._objects.name(path)):
            content = self._objects.read(path)
        return _recipients(content, self._objects.name(path))

    def open(self, passphrase: Callable[[], str]) -> list[Any]:
        """Open the identity that was made on first use.

        Raises
        ------
        QuarantineError
            If it is not there any more, or the passphrase is wrong.
        """
        path = f"{self.folder.name}/identity.age"
        try:
            content = self._objects.read(path)
        except StoreError as e:
            raise _no_identity(self._objects.name(path), e.message) from e
        return _unlocked(content, self._objects.name(path), passphrase)

    def ensure(self, passphrase: Callable[[], str]) -> str | None:
        """Make the first identity if there are no keys; `passphrase` is asked only then.

        Returns
        -------
        note : str or None
            What to tell the person, if an identity was made.
        """
        if self.exist():
            return None
        moved = self.objects is not None and self.recipients.exists()
        chosen = passphrase() if not moved else ""
        with _alone(self.folder.parent / "keys.lock"), self.alone():
            if self.exist():
                return None
            if moved:
                return self._share()
            if self._size("identity.age") is not None or (self.objects is None and self.folder.exists()):
                raise QuarantineError(
                    f"{self.place}/recipients.txt is missing beside an identity",
                    code="no_keys",
                    hint="put the public key (age1...) back into it; no new identity was made",
                )
            self._make(chosen)
        return f"An identity was made: {self.place}/identity.age - {BACK_THIS_UP}, and nothing without its passphrase."

    def _make(self, passphrase: str) -> None:
        from pyrage import passphrase as protection
        from pyrage import x25519

        identity = x25519.Identity.generate()
        public = str(identity.to_public())
        made = datetime.now(UTC).isoformat(timespec="seconds")
        text = f"# created: {made}\n# public key: {public}\n{identity}\n"
        files = {  # the public key last: without the other nothing could ever be opened
            "identity.age": protection.encrypt(text.encode(), passphrase, True),
            "recipients.txt": f"# made by assay, {made}\n{public}\n".encode(),
        }
        self._put(files)

    def _share(self) -> str:
        """Give the keys of this machine to all that share the quarantine; a secret without a passphrase stays here."""
        files = {"recipients.txt": self.recipients.read_bytes()}
        if self.identity.exists() and b"AGE-SECRET-KEY-1" not in (sealed := self.identity.read_bytes()):
            files = {"identity.age": sealed} | files
        self._put(files)
        return f"The quarantine's keys of this machine are those of {self.place} now."

    def _put(self, files: Mapping[str, bytes]) -> None:
        try:
            self._objects.found(self.folder.name, files)
        except StoreError as e:
            raise QuarantineError(f"the keys cannot be written: {e.message}", hint="nothing was moved") from e

    def replace(self, recipients: Recipients) -> None:
        """Write the list of public keys anew."""
        recipients.parsed()
        if not recipients.keys:
            raise QuarantineError("the last recipient cannot be removed", hint="add another one first")
        lines = "".join(f"{key}\n" for key in recipients.keys).encode()
        try:
            self._objects.put(f"{self.folder.name}/recipients.txt", (lines,))
        except StoreError as e:
            raise QuarantineError(f"the public keys cannot be written: {e.message}") from e


def read_recipients(path: Path) -> Recipients:
    """Read public keys (age or SSH), one a line; ``#`` starts a comment."""
    with _reading(str(path)):
        content = path.read_bytes()[:LARGEST]
    return _recipients(content, str(path))


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, StoreError) as e:
        if isinstance(e, FileNotFoundError) or getattr(e, "code", "") == "not_found":
            raise QuarantineError(
                "there is no key to encrypt to yet",
                code="no_keys",
                hint=f"screen with --quarantine on a terminal or with ${VARIABLE} set: the first use makes one",
            ) from None
        raise QuarantineError(f"{name} cannot be read: {e}", hint="check its permissions and content") from e


def _recipients(content: bytes, path: str) -> Recipients:
    try:
        text = content[:LARGEST].decode("utf-8")
    except UnicodeDecodeError as e:
        raise QuarantineError(f"{path} cannot be read: {e}", hint="check its permissions and content") from e
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1)]
    keys = [(n, line) for n, line in lines if line and not line.startswith("#")]
    for n, key in keys:
        try:
            _recipient(key)
        except QuarantineError as e:
            raise QuarantineError(f"{path}, line {n}: {e.message}", hint=e.hint) from None
    if not keys:
        raise QuarantineError(f"{path} holds no key", code="no_keys", hint="put a public key (age1...) in it")
    return Recipients(tuple(dict.fromkeys(key for _, key in keys)))


def open_identities(path: Path, passphrase: Callable[[], str]) -> list[Any]:
    """Read an identity file: age's own (``AGE-SECRET-KEY-1...`` lines) or the same encrypted with a passphrase.

    Raises
    ------
    QuarantineError
        If it is missing or not one, or the passphrase is wrong.
    """
    try:
        content = path.read_bytes()[:LARGEST]
    except OSError as e:
        raise _no_identity(str(path), (e.strerror or str(e)).lower()) from e
    return _unlocked(content, str(path), passphrase)


def _unlocked(content: bytes, path: str, passphrase: Callable[[], str]) -> list[Any]:
    import pyrage

    if content.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")):
        try:
            content = pyrage.passphrase.decrypt(content, passphrase())
        except pyrage.DecryptError as e:
            raise QuarantineError(
                "the passphrase does not open the identity",
                code="wrong_passphrase",
                hint="nothing was released",
            ) from e
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    keys = [line for line in lines if line.startswith("AGE-SECRET-KEY-1")]
    if not keys:
        raise QuarantineError(f"{path} holds no age identity", code="no_identity")
    try:
        return [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError as e:
        raise QuarantineError(f"{path} holds a broken identity", code="no_identity") from e


def _no_identity(path: str, why: str) -> QuarantineError:
    return QuarantineError(
        f"the identity {path} cannot be read: {why}",
        code="no_identity",
        hint="name it with --identity; if it is lost, its backup is the only way to release anything",
    )


def passphrase_source(
    environ: Mapping[str, str], file: Path | None, ask: Ask | None, *, new: bool = False
) -> Callable[[], str]:
    """Decide where a passphrase comes from: the file, then $ASSAY_PASSPHRASE, then a person at a terminal.

    Parameters
    ----------
    environ : mapping
    file : Path, optional
        Its first line is the passphrase.
    ask : callable, optional
        Asks a person without echo; None where nobody can be asked.
    new : bool
        A new passphrase is asked for twice and must not be short.
    """

    def obtain() -> str:
        if file is not None:
            found = _first_line(file)
        elif environ.get(VARIABLE):
            found = environ[VARIABLE]
        elif ask is not None:
            found = ask(
                "New passphrase for the quarantine" if new else "Passphrase of the quarantine's identity"
            )
            if new and found != ask("The same passphrase again"):
                raise QuarantineError("the two passphrases differ", hint="nothing was moved; try again")
        else:
            raise QuarantineError(
                "the quarantine needs a passphrase and nobody can be asked for one",
                code="no_passphrase",
                hint=f"set ${VARIABLE}, or name a file with --passphrase-file; nothing was moved",
            )
        if new and len(found) < SHORTEST:
            raise QuarantineError(
                f"the passphrase is shorter than {SHORTEST} characters",
                hint="several words are good; nothing was moved",
            )
        return found

    return obtain


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, for its owner only, and sync it."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(file: Path) -> str:
    try:
        lines = file.read_bytes()[:LARGEST].decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise QuarantineError(
            f"the passphrase file {file} cannot be read: {e}", code="no_passphrase", hint="nothing was moved"
        ) from e
    if not lines or not lines[0]:
        raise QuarantineError(
            f"the first line of {file} is empty", code="no_passphrase", hint="nothing was moved"
        )
    return lines[0]


def _recipient(key: str) -> Any:
    import pyrage

    try:
        if re.match(r"ssh-(ed25519|rsa) ", key):
            return pyrage.ssh.Recipient.from_str(key)
        return pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError as e:
        shown = f"{key[:12]}..." if not key.startswith("AGE-SECRET") else "a secret key"
        raise QuarantineError(
            f"{shown} is not a public key ({e})", hint="age1..., ssh-ed25519 ... or ssh-rsa ... are"
        ) from e


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def without(recipients: Recipients, key: str) -> Recipients:
    """Return the recipients without one key.

    Raises
    ------
    QuarantineError
        If it is not among them.
    """
    kept: Sequence[str] = [k for k in recipients.keys if k != key]
    if len(kept) == len(recipients.keys):
        raise QuarantineError("that key is not among the recipients")
    return Recipients(tuple(kept))
