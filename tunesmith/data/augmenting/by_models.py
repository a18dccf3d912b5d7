"""Texts reworded by models: put in other words, or translated there and back (Sennrich et al.
2016, section 3.2). Every answer is kept as it comes, and the same call goes on from there.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.augmenting.translating import Translator, translates
from tunesmith.data.rewording.settings import SLOT, Augment
from tunesmith.data.texts.script import script_of
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.events.verbs import AnswersKept
from tunesmith.examples import Chat, Turn
from tunesmith.settings.run import Run
from tunesmith.teaching.asking import Sayer, ask
from tunesmith.teaching.journal import Journal
from tunesmith.teaching.questions import Question
from tunesmith.teaching.written import Written
from tunesmith.words import say

IN_OTHER_WORDS = {
    "zh": f"把下面的话换一种说法。意思、数字和名称不变，不要回答它，只写出新的说法：\n\n{SLOT}",
    "latin": "Say the following in other words. Keep its meaning, its numbers and its names, do "
    f"not answer it, and write the new wording only:\n\n{SLOT}",
}
"""What a model is asked, by the script of the text."""
TRANSLATED = (
    "Translate the following from {source} into {target}. Keep numbers and names, do not answer "
    f"it, and write the translation only:\n\n{SLOT}"
)
ROOM = 1024
"""Most tokens of a model's wording; a text of fewer characters gets as many, and a few."""
QUOTES = ('""', "''", "“”", "「」", "«»")


@dataclass(frozen=True)
class _Pass:
    """One round of questions: each text is asked ``each`` times."""

    sayer: Sayer
    asks: Callable[[str], str]
    each: int


@contextmanager
def said_by_models(
    asked: Sequence[tuple[str, str]], settings: Augment, out: Path, events: Events
) -> Iterator[list[str | None]]:
    """Asks for ``times`` wordings of each text (given with its place), and holds them in order,
    None where there is none; what was kept beside ``out`` is cleared away at the end of the block.
    """
    passes = _passes(asked, settings, out, events)
    key = {
        "how": settings.how,
        "temperature": repr(settings.temperature),
        "seed": repr(settings.seed),
    }
    texts = json.dumps([[text for _, text in asked], [round_.each for round_ in passes]])
    key["rows"] = hashlib.sha256(texts.encode("utf-8", "replace")).hexdigest()
    for number, round_ in enumerate(passes, 1):
        key |= {f"{name} {number}": value for name, value in round_.sayer.identity().items()}
    journal = Journal(out, key)
    with journal.held():
        try:
            yield _asked(passes, asked, journal, events)
            journal.path.unlink()
        finally:
            if not journal.places:  # nothing is lost, and other settings need not be refused
                journal.path.unlink(missing_ok=True)


def _passes(
    asked: Sequence[tuple[str, str]], how: Augment, out: Path, events: Events
) -> list[_Pass]:
    """Returns the rounds; raises SpecError before any weights are loaded."""
    there = str(how.model)
    longest = max((len(text) for _, text in asked), default=0)
    run = {
        "data": str(out),
        "out": str(out),
        "generate": {"max_new_tokens": min(ROOM, longest + 16)},
        "teacher": how.teacher,
        "train": {"seed": how.seed},
    }
    drawn = {**run["generate"], "samples": how.times, "temperature": how.temperature}  # type: ignore[dict-item]
    last = {**run, "generate": drawn}
    if how.how == "paraphrase":
        other = _sayer(Run.model_validate({**last, "model": there}), events)
        return [_Pass(other, _in_other_words, how.times)]
    back = how.back or there
    first_run = Run.model_validate({**run, "model": there})
    last_run = Run.model_validate({**last, "model": back})
    ours, between = how.language, how.through
    translators = [
        Translator(run, source, target) if translates(run) else None
        for run, source, target in ((first_run, ours, between), (last_run, between, ours))
    ]
    first, second = translators
    _refuse_pair(asked, how, first, second)
    ask_there = _asks(first, ours, between)
    ask_back = _asks(second, between, ours)
    return [
        _Pass(first or _sayer(first_run, events), ask_there, 1),
        _Pass(second or _sayer(last_run, events), ask_back, how.times),
    ]


