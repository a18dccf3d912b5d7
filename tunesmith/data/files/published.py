"""Rows that no column explains, as the sets that people know publish them, and what they mean as
rows that readers know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunesmith.data.files.annotated import ANNOTATED
from tunesmith.data.files.argilla import ARGILLA
from tunesmith.data.files.layout import Layout
from tunesmith.data.files.services import SERVICES
from tunesmith.data.files.toolkits import TOOLKITS
from tunesmith.plain import JsonObject, Row

_TURN = re.compile(r"(?:turn|round)[_ ]?\d+", re.IGNORECASE)
_MARK = re.compile(r"^\s*<\|[^|>]+\|>\s*[:：]?\s*|\s*<eo[a-z]>\s*$")
_BLANK = re.compile(r"#idiom\w*#")


def layout_of(rows: Sequence[Row]) -> str:
    """Returns the name of the layout that all these rows have; empty where there is none."""
    layouts = [name for name, layout in LAYOUTS.items() if rows and all(map(layout.holds, rows))]
    if layouts == [DIALOGUES] and len({len(row) for row in rows}) == 1:
        return ""  # a table
    return layouts[0] if layouts else ""


def _numbered_turns(row: Row) -> str | None:
    """Returns the column whose value is an object of turns, turn_1, turn_2 and so on."""
    for name, value in row.items():
        numbered = isinstance(value, Mapping) and all(map(_TURN.fullmatch, map(str, value)))
        turns = list(value.values()) if numbered else []
        if turns and all(isinstance(turn, Mapping) and "Human" in turn for turn in turns):
            return name
    return None


def _moss(row: Row) -> Iterator[JsonObject]:
    """Yields the conversation of MOSS-003: thoughts, a command and its result stand between the
    question and the answer where a tool was used.
    """
    name = _numbered_turns(row)
    turns: list[JsonObject] = []
    for turn in row[name].values() if name is not None else ():
        said = {key: _MARK.sub("", str(text)) for key, text in turn.items() if text is not None}
        thought, command, result = (
            "" if (text := said.get(key, "").strip()) == "None" else text
            for key in ("Inner Thoughts", "Commands", "Tool Responses")
        )
        turns.append({"role": "user", "content": said["Human"]})
        if command:
            turns.append({"role": "assistant", "reasoning_content": thought, "content": command})
            turns.append({"role": "tool", "content": result})
            thought = ""
        turns.append(
            {"role": "assistant", "reasoning_content": thought, "content": said.get("MOSS", "")}
        )
    rest = {key: value for key, value in row.items() if key != name}
    yield {**rest, "messages": turns}


def _is_label_studio(row: Row) -> bool:
    annotations = row.get("annotations")
    return (
        isinstance(row.get("data"), Mapping)
        and isinstance(annotations, list)
        and all(
            isinstance(annotation, Mapping) and isinstance(annotation.get("result"), list)
            for annotation in annotations
        )
    )


def _label_studio(row: Row) -> Iterator[JsonObject]:
    """Yields what was annotated, with what the first annotation that counts says about it, as Label
    Studio's own short export does; nothing of a row that nobody annotated.
    """
    done = [annotation for annotation in row["annotations"] if not annotation.get("was_cancelled")]
    done.sort(key=lambda annotation: not annotation.get("ground_truth"))
    by_name: dict[str, list[Any]] = {}
    for result in done[0]["result"] if done else ():
        if result.get("from_name") is not None:
            by_name.setdefault(str(result["from_name"]), []).extend(_annotated(result))
    if by_name:
        alone = {name: values[0] if _one(values) else values for name, values in by_name.items()}
        yield {"id": row.get("id"), **row["data"], **alone}


def _annotated(result: Mapping[str, Any]) -> list[Any]:
    """Returns what one result of an annotation says: labels of a place, choices, texts, a
    number.
    """
    value = result.get("value") or {}
    if "start" in value:
        return [value]
    held = value.get(str(result.get("type")), value.get("text", []))
    return held if isinstance(held, list) else [held]


def _one(values: Sequence[Any]) -> bool:
    return len(values) == 1 and not isinstance(values[0], Mapping)


def _asked_in_turn(row: Row) -> tuple[list[str], list[str]] | None:
    """Returns questions about one text, which follow from each other, and their answers: CoQA
    (Reddy et al. 2019) and QuAC (Choi et al. 2018); None where this is no such row.
    """
    asked = row.get("questions")
    answers = row.get("answers")
    if isinstance(answers, Mapping):  # lists by what they hold, as the library datasets has them
        answers = answers.get("input_text") or (row.get("orig_answers") or {}).get("texts")
    both = _texts(asked), _texts(answers)
    return both if both[0] and len(both[0]) == len(both[1]) else None


def _texts(side: object) -> list[str]:
    """Returns the texts of a list, or of the objects in it; none where one holds no text."""
    said = [
        item.get("input_text") if isinstance(item, Mapping) else item
        for item in (side if isinstance(side, list) else [])
    ]
    texts = [text for text in said if isinstance(text, str)]
    return texts if len(texts) == len(said) else []


def _is_asked_in_turn(row: Row) -> bool:
    around = isinstance(row.get("story", row.get("context")), str)
    several = isinstance(row.get("answers"), Mapping) or any(
        isinstance(question, Mapping) for question in row.get("questions") or ()
    )
    return around and several and _asked_in_turn(row) is not None


def _in_turn(row: Row) -> Iterator[JsonObject]:
    """Yields the conversation about a text, which opens the first question."""
    story = str(row.get("story", row.get("context")))
    turns: list[JsonObject] = []
    for question, answer in zip(*_asked_in_turn(row) or ((), ()), strict=True):
        asked = question if turns else f"{story}\n\n{question}"
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    yield {"id": row.get("id", row.get("dialogue_id")), "messages": turns}


def _is_compared(row: Row) -> bool:
    made = row.get("summaries")
    return (
        isinstance(row.get("info"), Mapping)
        and isinstance(row.get("choice"), int)
        and isinstance(made, list)
        and all(isinstance(summary, Mapping) and "text" in summary for summary in made)
    )


def _compared(row: Row) -> Iterator[JsonObject]:
    """Yields the post and the two summaries of it that were compared (Stiennon et al. 2020)."""
    info = row["info"]
    text = next((info[name] for name in ("post", "article") if info.get(name)), "")
    yield {
        "id": info.get("id"),
        "title": info.get("title"),
        "prompt": text,
        "ranked": [summary["text"].strip() for summary in row["summaries"]],
        "better": row["choice"],
    }


def _is_cloze(row: Row) -> bool:
    right = row.get("groundTruth")
    text = row.get("content")
    return (
        isinstance(right, list)
        and isinstance(row.get("candidates"), list)
        and isinstance(text, str)
        and len(_BLANK.findall(text)) == len(right)
    )


def _cloze(row: Row) -> Iterator[JsonObject]:
    """Yields a question with options for each idiom that is left out; the other blanks stay
    blank (ChID, Zheng et al. 2019).
    """
    blanks = [match.span() for match in _BLANK.finditer(row["content"])]
    for index, right in enumerate(row["groundTruth"]):
        text, end = "", 0
        for n, (start, stop) in enumerate(blanks):
            text += row["content"][end:start] + ("____" if n == index else "（略）")
            end = stop
        text += row["content"][end:]
        yield {"question": text, "options": row["candidates"], "answer": right}


def _is_task(row: Row) -> bool:
    return "Instances" in row and bool(_definition(row))


def _definition(row: Row) -> str:
    definition = row.get("Definition")
    definition = definition[0] if isinstance(definition, list) and definition else definition
    return definition if isinstance(definition, str) else ""


def _task(row: Row) -> Iterator[JsonObject]:
    """Yields the instances of a task, which its definition instructs (Wang et al. 2022)."""
    for instance in row["Instances"]:
        right = instance.get("output")
        yield {
            "id": instance.get("id"),
            "instruction": _definition(row),
            "input": instance.get("input"),
            "output": right[0] if isinstance(right, list) and right else right,
        }


def _is_dialogue(row: Row) -> bool:
    texts = all(isinstance(cell, str) for cell in row.values())
    return len(row) > 1 and texts and list(row) == [str(n) for n in range(len(row))]


def _dialogue(row: Row) -> Iterator[JsonObject]:
    yield {"dialogue": list(row.values())}


def _is_searched(row: Row) -> bool:
    documents = row.get("documents")
    return (
        isinstance(row.get("question"), str)
        and bool({"answer", "answers"} & row.keys())
        and isinstance(documents, list)
        and bool(documents)
        and all(
            isinstance(document, Mapping) and _texts(document.get("paragraphs"))
            for document in documents
        )
    )


def _searched(row: Row) -> Iterator[JsonObject]:
    """Yields the question with the paragraphs that people marked in the pages that were found for
    it (He et al. 2018): where none is marked, with all.
    """
    selected = [document for document in row["documents"] if document.get("is_selected")] or row[
        "documents"
    ]
    read: list[str] = []
    for document in selected:
        paragraph = document.get("most_related_para")
        near = isinstance(paragraph, int) and paragraph in range(len(document["paragraphs"]))
        read += (
            document["paragraphs"][paragraph : paragraph + 1] if near else document["paragraphs"]
        )
    kept = ("answer", "answers", "question_type", "yesno_answer", "yesno_answers")
    answered = {name: row[name] for name in kept if name in row}
    number = row.get("question_id", row.get("id"))
    yield {"id": number, "question": row["question"], "context": "\n".join(read), **answered}


DIALOGUES = "LCCC"
"""A list of what two people say in turn (Wang et al. 2020)."""
LAYOUTS = {
    "MOSS-003": Layout(lambda row: _numbered_turns(row) is not None, _moss),
    "Label Studio": Layout(_is_label_studio, _label_studio),
    "CoQA": Layout(_is_asked_in_turn, _in_turn),
    "summarize-from-feedback": Layout(_is_compared, _compared),
    "ChID": Layout(_is_cloze, _cloze),
    "Natural Instructions": Layout(_is_task, _task),
    "DuReader": Layout(_is_searched, _searched),
    **TOOLKITS,
    **SERVICES,
    **ANNOTATED,
    **ARGILLA,
    DIALOGUES: Layout(_is_dialogue, _dialogue),
}
