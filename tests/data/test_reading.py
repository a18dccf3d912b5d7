"""Files to Examples: the choice of a reader, the line that settles it, and what becomes of every
row.
"""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.data.reading import Reading, examples
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Example, Labelled, Text
from tunesmith.settings.run import Data, validate, with_overrides


def data(path: Path | str | list[Any], **settings: Any) -> Data:
    """The settings as a run has them."""
    value = path if isinstance(path, list) else str(path)
    return validate({"model": "m", "out": "o", "data": {"path": value, **settings}}).data


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def read(reading: Reading) -> list[Example]:
    return [example for _, example in reading]


def told(example: Example) -> list[tuple[str, str]]:
    assert isinstance(example, Chat)
    return [(turn.role, turn.content) for turn in example.turns]


def refusal(path: Path | str | list[Any], **settings: Any) -> str:
    with pytest.raises((DataError, SpecError)) as caught:
        read(examples(data(path, **settings)))
    assert caught.value.exit_code == 2
    return str(caught.value)


# file -> reader, rows used, and the line that the error proposes where one is needed
REAL: dict[str, tuple[str, int, str | None]] = {
    "alpaca_en/alpaca_en_demo.json": ("alpaca", 600, None),
    "alpaca_zh/alpaca_zh_demo.json": ("alpaca", 600, None),
    "identity/identity.json": ("alpaca", 91, None),
    "messages_openai/conversations.jsonl": ("messages", 128, None),
    "sharegpt_zh/sharegpt_zh_1K_format.jsonl": ("sharegpt", 220, None),
    "tcm_cpmi/cpmi_dataset.json": ("alpaca", 24, None),
    "tcm_huatuo26m/huatuo26M_tcm.json": ("alpaca", 420, None),
    "tcm_prescription/ISGP_test.json": ("source_target", 30, None),
    "medical_llama_zh/llama_data.json": ("alpaca", 3500, None),
    "medical_literature_zh/liver_cancer.json": ("alpaca", 350, None),
    "medical_multiturn_zh/CMtMedQA_test.json": ("alpaca", 420, None),
    "medical_sharegpt_zh/medical_sft_1K_format.jsonl": ("sharegpt", 600, None),
    "medical_o1_en/demo_data.json": (
        "reasoning",
        130,
        "{question: Question, reasoning: Complex_CoT, answer: Response}",
    ),
    "grpo_zh/sample.jsonl": ("completion", 32, None),
    "law_exam_zh/fakao_gpt4.json": ("completion", 550, None),
    "law_consult_zh/zixun_gpt4.json": ("completion", 260, None),
    "law_multiturn_zh/legal_counsel_multi_turn_with_article_v2.json": (
        "messages",
        300,
        "{messages: history}",
    ),
    "finance_zh/consulting_part.json": ("alpaca", 60, None),
    "finance_zh/computing_part.json": ("alpaca", 60, None),
    "finance_zh/task_part.json": ("alpaca", 60, None),
    "finance_zh/retrieval_part.json": ("alpaca", 60, None),
    "finance_zh/fin_data.json": ("alpaca", 10, None),
    "customer_service_en/abcd_sample.json": ("messages", 3, "{messages: original}"),
    "customer_service_en/bitext_customer_support.csv": ("completion", 1129, None),
    "customer_service_zh/crosswoz_test.json": ("messages", 14, None),
    "glaive_toolcall_en/glaive_toolcall_en_demo.json": ("sharegpt", 200, None),
    "glaive_toolcall_zh/glaive_toolcall_zh_demo.json": ("sharegpt", 200, None),
    "gsm8k_en/train.jsonl": ("completion", 2000, None),
    "cmath_zh/cmath_dev.jsonl": ("completion", 300, None),
    "cmmlu_zh/test/traditional_chinese_medicine.csv": ("choices", 185, None),
    "mmlu_en/test/anatomy_test.csv": ("choices", 135, None),
    "agieval/gaokao-history.jsonl": ("choices", 235, None),
    "agieval/aqua-rat.jsonl": ("choices", 254, None),
    "translation_en_zh/cmn.txt": ("completion", 12553, "{question: '0', answer: '1'}"),
    "summarisation_zh/csl_ts_dev.tsv": (
        "alpaca",
        1000,
        "{instruction: '0', input: '1', output: '2'}",
    ),
    "pretrain_c4/c4_demo.jsonl": ("text", 200, None),
    "pretrain_wiki/wiki_demo.txt": ("text", 15, None),
    "chinese_reviews/pos.txt": ("text", 2215, None),
    "chinese_reviews/neg.txt": ("text", 4004, None),
    "sst2_en/train.tsv": ("completion", 6920, "{question: '0', answer: '1'}"),
    "sst2_en/dev.tsv": ("completion", 872, "{question: '0', answer: '1'}"),
}


