"""Logs for machines: one JSON object a line on standard error, without names, paths, addresses or content."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class Lines(logging.Formatter):
    """Writes a record as one line; what is JSON already is taken over field by field."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        fields = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        told = _object(text)
        fields |= told if told is not None else {"message": text}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=True)


def _object(text: str) -> dict[str, str] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def configure(level: str = "INFO") -> None:
    """Send what this program logs to standard error; what libraries say, from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("assay").setLevel(level)
    logging.captureWarnings(capture=True)
