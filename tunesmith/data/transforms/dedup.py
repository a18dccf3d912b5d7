"""Copies left out: of rows that say the same, or nearly the same, the first stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tunesmith.data.files.file_facts import Located
from tunesmith.data.texts.duplicates import Clusters, fold, join_near, sketch_of
from tunesmith.data.texts.strings import strings
from tunesmith.data.transforms import TRANSFORMS, Account, Content, Rows, Transform
from tunesmith.settings.spec import Spec, Word


@TRANSFORMS.register
class Dedup(Transform):
    """Deduplication: leaves out rows that were there before."""

    class Config(Spec):
        """What counts as the same."""

        columns: list[Word] | None = None
        """The columns that are compared, such as the question; all but those about the row (id,
        source, url) when not given.
        """
        near: bool = True
        """Leave out near copies too: four fifths of their runs of characters are shared."""

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Looks at all rows, then gives the first of each kind."""
        content = Content(self.config.columns)
        keys: list[int | None] = []
        sketches: list[np.ndarray] = []
        for located in rows():
            texts = _texts(located, content.columns(located.row))
            # A row that holds nothing of what is compared is no copy of another such row.
            keys.append(fold(texts) if any(texts) else None)
            if self.config.near:
                sketches.append(sketch_of("\n".join(texts)) if any(texts) else _NOTHING)
        content.check()
        same = Clusters(len(keys))
        alike = Clusters(len(keys))
        same.join_equal(keys)
        alike.join_equal(keys)
        join_near(alike, sketches)
        first = same.roots()
        near = alike.roots()
        copied = {root for index, root in enumerate(near) if root != index}
        places: dict[int, str] = {}
        for index, located in enumerate(rows()):
            if index in copied:
                places[index] = f"{located.file}:{located.number}"
            if near[index] == index:
                yield located
            else:
                why = "duplicate" if first[index] != index else "near_duplicate"
                account.dropped(located, self.name, why, of=places[near[index]])


_NOTHING = np.zeros(0, np.uint32)


def _texts(located: Located, columns: list[str]) -> list[str]:
    # A number or a truth value makes another row too: the label of a text.
    return [
        text for name in columns for text in (*strings(located.row[name]), _bare(located.row[name]))
    ]


def _bare(value: object) -> str:
    return repr(value) if isinstance(value, int | float) else ""
