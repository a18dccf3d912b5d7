"""Whole layers taken out: those that are missed least."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Gt

from tunesmith.errors import Problem
from tunesmith.pruning.pruners import PRUNERS, Pruner, refused_blocks
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.batches.batch import Tokens
    from tunesmith.models.loading.load import Loaded


@PRUNERS.register
class Layers(Pruner):
    """Whole layers go, which makes every engine faster: those without which the answers of training
    rows stay likeliest.
    """

    share = 0.2
    structured = True

    class Config(Spec):
        """Whole layers."""

        by: Literal["loss", "loss_again", "influence"] = "loss"
        """loss measures that of training rows without each layer; loss_again measures anew after
        each layer that went, which takes as many times longer; influence asks how far a layer turns
        its input (Men et al. 2024), which takes one pass.
        """
        tokens: Annotated[int, Gt(0)] = 2048
        """Tokens of training rows that are looked at, at most."""

    @property
    def tokens(self) -> int:
        """Tokens that are looked at."""
        return self.config.tokens

    def refused(self, model: Any, share: float) -> list[Problem]:
        """Refuses blocks that are not one list, and a share that is not one layer or is all."""
        problems = refused_blocks(model)
        count = model.config.get_text_config().num_hidden_layers
        if problems or 0 < gone_of(count, share) < count:
            return problems
        return [Problem("prune.share", say("prune.no_layer", share=share, layers=count))]

    def prune(self, loaded: Loaded, rows: list[Tokens], share: float) -> list[str]:
        """Takes the layers out."""
        from tunesmith.pruning.parts.whole_layers import Layers as Decoder

        decoder = Decoder(loaded.model)
        count = len(decoder.all)
        wanted = gone_of(count, share)
        if self.config.by == "influence":
            scores = influences(loaded.model, decoder.all, rows)
            gone = sorted(range(count), key=scores.__getitem__)[:wanted]
        else:
            again = self.config.by == "loss_again"
            gone = _by_loss(count, wanted, again, lambda kept: _loss(loaded, decoder, kept, rows))
        decoder.keep([number for number in range(count) if number not in gone])
        numbers = ", ".join(str(number) for number in sorted(gone))
        return [say("prune.layers_gone", before=count, after=count - wanted, gone=numbers)]


def gone_of(count: int, share: float) -> int:
    """Returns how many of so many layers go."""
    return round(share * count)


def _by_loss(count: int, wanted: int, again: bool, loss: Callable[[list[int]], float]) -> list[int]:
    """Returns the ``wanted`` layers without which ``loss`` of those that are kept is lowest, alone
    or beside those that went before.
    """
    gone: list[int] = []
    while len(gone) < wanted:
        left = [number for number in range(count) if number not in gone]
        losses = {number: loss([other for other in left if other != number]) for number in left}
        ranked = sorted(left, key=losses.__getitem__)
        gone += ranked[:1] if again else ranked[:wanted]
    return gone


def _loss(loaded: Loaded, decoder: Any, kept: list[int], rows: list[Tokens]) -> float:
    """Computes the mean loss (nats a scored token) with these layers alone."""
    import numpy as np

    from tunesmith.predicting.likelihoods import likelihoods

    decoder.keep(kept)
    loss, weight = np.concatenate(likelihoods(loaded, [[row] for row in rows])).sum(0)
    return float(loss / weight)


def influences(model: Any, layers: list[Any], rows: list[Tokens]) -> list[float]:
    """Computes for each layer one minus the cosine of its input and its output, averaged over the
    tokens (Men et al. 2024, eq. 1).
    """
    import torch

    sums = [0.0] * len(layers)

    def watch(number: int) -> Callable[..., None]:
        def seen(_: Any, args: tuple[Any, ...], how: dict[str, Any], output: Any) -> None:
            before = args[0] if args else how["hidden_states"]
            after = output[0] if isinstance(output, tuple) else output
            alike = torch.nn.functional.cosine_similarity(before, after, dim=-1)
            sums[number] += float((1 - alike).sum())

        return seen

    handles = [
        layer.register_forward_hook(watch(number), with_kwargs=True)
        for number, layer in enumerate(layers)
    ]
    with torch.no_grad():
        for row in rows:
            ids = torch.as_tensor(row.ids_T, dtype=torch.long)[None]
            model(input_ids=ids, use_cache=False)
    for handle in handles:
        handle.remove()
    tokens = sum(len(row.ids_T) for row in rows)
    return [total / tokens for total in sums]
