"""Linear weights in 8 bits, one scale for each output: half the size of bf16, hardly any loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.export.formats._rounded import Rounded
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.errors import Problem
    from tunesmith.export.folders.source import Source
    from tunesmith.export.rounding.codes import Codes


@FORMATS.register
class Int8(Rounded, ExportFormat):
    """A folder with linear weights rounded to the nearest of 256 numbers (compressed-tensors), for
    transformers and vLLM. Smaller on disk; transformers unpacks it, and on a CPU it is slower than
    fp32: there gguf with q8_0 is faster, and for classes onnx with int8.
    """

    heads = frozenset({"language", "classes", "tokens"})

    class Config(Spec):
        """8-bit folder."""

    def refused(self, source: Source) -> list[Problem]:
        """Refuses layers whose rows do not divide into words."""
        from tunesmith.export.rounding.layers import refused_layers

        return refused_layers(source, packs=4, group=None, grouped=False)

    def dtype(self, source: Source) -> str:
        """Returns the type of the linear weights."""
        return "int8"

    def codes(self, made: Made) -> dict[str, Codes]:
        """Takes the nearest of 256 numbers for each weight, by the scale of its output."""
        from tunesmith.export.rounding.codes import nearest
        from tunesmith.export.rounding.layers import rounded_layers

        return {
            name: nearest(layer.weight.data.float(), 8, layer.in_features)
            for name, layer in rounded_layers(made.trained.model).items()
        }
