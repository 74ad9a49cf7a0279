"""One member of a container, and what all of them may cost together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from assay.errors import Refused, SampleError

CHUNK = 1 << 20
RATIO_FROM = 1 << 20  # bytes: whatever is smaller may be compressed as well as it likes


@dataclass(frozen=True, slots=True)
class Member:
    """A sample inside of a container, or why it could not be had."""

    name: str
    data: bytes = b""
    problem: SampleError | None = None


class TooLarge(Refused):
    """One member alone is more than a decoder may hold; those after it can still be read."""

    code = "over_size"


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Allowance:
    """Counts members and bytes of one container against its limits."""

    def __init__(self, limits: Mapping[str, Any]) -> None:
        self.limits = limits
        self._ratio = float(limits["ratio"])
        # The bytes are held twice while they are joined, in half of what a decoder may use.
        self._largest = int(limits.get("memory_bytes", 1 << 31)) // 4
        self._most_members = int(limits["members"])
        self._most_bytes = int(limits["unpacked_bytes"])
        self._members = 0
        self._bytes = 0

    def count(self) -> None:
        """Admit one more member.

        Raises
        ------
        Refused
            If there are too many.
        """
        self._members += 1
        if self._members > self._most_members:
            raise Refused(
                f"more than {self._most_members} members",
                code="over_members",
                hint="Raise limits.members if this is expected.",
            )

    def read(self, stream: Readable, packed: int | None = None) -> bytes:
        """Read a member to its end, within what is left.

        Parameters
        ----------
        stream
            Where the unpacked bytes come from.
        packed
            How many bytes they take up in the container, for the ratio; None: not known.

        Raises
        ------
        Refused
            If it unpacks to more than is left, or to more than the ratio allows.
        TooLarge
            If it is larger than one member may be; the container can be read on.
        """
        parts: list[bytes] = []
        size = 0
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            self._check(size, packed)
            if size > self._largest:
                raise TooLarge(
                    f"larger than a member may be ({self._largest / 2**20:,.0f} MiB)",
                    hint="Unpack it in a safe place and screen it by itself.",
                )
            parts.append(chunk)
        self._bytes += size
        return b"".join(parts)

    def take(self, data: bytes) -> bytes:
        """Account for bytes that are unpacked already."""
        self._check(len(data), None)
        self._bytes += len(data)
        return data

    def _check(self, size: int, packed: int | None) -> None:
        if self._bytes + size > self._most_bytes:
            raise Refused(
                f"unpacks to more than {self._most_bytes / 2**20:,.0f} MiB",
                code="over_unpacked",
                hint="Raise limits.unpacked_bytes if this is expected.",
            )
        if packed is not None and size > RATIO_FROM and size > self._ratio * max(1, packed):
            raise Refused(
                f"unpacks to more than {self._ratio:g} times its size: a decompression bomb",
                code="over_ratio",
                hint="Raise limits.ratio only if you know where it comes from.",
            )
