"""Channels taken out of every feed-forward layer."""

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
class Channels(Pruner):
    """Channels of the feed-forward layers go: of every layer those without which its output changes
    least.
    """

    share = 0.25
    structured = True

    class Config(Spec):
        """Feed-forward channels."""

        tokens: Annotated[int, Gt(0)] = 4096
        """Tokens of training rows that are looked at, at most."""
        multiple: Annotated[int, Gt(0)] = 64
        """The number of channels that stay is a multiple of this: 64 suits most kernels, 128 groups
        of 4 bits, 256 the K-types of GGUF.
        """

    @property
    def tokens(self) -> int:
        """Tokens that are looked at."""
        return self.config.tokens

    def refused(self, model: Any, share: float) -> list[Problem]:
        """Refuses feed-forward layers of another build, and a share that leaves them whole."""
        from tunesmith.export.rounding.walk import block_list
        from tunesmith.pruning.parts.projections import feed_forward_of

        problems = refused_blocks(model)
        if problems:
            return problems
        config = model.config.get_text_config()
        if not all(feed_forward_of(block) for block in block_list(model) or ()):
            return [Problem("prune.how", say("prune.no_channels", kind=config.model_type))]
        width = config.intermediate_size
        kept = self._kept(config, share)
        if 0 < kept < width:
            return []
        fields = {"multiple": self.config.multiple, "width": width, "kept": kept}
        return [Problem("prune.how.multiple", say("prune.no_multiple", **fields))]

    def _kept(self, config: Any, share: float) -> int:
        multiple = self.config.multiple
        return round((1 - share) * config.intermediate_size / multiple) * multiple

    def prune(self, loaded: Loaded, rows: list[Tokens], share: float) -> list[str]:
        """Silences the channels block by block, each ranked on what the blocks before it give by
        then; then cuts them out.
        """
        from tunesmith.export.rounding.walk import block_list, walk
        from tunesmith.pruning.parts.projections import DOWN, feed_forward_of, harm

        model = loaded.model
        config = model.config.get_text_config()
        count = self._kept(config, share)
        kept: list[torch.Tensor] = []

        def silence(name: str, layer: torch.nn.Linear, hessian_I11: torch.Tensor) -> None:
            ranked = harm(layer.weight.data, hessian_I11).argsort(descending=True)
            kept.append(ranked[:count].sort().values)
            layer.weight.data[:, ranked[count:]] = 0

        walk(model, [row.ids_T for row in rows], silence, only=DOWN, width=1)
        for block, stay in zip(block_list(model) or (), kept, strict=True):
            part = feed_forward_of(block)
            assert part is not None, "the blocks were looked at before"
            part.keep(stay)
        before, config.intermediate_size = config.intermediate_size, count
        return [say("prune.channels_gone", before=before, after=count)]
