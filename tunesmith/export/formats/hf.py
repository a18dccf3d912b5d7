"""An ordinary Hugging Face folder: the adapter folded in, tokenizer, chat template and generation
settings beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import Engine

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@FORMATS.register
class HuggingFace(ExportFormat):
    """A merged folder that transformers, sentence-transformers and most servers load."""

    exact = True

    class Config(Spec):
        """Merged folder."""

        dtype: Literal["fp32", "bf16", "fp16"] | None = None
        """Number type of the weights; that of the base when not given."""

    def dtype(self, source: Source) -> str:
        """Returns the type asked for, else that of the base."""
        return self.config.dtype or source.stored[0]

    def size(self, source: Source) -> int:
        """Counts the weights in their type."""
        return source.stored[1] * BYTES[self.dtype(source)]

    def write(self, made: Made, place: Path) -> None:
        """Saves the weights; those of a whole model that keeps its type are copied bit by bit."""
        from tunesmith.export.folders.files import copy_beside
        from tunesmith.export.folders.whole import write_whole

        source = made.source
        write_whole(source, made.trained.model, place, self.dtype(source))
        copy_beside(source.place, place)

    def open(self, place: Path, made: Made) -> Engine:
        """Loads the folder the usual way."""
        from tunesmith.export.folders.whole import open_folder

        return open_folder(place, made.source)

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the lines of Python that load it."""
        from tunesmith.export.folders.whole import python

        return python(source, out)
