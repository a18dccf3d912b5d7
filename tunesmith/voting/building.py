"""The answers of an arena: prompts are drawn, every contender answers each, and only whole answers
are shown. Stopped at any time, the same call goes on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tunesmith.data.files.writing import write_rows
from tunesmith.data.texts.duplicates import fold
from tunesmith.errors import DataError, Problem, SpecError, TunesmithError
from tunesmith.events.stream import Events
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Data, Run, validate
from tunesmith.storage.atomic import barred, write_whole
from tunesmith.teaching.questions import Questions
from tunesmith.teaching.write import teacher_of, write
from tunesmith.teaching.written import messages
from tunesmith.voting.ballots import differing
from tunesmith.voting.folder import ArenaFolder, Item
from tunesmith.voting.settings import Arena
from tunesmith.voting.trained_on import trained_on
from tunesmith.words import say

NUMBER = "arena_prompt"
"""The column with a prompt's number."""
SAME_FOR_ALL = ("max_new_tokens", "temperature", "top_p", "no_repeat_ngram", "repetition_penalty")
"""What decides lengths and chance of answers: were it a run's own, it would be compared too."""
FEWEST_PROMPTS = 2
_MADE_BY = re.compile(
    r"\b(?:qwen|llama|smollm|gpt-?\d|chatgpt|openai|claude|anthropic|gemma|gemini|mistral|mixtral"
    r"|deepseek|phi-?\d|chatglm|glm-?\d|internlm|baichuan|yi-\d|kimi|minicpm|hugging ?face)"
    r"|通义千问|文心一言|智谱|月之暗面|深度求索|讯飞星火",
    re.IGNORECASE,
)
"""Names by which a model says who it is."""
_SPEAKS = re.compile(
    r"\bI(?:'m| am)\b|\bmy name\b|\b(?:made|trained|developed|created) by\b"
    r"|我是|我叫|开发的|训练的",
    re.IGNORECASE,
)