def proposals(text: str) -> tuple[list[str], str]:
    """The words after a verb that an error proposes, as a shell makes them of its line, and the
    line for a file.
    """
    typed, in_file = text.splitlines()[-2:]
    return shlex.split(typed), in_file.removeprefix("    in a YAML file: ")


@pytest.mark.parametrize("name", REAL)
def test_real_files_load_by_themselves_or_with_the_line_that_the_error_proposes(
    name: str, shared_data: Path
) -> None:
    reader, count, line = REAL[name]
    settings: dict[str, Any] = {"model": "m", "out": "o", "data": str(shared_data / name)}
    if line:
        with pytest.raises(DataError) as caught:
            examples(validate(settings).data)
        typed, proposed = proposals(str(caught.value))
        assert proposed == f"data.columns: {line}"
        settings = with_overrides(settings, typed)
    reading = examples(validate(settings).data)
    found = read(reading)
    assert (reading.opened[0].reader.name, len(found)) == (reader, count)
    assert {row.reason for row in reading.dropped} <= {"not a row"}
    assert reading.opened[0].rows == count
    for example in found:
        if isinstance(example, Text):
            assert example.text.strip()
            continue
        roles = [turn.role for turn in example.turns]
        assert roles[-1] == "assistant" and "user" in roles
        assert not any(a == b == "user" for a, b in pairwise(roles))
        assert example.columns["answer"] == example.answer


def test_real_notes_say_what_was_changed(shared_data: Path) -> None:
    def notes(name: str, **settings: Any) -> str:
        reading = examples(data(shared_data / name, **settings))
        read(reading)
        return "\n".join(reading.notes)

    assert "in 420 rows a text is a list of one item" in notes("tcm_huatuo26m/huatuo26M_tcm.json")
    assert "1 row ends with a question" in notes("sharegpt_zh/sharegpt_zh_1K_format.jsonl")
    assert "2 lines hold no row" in notes("finance_zh/fin_data.json")
    assert "columns not used: laws" in notes("law_consult_zh/zixun_gpt4.json")
    history = "law_multiturn_zh/legal_counsel_multi_turn_with_article_v2.json"
    assert "in 8 rows one speaker has several consecutive turns" in notes(
        history, columns={"messages": "history"}
    )


def test_real_dialogues_are_not_mangled(shared_data: Path) -> None:
    law = shared_data / "law_multiturn_zh/legal_counsel_multi_turn_with_article_v2.json"
    first = read(examples(data(law, columns={"messages": "history"})))[0]
    raw = json.loads(law.read_text(encoding="utf-8"))[0]["history"]
    assert [text for _, text in told(first)] == [line.partition("] ")[2] for line in raw]
    calls = read(examples(data(shared_data / "glaive_toolcall_en/glaive_toolcall_en_demo.json")))
    assert (
        sum(
            bool(turn.tool_calls) for chat in calls if isinstance(chat, Chat) for turn in chat.turns
        )
        == 137
    )
    assert (
        sum(turn.role == "tool" for chat in calls if isinstance(chat, Chat) for turn in chat.turns)
        == 137
    )
    service = read(
        examples(
            data(
                shared_data / "customer_service_en/abcd_sample.json",
                columns={"messages": "original"},
            )
        )
    )[0]
    assert told(service)[0] == ("assistant", "Hi!\nHow can I help you?")
    assert ("tool", "Account has been pulled up for Crystal Minh.") in told(service)


def test_real_rows_with_pictures_are_refused_in_one_line(shared_data: Path) -> None:
    text = refusal(shared_data / "mllm_demo/mllm_demo.json")
    assert text.endswith(
        "mllm_demo.json:1:images[0]: the turn holds a picture ([image mllm_demo_data/1.jpg] "
        "Who are they?), and only text can be trained on or asked about yet; leave such rows out, "
        "or, where the text alone says enough, take it out of the row (the same in 5 more rows: "
        "2, 3, 4, 5, 6)"
    )
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("empty", [[], None, "", "[]"])
def test_a_row_whose_picture_column_is_empty_is_text(empty: Any, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "What is <image>?"},
        {"role": "assistant", "content": "It"},
    ]
    path = written(tmp_path / "rows.json", [{"messages": turns, "images": empty}])
    (chat,) = read(examples(data(path)))
    assert told(chat) == [("user", "What is <image>?"), ("assistant", "It")]


def test_pictures_that_no_reader_takes_are_named_for_the_whole_file(tmp_path: Path) -> None:
    text = refusal(written(tmp_path / "rows.json", [{"image": "1.jpg", "caption": "A cat."}]))
    assert "these rows hold pictures" in text and "data.columns" not in text


