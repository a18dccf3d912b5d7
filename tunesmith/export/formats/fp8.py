"""Linear weights in 8-bit floats (e4m3), one scale for each output, for GPUs that multiply them."""

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
class Fp8(Rounded, ExportFormat):
    """A folder with linear weights in fp8 (compressed-tensors), for vLLM on a GPU of Ada, Hopper or
    later. It is written and compared here on any machine, and runs fast only there.
    """

    heads = frozenset({"language", "classes", "tokens"})

    class Config(Spec):
        """fp8 folder."""

    def refused(self, source: Source) -> list[Problem]:
        """Refuses a model without linear layers of the usual kind."""
        from tunesmith.export.rounding.layers import refused_layers

        return refused_layers(source, packs=1, group=None, grouped=False)

    def dtype(self, source: Source) -> str:
        """Returns the type of the linear weights."""
        return "fp8"

    def codes(self, made: Made) -> dict[str, Codes]:
        """Takes the nearest 8-bit float for each weight, by the scale of its output."""
        from tunesmith.export.rounding.codes import nearest_fp8
        from tunesmith.export.rounding.layers import rounded_layers

        return {
            name: nearest_fp8(layer.weight.data.float())
            for name, layer in rounded_layers(made.trained.model).items()
        }
