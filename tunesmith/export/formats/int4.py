"""Linear weights in 4 bits, one scale for each group of inputs: by GPTQ on the run's own training
rows, or to the nearest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt

from tunesmith.errors import Problem
from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tunesmith.export.folders.source import Source
    from tunesmith.export.rounding.codes import Codes
    from tunesmith.predicting.engine import Engine

BITS = 4


@FORMATS.register
class Int4(ExportFormat):
    """A folder with linear weights in 4 bits (compressed-tensors), for vLLM and transformers. Below
    a billion weights every way to 4 bits costs much: read the parity.
    """

    heads = frozenset({"language"})
    verified_by = "transformers with compressed-tensors"
    install = "pip install 'tunesmith[verify]'"

    class Config(Spec):
        """4-bit folder."""

        method: Literal["gptq", "rtn"] = "gptq"
        """gptq corrects each rounding on training rows (Frantar et al. 2022); rtn takes the
        nearest.
        """
        group: Literal[32, 64, 128] | None = None
        """Inputs that share a scale; the largest that divides every layer when not given."""
        tokens: Annotated[int, Gt(0)] = 32768
        """Tokens of training rows that gptq looks at, at most."""

    def refused(self, source: Source) -> list[Problem]:
        """Refuses layers that do not divide into groups, and too few training rows for gptq."""
        from tunesmith.export.rounding.layers import refused_layers, rounded_layers, shell
        from tunesmith.export.rounding.walk import block_list

        problems = refused_layers(source, packs=8, group=self.config.group, grouped=True)
        if problems or self.config.method == "rtn":
            return problems
        model = shell(source)
        if block_list(model) is None:
            kind = source.config.model_type
            return [Problem("format.method", say("export.no_blocks", kind=kind))]
        widest = max(layer.in_features for layer in rounded_layers(model).values())
        return self._too_few(source, widest)

    def _too_few(self, source: Source, widest: int) -> list[Problem]:
        from tunesmith.export.rounding.calibration import calibration_rows, too_few
        from tunesmith.models.loading.tokenizer import load_tokenizer

        code = source.run.model.trust_remote_code
        tokenizer = load_tokenizer(source.place, trust_remote_code=code)
        return too_few(calibration_rows(source, tokenizer, self.config.tokens), widest)

    def dtype(self, source: Source) -> str:
        """Returns type and method."""
        return f"int4 {self.config.method}"

    def size(self, source: Source) -> int:
        """Counts two bytes a weight: how many are rounded is known later."""
        return source.stored[1] * 2

    def write(self, made: Made, place: Path) -> None:
        """Rounds and writes."""
        from tunesmith.export.folders.files import copy_beside
        from tunesmith.export.rounding.codes import nearest
        from tunesmith.export.rounding.compressed import save_compressed
        from tunesmith.export.rounding.layers import group_for, rounded_layers

        model = made.trained.model
        layers = rounded_layers(model)
        widths = {layer.in_features for layer in layers.values()}
        group = group_for(widths, self.config.group)
        assert group is not None, "the layers were looked at before"
        if self.config.method == "gptq":
            codes = self._corrected(made, group)
        else:
            codes = {
                name: nearest(layer.weight.data, BITS, group) for name, layer in layers.items()
            }
        save_compressed(model, place, codes)
        copy_beside(made.source.place, place)
        made.notes.append(say("export.groups", group=group))

    def _corrected(self, made: Made, group: int) -> dict[str, Codes]:
        from tunesmith.export.rounding.calibration import calibration_rows
        from tunesmith.export.rounding.codes import gptq
        from tunesmith.export.rounding.walk import walk

        codes: dict[str, Codes] = {}

        def round_one(name: str, layer: torch.nn.Linear, hessian: torch.Tensor) -> None:
            codes[name] = gptq(layer.weight.data, hessian, BITS, group)
            layer.weight.data.copy_(codes[name].weight)

        rows = calibration_rows(made.source, made.trained.tokenizer, self.config.tokens)
        walk(made.trained.model, rows, round_one)
        return codes

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