def test_the_error_shows_each_column_with_a_value(tmp_path: Path) -> None:
    path = written(
        tmp_path / "rows.jsonl",
        [
            {"编号": 1, "表现": "头痛发热", "用药": "桂枝汤"},
            {"编号": 2, "表现": "咳嗽", "用药": "止嗽散"},
        ],
    )
    text = refusal(path)
    assert "rows.jsonl: no reader knows these columns" in text
    assert "表现  头痛发热" in text and text.endswith(
        "data.columns: {question: 表现, answer: 用药}"
    )
    assert told(read(examples(data(path, columns={"question": "表现", "answer": "用药"})))[1]) == [
        ("user", "咳嗽"),
        ("assistant", "止嗽散"),
    ]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            {"ask": "q", "reply": "a", "answer": "b"},
            "data.columns: {question: ask, answer: answer}",
        ),
        ({"what": "q", "then": "a"}, "data.columns: {question: what, answer: then}"),
        ({"content": "only one"}, "data.columns: {text: content}"),
        ({"text": "a film", "label": 1}, "data.columns: {question: text, answer: label}"),
    ],
)
def test_the_proposed_line_works_when_it_is_pasted(
    row: dict[str, Any], line: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "rows.jsonl", [row, row])
    typed, in_file = proposals(refusal(path))
    assert in_file == line
    settings = {"model": "m", "out": "o", "data": str(path)}
    # After a verb as the shell hands it over, and in a file as its own line.
    for pasted in (
        with_overrides(settings, typed),
        with_overrides(settings | yaml.safe_load(in_file), []),
    ):
        assert len(read(examples(validate(pasted).data))) == 2


def test_two_readings_are_settled_by_the_reader(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    path = written(
        tmp_path / "both.jsonl", [{"instruction": "i", "output": "o", "messages": turns}]
    )
    text = refusal(path)
    assert "in more than one way (alpaca, messages)" in text and text.endswith(
        "data.reader: alpaca"
    )
    assert told(read(examples(data(path, reader="messages")))[0])[0] == ("user", "q")
    assert (
        "unknown reader 'alpacca'; did you mean 'alpaca'? known: alpaca, arena, choices, completion"
        in refusal(path, reader="alpacca")
    )


def test_wrong_columns_are_answered_with_near_ones(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [{"Question": "q", "Response": "a"}])
    text = refusal(path, columns={"quesion": "Question", "answer": "Respons"})
    assert "data.columns.quesion: no field has this name; did you mean 'question'?" in text
    assert "has no column 'Respons'; did you mean 'Response'? it has Question, Response" in text


def test_columns_of_one_source_come_before_those_of_all(tmp_path: Path) -> None:
    one, two = (
        written(tmp_path / "1.jsonl", [{"Q": "q", "A": "a"}]),
        written(tmp_path / "2.jsonl", [{"frage": "q2", "wort": "a2"}]),
    )
    sources = [
        str(one),
        {"path": str(two), "columns": {"question": "frage", "answer": "wort"}, "weight": 2},
    ]
    reading = examples(data(sources, columns={"question": "Q", "answer": "A"}))
    assert [told(example)[0][1] for example in read(reading)] == ["q", "q2"]
    assert reading.weights == {one: 1.0, two: 2.0}


def test_bad_rows_stop_the_run_with_file_row_and_field(tmp_path: Path) -> None:
    good = {"instruction": "a", "output": "b"}
    bad: list[Any] = [{"instruction": "a", "output": ["x", 1]}, {"text": "of another kind"}]
    path = written(tmp_path / "rows.jsonl", [good, *bad])
    text = refusal(path)
    assert 'rows.jsonl:2:output: is a list (["x", 1]), and a text is needed here' in text
    assert (
        "rows.jsonl:3:instruction: the row has no such field; it has text. Does this file mix "
        "rows of different kinds" in text
    )
    many = written(tmp_path / "many.jsonl", [good] * 20 + [{"text": "x"}] * 30)
    assert "(the same in 29 more rows: 22, 23, 24, 25, 26, …)" in refusal(many)


def test_rows_with_pictures_are_told_once_with_their_number(tmp_path: Path) -> None:
    def row(n: int) -> dict[str, Any]:
        part = {"type": "image_url", "image_url": {"url": f"https://x/{n}.png"}}
        asked = [{"type": "text", "text": f"what is {n}"}, part]
        turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
        asks = [{"role": "user", "content": asked}, {"role": "assistant", "content": "a cat"}]
        return {"messages": [*(turns * (n % 3)), *asks]}

    path = written(tmp_path / "seen.jsonl", [row(n) for n in range(12)])
    with pytest.raises(DataError) as caught:
        read(examples(data(path)))
    [problem] = caught.value.problems
    assert problem.where.startswith(f"{path}:1:messages[0]") and "https://x/0.png" in problem.text
    assert problem.text.endswith("(the same in 11 more rows: 2, 3, 4, 5, 6, …)")


def test_rows_without_answer_or_question_are_dropped_and_counted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"instruction": "a", "output": "b"},
        {"instruction": "a", "output": " "},
        {"instruction": "", "output": "b"},
        {"instruction": "a", "output": None},
        {"instruction": "a", "output": 5},
    ]
    reading = examples(data(written(tmp_path / "rows.jsonl", rows)))
    for _ in range(2):  # a second pass counts anew
        assert [located.number for located, _ in reading] == [1, 5]
        assert [(row.number, row.reason) for row in reading.dropped] == [
            (2, "no answer"),
            (3, "no question"),
            (4, "no answer"),
        ]
        assert reading.notes == [
            "rows.jsonl: 1 row has a number or true/false where a text is expected; it is read as text"
        ]
    assert "no row can be used (no answer: 2)" in refusal(
        written(tmp_path / "none.jsonl", [rows[1]] * 2)
    )


