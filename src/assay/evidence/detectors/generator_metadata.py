"""Metadata in which a generator names itself: settings and workflows, source types, software and credit fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from assay.evidence.detector import Card
from assay.evidence.detectors._generators import (
    SOURCE_WORDS,
    clip,
    generator_credited,
    generator_in,
    generator_made_with,
    source_kind,
    source_type,
)
from assay.evidence.detectors._settings import Settings, parse, read_settings
from assay.evidence.detectors._xmp import properties
from assay.media.views import Container
from assay.types import Finding, Kind, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

# Fields that a program writes about itself. Names without their namespace, lower case.
SOFTWARE = frozenset(
    [
        "software",
        "creatortool",
        "encoder",
        "encoding_tool",
        "encoded_by",
        "tsse",
        "tenc",
        "isft",
        "com.apple.quicktime.software",
        "make",
        "model",
        "processingsoftware",
        "writing_application",
        "muxing_application",
        "originatingprogram",
        "creation_tool",
        "aisystemused",
        "softwareagent",
        "producer",
        "source",
        "generator",
        "tool",
        "application",
        "handler_name",
        "hostcomputer",
    ]
)
# Fields that hold a maker's name: a generator's counts where it is the whole field.
CREDIT = frozenset(
    [
        "artist",
        "credit",
        "publisher",
        "creator",
        "author",
        "by-line",
        "byline",
        "tpe1",
        "tpub",
        "iart",
        "album_artist",
        "provider",
        "copyright",
        "copyrightnotice",
        "rights",
    ]
)
# Fields that sites fill with "Made with ...": counts at their beginning alone.
COMMENT = frozenset(
    ["comment", "usercomment", "icmt", "comm", "xpcomment", "credit", "copyright", "copyrightnotice", "title"]
)
# People's words: no settings are looked for in there.
CAPTIONS = frozenset(
    ["description", "caption", "caption-abstract", "abstract", "title", "subject", "keywords", "headline"]
)
ENCODERS = frozenset(["encoder", "tsse", "isft", "com.apple.quicktime.software", "writing_application"])
CODES = {
    "AUTOMATIC1111": "generator_automatic1111",
    "ComfyUI": "generator_comfyui",
    "InvokeAI": "generator_invokeai",
    "NovelAI": "generator_novelai",
    "Fooocus": "generator_fooocus",
}
NOTES = frozenset({"encoder_string", "no_generator_named"})
FIELDS = 4000  # fields of one sample that are looked at
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MIDJOURNEY_JOB = re.compile(rf"\bJob ID:\s*{UUID}\s*$", re.IGNORECASE)
XMP_NAMES = (
    "DigitalSourceType",
    "DigitalSourcetype",
    "CreatorTool",
    "Credit",
    "AISystemUsed",
    "AIGC",
    "softwareAgent",
)


class GeneratorMetadata:
    """Reads every text field and says which generator it declares, with model, seed and prompt."""

    card: ClassVar[Card] = Card(
        name="generator_metadata",
        version=1,
        reads=Container,
        family="metadata",
        claims=frozenset({Kind.FULL_SYNTHESIS, Kind.INPAINTING, Kind.SPLICE, Kind.SPEECH_SYNTHESIS}),
        summary="Generators write their settings, name or source type into the metadata; anyone can remove or forge them.",
        source="IPTC Photo Metadata Standard 2025.1, digital source type; TC260-PG-20252A; the generators' own formats",
        licence="Apache-2.0",
    )

    def examine(self, view: Container, /) -> Finding:
        """Score the number of different declarations."""
        said: dict[str, list[str]] = {}
        for namespace, name, text in _fields(view):
            for code, sentence in _declarations(namespace, name, text):
                said.setdefault(code, []).append(sentence)
        if said.keys() & set(CODES.values()):
            said.pop("generator_named", None)  # the program's own settings say more than a name
        found = {code: max(sentences, key=len) for code, sentences in said.items()}
        score = float(len(found))
        if not found:
            found["no_generator_named"] = (
                "No generator names itself in the metadata; that says little, for metadata are easily lost."
            )
        if view.media_type.startswith(("video/", "audio/")) and (encoder := _encoder(view)):
            found["encoder_string"] = (
                f"It was written by {encoder}; an encoder's name does not say where the content comes from."
            )
        return Finding(Outcome.SCORED, score, tuple(Reason(code, text) for code, text in found.items()))


def _fields(view: Container) -> Iterator[tuple[str, str, str]]:
    """Every field as (namespace, name, text), properties of the XMP packet included."""
    for key, text in list(view.metadata.items())[:FIELDS]:
        if not isinstance(key, str) or not isinstance(text, str) or not text:
            continue
        plain = key.partition("#")[0]  # "png:Comment#2" is a second one
        namespace, _, name = plain.rpartition(":") if plain.lower() != "xmp" else ("xmp", "", "")
        if name:
            yield namespace.lower(), name, text
        elif namespace == "xmp":
            yield from (("xmp", found, value) for found, value in properties(text, *XMP_NAMES))
        else:
            yield "", plain, text


def _declarations(namespace: str, written: str, text: str) -> Iterator[tuple[str, str]]:
    """What one field declares, as codes and sentences."""
    field, name = _field_words(namespace, written), written.lower()
    if name == "stealth":
        yield _stealth(text)
    elif name.endswith("digitalsourcetype"):
        yield from _source(text, field)
    elif name.endswith("aigc"):
        yield from _aigc(text, field)
    elif not (namespace in {"xmp", "iptc"} and name in CAPTIONS) and (found := read_settings(name, text)):
        yield found.code, _settings_sentence(found, field)
    elif named := _named(name, text):
        yield CODES.get(named, "generator_named"), f"The {field} names {named} as its maker: “{clip(text)}”."
    elif name == "fooocus_scheme":
        yield "generator_fooocus", f"The {field} is one that Fooocus alone writes."
    elif name in {"description", "imagedescription"} and MIDJOURNEY_JOB.search(text[-200:]):
        yield "generator_named", f"The {field} ends with a job number of Midjourney: “{clip(text[-60:])}”."
    elif name in {"imagedescription", "description"} and re.fullmatch(
        r"\s*Signature:\s*[\w+/=-]{60,2000}\s*", text[:2100]
    ):
        yield "generator_named", f"The {field} holds a signature of the form that Grok (xAI) writes."
    elif name in CREDIT and re.match(r"\s*edited\s+with\s+google\s+ai\b", text, re.IGNORECASE):
        yield (
            "digital_source_type_composite",
            f"The {field} says “{clip(text)}”: a part was changed by a generator.",
        )


def _named(name: str, text: str) -> str | None:
    """Name the generator that one field declares by its name, or None."""
    tag = name.removeprefix("com.apple.quicktime.") if name not in SOFTWARE else name
    if tag in SOFTWARE and (found := generator_in(text)):
        return found
    if tag in CREDIT and (found := generator_credited(text)):
        return found
    return generator_made_with(text) if tag in COMMENT | CREDIT | SOFTWARE else None


def _stealth(text: str) -> tuple[str, str]:
    inner = read_settings("comment", text)
    who = f"written by {inner.generator}" if inner else "of the kind that generators write"
    details = f" ({inner.details})" if inner and inner.details else ""
    return "generator_stealth", f"Settings {who} are hidden in the lowest bits of its transparency{details}."


def _settings_sentence(found: Settings, field: str) -> str:
    details = f": {found.details}" if found.details else ""
    return f"The {field} holds the settings of {found.generator}{details}."


def _source(text: str, field: str) -> Iterator[tuple[str, str]]:
    name = source_type(text)
    kind = source_kind(name)
    if kind in {"synthetic", "composite"}:
        yield (
            f"digital_source_type_{kind}",
            f"The {field} declares that it was {SOURCE_WORDS[name]} ({clip(text, 100)}).",
        )


def _aigc(text: str, field: str) -> Iterator[tuple[str, str]]:
    """Read the label that Chinese rules ask for (TC260): Label 1 is generated, 2 possibly, 3 suspected."""
    data = parse(text.replace("&quot;", '"'))
    inner = data.get("AIGC", data) if isinstance(data, dict) else None
    if isinstance(inner, dict) and str(inner.get("Label", "")) == "1":
        producer = clip(inner.get("ContentProducer", ""), 60)
        by = f", made by {producer}" if producer else ""
        yield "generator_named", f"The {field} is a label for generated content{by} (TC260)."


def _encoder(view: Container) -> str:
    for key, text in list(view.metadata.items())[:FIELDS]:
        if (
            str(key).partition("#")[0].rpartition(":")[2].lower() in ENCODERS
            and isinstance(text, str)
            and text.strip()
        ):
            return clip(text, 60)
    return ""


def _field_words(namespace: str, name: str) -> str:
    kinds = {
        "exif": "EXIF field",
        "xmp": "XMP property",
        "iptc": "IPTC field",
        "png": "PNG text",
        "id3": "ID3 frame",
    }
    kind = kinds.get(namespace, "metadata field")
    return f"{kind} “{clip(name, 40)}”"
