"""Rows as tools and tutorials for texts with labels, entities and partners write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.data.files.layout import Layout
from tunesmith.plain import JsonObject, Row


def _texts(value: object) -> list[str]:
    """Returns the texts of a list; none where it holds anything else."""
    listed = value if isinstance(value, list) else []
    texts = [one for one in listed if isinstance(one, str)]
    return texts if len(texts) == len(listed) else []


def _is_intent(row: Row) -> bool:
    return "tag" in row and bool(_texts(row.get("patterns"))) and "responses" in row


def _intent(row: Row) -> Iterator[JsonObject]:
    """Yields what a user may say, each with the intent, and with the answers in turn."""
    answers = _texts(row["responses"])
    for number, text in enumerate(_texts(row["patterns"])):
        said = {"response": answers[number % len(answers)]} if answers else {}
        yield {"text": text, "label": row["tag"], **said}


def _examples(row: Row) -> list[Mapping[str, Any]]:
    """Returns the examples of a file of Rasa; none where this is none."""
    listed = row.get("common_examples")
    examples = (
        [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    )
    return (
        examples
        if examples and all({"text", "intent"} <= example.keys() for example in examples)
        else []
    )


def _rasa(row: Row) -> Iterator[JsonObject]:
    yield from (dict(example) for example in _examples(row))


_KINDS = ("intent", "synonym", "lookup", "regex")


def _listed_intents(row: Row) -> list[Mapping[str, Any]]:
    """Returns the items of a YAML file of Rasa, which may be rows of their own; none where this is
    no such file.
    """
    listed = row.get("nlu", [row])
    items = listed if isinstance(listed, list) else []
    told = [
        item
        for item in items
        if isinstance(item, Mapping)
        and any(kind in item for kind in _KINDS)
        and str(item.get("examples")).lstrip().startswith("- ")
    ]
    return told if len(told) == len(items) else []


_MARKED = re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\{[^}]*\})")
"""An entity as Rasa marks it within a text: [Berlin](city), [Berlin]{"entity": "city"}."""


def _intents(row: Row) -> Iterator[JsonObject]:
    """Yields the examples of each intent in a YAML file of Rasa, which writes them as one text."""
    for item in _listed_intents(row):
        if "intent" in item:
            said = str(item["examples"]).splitlines()
            lines = [line.strip().removeprefix("- ").strip() for line in said]
            for line in filter(None, lines):
                yield {"text": _MARKED.sub(r"\1", line), "label": item["intent"]}


def _is_asked_for(row: Row) -> bool:
    found = row.get("result_list")
    return (
        isinstance(row.get("content"), str)
        and isinstance(row.get("prompt"), str)
        and isinstance(found, list)
        and all(isinstance(one, Mapping) and isinstance(one.get("text"), str) for one in found)
    )


def _asked_for(row: Row) -> Iterator[JsonObject]:
    """Yields what is looked for in a text, and what was found there, a line each (UIE, Lu et al.
    2022).
    """
    found = "\n".join(one["text"] for one in row["result_list"])
    yield {"instruction": row["prompt"], "input": row["content"], "output": found}


def _is_corpus(row: Row) -> bool:
    talks = row.get("conversations")
    listed = talks if isinstance(talks, list) else []
    return {*row} <= {"categories", "conversations"} and bool(listed) and all(map(_texts, listed))


def _corpus(row: Row) -> Iterator[JsonObject]:
    """Yields the conversations of a file of ChatterBot."""
    yield from ({"conversation": talk} for talk in row["conversations"])


def _translated(row: Row) -> dict[str, str]:
    """Returns the texts of a unit of a translation memory (TMX) by language; none where this is no
    such unit.
    """
    units = row.get("tuv")
    items = units if isinstance(units, list) else []
    texts = {
        str(item["lang"]): item["seg"]
        for item in items
        if isinstance(item, Mapping) and "lang" in item and isinstance(item.get("seg"), str)
    }
    return texts if len(texts) == len(items) == 2 else {}


def _translation(row: Row) -> Iterator[JsonObject]:
    yield {"translation": _translated(row)}


def _is_spacy(row: Row) -> bool:
    marks = row.get("1")
    if {*row} != {"0", "1"} or not isinstance(row["0"], str) or not isinstance(marks, Mapping):
        return False
    return isinstance(marks.get("entities"), list) or isinstance(marks.get("cats"), Mapping)


def _spacy(row: Row) -> Iterator[JsonObject]:
    """Yields the text with its entities and the classes that hold of it."""
    marks = row["1"]
    cats = marks.get("cats")
    labels = {"labels": [name for name, held in cats.items() if held]} if cats else {}
    entities = {"entities": marks["entities"]} if "entities" in marks else {}
    yield {"text": row["0"], **entities, **labels}


def _is_w2ner(row: Row) -> bool:
    entities = row.get("ner")
    return (
        bool(_texts(row.get("sentence")))
        and isinstance(entities, list)
        and all(
            isinstance(entity, Mapping) and {"index", "type"} <= entity.keys()
            for entity in entities
        )
    )


def _w2ner(row: Row) -> Iterator[JsonObject]:
    """Yields the words, each with its tag; an entity in pieces is one for each piece."""
    tags = ["O"] * len(row["sentence"])
    for entity in row["ner"]:
        places = sorted(index for index in entity["index"] if index in range(len(tags)))
        for index in places:
            tags[index] = f"{'I' if index - 1 in places else 'B'}-{entity['type']}"
    yield {"tokens": row["sentence"], "tags": tags}


def _is_set(row: Row) -> bool:
    held = row.get("set")
    return {*row} == {"set"} and (len(_texts(held)) > 1 or isinstance(held, Mapping))


def _set(row: Row) -> Iterator[JsonObject]:
    """Yields each text of a set with the first: all of them belong together."""
    held = row["set"]
    if isinstance(held, Mapping):
        yield dict(held)
        return
    first, *others = held
    yield from ({"text": first, "second": other} for other in others)


def _is_stepwise(row: Row) -> bool:
    sides = ("initial_reason_steps", "chosen", "rejected")
    return all(isinstance(row.get(name), str) for name in sides)


def _stepwise(row: Row) -> Iterator[JsonObject]:
    """Yields both answers whole: they go on after the same first steps (Lai et al. 2024)."""
    begun = row["initial_reason_steps"]
    whole = {name: begun + row[name] for name in ("chosen", "rejected")}
    left = ("initial_reason_steps", "full_chosen", "full_rejected")
    yield {**{key: value for key, value in row.items() if key not in left}, **whole}


def _judged_choices(row: Row) -> tuple[list[str], list[str]] | None:
    """Returns the right and the wrong ones of options that are each judged (TruthfulQA, Lin et al.
    2022); None where this is no such row, or several are right.
    """
    judged_options = row.get("mc1_targets")
    judged_options = judged_options if isinstance(judged_options, Mapping) else {}
    options = _texts(judged_options.get("choices"))
    judged = judged_options.get("labels")
    if not options or not isinstance(judged, list) or len(judged) != len(options):
        return None
    right = [text for text, good in zip(options, judged, strict=True) if good]
    wrong = [text for text, good in zip(options, judged, strict=True) if not good]
    return (right, wrong) if len(right) == 1 and wrong else None


def _choices(row: Row) -> Iterator[JsonObject]:
    right, wrong = _judged_choices(row) or ([""], [])
    numbered = {f"Incorrect Answer {n}": text for n, text in enumerate(wrong, 1)}
    yield {"question": row.get("question"), "Correct Answer": right[0], **numbered}


ANNOTATED = {
    "intents of a chat bot": Layout(_is_intent, _intent),
    "Rasa": Layout(lambda row: bool(_examples(row)), _rasa),
    "Rasa's YAML": Layout(lambda row: bool(_listed_intents(row)), _intents),
    "UIE": Layout(_is_asked_for, _asked_for),
    "TMX": Layout(lambda row: bool(_translated(row)), _translation),
    "ChatterBot": Layout(_is_corpus, _corpus),
    "spaCy": Layout(_is_spacy, _spacy),
    "W2NER": Layout(_is_w2ner, _w2ner),
    "sentence-transformers": Layout(_is_set, _set),
    "Step-DPO": Layout(_is_stepwise, _stepwise),
    "TruthfulQA": Layout(lambda row: _judged_choices(row) is not None, _choices),
}
