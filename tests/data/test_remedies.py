"""The command that ``check`` prints for its rows reads them as the run does: pasted, it works."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tunesmith import api, words
from tunesmith.data.remedies import whole
from tunesmith.errors import DataError
from tunesmith.examples import Chat
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Data

COMMAND = "tunesmith data leave_out FILE OUT "
QUESTION = "What is the sum of all the whole numbers up to"


def conversation(n: int, *, odd: bool) -> JsonObject:
    return {"Frage": f"{QUESTION} {n}?", "Antwort": "nan" if odd else f"It is {n * n}.", "id": n}


def pair(n: int, *, odd: bool) -> JsonObject:
    scores = {"score_chosen": 3, "score_rejected": 3 if odd else 1}
    return {"Q 1": f"{QUESTION} {n}?", "it's good": f"It is {n}.", "bad": f"No. {n * 7}.", **scores}


def labelled(n: int, *, odd: bool) -> JsonObject:
    return {"Satz": f"{QUESTION} {n}?", 1: "nan" if odd else ("odd" if n % 2 else "even"), "t": "x"}


def read_by_name(n: int, *, odd: bool) -> JsonObject:
    answer = "nan" if odd else f"It is {n * n}."
    return {"instruction": f"{QUESTION} {n}?", "input": "", "output": answer, "answer": f"{n}"}


CASES = {
    "conversations": (conversation, ["data.columns={question: Frage, answer: Antwort}"]),
    "pairs": (
        pair,
        ["data.columns={prompt: Q 1, chosen: it's good, rejected: bad}", "objective=dpo"],
    ),
    "labels": (labelled, ["data.columns={text: Satz, label: 1}", "objective=classify"]),
    "a reader": (read_by_name, ["data.reader=alpaca"]),
}


@pytest.mark.parametrize(
    ("case", "language"), [*((case, "en") for case in CASES), ("labels", "zh")]
)
def test_the_printed_command_reads_the_rows_by_the_settings_of_the_run(
    case: str, language: str, tmp_path: Path
) -> None:
    row, settings = CASES[case]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [row(n, odd=n in (7, 19)) for n in range(40)]
    source.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    words.use(language)

    def printed(path: Path) -> list[str]:
        notes = api.check({"data": str(path)}, settings).ledger.notes
        return [note.partition(COMMAND)[2] for note in notes if COMMAND in note]

    (command,) = printed(source)
    account = api.change_rows("leave_out", str(source), out, shlex.split(command))
    assert [one.row for one in account.left_out()] == [8, 20]
    assert printed(out) == []


def test_the_command_within_an_error_is_complete_too(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"Satz": f"{QUESTION} {n}?", "Wert": "nan" if n == 5 else n / 2} for n in range(40)]
    source.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    columns = "columns={text: Satz, label: Wert}"
    asked = {"data": str(source), "objective": {"name": "classify", "problem": "regression"}}
    with pytest.raises(DataError, match="found=") as caught:
        api.check(asked, [f"data.{columns}"])
    settings = shlex.split(str(caught.value).partition(COMMAND)[2])
    assert settings == ["found=[hollow]", "objective=classify", columns]


def test_what_each_source_says_otherwise_is_left_to_be_filled_in() -> None:
    told = f"{COMMAND}found=[cut]"

    def read(**columns: str) -> Data:
        sources = [
            {"path": path, "columns": {"answer": "a", "question": columns[path]}}
            for path in columns
        ]
        return Data.model_validate({"path": sources})

    assert whole(told, read(a="q", b="q"), Chat) == f"{told} 'columns={{answer: a, question: q}}'"
    assert whole(told, read(a="q", b="other"), Chat) == f"{told} 'columns=…'"
    assert whole(told, Data(path="a"), Chat) == told
