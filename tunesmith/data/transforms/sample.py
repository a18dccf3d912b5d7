"""A part of the rows, drawn by chance: the same one each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from annotated_types import Ge, Gt

from tunesmith.data.files.drawing import drawn
from tunesmith.data.files.file_facts import Located
from tunesmith.data.transforms import TRANSFORMS, Account, Rows, Transform
from tunesmith.settings.spec import Spec
from tunesmith.words import say


@TRANSFORMS.register
class Sample(Transform):
    """Sampling: draws rows, which stay in their order."""

    class Config(Spec):
        """How many."""

        rows: Annotated[int, Gt(0)]
        """How many rows; all where there are no more."""
        seed: Annotated[int, Ge(0)] = 0
        """Another number draws others."""

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Draws by a hash of the row, so that other rows beside it change little."""
        chosen = drawn((located.row for located in rows()), self.config.rows, self.config.seed)
        if len(chosen) < self.config.rows:
            note = say("transforms.no_more", rows=len(chosen), wanted=self.config.rows)
            # A step behind this one may read its rows twice.
            account.notes = [*(each for each in account.notes if each != note), note]
        for index, located in enumerate(rows()):
            if index in chosen:
                yield located
            else:
                account.dropped(located, self.name, "not_drawn")