def test_turns_of_one_speaker_become_one_and_a_last_question_is_left_out(tmp_path: Path) -> None:
    turns = [("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d"), ("user", "e")]
    only_asked = {"messages": [{"role": "user", "content": "x"}]}
    path = written(
        tmp_path / "rows.jsonl",
        [{"messages": [{"role": role, "content": text} for role, text in turns]}, only_asked],
    )
    reading = examples(data(path))
    (chat,) = read(reading)
    assert told(chat) == [("user", "a\nb"), ("assistant", "c\nd")]
    assert (
        isinstance(chat, Chat)
        and chat.columns["question"] == "a\nb"
        and chat.columns["answer"] == "c\nd"
    )
    assert [row.reason for row in reading.dropped] == ["no answer"]


def test_a_number_of_rows_is_drawn_and_first_takes_the_beginning(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [{"text": str(n)} for n in range(1, 101)])

    def numbers(where: Any, **settings: Any) -> list[int]:
        return [located.number for located, _ in examples(data(where, **settings))]

    assert len(numbers(f"{path}#4")) == 4
    drawn = numbers(path, limit=50)
    assert drawn == sorted(set(drawn)) == numbers(path, limit=50) and len(drawn) == 50
    assert len({number % 2 for number in drawn}) == 2 and drawn[-1] > 90
    assert numbers(path, limit={"first": 5}) == [1, 2, 3, 4, 5]
    assert numbers(f"{path}#50", limit={"first": 5}) == drawn[:5]
    assert len(read(examples(data(path, limit=500)))) == 100
    other = written(tmp_path / "other.jsonl", [{"text": str(n)} for n in range(300)])
    sources = [f"{path}#90", str(other)]
    taken = [located.file.name for located, _ in examples(data(sources, limit=390))]
    assert (taken.count("rows.jsonl"), taken.count("other.jsonl")) == (90, 300)
    assert len(numbers(sources, limit=40)) == 40
    assert "data.limit" in refusal(path, limit={"first": 0})
    named = written(tmp_path / "a#3", [{"text": "x"}] * 9)
    assert len(read(examples(data(named)))) == 9


def test_a_limit_takes_each_label_in_its_share(tmp_path: Path) -> None:
    rows = [{"text": str(n), "label": n % 2 if n % 10 else 7} for n in range(400)]
    path = written(tmp_path / "rows.jsonl", rows)
    for seen in (20, 200):
        found = [str(one) for one in read(examples(data(path, limit=seen), Labelled))]
        assert [
            sum(f"labels=('{label}',)" in one for one in found) for label in ("0", "1", "7")
        ] == [
            seen * 4 // 10,
            seen // 2,
            seen // 10,
        ]


def test_all_problems_of_all_sources_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    text = refusal([str(tmp_path / "empty.json"), str(tmp_path / "missing.json")])
    assert (
        text.startswith("2 problems:")
        and "the file is empty" in text
        and "there is no such file" in text
    )


def test_chinese_words_are_said(tmp_path: Path) -> None:
    from tunesmith import words

    words.use("zh")
    try:
        assert "没有读取器能从这些列读出问题和答案" in refusal(
            written(tmp_path / "rows.jsonl", [{"a": 1, "b": 2, "c": {}}])
        )
    finally:
        words.use("auto")
    for topic in ("source", "reader"):
        assert words.texts("en", topic).keys() == words.texts("zh", topic).keys()


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "txt", "parquet"])
def test_a_pointer_of_git_lfs_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n")
    assert "git lfs pull" in refusal(path)


def test_rows_none_of_which_fits_the_header_are_told_as_that(tmp_path: Path) -> None:
    table = "question,answer\n" + "".join(f"q{n},a{n},x,y\n" for n in range(5))
    (tmp_path / "rows.csv").write_text(table)
    with pytest.raises(DataError, match="has 4 fields, where the file has 2 columns"):
        Reading(Data(path=str(tmp_path / "rows.csv")))
