"""Files and rows as people really have them: empty numbers, dialogues the assistant opens, formats,
wrappers, mixed encodings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.chat_templates import CHATML, GEMMA, byte_level
from tunesmith.data.check import check
from tunesmith.data.files.sources import facts
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.data.reading import Reading, examples
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Data, Run, validate

PAIRS = [
    {"instruction": f"what is thing number {n} of the list", "output": f"it is {n}"}
    for n in range(60)
]


@pytest.fixture(scope="module")
def chatml() -> Any:
    return byte_level(CHATML, "<|im_end|>")


def saved(path: Path, content: Any) -> Path:
    path.write_text(
        content if isinstance(content, str) else json.dumps(content, ensure_ascii=False),
        encoding="utf-8",
    )
    return path


def run(path: Path, **data: Any) -> Run:
    return validate({"model": "m", "out": "o", "data": {"path": str(path), **data}})


def prepared(path: Path, tokenizer: Any, **data: Any) -> Prepared:
    return prepare(run(path, **data), tokenizer)


def refusal(path: Path, **data: Any) -> str:
    with pytest.raises((DataError, SpecError)) as caught:
        list(examples(run(path, **data).data))
    return str(caught.value)


def read(path: Path, **data: Any) -> tuple[Reading, list[Chat]]:
    reading = examples(run(path, **data).data)
    return reading, [example for _, example in reading if isinstance(example, Chat)]


def trained(made: Prepared) -> str:
    """What is trained of the first row."""
    tokens = made.train[0].tokens[0]
    return made.render.pieces.text(tokens.ids_T[tokens.weights_T != 0])


def test_nan_is_an_empty_field(tmp_path: Path) -> None:
    file = saved(
        tmp_path / "a.json",
        [
            {"instruction": "a", "input": float("nan"), "output": "b"},
            {**PAIRS[0], "output": float("inf")},
        ],
    )
    reading, found = read(file)
    assert [chat.turns[0].content for chat in found] == ["a"]
    assert [row.reason for row in reading.dropped] == ["no answer"]
    assert "number" not in "".join(reading.notes)
    table = saved(
        tmp_path / "a.csv",
        "question,answer\nwhat is one and one,2\nwhat is nothing,nan\nwhat is two,2.5\n",
    )
    reading, found = read(table)
    assert [chat.answer for chat in found] == ["2", "2.5"] and [
        row.number for row in reading.dropped
    ] == [2]
    for name, cells in (("texts", ("2", "nan", "2.5")), ("mixed", (2, "nan", 2.5))):
        asked = ("what is one and one", "what is nothing", "what is two")
        told = zip(asked, cells, strict=True)
        lines = [{"question": question, "answer": answer} for question, answer in told]
        reading, found = read(saved(tmp_path / f"{name}.json", lines))
        assert [chat.answer for chat in found] == ["2", "2.5"], name
        assert [row.number for row in reading.dropped] == [2]
    texts = saved(tmp_path / "b.csv", "question,answer\nwhat bread,nan\nwhat drink,tea\n")
    assert [chat.answer for chat in read(texts)[1]] == ["nan", "tea"]


def test_nan_in_parquet_and_in_a_template(tmp_path: Path, chatml: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    file = tmp_path / "a.parquet"
    table = {
        "question": ["one", "two", "three"],
        "answer": [1.0, float("nan"), 3.0],
        "more": [float("nan")] * 3,
    }
    pyarrow.parquet.write_table(pyarrow.table(table), file)
    made = prepared(file, chatml, template="{question}{more}: {answer}", held_out=0)
    assert made.ledger.reasons() == {"no answer": 1}
    assert made.render.pieces.text(made.train[0].tokens[0].ids_T) == "one: 1<eos>".replace(
        "<eos>", "<|im_end|>"
    )


def test_real_dialogue_that_the_assistant_opens(shared_data: Path, chatml: Any) -> None:
    file = shared_data / "customer_service_en" / "abcd_sample.json"
    found = check(run(file, columns={"messages": "original"}, held_out=0, max_length=8000), chatml)
    assert found.ledger.trained == 3
    assert not any("speaks first" in line for line in found.ledger.notes)
    text = found.samples[0][1]
    places = [
        text.plain[span.start : span.end] for span in text.spans if "green" in str(span.style)
    ]
    assert text.plain.startswith("<|im_start|>assistant\nHi!") and not any(
        "How can I help you?" in place for place in places
    )
    assert places[0].startswith("sure, may I have your name please?")


def test_template_that_demands_the_user_first(tmp_path: Path) -> None:
    turns = [["agent", "Hello!"], ["customer", "I want tea."], ["agent", "Here it is."]]
    file = saved(
        tmp_path / "a.json",
        [{"messages": turns}, {"messages": turns[1:]}, {"messages": [*turns[1:], *turns[1:]]}],
    )
    made = prepared(file, byte_level(GEMMA, "<end_of_turn>"), held_out=0)
    assert any(note.startswith("In 1 row the assistant speaks first") for note in made.ledger.notes)
    assert "Hello!" not in made.render.pieces.text(made.train[0].tokens[0].ids_T)
    chat = Chat(
        (
            Turn("system", "s"),
            Turn("assistant", "Hello!"),
            Turn("user", "a"),
            Turn("assistant", "b"),
        )
    )
    (tokens,) = Render(byte_level(CHATML, "<|im_end|>"), Data(path="x.json")).chat(chat)
    assert tokens.scored == 2


def test_template_without_a_place_for_the_answer(tmp_path: Path, chatml: Any) -> None:
    file = saved(tmp_path / "a.json", PAIRS)
    with pytest.raises(
        SpecError, match=r"data.template: has no place for the answer.*: answer, output"
    ):
        prepared(file, chatml, template="Q: {instruction}")
    for wrong in ("{output} answers {instruction} {output}", "{answer}: {question}"):
        with pytest.raises(
            SpecError,
            match=(
                r"data.template: the answer \{(output|answer)\} comes before "
                r"\{(instruction|question)\}"
            ),
        ):
            prepared(file, chatml, template=wrong)
    echo = saved(
        tmp_path / "echo.json",
        [{"kind": "yes", "instruction": f"is {n} so", "output": "yes"} for n in range(20)],
    )
    assert (
        trained(prepared(echo, chatml, template="{kind} {instruction} {output}", held_out=0))
        == "yes<|im_end|>"
    )


@pytest.mark.slow  # 7 s
def test_template_over_the_file_s_own_columns(shared_data: Path, chatml: Any) -> None:
    file = shared_data / "medical_o1_en" / "demo_data.json"
    template = "诊断问题：{Question}\n详细分析：{Complex_CoT}\n### 答案：\n{Response}"
    made = prepared(file, chatml, template=template, too_long="truncate")
    assert any(
        "question: Question, reasoning: Complex_CoT, answer: Response" in note
        for note in made.ledger.notes
    )
    asked = made.render.prompt(Chat((Turn("user", "头痛？"),), columns={"question": "头痛？"}))
    assert made.render.pieces.text(asked) == "诊断问题：头痛？\n详细分析："
    row = json.loads(file.read_text(encoding="utf-8"))[0]
    assert made.render.data.columns == {
        "question": "Question",
        "reasoning": "Complex_CoT",
        "answer": "Response",
    }
    (tokens,) = made.render.chat(
        Chat((Turn("user", "q"), Turn("assistant", row["Response"])), columns=row)
    )
    text = made.render.pieces.text(tokens.ids_T[tokens.weights_T != 0])
    assert text == f"{row['Complex_CoT']}\n### 答案：\n{row['Response']}<|im_end|>"


def test_choices_are_read_and_a_template_can_lay_them_out(shared_data: Path, chatml: Any) -> None:
    file = shared_data / "cmmlu_zh" / "dev" / "marketing.csv"
    made = prepared(file, chatml, held_out=0)
    assert made.ledger.trained == 5 and trained(made) == "D<|im_end|>"
    assert not any("not used: A" in note for note in made.ledger.notes)
    laid_out = r"{Question}\nA. {A}\nB. {B}\nC. {C}\nD. {D}\nAnswer: {Answer}"
    made = prepared(file, chatml, held_out=0, template=laid_out)
    assert made.ledger.trained == 5 and trained(made) == "D<|im_end|>"
    options = r"{question}\n{options}\nAnswer: {label}"
    made = prepared(shared_data / "agieval" / "aqua-rat.jsonl", chatml, template=options)
    texts = (made.render.pieces.text(item.tokens[0].ids_T) for item in made.train)
    assert any("\n(A)5(√3 + 1)\n(B)" in text for text in texts)
    pairs = refusal(shared_data / "pairs_pawsx_zh" / "dev_2k.tsv").splitlines()[-1]
    assert pairs.removeprefix("    in a YAML file: ") == (
        r'data.template: "{sentence1}\n{sentence2}\nlabel: {label}"'
    )


def test_template_on_the_command_line() -> None:
    def typed(text: str) -> Any:
        path, _, last = text.partition("=")[0].rpartition(".")
        found = with_overrides({}, [text])
        return found[path][last] if path else found[last]

    assert typed("data.template=Q: {instruction}\nA: {output}") == "Q: {instruction}\nA: {output}"
    assert (
        typed(r"data.template=Q: {instruction}\nA: {output} # x")
        == "Q: {instruction}\nA: {output} # x"
    )
    assert (
        typed("data.template=[{instruction}]") == "[{instruction}]"
        and typed("data.template={output}") == "{output}"
    )
    assert (
        typed('data.template="a\\tb: {x}"') == "a\tb: {x}"
        and typed("data.template='it''s {x}'") == "it's {x}"
    )
    assert (
        typed("data.template=null") is None
        and typed("data.system=") == ""
        and typed("data.system=7") == "7"
    )
    assert typed("model.revision=1234567") == "1234567" and typed("data.path=[a, b]") == ["a", "b"]
    assert (
        typed("questions=[a, b]") == ["a", "b"] and typed(r"questions=C:\new.txt") == r"C:\new.txt"
    )
    with pytest.raises(SpecError, match="this is not YAML"):
        with_overrides({}, ["data.columns={a: b"])


def test_many_empty_rows_are_told_and_most_of_them_stop_the_run(
    tmp_path: Path, chatml: Any
) -> None:
    empty = [{"instruction": f"q {n}", "output": ""} for n in range(20)]
    made = prepared(saved(tmp_path / "a.json", PAIRS + empty), chatml)
    (note,) = [note for note in made.ledger.notes if "have nothing to learn" in note]
    assert note.startswith(
        "20 of 80 rows (25.0 %) have nothing to learn and are not trained (no answer: 20): "
    )
    assert "a.json:61, " in note and note.count("a.json:") == 10
    with pytest.raises(
        DataError, match=r"data: 20 of 25 rows \(80.0 %\) have nothing to learn .*data.columns"
    ):
        prepared(saved(tmp_path / "b.json", PAIRS[:5] + empty), chatml)


def test_files_that_hold_no_rows(tmp_path: Path) -> None:
    assert "has no rows" in refusal(saved(tmp_path / "a.json", "[]")) and "has no rows" in refusal(
        saved(tmp_path / "b.json", "{}")
    )
    assert "its rows are numbers, not objects (for instance 1)" in refusal(
        saved(tmp_path / "c.json", "[1,2,3]")
    )
    assert "is named .xlsx but is not an Excel file" in refusal(
        saved(tmp_path / "d.xlsx", "a,b\n1,2\n")
    )
    (tmp_path / "e.json").write_bytes(b"\x7fELF\0\1\2\0" * 40)
    assert "is a binary file" in refusal(tmp_path / "e.json")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "content",
    [{"data": PAIRS, "version": 1}, {"meta": {"n": [1]}, "rows": PAIRS}, {"anything": PAIRS}],
)
def test_rows_under_one_key(tmp_path: Path, content: Any, indent: int | None) -> None:
    reading, found = read(saved(tmp_path / "a.json", json.dumps(content, indent=indent)))
    assert len(found) == 60 and found[1].answer == "it is 1"
    assert any("its rows were taken from the list under" in note for note in reading.notes)


def test_one_conversation_is_no_file_of_rows(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert len(read(saved(tmp_path / "a.json", {"messages": turns}))[1]) == 1
    large = {
        "version": 1,
        "data": [{"instruction": f"q {n}", "output": "long " * 200} for n in range(1200)],
        "end": {},
    }
    assert len(read(saved(tmp_path / "large.json", large))[1]) == 1200


def test_mixed_encodings_are_named(tmp_path: Path) -> None:
    good = '{"instruction": "头痛怎么办", "output": "多休息"}\n'.encode()
    bad = '{"instruction": "头痛怎么办", "output": "多休息"}\n'.encode("gbk")
    for n, parts in enumerate((good * 20 + bad, bad + good * 20)):
        file = tmp_path / f"{n}.jsonl"
        file.write_bytes(parts)
        told = refusal(file)
        assert (
            f"{n}.jsonl:{1 if n else 21}: byte" in told
            and "mixes encodings: 20 of 21 lines" in told
            and "iconv" not in told
        )
    (tmp_path / "gbk.jsonl").write_bytes(bad * 20)
    assert facts(tmp_path / "gbk.jsonl").encoding == "gb18030"


def test_arrays_headed_by_their_columns(tmp_path: Path) -> None:
    cells = [["instruction", "output"], ["what is one", "1"], ["what is two", "2"]]
    reading, found = read(saved(tmp_path / "a.json", cells))
    assert [chat.answer for chat in found] == ["1", "2"] and reading.opened[0].facts.header
    lines = saved(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in cells))
    assert [located.number for located, _ in examples(run(lines).data)] == [2, 3]
    assert facts(saved(tmp_path / "b.json", cells[1:])).columns == ("0", "1")
    assert "a2.json:2: has 1 fields" in refusal(saved(tmp_path / "a2.json", [*cells[:2], ["x"]]))


def test_lengths_count_only_what_is_kept(tmp_path: Path, chatml: Any) -> None:
    made = prepared(saved(tmp_path / "a.json", PAIRS * 3), chatml)
    assert sum(made.ledger.lengths["counts"]) == 60


def test_long_texts_are_not_asked(tmp_path: Path, chatml: Any) -> None:
    texts = saved(
        tmp_path / "a.jsonl",
        "".join(json.dumps({"text": f"{n} long " * 30}) + "\n" for n in range(20)),
    )
    long = {"path": str(texts), "max_length": 20, "too_long": "stop"}
    with pytest.raises(DataError) as caught:
        prepare(validate({"model": "m", "out": "o", "data": long, "objective": "pretrain"}), chatml)
    assert "truncate (cut off their end)" in str(caught.value) and "the question" not in str(
        caught.value
    )
