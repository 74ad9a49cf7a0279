"""Names of what was found, in the form that antivirus clients sort and whitelist by."""

from __future__ import annotations

import re

from assay.serve.exchange import OF_THE_MEDIUM, Answer, Gap
from assay.types import Action, Kind

PENDING = "Heuristics.Assay.Pending"
MEDIA = {
    "image": "Image",
    "video": "Video",
    "audio": "Audio",
    "archive": "Archive",
    "document": "Document",
    "mail": "Mail",
    "other": "File",
}
# The first kind of a verdict decides the first word.
WORDS = {
    Kind.FULL_SYNTHESIS: "Synthetic",
    Kind.SPEECH_SYNTHESIS: "Synthetic",
    Kind.VOICE_CONVERSION: "Synthetic",
    Kind.FACE_SWAP: "Deepfake",
    Kind.REENACTMENT: "Deepfake",
    Kind.INPAINTING: "Manipulated",
    Kind.SPLICE: "Manipulated",
    Kind.COPY_MOVE: "Manipulated",
    Kind.RETOUCH: "Manipulated",
    Kind.KNOWN_FAKE: "Known",
    Kind.TAMPERED_CREDENTIAL: "Tampered",
}


def threat_name(answer: Answer) -> str:
    """Name what was found: ``Synthetic.Image.P87`` and the like, one word without spaces.

    ``P87`` is the probability in whole percent, 1 to 99, so that a client's pattern can tell bands apart. What was not
    examined has the name that ClamAV gives it, where ClamAV has one: rspamd and others know these.
    """
    if answer.threat:
        return token(answer.threat)
    media = MEDIA[answer.media]
    if answer.gap in OF_THE_MEDIUM:
        return _of_gap(answer.gap, media)
    if answer.action is Action.HOLD or answer.gap is not None:
        return PENDING
    word = WORDS[answer.kinds[0]] if answer.kinds else "Synthetic"
    band = "" if answer.probability is None else f".P{_percent(answer.probability)}"
    return f"{word}.{media}{band}"


def _of_gap(gap: Gap, media: str) -> str:
    if gap is Gap.OVER_LIMIT:
        return "Heuristics.Limits.Exceeded"
    if gap is Gap.ENCRYPTED:
        return f"Heuristics.Encrypted.{media}"
    return f"Heuristics.Assay.{gap.title()}"


def _percent(probability: float) -> int:
    return min(99, max(1, round(100 * probability)))


def token(text: str) -> str:
    """Reduce to what may stand in a protocol's line: letters, digits, dot, dash and underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:120]
