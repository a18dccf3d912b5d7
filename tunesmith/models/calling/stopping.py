"""What ends an answer beside its last token, and what hears how long it is by now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from transformers import StoppingCriteria

from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.models.calling.wording import decoded, first_of


class StopTexts(StoppingCriteria):
    """A stopping rule that ends a row once one of some texts stands in what it wrote."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], start: int) -> None:
        self.tokenizer, self.stops, self.start = tokenizer, stops, start
        # A token holds at least one byte, so this many reach back over the longest text.
        self.reach = max(len(stop.encode()) for stop in stops) + 4

    def __call__(  # type: ignore[override]
        self, input_ids: torch.Tensor, scores: torch.Tensor, **others: object
    ) -> torch.Tensor:
        """Tells which rows have one of the texts."""
        tail = input_ids[:, max(self.start, input_ids.shape[1] - self.reach) :]
        stopped = [
            first_of(decoded(self.tokenizer, row), self.stops) is not None for row in tail.tolist()
        ]
        return torch.tensor(stopped, device=input_ids.device)


class Closed(StoppingCriteria):
    """A stopping rule that ends all rows once nobody listens any more."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __call__(  # type: ignore[override]
        self, input_ids: torch.Tensor, scores: torch.Tensor, **others: object
    ) -> torch.Tensor:
        """Tells all rows to end once nobody listens."""
        return torch.full((len(input_ids),), self.event.is_set(), device=input_ids.device)


class Written(StoppingCriteria):
    """A rule that ends no row, and tells how many answers the tokens so far are worth; that all of
    them are there is told where they are.
    """

    def __init__(self, tell: Callable[[int], None], rows: int, longest: int) -> None:
        self.tell, self.rows, self.longest, self.tokens = tell, rows, longest, 0

    def __call__(  # type: ignore[override]
        self, input_ids: torch.Tensor, scores: torch.Tensor, **others: object
    ) -> torch.Tensor:
        """Tells no row to end."""
        self.tokens += len(input_ids)  # summed up, as some models write row after row
        self.tell(min(self.tokens // self.longest, self.rows - 1))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
