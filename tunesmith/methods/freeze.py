"""Partial fine-tuning (Lee et al. 2019; Howard and Ruder 2018, section 3.3): the last blocks, or
named parts, the rest frozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Names, matched_layers
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch


@METHODS.register
class Freeze(Method):
    """The last blocks, or the parts that are named; saved as a whole model."""

    learning_rate = 1e-4
    source = (
        "measured: of 2e-5 and 1e-4 the better on SmolLM2-135M and 300 questions "
        "(benchmarks/README.md); "
        "a large model may want full's 2e-5; no published rate that was checked"
    )
    search = (1e-5, 5e-4)
    merges = False
    rewrites_base = True
    adapter = False
    full_precision = True
    bases = frozenset({"plain"})

    class Config(Spec):
        """Which parts are trained."""

        last: Annotated[int, Ge(0)] | None = None
        """The last so many blocks; 2 when neither this nor parts is given."""
        parts: Names = ()
        """Parts that are trained: ends of names (lm_head, layers.0.mlp), or regular expressions
        over whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Turns the model to fp32 and gives the chosen parts gradient; raises SpecError when they
        match nothing.
        """
        from tunesmith.models.structure.heads import train_head

        parts = dict(model.named_modules())
        parts.pop("")
        names = matched_layers(model, self.config.parts, parts, kind="part", where="method.parts")
        usual = 0 if names else 2
        last = usual if self.config.last is None else self.config.last
        blocks = _blocks(model)
        if last > len(blocks) or not (last or names):
            raise SpecError(
                Problem("method.last", say("method.last_blocks", last=last, blocks=len(blocks)))
            )
        model.float().requires_grad_(False)
        for part in [*blocks[len(blocks) - last :], *(parts[name] for name in names)]:
            part.requires_grad_(True)
        train_head(model)
        return model


def _blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Returns the blocks in order: the first list of modules that is as long as the model's depth
    in its config.

    An encoder–decoder's are those of its decoder, which writes the answer.
    """
    import torch

    config: Any = model.config
    if config.is_encoder_decoder:
        settings = config.to_dict()
        depth = (
            settings.get("decoder_layers")
            or settings.get("num_decoder_layers")
            or config.num_hidden_layers
        )
        model = model.get_decoder()  # type: ignore[operator]
    else:
        depth = config.get_text_config().num_hidden_layers
    lists = (
        part
        for part in model.modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == depth
    )
    return list(next(lists, ()))
