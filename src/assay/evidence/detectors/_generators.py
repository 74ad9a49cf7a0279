"""What generators and editors call themselves, and the digital source types of the IPTC.

Names count only where a program writes its own: in software, encoder and credit fields. A few of them are also given
names, surnames or other products (Sora, Kling, Luma, Veo, Pika), so patterns ask for more than the bare word there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SourceKind = Literal["synthetic", "composite", "capture", "other"]


@dataclass(frozen=True, slots=True)
class Program:
    """A generator, as it names itself."""

    name: str
    software: re.Pattern[str]  # in a field that names a program
    credit: re.Pattern[str] | None = None  # in an artist or publisher field, whole


def _program(name: str, software: str, credit: str | None = None) -> Program:
    whole = re.compile(rf"(?:{credit})\s*", re.IGNORECASE) if credit else None
    return Program(name, re.compile(rf"(?<![\w-])(?:{software})(?![\w-])", re.IGNORECASE), whole)


GENERATORS: tuple[Program, ...] = (
    _program("Midjourney", r"midjourney", r"midjourney(?:,? inc\.?)?"),
    _program("DALL-E", r"dall[\s·-]?e(?:[\s-]?[23])?", r"dall[\s·-]?e(?:[\s-]?[23])?"),
    _program("OpenAI Sora", r"openai\s+sora|sora\s+(?:by\s+)?openai|sora[\s-]?[12](?:\.\d)?|^sora$"),
    _program("OpenAI", r"openai|chatgpt|gpt[\s-]?4o|gpt-image[\w.-]*", r"openai|chatgpt"),
    _program("Adobe Firefly", r"(?:adobe\s+)?firefly(?:\s+image)?", r"adobe\s+firefly"),
    _program("Bing Image Creator", r"bing\s+image\s+creator|microsoft\s+designer|image\s+creator"),
    _program("Google Imagen", r"google\s+imagen|imagen[\s-]?[234]", r"google\s+imagen"),
    _program("Google Veo", r"google\s+veo|veo[\s-]?[23](?:\.\d)?", r"google\s+veo"),
    _program(
        "Google Gemini",
        r"(?:google\s+)?gemini(?:[\s-]?\d[\w.-]*)?(?:\s+(?:flash|pro|image)\b.*)?|nano[\s-]?banana",
    ),
    _program("Meta AI", r"meta\s+ai|imagine\s+with\s+meta(?:\s+ai)?|emu\s+video", r"meta\s+ai"),
    _program("Grok", r"grok(?:[\s-]?\d[\w.-]*)?|xai\s+aurora|grok\s+imagine", r"xai\s+grok"),
    _program("Flux", r"black\s+forest\s+labs|flux[.\s-]?[12](?:[\w. -]*)?|flux[\s-]+(?:pro|dev|schnell)"),
    _program(
        "Stable Diffusion",
        r"stable[\s-]?diffusion(?:[\s-]?(?:xl|[123](?:\.\d)?))?|sdxl|stability\s+ai|dreamstudio|diffusers",
    ),
    _program("NovelAI", r"novelai(?:\s+diffusion)?(?:\s+v\d[\w.]*)?", r"novelai"),
    _program("InvokeAI", r"invoke\s?ai"),
    _program("ComfyUI", r"comfy\s?ui"),
    _program("AUTOMATIC1111", r"automatic1111|a1111|sd\.next|sd[\s-]?webui(?:[\s-]forge)?"),
    _program("Fooocus", r"(?:ruined)?fooocus(?:[\s-]?\w+)?"),
    _program("SwarmUI", r"swarmui|stableswarmui"),
    _program("Easy Diffusion", r"easy\s?diffusion"),
    _program("Draw Things", r"draw\s?things"),
    _program("Leonardo.Ai", r"leonardo\.?\s?ai", r"leonardo\.ai"),
    _program("Ideogram", r"ideogram(?:\s?(?:ai|v?\d[\w.]*))?", r"ideogram ai"),
    _program("Recraft", r"recraft\s?(?:ai|v\d)"),
    _program("Playground", r"playground\s?ai"),
    _program("Doubao / Jimeng", r"doubao|jimeng|seedream|seedance|dreamina|豆包|即梦"),
    _program("Tongyi Wanxiang", r"wanx(?:iang)?|wan\s?2\.\d|通义万相"),
    _program("Hunyuan", r"hunyuan(?:\s?video)?|混元"),
    _program("CogView / CogVideo", r"cogvideox?|cogview"),
    _program(
        "Runway",
        r"runway\s?ml|runway\s+(?:ai|gen[\s-]?\d)|gen-[234](?:\s(?:alpha|turbo))?|^runway$",
        r"runway\s?(?:ml|ai)",
    ),
    _program("Pika", r"pika\s?(?:labs|ai|art)|pika\s?\d\.\d|^pika$", r"pika\s?(?:labs|art)"),
    _program("Kling", r"kling\s?ai|kling\s?v?\d(?:\.\d)?|kuaishou\s+kling|可灵", r"kling\s?ai"),
    _program(
        "Luma Dream Machine",
        r"luma\s?(?:ai|labs)|dream\s?machine|ray[\s-]?[23]\s+luma",
        r"luma\s?(?:ai|labs)",
    ),
    _program("Hailuo / MiniMax", r"hailuo(?:\s?ai)?|minimax", r"hailuo\s?ai"),
    _program("Stable Video Diffusion", r"stable\s+video(?:\s+diffusion)?"),
    _program("HeyGen", r"heygen", r"heygen"),
    _program("Synthesia", r"synthesia", r"synthesia(?:\.io)?"),
    _program("D-ID", r"d-id", r"d-id"),
    _program("ElevenLabs", r"eleven\s?labs", r"eleven\s?labs(?:\.io)?"),
    _program("Suno", r"suno(?:\s?(?:ai|v\d[\w.]*|\.com))?", r"suno(?:\s?ai|\.com)?"),
    _program("Udio", r"udio(?:\.com)?", r"udio(?:\.com)?"),
    _program("Stable Audio", r"stable\s+audio"),
    _program("Play.ht", r"play\.?ht", r"play\.ht"),
    _program("Murf", r"murf\.?\s?ai", r"murf\.ai"),
    _program("Resemble AI", r"resemble\.?\s?ai", r"resemble ai"),
)
MADE_WITH = re.compile(
    r"\s*(?:made|created|generated|imagined|produced)\s+(?:with|by|using|in)\s+(?P<what>[^.;,\n]{2,60})",
    re.IGNORECASE,
)
AI_CREDITS = {
    "google ai": "Google AI",
    "ai": "Meta AI",
    "meta ai": "Meta AI",
    "google gemini": "Google Gemini",
}

# cv.iptc.org/newscodes/digitalsourcetype: names of the vocabulary, lower case
SYNTHETIC_SOURCES = frozenset({"trainedalgorithmicmedia", "algorithmicmedia"})
COMPOSITE_SOURCES = frozenset({"compositewithtrainedalgorithmicmedia", "compositesynthetic"})
CAPTURE_SOURCES = frozenset({"digitalcapture", "computationalcapture"})
SOURCE_WORDS = {
    "trainedalgorithmicmedia": "made by a trained generative model",
    "algorithmicmedia": "made by an algorithm alone",
    "compositewithtrainedalgorithmicmedia": "composed or edited with a trained generative model",
    "compositesynthetic": "a composite with synthetic parts",
}


def generator_in(text: str) -> str | None:
    """Name the generator that a software-like field names, or None."""
    short = text.strip()[:200]
    return next((p.name for p in GENERATORS if p.software.search(short)), None)


def generator_credited(text: str) -> str | None:
    """Name the generator that is the whole of an artist, credit or publisher field, or None."""
    short = text.strip()[:200]
    return next((p.name for p in GENERATORS if p.credit and p.credit.fullmatch(short)), None)


def generator_made_with(text: str) -> str | None:
    """Name the generator of a field that begins with "Made with ...", or None."""
    match = MADE_WITH.match(text[:200])
    if match is None:
        return None
    what = match["what"].strip()
    return AI_CREDITS.get(what.lower()) or generator_in(what) or generator_credited(what)


def source_type(text: str) -> str:
    """Reduce a digital source type, given as a URI, QCode or bare name, to its lower-case name."""
    name = re.split(r"[/:#]", text.strip().rstrip("/"))[-1].strip().lower()
    return name.removesuffix("digitalsource")


def source_kind(name: str) -> SourceKind:
    """Sort a digital source type, as `source_type` returns it."""
    if name in SYNTHETIC_SOURCES:
        return "synthetic"
    if name in COMPOSITE_SOURCES:
        return "composite"
    return "capture" if name in CAPTURE_SOURCES else "other"


def clip(text: object, length: int = 80) -> str:
    """One line of at most `length` characters, without control characters, for a sentence."""
    if isinstance(text, dict | list):
        return ""
    line = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * length])
    line = " ".join(line.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
