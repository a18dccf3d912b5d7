"""Runs a model over many examples without gradient: cut, grown, laid out and seen in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.micro_batches import cut

if TYPE_CHECKING:
    from tunesmith.models.calling.views import Seen
    from tunesmith.models.loading.load import Loaded

T = TypeVar("T")
Progress = Callable[[int, int], None]

BUDGET = 4096
"""Tokens of one forward."""


class BrokenOff(Exception):
    """A signal came while a model was asked; nothing of what it said is kept."""


def batches(
    loaded: Loaded, examples: Sequence[Sequence[Tokens]], *, budget: int, unit: str = "token"
) -> Iterator[tuple[list[int], Batch]]:
    """Yields the examples in batches of at most ``budget`` tokens, in the model's layout, each with
    the indices of its examples.
    """
    for part in cut(examples, budget, padded=loaded.layout == "padded"):
        yield part, loaded.lay(Batch.grow([examples[index] for index in part], unit=unit))


def forwards(
    loaded: Loaded,
    examples: Sequence[Sequence[Tokens]],
    look: Callable[[Seen], Iterable[T]],
    *,
    budget: int = BUDGET,
    stopped: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> list[T]:
    """Runs the model over the examples and returns what ``look`` takes from the forward of each, in
    their order.

    ``look`` gives one value for each example of the batch that was seen. BrokenOff when ``stopped``
    said so between two forwards.
    """
    import torch

    from tunesmith.models.calling.views import see

    values_by_index: dict[int, T] = {}
    loaded.model.eval()
    if progress:
        progress(0, len(examples))
    for part, batch in batches(loaded, examples, budget=budget):
        if stopped is not None and stopped():
            raise BrokenOff
        with torch.no_grad():
            values = look(see(loaded.model, batch))
        values_by_index |= dict(zip(part, values, strict=True))
        if progress:
            progress(len(values_by_index), len(examples))
    return [values_by_index[index] for index in range(len(examples))]
