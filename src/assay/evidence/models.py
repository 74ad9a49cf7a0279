"""The weights that detectors use: what they are, where they lie, whether they are what they claim to be.

A weight lies in the models folder under its own digest, so two versions never meet and a partial one has no name.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from assay.errors import ConfigError, ModelError
from assay.evidence.litert import LiteSession
from assay.evidence.remembering import Remembering

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CHUNK = 1 << 20  # bytes read at a time
LARGEST = 8 << 30  # bytes: no weight that a CPU can use is larger
Catalogue = Mapping[str, "Model"]


class State(StrEnum):
    PRESENT = "present"
    MISSING = "missing"
    ALTERED = "altered"  # there, but not the bytes of the catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One weight file, known by its digest."""

    name: str
    source: str  # "pypi:NAME==VERSION:member", "file:/path", "hf:OWNER/REPO@REVISION:path"
    sha256: str  # of the file that is used, not of the archive around it
    size: int  # bytes
    licence: str
    used_by: tuple[str, ...] = ()
    summary: str = ""
    outputs: tuple[
        str, ...
    ] = ()  # values inside of the graph that are handed out after the graph's own outputs
    archive_sha256: str = ""  # of the wheel around it, where known
    archive_size: int = 0
    wheel_tag: str = ""  # such as "cp311-none-manylinux1_x86_64": this wheel, whatever Python runs Assay
    on_request: bool = False  # pulled by its name alone: no detector needs it

    @property
    def filename(self) -> str:
        return self.sha256 + PurePosixPath(self.source.rpartition(":")[2]).suffix

    def path(self, folder: Path) -> Path:
        """Where it lies, or would lie, in the models folder."""
        return folder / self.filename


def catalogue(own: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Model]:
    """The shipped models and the user's `own` (assay.toml, ``[models.NAME]``), by name; an own one wins.

    Raises
    ------
    ConfigError
        If an entry lacks a source, digest, size or licence, or has a key that means nothing.
    """
    return dict(_shipped()) | {name: _model(name, entry) for name, entry in (own or {}).items()}


@cache
def _shipped() -> dict[str, Model]:
    text = resources.files("assay.evidence").joinpath("catalogue.toml").read_text("utf-8")
    return {name: _model(name, entry) for name, entry in tomllib.loads(text)["models"].items()}


def _model(name: str, entry: Mapping[str, Any]) -> Model:
    where = f"[models.{name}]"
    try:
        lists = {key: tuple(entry.get(key, ())) for key in ("used_by", "outputs")}
        model = Model(name=name, **{**entry, **lists})
    except TypeError as e:
        hint = (
            "an entry has: source, sha256, size, licence; and may have: summary, used_by, outputs, archive_sha256, "
            "archive_size, wheel_tag, on_request"
        )
        raise ConfigError(f"{where} {str(e).partition('() ')[2] or e}", hint=hint) from e
    texts = (
        model.source,
        model.sha256,
        model.licence,
        model.summary,
        model.archive_sha256,
        model.wheel_tag,
        *model.outputs,
    )
    if not all(isinstance(t, str) for t in texts):
        raise ConfigError(f"{where} has a value that is not text where text is expected")
    if not re.fullmatch(r"(cp3\d+-\w+-\w+)?", model.wheel_tag):
        raise ConfigError(f"{where} wheel_tag is none", hint="such as cp311-none-manylinux1_x86_64")
    if not isinstance(model.on_request, bool):
        raise ConfigError(f"{where} on_request is not true or false")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise ConfigError(f"{where} is no name", hint="use lower case letters, digits and _")
    if not re.fullmatch(r"[0-9a-f]{64}", model.sha256):
        raise ConfigError(f"{where} sha256 is not 64 hexadecimal digits", hint="run sha256sum on the file")
    if not isinstance(model.size, int) or not 0 < model.size <= LARGEST:
        raise ConfigError(f"{where} size is not a number of bytes between 1 and {LARGEST}")
    if not re.match(r"(pypi:[^:]+==[^:]+:.+|hf:[^:@]+/[^:@]+@[^:@]+:.+|file:.+)", model.source):
        hint = "pypi:NAME==VERSION:path/in/wheel, hf:OWNER/REPO@REVISION:path or file:/absolute/path"
        raise ConfigError(f"{where} source is of no known form: {model.source!r}", hint=hint)
    return model


def chosen(names: Iterable[str], known: Catalogue) -> list[Model]:
    """Look the names up.

    Raises
    ------
    ModelError
        If one of them is not in the catalogue.
    """
    names = list(names)
    for name in names:
        if name not in known:
            raise ModelError(
                f"no model is called {name!r}",
                code="unknown_model",
                hint=f"there are: {', '.join(sorted(known))}",
            )
    return [known[name] for name in names]


