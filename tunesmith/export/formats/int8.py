"""Linear weights in 8 bits, one scale for each output: half the size of bf16, hardly any loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.errors import Problem
    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import Engine


@FORMATS.register
class Int8(ExportFormat):
    """A folder with linear weights rounded to the nearest of 256 numbers (compressed-tensors), for
    transformers and vLLM. transformers unpacks it: smaller on disk, not faster on a CPU.
    """

    heads = frozenset({"language", "classes", "tokens"})
    verified_by = "transformers with compressed-tensors"
    install = "pip install 'tunesmith[verify]'"

    class Config(Spec):
        """8-bit folder."""

    def refused(self, source: Source) -> list[Problem]:
        """Refuses layers whose rows do not divide into words."""
        from tunesmith.export.rounding.layers import refused_layers

        return refused_layers(source, packs=4, group=None, grouped=False)

    def dtype(self, source: Source) -> str:
        """Returns the type of the linear weights."""
        return "int8"

    def size(self, source: Source) -> int:
        """Counts two bytes a weight: how many are rounded is known later."""
        return source.stored[1] * 2

    def write(self, made: Made, place: Path) -> None:
        """Rounds and writes."""
        from tunesmith.export.folders.files import copy_beside
        from tunesmith.export.rounding.codes import nearest
        from tunesmith.export.rounding.compressed import save_compressed
        from tunesmith.export.rounding.layers import rounded_layers

        model = made.trained.model
        codes = {
            name: nearest(layer.weight.data.float(), 8, layer.in_features)
            for name, layer in rounded_layers(model).items()
        }
        save_compressed(model, place, codes)
        copy_beside(made.source.place, place)

    def open(self, place: Path, made: Made) -> Engine | None:
        """Loads the folder in transformers."""
        from tunesmith.export.rounding.compressed import open_compressed

        return open_compressed(place, made.source)

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the lines that load it, and the command that serves it."""
        from tunesmith.export.rounding.compressed import told_of

        return told_of(source, out)

    def not_run(self, source: Source) -> str:
        """Names the commands that would show it in vLLM itself."""
        from tunesmith.export.rounding.compressed import not_run_by_vllm

        return not_run_by_vllm()
