"""How a text is reworded: the settings of ``tunesmith data augment``."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.spec import Spec, Word
from tunesmith.settings.teacher import Teacher
from tunesmith.words import say

SLOT = "{text}"
MODELS = ("back_translation", "paraphrase")
"""The ways that ask a model."""
WAYS = ("synonyms", "noise", "templates", *MODELS)
"""The ways that say a text otherwise."""
GOES_WITH = {
    "words": ("synonyms",),
    "templates": ("templates",),
    "share": ("synonyms", "noise"),
    "back": ("back_translation",),
    "language": ("back_translation",),
    "through": ("back_translation",),
    **dict.fromkeys(("model", "temperature", "teacher"), MODELS),
    **dict.fromkeys(("column", "target", "against", "seed"), WAYS),
}
"""Settings that some ways alone have."""


def with_slot(templates: list[str]) -> list[str]:
    """Checks that each template has a place for the text."""
    if any(SLOT not in template for template in templates):
        raise ValueError(say("augment.no_slot"))
    return templates


class Augment(Spec):
    """How a text is reworded, and how often."""

    how: Literal[
        "synonyms", "noise", "templates", "back_translation", "paraphrase", "negatives"
    ] = "synonyms"
    """Words swapped for synonyms; typing errors, in Chinese characters that sound the same; the
    text within another sentence; translated there and back; put in other words by a model; or, of
    pairs for ``embed``, texts of other rows that are alike and do not belong.
    """
    times: Annotated[int, Gt(0)] = 1
    """Variants of each row at most, or its negatives."""
    share: Annotated[float, Gt(0), Le(1)] = 0.15
    """The share of the words that is changed, at least one."""
    target: str | None = None
    """``collect.jsonl`` of a proof: rows of the kinds that it names are reworded, until each
    has as many variants as it asks for; the other rows have none.
    """
    column: Word | None = None
    """The column that is reworded; what is asked (question, text) when not given. Of a
    conversation it is the last question.
    """
    words: str | None = None
    """Your own synonyms, a group of words a line; of Cilin (Chinese) or Moby (English), fetched
    once, when not given.
    """
    templates: Annotated[list[str], AfterValidator(with_slot)] | None = None
    """For ``how=templates``: sentences with ``{text}`` where the text goes."""
    model: str | None = None
    """For ``how=paraphrase``: who rewords it: a model's folder or name, a finished run, or
    an endpoint (``http://HOST/v1``). For ``how=back_translation``: who translates there: the folder
    of a translation model (Marian, NLLB, M2M100), or one of these.
    """
    back: str | None = None
    """For ``how=back_translation``: who translates back; ``model`` where not given."""
    language: str | None = None
    """For ``how=back_translation``: the language of the texts as the model calls it: ``eng_Latn``
    of NLLB, ``English`` of an endpoint. Marian's models say theirs.
    """
    through: str | None = None
    """The language in between, called likewise."""
    temperature: Annotated[float, Ge(0)] = 0.8
    """How freely a model rewords it; 0 takes the likeliest, which is one variant."""
    teacher: Teacher = Teacher()
    """How an endpoint is spoken to: name, key_env, requests, attempts, timeout."""
    against: list[str] | str | None = None
    """Files that are held out: what is nearly one of their rows is refused."""
    seed: Annotated[int, Ge(0)] = 0
    """Another number draws other variants."""


def refuse(settings: Augment) -> None:
    """Raises SpecError for settings that do not go together."""
    given = settings.model_fields_set
    problems = [
        Problem(name, say("augment.only_with", how=", ".join(wanted)))
        for name, wanted in GOES_WITH.items()
        if name in given and settings.how not in wanted
    ]
    if settings.how == "templates" and not settings.templates:
        problems.append(Problem("templates", say("augment.needs_templates")))
    if settings.how in MODELS and not settings.model:
        problems.append(Problem("model", say(f"augment.needs_model_{settings.how}")))
    if problems:
        raise SpecError(problems)
