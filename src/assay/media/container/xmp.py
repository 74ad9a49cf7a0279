"""XMP (ISO 16684-1): a packet's properties by their local names. No DTD, no entities, bounded depth and size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.parsers import expat  # document types and entities are refused below

if TYPE_CHECKING:
    from assay.media.container.draft import Draft

DEPTH = 64
ELEMENTS = 20_000
PROPERTIES = 512
VALUE = 8192  # characters of one extracted property; the packet itself is kept besides
PACKET = 8 << 20
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_STRUCTURE = frozenset(f"{_RDF} {n}" for n in ("RDF", "Description", "Bag", "Seq", "Alt", "li", "value"))
_META = frozenset(("xmpmeta", "xapmeta"))
_CAMERA_RAW = (
    "http://ns.adobe.com/camera-raw-settings/1.0/ "  # a hundred sliders; these say that they were used
)
_SLIDERS_KEPT = frozenset(
    ("Version", "HasSettings", "HasCrop", "AlreadyApplied", "RawFileName", "ProcessVersion")
)
_SILENT = frozenset(("about", "parseType", "ID", "nodeID", "datatype", "lang"))


class _Refused(ValueError):
    """The packet asks for what no honest packet needs."""


class _Collector:
    """Takes the parser's events and sorts text under the nearest name that is not RDF's own."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self._names: list[str] = []
        self._text: list[str] = []
        self._elements = 0
        self._kept = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._names) >= DEPTH or self._elements > ELEMENTS:
            raise _Refused("nested deeper or longer than any honest packet")
        outer = self._names[-1] if self._names else ""
        local = tag.rpartition(" ")[2]
        name = outer if tag in _STRUCTURE or local in _META else local
        if tag.startswith(_CAMERA_RAW) and local not in _SLIDERS_KEPT:
            name = ""
        self._names.append(name)
        self._text = []
        for key, value in attributes.items():
            attribute = key.rpartition(" ")[2]
            if key.startswith(_CAMERA_RAW) and attribute not in _SLIDERS_KEPT:
                continue
            if attribute == "resource":
                self._keep(name, value)
            elif attribute not in _SILENT and not (attribute == "xmptk" and local in _META):
                self._keep(attribute, value)
            elif attribute == "xmptk":
                self._keep("xmptk", value)

    def data(self, text: str) -> None:
        if len(self._text) < 256:
            self._text.append(text)

    def end(self, _tag: str) -> None:
        name = self._names.pop()
        if name:
            self._keep(name, "".join(self._text))
        self._text = []

    def _keep(self, name: str, value: str) -> None:
        value = value.strip()[:VALUE]
        if not value or self._kept >= PROPERTIES or not name:
            return
        said = self.values.setdefault(name, [])
        if value not in said:
            said.append(value)
            self._kept += 1


def _refuse(*_: object) -> None:
    raise _Refused("a document type, which XMP does not have")


def properties(packet: bytes) -> tuple[dict[str, str], str]:
    """Extract a packet's properties.

    Returns
    -------
    values : dict of str to str
        Local name to value; several values of one name, as in a history, joined by "; ".
    problem : str
        Why the packet could not be read to its end, or "".
    """
    collector = _Collector()
    parser = expat.ParserCreate("utf-8", " ")  # whatever the packet declares: it was brought to UTF-8
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.data
    problem = ""
    try:
        parser.Parse(_without_padding(packet), True)
    except (expat.ExpatError, _Refused, ValueError) as e:
        problem = f"the XMP packet is malformed ({e})"
    return {name: "; ".join(said) for name, said in collector.values.items()}, problem


def _without_padding(packet: bytes) -> bytes:
    """Cut the packet wrapper's padding and what follows the last element; bring UTF-16 and UTF-32 to UTF-8."""
    for mark, charset in (
        (b"<\0\0\0", "utf-32-le"),
        (b"\0\0\0<", "utf-32-be"),
        (b"<\0", "utf-16-le"),
        (b"\0<", "utf-16-be"),
    ):
        if packet.lstrip(b"\xfe\xff").startswith(mark):
            packet = packet.lstrip(b"\xfe\xff").decode(charset, "replace").encode("utf-8")
            break
    packet = packet.removeprefix(b"\xef\xbb\xbf")
    start = re.search(rb"<(?:\?xpacket begin|x:x[am]pmeta|rdf:RDF|\?xml)", packet[:4096])
    packet = packet[start.start() :] if start else packet
    packet = re.sub(rb"^<\?xpacket begin[^>]{0,200}\?>\s*(?=<\?xml)", b"", packet)
    return packet[: packet.rfind(b">") + 1]


def read(packet: bytes, draft: Draft) -> None:
    """Record the packet under ``xmp`` and its properties under ``xmp:Name``."""
    packet = packet[:PACKET].strip(b"\0")
    draft.spend(len(packet))
    if not packet.strip():
        return
    draft.tag("xmp", _text(packet))
    values, problem = properties(packet)
    if problem:
        draft.warn(problem)
    for name, value in values.items():
        draft.tag(f"xmp:{name}", value)


def _text(packet: bytes) -> str:
    """The packet as text, without the kilobytes of white space that editors leave for each other."""
    text = (
        packet.decode("utf-16", "replace")
        if packet[:2] in (b"\xff\xfe", b"\xfe\xff")
        else packet.decode("utf-8", "replace")
    )
    return re.sub(r"[ \t\r\n]{64,}", "\n", text)


class Extension:
    """XMP that did not fit into one JPEG segment: chunks under a digest, named by xmpNote:HasExtendedXMP."""

    def __init__(self) -> None:
        self._chunks: dict[str, dict[int, bytes]] = {}
        self._sizes: dict[str, int] = {}
        self._kept = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def add(self, data: bytes) -> None:
        """Keep one segment: 32 characters of digest, the full length, this chunk's offset, the chunk."""
        if len(data) < 40 or len(self._chunks) > 8 or self._kept + len(data) > PACKET:
            return
        self._kept += len(data)
        digest = data[:32].decode("latin-1")
        self._sizes[digest] = int.from_bytes(data[32:36], "big")
        self._chunks.setdefault(digest, {})[int.from_bytes(data[36:40], "big")] = data[40:]

    def packet(self, digest: str) -> bytes:
        """Join the chunks that `digest` names (or the only ones there are); empty where a piece is missing."""
        if digest not in self._chunks and len(self._chunks) == 1:
            digest = next(iter(self._chunks))
        joined = b""
        pieces = []
        at = 0
        for offset, piece in sorted(self._chunks.get(digest, {}).items()):
            if offset != at:
                return b""
            pieces.append(piece)
            at += len(piece)
        joined = b"".join(pieces)
        return joined if len(joined) == self._sizes.get(digest) else b""
