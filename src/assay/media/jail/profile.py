"""What a sandboxed process may use: two profiles, adapted by `serving`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from assay.types import JSON

LAYERS: Final = ("uid", "limits", "no_new_privs", "not_dumpable", "landlock", "seccomp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules of one kind of child, and the generator function that serves it.

    `serve` is "module:function"; the function takes a message (dict) and a list of descriptors, which it owns and
    closes, and yields answers (dicts).
    """

    kind: Literal["decoder", "examiner"]
    serve: str = ""
    memory_bytes: int | None = None  # address space beyond what the zygote has; None: no RLIMIT_AS
    arena_bytes: int = 0  # and beyond that: arenas mapped at one time
    cpu_s: int | None = None  # processor seconds over the child's whole life
    open_files: int = 64
    threads: int = 64  # only where the child has a uid of its own
    without: tuple[str, ...] = ()  # layers to leave off; for `layers`, which measures one at a time

    def serving(self, serve: str, **changes: Any) -> Profile:
        """This profile for one handler, other fields changed on the way."""
        return replace(self, serve=serve, **changes)

    def as_json(self) -> JSON:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: JSON) -> Profile:
        return cls(**{**fields, "without": tuple(fields["without"])})


DECODER: Final = Profile(kind="decoder", memory_bytes=2 << 30, arena_bytes=1 << 30, cpu_s=120)
EXAMINER: Final = Profile(kind="examiner", open_files=256)
