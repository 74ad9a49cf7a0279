"""Every error that Assay raises on purpose.

AssayError                    has a code, a message and a hint: what to do
├── ConfigError               assay.toml or ASSAY_* cannot be used
├── SampleError               one sample cannot be screened; the batch goes on
│   ├── Refused               over a limit, encrypted, or turned away by policy before decoding
│   ├── Unsupported           a media type that Assay does not read
│   └── Failed                unreadable, undecodable, or a worker died on it
├── ModelError                a weight is missing, altered or cannot be had
├── StoreError                the database or the blobs: full, locked, newer than this program
├── QuarantineError           nothing was moved, or nothing was released
├── Overloaded                more is waiting than can be done in reasonable time: try again later
└── JailError                 the sandbox could not be set up; nothing hostile was opened
"""

from __future__ import annotations


class AssayError(Exception):
    """An error with a code for programs, a message for people and a hint on what to do."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.code, self.hint)


def _rebuild(kind: type[AssayError], message: str, code: str, hint: str) -> AssayError:
    return kind(message, code=code, hint=hint)


class ConfigError(AssayError):
    code = "config"


class SampleError(AssayError):
    code = "failed"


class Refused(SampleError):
    code = "refused"


class Unsupported(SampleError):
    code = "unsupported"


class Failed(SampleError):
    code = "failed"


class ModelError(AssayError):
    code = "model"


class StoreError(AssayError):
    code = "store"


class QuarantineError(AssayError):
    code = "quarantine"


class Overloaded(AssayError):
    code = "overloaded"


class JailError(AssayError):
    code = "jail"
