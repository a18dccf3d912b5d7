"""No value of a column with more rows than a limit: one source or one class that outweighs the
others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated

from annotated_types import Ge, Gt

from tunesmith.data.files.drawing import place_of
from tunesmith.data.files.file_facts import Located
from tunesmith.data.transforms import TRANSFORMS, Account, Rows, Transform
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec, Word
from tunesmith.words import say


@TRANSFORMS.register
class Balance(Transform):
    """Balancing: draws rows of the values that have too many."""

    class Config(Spec):
        """By which column, and how many rows a value may have."""

        by: Word
        """The column whose values are balanced: label, source."""
        most: Annotated[int, Gt(0)] | None = None
        """Rows that a value may have at most; as many as the rarest value has when not given."""
        seed: Annotated[int, Ge(0)] = 0
        """Another number draws others."""

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Keeps the rows of each value that come first in a random order."""
        places: defaultdict[str, list[tuple[bytes, int]]] = defaultdict(list)
        for index, located in enumerate(rows()):
            value = self._value(located)
            places[value].append((place_of(located.row, self.config.seed), index))
        most = self.config.most or min(map(len, places.values()), default=0)
        kept = {index for ranked in places.values() for _, index in sorted(ranked)[:most]}
        for index, located in enumerate(rows()):
            if index in kept:
                yield located
            else:
                account.dropped(located, self.name, "over_limit")

    def _value(self, located: Located) -> str:
        row: JsonObject = located.row
        if self.config.by not in row:
            text = say(
                "ledger.no_column",
                name=self.config.by,
                where=located.where,
                columns=", ".join(row),
            )
            raise SpecError(Problem("by", text))
        return str(row[self.config.by])
