"""Each reader on its own rows: what the turns are, and what a wrong value is answered with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tunesmith.data.columns.cells import as_json
from tunesmith.data.columns.finishing import finished
from tunesmith.data.readers import READERS
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Feedback, Media, Text, Turn


def read(name: str, row: dict[str, Any]) -> Any:
    return READERS.get(name)().read(row)


def told(chat: Chat) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in chat.turns]


def refusal(name: str, row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        read(name, row)
    return str(caught.value)


def test_alpaca_joins_instruction_and_input_and_tells_the_history_first() -> None:
    row = {
        "instruction": "Translate.",
        "input": "你好",
        "output": "Hello",
        "system": "Be short.",
        "history": [["a", "b"], ["c", "d"]],
    }
    chat = read("alpaca", row)
    assert told(chat) == [
        ("system", "Be short."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
        ("user", "Translate.\n\n你好"),
        ("assistant", "Hello"),
    ]
    assert chat.columns == {**row, "question": "Translate.\n\n你好", "answer": "Hello"}
    assert told(read("alpaca", {"instruction": "a", "input": None, "output": 7})) == [
        ("user", "a"),
        ("assistant", "7"),
    ]


def test_alpaca_splits_a_dialogue_inside_the_instruction() -> None:
    row = {
        "instruction": " <user>: 真的吗？ <bot>: 是的。 <user>: 适用于所有人吗？",
        "input": "",
        "output": "不是。",
    }
    assert told(read("alpaca", row)) == [
        ("user", "真的吗？"),
        ("assistant", "是的。"),
        ("user", "适用于所有人吗？"),
        ("assistant", "不是。"),
    ]
    html = {"instruction": "What does <user>: mean in this text?", "output": "A speaker."}
    assert told(read("alpaca", html))[0] == ("user", "What does <user>: mean in this text?")


@pytest.mark.parametrize(
    "names",
    [
        ("question", "answer"),
        ("prompt", "completion"),
        ("query", "response"),
        ("prompt", "response"),
        ("input", "output"),
    ],
)
def test_completion_knows_the_usual_pairs_of_names(names: tuple[str, str]) -> None:
    row = dict(zip(names, ("Q", "A"), strict=True)) | {"history": [["q", "a"]]}
    assert READERS.get("completion").matches(frozenset(row), row)
    chat = read("completion", row)
    assert told(chat) == [("user", "q"), ("assistant", "a"), ("user", "Q"), ("assistant", "A")]
    assert (chat.columns["question"], chat.columns["answer"]) == ("Q", "A")


def test_reasoning_stays_apart_from_the_answer() -> None:
    chat = read("reasoning", {"question": "Q", "reasoning": "because", "answer": "A"})
    assert chat.turns == (Turn("user", "Q"), Turn("assistant", "A", reasoning="because"))
    assert chat.columns["reasoning"] == "because"
    assert (
        read("reasoning", {"question": "Q", "reasoning": None, "answer": "A"}).turns[1].reasoning
        is None
    )


def test_messages_with_tools_calls_results_and_parts() -> None:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "武汉"}'},
    }
    function = {"name": "weather", "parameters": {}}
    row = {
        "messages": [
            {"role": "system", "content": "S"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "How is "}, {"type": "text", "text": "it?"}],
            },
            {"role": "assistant", "content": None, "tool_calls": [call], "weight": 0},
            {"role": "tool", "content": "sunny", "name": "weather"},
            {"role": "assistant", "content": "Sunny.", "reasoning_content": "the tool says so"},
        ],
        "tools": [function],
    }
    chat = read("messages", row)
    assert [turn.role for turn in chat.turns] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert chat.turns[1].content == "How is it?"
    assert chat.turns[2] == Turn(
        "assistant",
        "",
        train=False,
        tool_calls=(
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": {"city": "武汉"}},
            },
        ),
    )
    assert (chat.turns[3].name, chat.turns[4].reasoning) == ("weather", "the tool says so")
    assert chat.tools == ({"type": "function", "function": function},)
    assert (chat.columns["question"], chat.columns["answer"], chat.columns["system"]) == (
        "How is it?",
        "Sunny.",
        "S",
    )


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "usr", "content": "a"}, {"role": "sys", "content": "b"}],
        [{"speaker": "customer", "text": "a"}, {"speaker": "agent", "text": "b"}],
        [["customer", "a"], ["agent", "b"]],
        ["[客户] a", "[律师] b"],
        ["用户：a", "医生: b"],
    ],
)
def test_messages_knows_speakers_by_many_names(turns: list[Any]) -> None:
    for row in ({"conversation": turns}, {"messages": json.dumps(turns, ensure_ascii=False)}):
        assert READERS.get("messages").matches(frozenset(row), row)
        assert told(read("messages", row)) == [("user", "a"), ("assistant", "b")]


def test_sharegpt_with_function_call_and_observation() -> None:
    row = {
        "conversations": [
            {"from": "human", "value": "area?"},
            {"from": "function_call", "value": '{"name": "area", "arguments": {"r": 3}}'},
            {"from": "observation", "value": '{"area": 28}'},
            {"from": "gpt", "value": "28"},
        ],
        "tools": '[{"name": "area", "parameters": {}}]',
        "system": "S",
    }
    chat = read("sharegpt", row)
    assert told(chat) == [
        ("system", "S"),
        ("user", "area?"),
        ("assistant", ""),
        ("tool", '{"area": 28}'),
        ("assistant", "28"),
    ]
    assert chat.turns[2].tool_calls == (
        {"type": "function", "function": {"name": "area", "arguments": {"r": 3}}},
    )
    assert chat.tools == ({"type": "function", "function": {"name": "area", "parameters": {}}},)
    assert read("sharegpt", row | {"tools": ""}).tools == ()


def test_text() -> None:
    assert read("text", {"text": "a\nb", "url": "u"}) == Text("a\nb")
    assert not READERS.get("text").matches(frozenset({"text", "label"}), {})


def test_rows_of_another_task_are_left_alone() -> None:
    turns = [{"from": "human", "value": "a"}]
    pair = {"conversations": turns, "chosen": {}, "rejected": {}}
    judged, tagged = (
        {"messages": turns, "label": False},
        {"prompt": "a", "completion": "b", "kto_tag": True},
    )
    readers = {"preference": [pair], "feedback": [judged, tagged]}
    for row in (pair, judged, tagged):
        found = [name for name in READERS.names() if READERS.get(name).matches(frozenset(row), row)]
        assert found == [name for name, rows in readers.items() if row in rows]
    choices = {"question": "q", "choice0": "x", "choice1": "y", "answer": "1"}
    assert not READERS.get("completion").matches(frozenset(choices), choices)


@pytest.mark.parametrize("value", [[], {}])
def test_an_empty_list_is_an_empty_answer(value: Any) -> None:
    assert read("completion", {"question": "a", "answer": value}).turns[-1].content == ""
    assert read("feedback", {"prompt": "a", "completion": value, "label": True}).chat.turns[
        -1
    ] == Turn("assistant", "")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '[{"text": "Rome", "type": "place"}]',
        '[{"from": "Rome", "to": "Oslo"}]',
    ],
)
def test_json_in_a_text_is_an_answer(text: str) -> None:
    row = {"question": "which flights?", "answer": text}
    assert read("completion", row).turns[-1].content == text
    value = json.loads(text)
    if value:
        assert as_json(value) == text


def test_turns_in_an_answer_stay_turns() -> None:
    said = [{"role": "assistant", "content": "b"}]
    assert as_json(said) is said
    for value in (said, json.dumps(said)):
        assert read("completion", {"question": "a", "answer": value}).turns[-1].content == "b"


@pytest.mark.parametrize("empty", ["[]", "", None, []])
def test_a_table_holds_a_history_as_json(empty: Any) -> None:
    row = {"instruction": "c", "output": "d", "history": '[["a", "b"]]'}
    assert [turn.content for turn in read("alpaca", row).turns] == ["a", "b", "c", "d"]
    assert len(read("alpaca", row | {"history": empty}).turns) == 2


def test_wrong_values_name_the_field() -> None:
    assert (
        refusal("alpaca", {"instruction": "a", "output": {"x": 1}})
        == 'output: is an object ({"x": 1}), and a text is needed here'
    )
    assert refusal("alpaca", {"instruction": "a"}).startswith(
        "output: the row has no such field; it has instruction."
    )
    assert refusal("alpaca", {"instruction": "a", "output": "b", "history": "x"}).startswith(
        "history: is a text (x)"
    )
    assert refusal("messages", {"messages": [{"content": "x"}]}).startswith(
        "messages[0]: the turn does not say who speaks"
    )
    assert "the speaker 'narrator' is not known; use one of user" in refusal(
        "messages", {"messages": [["narrator", "x"]]}
    )
    other = [{"role": "user", "content": [{"type": "hologram", "url": "u"}]}]
    assert refusal("messages", {"messages": other}).startswith(
        "messages[0].content[0]: only text, images, videos and sounds can be read here"
    )
    broken = [{"from": "function_call", "value": "{area"}]
    assert refusal("sharegpt", {"conversations": broken}).startswith(
        "conversations[0].value: is not JSON"
    )
    assert "lone surrogate" in refusal("text", {"text": "\ud83d"})


@pytest.mark.parametrize("key", ["train", "loss"])
@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *((word, False) for word in ("false", "False", " NO ", "0", 0, 0.0, False)),
        *((word, True) for word in ("true", "TRUE", "yes", "1", 1, 1.0, True)),
        *((nothing, None) for nothing in (None, "", float("nan"))),
    ],
)
def test_a_turn_is_trained_as_its_word_says(key: str, value: Any, meant: bool | None) -> None:
    turns = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b", key: value}]
    assert read("messages", {"messages": turns}).turns[1].train is meant


@pytest.mark.parametrize("value", ["maybe", 2, 0.5, [0], "none"])
def test_a_word_that_does_not_say_whether_a_turn_is_trained_is_refused(value: Any) -> None:
    turns = [{"role": "user", "content": "a?"}]
    turns += [{"role": "assistant", "content": "b", "loss": value}]
    assert "messages[1].loss" in refusal("messages", {"messages": turns})


def test_an_earlier_answer_that_is_empty_is_context_and_an_empty_system_turn_is_left_out() -> None:
    turns = (Turn("system", " "), Turn("user", "a?"), Turn("assistant", ""))
    chat, changes = finished(Chat((*turns, Turn("user", "b?"), Turn("assistant", "yes"))))
    assert isinstance(chat, Chat)
    assert [(turn.role, turn.train) for turn in chat.turns] == [
        ("user", None),
        ("assistant", False),
        ("user", None),
        ("assistant", None),
    ]
    assert changes == ["empty_system", "empty"]


def test_an_empty_last_answer_is_cut_with_its_question_and_never_where_it_is_judged() -> None:
    begun = (Turn("user", "a?"), Turn("assistant", "one"))
    whole = Chat((*begun, Turn("user", "b?"), Turn("assistant", "")))
    chat, changes = finished(whole)
    assert isinstance(chat, Chat)
    assert (chat.turns, changes) == (begun, ["empty_end"])
    assert finished(Feedback(whole, True))[0] == "no answer"
    assert finished(Chat(whole.turns[2:]))[0] == "no answer"


ASKED = {"type": "text", "text": "What is "}
LAST = {"role": "assistant", "content": "A cat."}


@pytest.mark.parametrize(
    ("part", "kind", "place"),
    [
        ({"type": "image_url", "image_url": {"url": "http://a/b.png"}}, "image", "http://a/b.png"),
        ({"type": "image_url", "image_url": "b.png"}, "image", "b.png"),
        ({"type": "image", "image": "b.png"}, "image", "b.png"),
        ({"type": "image", "path": "b.png"}, "image", "b.png"),
        ({"type": "video", "url": "b.mp4"}, "video", "b.mp4"),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            "audio",
            "data:",
        ),
    ],
)
def test_the_parts_of_a_turn_are_text_and_what_stands_in_it(
    part: dict[str, Any], kind: str, place: str
) -> None:
    turns = [{"role": "user", "content": [ASKED, part, {"type": "text", "text": "this?"}]}, LAST]
    turn = read("messages", {"messages": turns}).turns[0]
    assert turn.content == "What is this?"
    assert turn.parts == ("What is ", Media(kind, place, 8), "this?")
    assert turn.media[0].field == "messages[0].content[1]"


def test_a_plain_turn_is_one_part() -> None:
    assert Turn("user", "a").parts == ("a",) and Turn("assistant", "").parts == ()


def test_marks_in_the_text_take_what_the_columns_list() -> None:
    turns = [
        {"from": "human", "value": "<image>Who is this, and who is <image>?<audio>"},
        {"from": "gpt", "value": "Two cats."},
    ]
    row = {"conversations": turns, "images": ["1.jpg", "2.jpg"], "audios": []}
    assert READERS.get("sharegpt").matches(frozenset(row), row)
    turn = read("sharegpt", row).turns[0]
    assert turn.content == "Who is this, and who is ?<audio>", "no sound is listed: it is text"
    assert turn.parts == (
        Media("image", "1.jpg", 0),
        "Who is this, and who is ",
        Media("image", "2.jpg", 24),
        "?<audio>",
    )
    assert [one.field for one in turn.media] == ["images[0]", "images[1]"]


def test_a_picture_without_a_mark_stands_before_the_first_question() -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "What?"}, LAST]
    chat = read("messages", {"messages": turns, "image": {"bytes": b"x", "path": "1.png"}})
    assert [turn.parts for turn in chat.turns[:2]] == [
        ("s",),
        (Media("image", "1.png"), "What?"),
    ]


def test_a_part_without_a_place_takes_that_of_the_column() -> None:
    turns = [{"role": "user", "content": [{"type": "image"}, ASKED]}, LAST]
    turn = read("messages", {"messages": turns, "images": ["1.png"]}).turns[0]
    assert turn.parts == (Media("image", "1.png"), "What is ")


def test_trained_parts_keep_their_letters_where_a_mark_is_taken_out() -> None:
    detail = [{"begin_offset": 10, "end_offset": 12, "train": True}]
    turns = [
        {"from": "human", "value": "a"},
        {"from": "gpt", "value": "abc<image>def", "train_detail": detail},
    ]
    turn = read("sharegpt", {"conversations": turns, "images": ["1.png"]}).turns[1]
    assert turn.spans == ((3, 6, 1.0),) and turn.content[3:6] == "def"