def build(contenders: Sequence[str], settings: Arena, events: Events) -> ArenaFolder:
    """Draws the prompts, asks every contender, and writes what is voted on; raises SpecError with
    all that is wrong before a model is loaded.
    """
    folder = ArenaFolder(Path(settings.out))
    names = [name.rstrip("/") or name for name in contenders]
    wrong = barred(folder.facts)
    problems = [Problem("out", wrong)] if wrong else []
    if len(names) < 2 or len(set(names)) < len(names):
        problems.append(Problem("", say("arena.two_contenders", names=", ".join(names) or "–")))
    if problems:
        raise SpecError(problems)
    facts = {
        "contenders": names,
        "settings": settings.model_dump(mode="json", exclude={"out", "lang"}),
    }
    if folder.facts.is_file():
        _refuse_other(folder, facts)
        if "items" in folder.read():
            return folder
    runs = [_run(name, number, settings, folder) for number, name in enumerate(names)]
    _check(runs, events)
    if folder.prompts.is_file() and folder.facts.is_file():
        facts |= {"trained": folder.read().get("trained", 0)}
    else:
        prompts, facts["trained"] = _prompts(settings, names, events)
        write_rows(folder.prompts, lambda: iter(prompts))
        write_whole(folder.facts, json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
    for number, run in enumerate(runs):
        if not folder.answers(number).is_file():
            events.tell(say("arena.answers_of", name=names[number]))
            write(run, events)
    items, left = _items(folder, names)
    left |= {"trained": facts["trained"]} if facts["trained"] else {}
    shown = sum(bool(differing(item)) for item in items)
    if shown < FEWEST_PROMPTS:
        fields = {"number": shown, "left": left_out(left)}
        raise DataError(Problem("data", say("arena.too_few", **fields)))
    folder.write_items(items, {**facts, "left": left})
    return folder


def _refuse_other(folder: ArenaFolder, facts: JsonObject) -> None:
    """Raises SpecError where the folder holds another arena."""
    before = folder.read()
    settings, wanted = before.get("settings", {}), facts["settings"]
    other = [name for name in wanted if settings.get(name) != wanted[name]]
    other += ["contenders"] if before["contenders"] != facts["contenders"] else []
    if other:
        fields = {"folder": folder.path, "keys": ", ".join(other)}
        raise SpecError(Problem("out", say("arena.other", **fields)))


def _run(name: str, number: int, how: Arena, folder: ArenaFolder) -> Run:
    """Returns the settings by which a contender answers the prompts."""
    path, _, served = name.partition("#")
    asked = how.teacher.model_dump(exclude_unset=True) if how.teacher is not None else {}
    generate = how.generate.values(*SAME_FOR_ALL)
    if how.generate.stop:
        generate["stop"] = how.generate.stop
    return validate(
        {
            "model": path,
            "data": str(folder.prompts),
            "out": str(folder.answers(number)),
            "generate": generate,
            # An answer that was cut is counted as such; it is not lost among those without text.
            "teacher": {**asked, **({"name": served} if served else {}), "cut": "keep"},
            "train": {"seed": how.seed},
            "lang": how.lang,
        }
    )


def _check(runs: Sequence[Run], events: Events) -> None:
    """Raises SpecError with every contender that cannot be asked."""
    problems = []
    for run in runs:
        try:
            teacher_of(run, events)
        except TunesmithError as error:
            name = run.model.path
            problems += [
                Problem(name if problem.where == name else f"{name}: {problem.where}", problem.text)
                for problem in error.problems
            ]
    if problems:
        raise SpecError(problems)


def _prompts(how: Arena, names: Sequence[str], events: Events) -> tuple[list[JsonObject], int]:
    """Draws the prompts, each question once, in the order of the file, of those that no contender
    was trained on; and counts these.
    """
    questions = Questions(Data(path=how.data, columns=how.columns, reader=how.reader))
    by_content: dict[int, list[JsonObject]] = {}
    for question in questions.asked():
        said = messages(question.chat.turns)
        by_content.setdefault(fold(str(turn["content"]) for turn in said), said)
    if not by_content:
        raise DataError(Problem("data", say("arena.no_prompts", path=how.data)))
    every = list(by_content.values())
    asked = [
        [str(turn["content"]) for turn in messages if turn["role"] != "system"]
        for messages in every
    ]
    of_trained: set[int] = set()
    for name in names:
        trained = trained_on(asked, name, events)
        fields = {"count": len(trained), "of": len(every), "name": name}
        if trained:
            events.tell(say("arena.trained", **fields))
        of_trained |= trained
    if len(of_trained) == len(every):
        raise DataError(Problem("data", say("arena.all_trained", path=how.data, of=len(every))))
    every = [messages for index, messages in enumerate(every) if index not in of_trained]
    generator = np.random.default_rng(how.seed)
    drawn = generator.permutation(len(every))[: how.prompts]
    chosen = [every[index] for index in sorted(drawn.tolist())]
    return [{"messages": messages, NUMBER: n} for n, messages in enumerate(chosen, 1)], len(
        of_trained
    )


def _items(folder: ArenaFolder, names: Sequence[str]) -> tuple[list[Item], dict[str, int]]:
    """Joins prompts and answers; an answer that is cut, empty, or says whose it is, is left out,
    and counted by reason.
    """
    left: Counter[str] = Counter()
    answers: dict[int, dict[int, str]] = {}
    for number in range(len(names)):
        with open(folder.answers(number), encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                text = row["messages"][-1]["content"].strip()
                if row["finish"] != "stop":
                    left["cut"] += 1
                elif betrays(text, names):
                    left["betrays"] += 1
                else:
                    answers.setdefault(row[NUMBER], {})[number] = text
    items, counts = [], Counter[str]()
    for line in folder.prompts.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        item = Item(str(row[NUMBER]), row["messages"], answers.get(row[NUMBER], {}))
        counts["prompts"] += 1
        if len(item.answers) < 2:
            left["unpaired"] += 1
        elif not differing(item):
            left["same"] += 1
        items.append(item)
    return items, {**counts, **left}


def betrays(text: str, names: Sequence[str]) -> bool:
    """Tells whether an answer says whose it is: the name of a contender, or of a known model where
    it speaks of itself.
    """
    betraying = [Path(name.partition("#")[2] or name).name.casefold() for name in names]
    said = text.casefold()
    if any(
        re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) for name in betraying if len(name) > 3
    ):
        return True
    return any(
        _MADE_BY.search(part) is not None and _SPEAKS.search(part) is not None
        for part in re.split(r"[.!?。！？\n]", text)
    )


def left_out(left: dict[str, int]) -> str:
    """Tells in words what is not voted on, and why; empty where all is."""
    counted = [
        say(f"arena.left_{name}", count=left[name])
        for name in ("trained", "cut", "betrays", "unpaired", "same")
        if left.get(name)
    ]
    return ", ".join(counted)
