"""How the values of settings are written: sizes, durations, actions, weights."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Any

from assay.types import Action

BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
PIXELS = {"": 1, "px": 1, "mp": 10**6}
UNITS: dict[str, tuple[Mapping[str, float], str]] = {
    "bytes": (BYTES, 'bytes, such as 4096 or "2 GiB"'),
    "seconds": (SECONDS, 'a duration, such as 30 or "4 h" (ms, s, min, h, d)'),
    "pixels": (PIXELS, 'pixels, such as 4096 or "100 MP"'),
    "days": ({"": 1, "d": 1}, "whole days, 0 for never"),
    "count": ({"": 1}, "a whole number"),
    "number": ({"": 1}, "a number"),
}
FLAG_EXPECTED = "true or false"
NETWORKS_EXPECTED = 'a list of addresses and networks, such as ["192.0.2.0/24"]'
ADDRESS_EXPECTED = 'an address and port, such as "127.0.0.1:3310" or "[::1]:3310"; "" for none'
FOLDERS_EXPECTED = "a list of absolute paths"
URL_EXPECTED = 'a URL, such as "postgresql+psycopg://assay@db/assay" or "s3://bucket/folder"; "" for none'
LLR_EXPECTED = "a number of nats between -20 and 20"

MODEL_KEYS = frozenset(
    {"summary", "source", "sha256", "size", "archive_sha256", "archive_size", "licence", "used_by"}
)
MODEL_EXPECTED = f"a table with {', '.join(sorted(MODEL_KEYS))}"


def comments(text: str) -> dict[str, str]:
    """Map each key of defaults.toml to the comment above it: the words of `config explain`."""
    table, above, found = "", [], {}
    for line in text.splitlines():
        if line.startswith("#"):
            above.append(line.lstrip("# "))
            continue
        if line.startswith("["):
            table = line.strip("[] ") + "."
        elif match := re.match(r"(\w+) *=", line):
            found[table + match[1]] = " ".join(above)
        above = []
    return found


def number(value: Any, *, unit: str, low: float, high: float, whole: bool) -> float:
    """Read a number, bare or as text with a unit: 4096, "2 GiB", "4 h"."""
    scale, _ = UNITS[unit]
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)\s*([A-Za-z]*)\s*", value)
        if not match or match[2].lower() not in scale:
            raise ValueError
        found = float(match[1]) * scale[match[2].lower()]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        raise TypeError
    if not (math.isfinite(found) and low <= found <= high) or (whole and found != int(found)):
        raise ValueError
    return int(found) if whole else found


def llr(value: Any) -> float:
    """Read a weight in nats: the number, or the table {llr = number}."""
    if isinstance(value, dict) and set(value) == {"llr"}:
        value = value["llr"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not -20 <= value <= 20:  # NaN fails, too
        raise ValueError
    return float(value)


def absolute(value: Any) -> str:
    """Read a path: absolute, below the home directory, or empty for the default."""
    if not isinstance(value, str) or "\0" in value or (value and not value.startswith(("/", "~/"))):
        raise ValueError
    return value


def flag(value: Any) -> bool:
    """Read true or false; the environment has only text."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise TypeError
    return value


def address(value: Any) -> str:
    """Read HOST:PORT; an empty text is nowhere."""
    if not isinstance(value, str):
        raise TypeError
    host, colon, port = value.rpartition(":")
    if value and not (colon and host.strip("[]") and port.isdigit() and int(port) < 65536):
        raise ValueError
    return value


def folders(value: Any) -> tuple[str, ...]:
    """Read absolute paths: a list, or one text with colons, as in PATH."""
    texts = [part for part in value.split(":") if part] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise TypeError
    return tuple(found for text in texts if (found := absolute(text)))


def url(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or (value and "://" not in value):
        raise ValueError
    return value


def networks(value: Any) -> tuple[str, ...]:
    """Read addresses and networks: a list, or one text with commas."""
    texts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise TypeError
    return tuple(str(ipaddress.ip_network(text, strict=False)) for text in texts)


def action(value: Any) -> Action:
    return Action(value)


def model(value: Any) -> dict[str, Any]:
    """Read the entry of a model; what its values must be, evidence.models knows."""
    if not isinstance(value, dict) or not value.keys() <= MODEL_KEYS:
        raise TypeError
    return value