def _sayer(run: Run, events: Events) -> Sayer:
    from tunesmith.teaching.write import teacher_of

    if translates(run):
        raise SpecError(Problem("model", say("augment.only_translates", path=run.model.path)))
    return teacher_of(run, events)


def _refuse_pair(
    asked: Sequence[tuple[str, str]],
    how: Augment,
    there: Translator | None,
    back: Translator | None,
) -> None:
    """Raises SpecError where languages are missing, or the two models are no way there and back."""
    problems: list[Problem] = []
    if (there is None or back is None) and not (how.language and how.through):
        problems.append(Problem("language", say("augment.needs_languages")))
    for model in (there, back):
        problems += model.problems() if model else []
    if there is not None and back is not None and not problems:
        pairs = {"there": there.pair, "back": back.pair}
        if (there.target, there.source) != (back.source, back.target):
            problems.append(Problem("back", say("augment.no_return", **pairs)))
    if there is not None and there.source is not None:
        scripts = Counter(script_of(text) for _, text in asked)
        most, _ = scripts.most_common(1)[0] if scripts else (None, 0)
        if most is not None and (most == "zh") != there.from_chinese:
            fields = {"pair": there.pair, "script": most, "where": asked[0][0]}
            problems.append(Problem("model", say("augment.other_language", **fields)))
    if problems:
        raise SpecError(problems)


def _in_other_words(text: str) -> str:
    chinese = script_of(text) == "zh"
    return IN_OTHER_WORDS["zh" if chinese else "latin"].replace(SLOT, text)


def _asks(
    translator: Translator | None, source: str | None, target: str | None
) -> Callable[[str], str]:
    """Returns how a text is put to the one that translates it: a translation model gets it bare."""
    if translator is not None:
        return lambda text: text
    asked = TRANSLATED.replace("{source}", str(source)).replace("{target}", str(target))
    return lambda text: asked.replace(SLOT, text)


def _asked(
    passes: Sequence[_Pass], asked: Sequence[tuple[str, str]], journal: Journal, events: Events
) -> list[str | None]:
    """Asks for every answer that the journal lacks, a round after the other, and returns those of
    the last; raises Stopped where a signal came.
    """
    texts: list[str | None] = [text for _, text in asked]
    total = len(asked) * sum(round_.each for round_ in passes)
    if journal.places:
        events(AnswersKept(len(journal.places), total))
    first = 0
    for round_ in passes:
        questions = [
            Question(where, Chat((Turn("user", round_.asks(text or "")),)), "", {})
            for (where, _), text in zip(asked, texts, strict=True)
        ]
        numbers = range(len(texts) * round_.each)
        wanted = {number for number in numbers if texts[number // round_.each] is not None}
        ask(
            round_.sayer,
            questions,
            journal,
            events,
            numbers=range(first, first + len(numbers)),
            unwanted={first + number for number in numbers if number not in wanted},
            total=total,
        )
        kept = sorted(wanted)
        answers = journal.answers(first + number for number in kept)
        said: dict[int, Written] = dict(zip(kept, answers, strict=True))
        before = texts
        texts = [_wording(said.get(number), before[number // round_.each]) for number in numbers]
        first += len(numbers)
    return texts


def _wording(answer: Written | None, text: str | None) -> str | None:
    """Returns a whole answer without quotation marks around it; None where there is none, or where
    it says more than a text of one line.
    """
    if answer is None or text is None or answer.finish != "stop":
        return None
    said = answer.text.strip()
    if "\n" in said and "\n" not in text.strip():
        return None
    for opening, closing in QUOTES:
        if len(said) > 2 and said[0] == opening and said[-1] == closing and text[:1] != opening:
            return said[1:-1].strip()
    return said
