"""Variants behind each row: its question reworded by rules, its answer as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Located
from tunesmith.data.rewording import settings
from tunesmith.data.transforms import TRANSFORMS, Account, Rows, Transform, came_from
from tunesmith.settings.spec import Spec, Word
from tunesmith.words import say


@TRANSFORMS.register
class Augment(Transform):
    """Augmentation: puts variants behind each row. In a run only training rows have any."""

    makes_rows = True

    class Config(Spec):
        """How the text is reworded, and how often. Models reword rows in ``tunesmith data augment``
        alone, which writes a file.
        """

        @model_validator(mode="before")
        @classmethod
        def _not_the_verb_s(cls, given: Any) -> Any:
            """Says why a way or a setting of the verb is none of a run's."""
            if isinstance(given, Mapping) and (why := _why_not(given, cls)):
                raise PydanticCustomError("choice", "{text}", {"text": why})
            return given

        how: Literal["synonyms", "noise", "templates"] = "synonyms"
        """Words swapped for synonyms; typing errors, in Chinese characters that sound the same; or
        the text within another sentence.
        """
        times: Annotated[int, Gt(0)] = 1
        """Variants of each row at most."""
        share: Annotated[float, Gt(0), Le(1)] = 0.15
        """The share of the words that is changed, at least one."""
        column: Word | None = None
        """The column that is reworded; what is asked (question, text) when not given. Of a
        conversation it is the last question.
        """
        words: str | None = None
        """Your own synonyms, a group of words a line; of Cilin (Chinese) or Moby (English), fetched
        once, when not given.
        """
        templates: Annotated[list[str], AfterValidator(settings.with_slot)] | None = None
        """For ``how=templates``: sentences with ``{text}`` where the text goes."""
        seed: Annotated[int, Ge(0)] = 0
        """Another number draws other variants."""

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Yields each row, marked as one that has variants, and then these."""
        from tunesmith.data.rewording.variants import (
            drawn,
            original_of,
            told_of_refused,
            variants,
        )

        # A run's own file names every setting, also those that nobody gave.
        given = self.config.model_dump(exclude_defaults=True, exclude={"name"})
        wanted = settings.Augment.model_validate(given)
        settings.refuse(wanted)
        propose = drawn(wanted)
        refused = Counter[str]()
        added = number = 0
        for number, located in enumerate(rows(), 1):
            original = original_of(number - 1, located, wanted)
            came = came_from(located, [self.name])
            yield replace(located, row={**located.row, CAME_FROM: came})
            for row in variants([original], propose, wanted.times, refused):
                if row is not None:
                    added += 1
                    made = {**row, CAME_FROM: came | {"augmented": wanted.how}}
                    yield replace(located, row=made)
        account.added = added
        account.notes = [say("augment.added", added=added, rows=number), *told_of_refused(refused)]


def _why_not(given: Mapping[str, Any], own: type[Spec]) -> str | None:
    """Returns why these settings are for the verb alone; None where a run may have them."""
    way = given.get("how", "synonyms")
    if way == "negatives":
        return say("augment.verb_negatives")
    if way in settings.MODELS:
        return say("augment.verb_model", what=f"how={way}", way=way)
    others = [field for field in settings.Augment.model_fields if field not in own.model_fields]
    beside = [name for name in others if name in given]
    files = [name for name in beside if settings.GOES_WITH[name] == settings.WAYS]
    if files:
        return say("augment.verb_files", what=", ".join(files))
    return say("augment.verb_model", what=", ".join(beside), way="paraphrase") if beside else None
