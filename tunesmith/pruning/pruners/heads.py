"""Heads taken out of every attention layer, in the groups that share their keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt

from tunesmith.errors import Problem
from tunesmith.pruning.pruners import PRUNERS, Pruner, refused_blocks
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.batches.batch import Tokens
    from tunesmith.models.loading.load import Loaded


@PRUNERS.register
class Heads(Pruner):
    """Whole heads go, with the keys and values that they share: of every layer those without which
    its output changes least. The cache shrinks, too.
    """

    share = 0.25
    structured = True

    class Config(Spec):
        """Groups of heads."""

        tokens: Annotated[int, Gt(0)] = 4096
        """Tokens of training rows that are looked at, at most."""

    @property
    def tokens(self) -> int:
        """Tokens that are looked at."""
        return self.config.tokens

    def refused(self, model: Any, share: float) -> list[Problem]:
        """Refuses attention whose heads cannot be told apart, and a share that is no whole number
        of groups.
        """
        from tunesmith.export.rounding.walk import block_list
        from tunesmith.pruning.parts.projections import attention_of

        problems = refused_blocks(model)
        if problems:
            return problems
        config = model.config.get_text_config()
        groups = config.num_key_value_heads
        if not all(attention_of(block, groups) for block in block_list(model) or ()):
            return [Problem("prune.how", say("prune.no_heads", kind=config.model_type))]
        allowed = counts(config)
        if kept_groups(config, share) in allowed:
            return []
        shares = ", ".join(f"{1 - count / groups:.3g}" for count in allowed)
        text = say("prune.no_such_heads", groups=groups, shares=shares or "–")
        return [Problem("prune.share", text)]

    def prune(self, loaded: Loaded, rows: list[Tokens], share: float) -> list[str]:
        """Silences the heads block by block, each ranked on what the blocks before it give by then;
        then cuts them out.
        """
        from tunesmith.export.rounding.walk import block_list, walk
        from tunesmith.pruning.parts.projections import OUT, attention_of, harm, places

        model = loaded.model
        config = model.config.get_text_config()
        groups, count = config.num_key_value_heads, kept_groups(config, share)
        kept: list[list[int]] = []

        blocks = block_list(model) or ()
        width = next(layer.width for block in blocks if (layer := attention_of(block, groups)))

        def silence(name: str, layer: torch.nn.Linear, hessian_Gww: torch.Tensor) -> None:
            ranked = harm(layer.weight.data, hessian_Gww).argsort(descending=True).tolist()
            kept.append(sorted(ranked[:count]))
            layer.weight.data[:, places(ranked[count:], width)] = 0

        walk(model, [row.ids_T for row in rows], silence, only=OUT, width=width)
        for block, stay in zip(blocks, kept, strict=True):
            part = attention_of(block, groups)
            assert part is not None, "the blocks were looked at before"
            part.keep(stay)
        before = config.num_attention_heads
        settle(config, count)
        fields = {"before": before, "after": config.num_attention_heads}
        return [say("prune.heads_gone", **fields, groups=groups, kept=count)]


def kept_groups(config: Any, share: float) -> int:
    """Returns how many groups of each layer stay."""
    return round((1 - share) * config.num_key_value_heads)


def counts(config: Any) -> list[int]:
    """Returns the numbers of groups that can stay: transformers wants the width of Llama and its
    kin to be a multiple of the number of heads.
    """
    from copy import deepcopy

    allowed = []
    for count in range(config.num_key_value_heads - 1, 0, -1):
        tried = settle(deepcopy(config), count)
        try:
            type(tried)(**tried.to_dict())
        except ValueError:
            continue
        allowed.append(count)
    return allowed


def settle(config: Any, count: int) -> Any:
    """Writes the number of groups into the configuration, and the width of a head, which could no
    longer be computed from it.
    """
    heads = config.num_attention_heads
    config.head_dim = config.to_dict().get("head_dim") or config.hidden_size // heads
    config.num_attention_heads = heads // config.num_key_value_heads * count
    config.num_key_value_heads = count
    return config
