"""A file's columns decide its reader; where they do not, the line that the error gives decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.choose_reader import Chosen, choose
from tunesmith.data.files.file_facts import FileFacts, Located
from tunesmith.errors import DataError
from tunesmith.examples import (
    Chat,
    Feedback,
    Labelled,
    Preference,
    Text,
    TextPair,
)

FILE = Path("rows.jsonl")


def chosen(*rows: dict[str, Any], **settings: Any) -> Chosen:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    known = FileFacts(FILE, "jsonl", "utf-8", False, columns, None)
    first = [Located(FILE, number, row) for number, row in enumerate(rows, 1)]
    return choose(known, first, **settings)


def refused(*rows: dict[str, Any], **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        chosen(*rows, **settings)
    return str(caught.value)


ALPACA = {"instruction": "Why?", "input": "", "output": "Because."}
PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}


@pytest.mark.parametrize(
    ("row", "eats", "gives"),
    [
        (ALPACA, Chat, Chat),
        (PAIR, Preference, Preference),
        ({"text": "It rains.", "label": "weather"}, Labelled, Labelled),
        ({"text": "It rains."}, Text, Text),
    ],
    ids=["alpaca", "pair", "label", "text"],
)
def test_usual_columns_decide_by_themselves(row: dict[str, Any], eats: type, gives: type) -> None:
    found = chosen(row, eats=eats)
    assert found.reader.gives is gives
    assert found.columns == {} and found.told_by is None


def test_the_order_of_columns_decides_nothing() -> None:
    turned = dict(reversed(ALPACA.items()))
    assert type(chosen(turned).reader) is type(chosen(ALPACA).reader)


def test_columns_that_the_user_names_are_read_as_named() -> None:
    columns = {"instruction": "frage", "output": "antwort"}
    found = chosen({"frage": "Warum?", "antwort": "Darum."}, columns=columns)
    assert found.columns == columns and found.told_by is None
    assert type(found.reader) is type(chosen(ALPACA).reader)


def test_every_wrong_name_is_told_at_once_with_what_is_near() -> None:
    told = refused(ALPACA, columns={"instruktion": "output", "output": "outptu"})
    assert "data.columns.instruktion" in told and "data.columns.output" in told
    assert "'outptu'" in told and "'output'" in told


def test_a_template_decides_before_the_cells_do() -> None:
    row = {"w1": "Why?", "w2": "Because."}
    found = chosen(row, template=lambda: ["w1", "w2"])
    assert found.told_by == "template"
    assert list(found.columns.values()) == ["w1", "w2"]


def test_the_template_is_not_asked_where_the_columns_decide() -> None:
    def template() -> list[str]:
        raise AssertionError("not needed")

    assert chosen(ALPACA, template=template).told_by is None


def test_rows_of_another_kind_are_not_read_as_what_is_wanted() -> None:
    """The reader is of the rows' own kind, and the caller names the objective that eats it."""
    assert chosen(PAIR, eats=Chat).reader.gives is Preference


def test_what_no_reader_knows_shows_every_column_with_a_value() -> None:
    told = refused({"aa": 1.5, "bb": None}, {"aa": 2.5, "bb": 7})
    assert told.startswith("rows.jsonl: ")
    assert "aa  1.5" in told and "bb  7" in told, "the first value that is not empty"


TITLES = [
    {
        "id": n,
        "title": f"Words {n * n} of it",
        "url": f"http://x/{n}",
        "name": f"Ann {n}",
        "v": "1.0",
    }
    for n in range(20)
]


@pytest.mark.parametrize(
    ("eats", "line"),
    [
        (Chat, "{question: …, answer: …}"),
        (Preference, "{prompt: …, chosen: …, rejected: …}"),
        (Feedback, "{prompt: …, completion: …, label: …}"),
        (Labelled, "{text: …, label: …}"),
        (TextPair, "{text: …, second: …}"),
        (Text, "{text: …}"),
    ],
)
def test_titles_ids_and_constants_are_never_proposed(eats: type, line: str) -> None:
    """What is asked for is what the objective in hand learns from."""
    told = refused(*TITLES, eats=eats)
    assert told.splitlines()[-1].strip() == f"in a YAML file: data.columns: {line}"


def test_a_wrong_field_is_told_with_those_that_fit_the_objective() -> None:
    told = refused(PAIR, columns={"chosn": "chosen"}, eats=Preference)
    offered = told.partition("fit this objective: ")[2].split(", ")
    assert "did you mean 'chosen'?" in told
    assert {"prompt", "chosen", "rejected", "ranked", "scored"} <= {*offered}
    assert not {"entities", "text", "label", "answer_from_0", "A"} & {*offered}


@pytest.mark.parametrize("eats", [Feedback, Preference])
def test_answers_with_a_grade_are_told_with_what_learns_it(eats: type) -> None:
    """HelpSteer under kto and reward: as a conversation the grades would be lost."""
    rows = [
        {"prompt": f"Why {n}?", "response": f"So {n} it is.", "helpfulness": n % 5, "coherence": 4}
        for n in range(20)
    ]
    told = refused(*rows, eats=eats)
    assert "helpfulness grades each answer" in told and "objective=classify" in told
    line = "data.columns: {text: prompt, second: response, label: helpfulness}"
    assert told.endswith(line)
