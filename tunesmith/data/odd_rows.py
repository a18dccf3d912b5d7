"""The rows in which something is odd, as ``check`` says it: what ``leave_out`` leaves out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

from tunesmith.data.detectors import Detectors
from tunesmith.data.doubted_labels import DOUBTED, Labels
from tunesmith.data.files.file_facts import Located
from tunesmith.data.transforms import Rows
from tunesmith.examples import Example

EMPTY = "empty"


def odd_rows(
    meaning: Callable[[Located], Example | str | None], rows: Rows, kinds: Collection[str]
) -> dict[str, set[int]]:
    """Returns the places of the rows, counted from 0, in which each of ``kinds`` is found."""
    places_of: defaultdict[str, set[int]] = defaultdict(set)
    detectors = Detectors()
    labels = Labels()
    for index, located in enumerate(rows()):
        example = meaning(located)
        if isinstance(example, str):
            places_of[EMPTY].add(index)
        elif example is not None:
            detectors.add(str(index), detectors.look(example))
            labels.add(str(index), example)
    places_of |= {kind: {*map(int, places)} for kind, places in detectors.rows().items()}
    if DOUBTED in kinds:
        places_of[DOUBTED] = {int(where) for where, _ in labels.doubted()}
    return places_of
