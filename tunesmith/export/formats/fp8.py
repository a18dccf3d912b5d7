"""Linear weights in 8-bit floats (e4m3), one scale for each output, for GPUs that multiply them."""

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
class Fp8(ExportFormat):
    """A folder with linear weights in fp8 (compressed-tensors), for vLLM on a GPU of Ada, Hopper or
    later. It is written and compared here on any machine, and runs fast only there.
    """

    heads = frozenset({"language", "classes", "tokens"})
    verified_by = "transformers with compressed-tensors"
    install = "pip install 'tunesmith[verify]'"

    class Config(Spec):
        """fp8 folder."""

    def refused(self, source: Source) -> list[Problem]:
        """Refuses a model without linear layers of the usual kind."""
        from tunesmith.export.rounding.layers import refused_layers

        return refused_layers(source, packs=1, group=None, grouped=False)

    def dtype(self, source: Source) -> str:
        """Returns the type of the linear weights."""
        return "fp8"

    def size(self, source: Source) -> int:
        """Counts two bytes a weight: how many are rounded is known later."""
        return source.stored[1] * 2

    def write(self, made: Made, place: Path) -> None:
        """Rounds and writes."""
        from tunesmith.export.folders.files import copy_beside
        from tunesmith.export.rounding.codes import nearest_fp8
        from tunesmith.export.rounding.compressed import save_compressed
        from tunesmith.export.rounding.layers import rounded_layers

        model = made.trained.model
        codes = {
            name: nearest_fp8(layer.weight.data.float())
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
