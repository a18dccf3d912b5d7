"""Linear weights in 4 bits, one scale for each group of inputs: by GPTQ on the run's own training
rows, or to the nearest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt

from tunesmith.errors import Problem
from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.export.formats._rounded import Rounded
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.export.folders.source import Source
    from tunesmith.export.rounding.codes import Codes

BITS = 4


@FORMATS.register
class Int4(Rounded, ExportFormat):
    """A folder with linear weights in 4 bits (compressed-tensors), for vLLM and transformers. Below
    a billion weights every way to 4 bits costs much: read the parity.
    """

    heads = frozenset({"language"})

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

    def codes(self, made: Made) -> dict[str, Codes]:
        """Rounds with corrections from training rows, or to the nearest code."""
        from tunesmith.export.rounding.codes import nearest
        from tunesmith.export.rounding.layers import group_for, rounded_layers

        layers = rounded_layers(made.trained.model)
        group = group_for({layer.in_features for layer in layers.values()}, self.config.group)
        assert group is not None, "the layers were looked at before"
        made.notes.append(say("export.groups", group=group))
        if self.config.method == "gptq":
            return self._corrected(made, group)
        return {name: nearest(layer.weight.data, BITS, group) for name, layer in layers.items()}

    def _corrected(self, made: Made, group: int) -> dict[str, Codes]:
        from tunesmith.export.rounding.calibration import calibration_rows
        from tunesmith.export.rounding.codes import gptq
        from tunesmith.export.rounding.walk import walk

        codes: dict[str, Codes] = {}

        def round_one(name: str, layer: torch.nn.Linear, hessian: torch.Tensor) -> None:
            codes[name] = gptq(layer.weight.data, hessian, BITS, group)
            layer.weight.data.copy_(codes[name].weight)

        rows = calibration_rows(made.source, made.trained.tokenizer, self.config.tokens)
        stage = say("export.stage_round")
        tell = lambda done, blocks: made.tell(stage, done, blocks)  # noqa: E731
        walk(made.trained.model, rows, round_one, tell=tell)
        return codes