def path_of(name: str, folder: Path, known: Catalogue | None = None) -> Path | None:
    """The verified file of a model, or None where it is missing or altered.

    The bytes are hashed once; after that size, times and inode must stay what they were (`verify` hashes anew).
    """
    model = (known if known is not None else _shipped()).get(name)
    if model is None:
        return None
    return model.path(folder) if state(model, folder) is State.PRESENT else None


def state(model: Model, folder: Path, *, rehash: bool = False) -> State:
    """Is the model there, and is it what the catalogue says?"""
    path = model.path(folder)
    try:
        stamp = _stamp(path)
    except OSError:
        return State.MISSING
    seal = path.with_name(path.name + ".seal")
    if not rehash and _read_seal(seal) == stamp:
        return State.PRESENT
    try:
        intact = stamp["size"] == model.size and digest(path) == model.sha256
    except OSError:
        return State.ALTERED
    if intact:
        _write_seal(seal, stamp)
        return State.PRESENT
    return State.ALTERED


def digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            total.update(piece)
    return total.hexdigest()


def _stamp(path: Path) -> dict[str, int]:
    s = path.stat()
    return {"size": s.st_size, "mtime_ns": s.st_mtime_ns, "ctime_ns": s.st_ctime_ns, "inode": s.st_ino}


def _read_seal(seal: Path) -> Any:
    try:
        return json.loads(seal.read_bytes())
    except (OSError, ValueError):
        return None


def _write_seal(seal: Path, stamp: dict[str, int]) -> None:
    try:
        seal.write_text(json.dumps(stamp), "utf-8")
    except OSError:
        return  # a folder that cannot be written costs a hash each time, nothing more


def sessions(names: Iterable[str], folder: Path, known: Catalogue | None = None) -> dict[str, Any]:
    """Open models for one examiner: one thread, no spinning, results fixed as far as onnxruntime lets them be.

    A session may be handed to several detectors. One with further `outputs` is a `Remembering`, whose detectors share
    the pass where they look at the same picture; it gives any of the graph's own outputs and of those.

    Raises
    ------
    ModelError
        If a model is missing, altered, unknown, or none that onnxruntime or LiteRT (``.tflite``) can load.
    """
    known = known if known is not None else _shipped()
    opened: dict[str, Any] = {}
    for model in chosen(names, known):
        found = state(model, folder)
        if found is not State.PRESENT:
            raise ModelError(
                f"the model {model.name} is {found}",
                code=f"model_{found}",
                hint=f"assay models pull {model.name}",
            )
        tflite = model.path(folder).suffix == ".tflite"
        opened[model.name] = LiteSession(model.path(folder)) if tflite else _onnx(model, folder)
    return opened


def _onnx(model: Model, folder: Path) -> InferenceSession | Remembering:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    # onnxruntime's own errors have no parent in common
    own = [e for e in vars(native).values() if isinstance(e, type) and issubclass(e, Exception)]
    unloadable: tuple[type[Exception], ...] = (RuntimeError, ValueError, *own)
    try:
        session = onnxruntime.InferenceSession(
            _network(model, folder), session_options(), providers=["CPUExecutionProvider"]
        )
        return Remembering(session) if model.outputs else session
    except unloadable as e:
        first = str(e).partition("\n")[0][:300]
        hint = "is it an ONNX file of a version that this onnxruntime reads?"
        raise ModelError(
            f"the model {model.name} cannot be loaded: {first}", code="model_unusable", hint=hint
        ) from e


def _network(model: Model, folder: Path) -> str | bytes:
    """What onnxruntime opens: the file, or its bytes with further outputs declared."""
    path = model.path(folder)
    if not model.outputs:
        return str(path)
    whole = io.BytesIO()  # its value is handed out without a copy
    with path.open("rb") as file:
        shutil.copyfileobj(file, whole, CHUNK)
    whole.write(exposed(model.outputs))
    return whole.getvalue()


def exposed(outputs: Iterable[str]) -> bytes:
    """Bytes that, put behind an ONNX file, make values inside of its graph further outputs.

    An ONNX file is one protobuf message, and a reader merges a field that comes twice: here ``ModelProto.graph`` (7)
    with nothing but ``GraphProto.output`` (12), a ``ValueInfoProto`` of a ``name`` (1). The type is inferred.
    """
    return b"".join(_field(7, _field(12, _field(1, name.encode()))) for name in outputs)


def _field(number: int, content: bytes) -> bytes:
    """One length-delimited protobuf field with a number below 16 and at most 16,383 bytes."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def session_options() -> Any:
    """How every model is run, in training too: scores change with each of these settings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if _saturates():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


@cache
def _saturates() -> bool:
    """Is this an x86 processor without VNNI? Its quick int8 products saturate; the exact ones cost it twice the time."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return False
    try:
        described = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return True
    return not re.search(r"^flags\s*:.*\bavx(512)?_vnni\b", described, re.MULTILINE)
