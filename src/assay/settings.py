"""Everything that an operator can set: frozen, checked, each number with its unit and range. `assay.config` reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from assay import options
from assay.types import JSON, Action


def _setting(default: float, unit: str, low: float, high: float) -> Any:
    """Describe one numeric field: its unit and the range that makes sense, ends included."""
    return field(default=default, metadata={"unit": unit, "low": low, "high": high})


def _worded(default: Any, read: Callable[[Any], Any], expected: str) -> Any:
    """Describe one field that is no number: how it is read, and what is expected."""
    return field(default=default, metadata={"read": read, "expected": expected})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sample may cost before it is refused."""

    size_bytes: int = _setting(2 * 2**30, "bytes", 1, 2**50)
    pixels: int = _setting(100_000_000, "pixels", 1, 2**31)
    duration_s: float = _setting(14_400.0, "seconds", 0.1, 30 * 86400)
    streams: int = _setting(16, "count", 1, 1024)
    frames: int = _setting(4096, "count", 1, 10**6)
    depth: int = _setting(4, "count", 0, 64)
    members: int = _setting(1000, "count", 0, 10**6)
    unpacked_bytes: int = _setting(4 * 2**30, "bytes", 1, 2**50)
    ratio: float = _setting(200.0, "number", 1, 10**6)
    decode_s: float = _setting(60.0, "seconds", 0.1, 86400)
    detector_s: float = _setting(30.0, "seconds", 0.1, 86400)
    stability_s: float = _setting(10.0, "seconds", 0, 86400)
    memory_bytes: int = _setting(2 * 2**30, "bytes", 512 * 2**20, 2**44)
    examiner_bytes: int = _setting(3 * 2**30, "bytes", 512 * 2**20, 2**44)

    def as_json(self) -> JSON:
        """All limits as plain numbers, as the workers get them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after which a class of stored things is removed; 0: never."""

    records_days: int = _setting(365, "days", 0, 36500)
    kept_days: int = _setting(90, "days", 0, 36500)
    quarantine_days: int = _setting(0, "days", 0, 36500)
    audit_days: int = _setting(0, "days", 0, 36500)


@dataclass(frozen=True, slots=True)
class Api:
    """What the gateway's HTTP API allows its clients."""

    uploads: int = _setting(32, "count", 1, 4096)
    requests: int = _setting(256, "count", 1, 10**5)
    per_minute: int = _setting(600, "count", 0, 10**6)
    per_day: int = _setting(0, "count", 0, 10**9)
    wait_s: float = _setting(60.0, "seconds", 0, 3600)
    stall_s: float = _setting(30.0, "seconds", 0.05, 3600)
    rate_bytes_s: int = _setting(512, "bytes", 1, 2**40)
    drain_bytes: int = _setting(64 * 2**20, "bytes", 0, 2**40)
    anonymous: bool = _worded(False, options.flag, options.FLAG_EXPECTED)
    webhook_inside: tuple[str, ...] = _worded((), options.networks, options.NETWORKS_EXPECTED)


@dataclass(frozen=True, slots=True)
class Serve:
    """Where the gateway listens, and how it answers."""

    http: str = _worded("127.0.0.1:8480", options.address, options.ADDRESS_EXPECTED)
    clamd: str = _worded("127.0.0.1:3310", options.address, options.ADDRESS_EXPECTED)
    clamd_socket: str = _worded("", options.absolute, "an absolute path, or empty")
    icap: str = _worded("127.0.0.1:1344", options.address, options.ADDRESS_EXPECTED)
    allow: tuple[str, ...] = _worded((), options.networks, options.NETWORKS_EXPECTED)
    folders: tuple[str, ...] = _worded((), options.folders, options.FOLDERS_EXPECTED)
    roots: tuple[str, ...] = _worded((), options.folders, options.FOLDERS_EXPECTED)
    budget_s: float = _setting(4.0, "seconds", 0.1, 3600)
    hold_is_error: bool = _worded(False, options.flag, options.FLAG_EXPECTED)
    backlog: int = _setting(1000, "count", 1, 10**7)
    drain_s: float = _setting(30.0, "seconds", 0, 3600)


@dataclass(frozen=True, slots=True)
class Store:
    """Where records and media lie when one machine is outgrown; empty: below paths.data."""

    database: str = _worded("", options.url, options.URL_EXPECTED)
    media: str = _worded("", options.url, options.URL_EXPECTED)


@dataclass(frozen=True, slots=True)
class Signatures:
    """When signatures are doubted, where packs come from, how much is offered for review."""

    match_rate: float = _setting(0.01, "number", 0, 1)
    match_least: int = _setting(8, "count", 1, 10**6)
    review_share: float = _setting(0.005, "number", 0, 1)
    reload_s: float = _setting(10.0, "seconds", 0, 86400)
    pack_bytes: int = _setting(2**30, "bytes", 1, 2**40)
    pull_s: float = _setting(300.0, "seconds", 1, 86400)
    inside: tuple[str, ...] = _worded((), options.networks, options.NETWORKS_EXPECTED)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The operator's changes to the shipped policy: rule name -> action."""

    actions: Mapping[str, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things lie. Nothing is created here; who writes creates, with mode 0700."""

    data: Path
    cache: Path
    calibration: Path | None = None  # one of the operator's own, instead of the one that ships
    config: tuple[Path, ...] = ()  # the files that were read, weakest first

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def database(self) -> Path:
        return self.data / "assay.db"

    @property
    def media(self) -> Path:
        return self.data / "media"

    @property
    def quarantine(self) -> Path:
        return self.data / "quarantine"

    @property
    def packs(self) -> Path:
        return self.data / "packs"

    @property
    def pictures(self) -> Path:
        return self.data / "pictures"

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    @property
    def trust(self) -> Path:
        return self.data / "trust"

    @property
    def backups(self) -> Path:
        return self.data / "backups"


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an operator can set, checked."""

    paths: Paths
    prior: float = _setting(0.5, "number", 1e-6, 1 - 1e-6)
    false_alarm_budget: float = _setting(0.01, "number", 1e-4, 0.5)
    jobs: int = _setting(0, "count", 0, 1024)  # 0: one per usable core
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    policy: PolicySettings = field(default_factory=PolicySettings)
    serve: Serve = field(default_factory=Serve)
    store: Store = field(default_factory=Store)
    api: Api = field(default_factory=Api)
    signatures: Signatures = field(default_factory=Signatures)
    reasons: Mapping[str, float] = field(
        default_factory=dict
    )  # "detector.code" -> LLR in nats, instead of the shipped
    models: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # own weights, read by evidence.models
    warnings: tuple[str, ...] = ()

    @property
    def database(self) -> str | Path:
        """Where the records are: the URL of a server, or a file on this machine."""
        return self.store.database or self.paths.database

    @property
    def stored(self) -> bool:
        """May there be records? A file that is not there holds none."""
        return bool(self.store.database) or self.paths.database.exists()


OWNERS: Mapping[str, type] = {
    "": Settings,
    "limits.": Limits,
    "retention.": Retention,
    "serve.": Serve,
    "store.": Store,
    "api.": Api,
    "signatures.": Signatures,
}
