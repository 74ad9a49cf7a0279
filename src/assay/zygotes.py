"""The two pools' zygotes. This file imports little, so that they warm up while their parent imports the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from assay.closing import Closing
from assay.media.jail.process import DECODER, EXAMINER, Zygote

if TYPE_CHECKING:
    from assay.settings import Limits


@dataclass(frozen=True, slots=True)
class Zygotes(Closing):
    """The decoders' and the examiners' zygote; whoever starts them closes them."""

    decoders: Zygote
    examiners: Zygote

    @classmethod
    def start(cls, limits: Limits) -> Self:
        """Start both and return at once; the first spawn of each waits until it is ready."""
        decoding = DECODER.serving("assay.media.operations:handle", memory_bytes=limits.memory_bytes)
        examining = EXAMINER.serving("assay.evidence.examiner:handle")
        return cls(
            Zygote("assay.media.operations:prepare", decoding),
            Zygote("assay.evidence.examiner:prepare", examining),
        )

    def close(self) -> None:
        """End both with all their children, busy ones too."""
        self.decoders.close()
        self.examiners.close()
