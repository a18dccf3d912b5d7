"""Two comments on one post, of which readers of a forum liked one better: the Stanford Human
Preferences (Ethayarajh et al. 2022).
"""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.turns import field_problem, shown, text_of
from tunesmith.data.readers import READERS, Reader
from tunesmith.examples import Chat, Preference, Turn
from tunesmith.plain import Row


@READERS.register
class HumanPreferences(Reader):
    """A post and two comments on it; ``labels`` is 1 where comment A is the better one and 0 where
    comment B is.
    """

    gives = Preference
    fields: ClassVar[dict[str, str]] = {
        "history": "the post that both comments answer",
        "human_ref_A": "one comment",
        "human_ref_B": "the other comment",
        "labels": "1 where A is better, 0 where B is",
    }
    answers: ClassVar[frozenset[str]] = frozenset({"human_ref_A", "human_ref_B", "labels"})

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with these four columns."""
        return cls.fields.keys() <= columns

    def read(self, row: Row) -> Preference:
        """Reads the pair; raises DataError for a label that is neither 1 nor 0."""
        post = text_of(row, "history")
        sides = {"1": ("human_ref_A", "human_ref_B"), "0": ("human_ref_B", "human_ref_A")}
        better = sides.get(str(row["labels"]).strip().removesuffix(".0"))
        if better is None:
            raise field_problem("labels", "preference.no_label", seen=shown(row["labels"]))
        chosen, rejected = (Turn("assistant", text_of(row, name)) for name in better)
        prompt = Chat((Turn("user", post),))
        return Preference(prompt, (chosen,), (rejected,), columns={**row, "question": post})
