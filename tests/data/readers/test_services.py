"""Conversations as services and toolkits write them: every role, call, result and thought is what it
is there, and nothing is left out in silence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read
from tunesmith.errors import DataError
from tunesmith.examples import Chat

TOOL = {"name": "find", "description": "finds", "parameters": {"type": "object"}}
CALL = {"name": "find", "arguments": {"n": 1}}
USED = [("user", "q"), ("assistant", "wait", "find", {"n": 1}), ("tool", "r"), ("assistant", "a")]
"""A question, a call with a word before it, what it returned, and the answer."""
PLAIN = [("system", "s"), ("user", "q"), ("assistant", "a")]


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def part(kind: str, **held: Any) -> dict[str, Any]:
    return {"type": kind, **held}


def told(chat: Chat) -> list[tuple[Any, ...]]:
    """Role and text of each turn, with the name and the arguments of each call."""
    return [
        (
            one.role,
            one.content,
            *(part for call in one.tool_calls for part in call["function"].values()),
        )
        for one in chat.turns
    ]


# name: a row, its turns, the names of its tools
ROWS: dict[str, tuple[Any, list[tuple[Any, ...]], list[str]]] = {
    "Anthropic": (
        {
            "system": "s",
            "tools": [{"name": "find", "description": "finds", "input_schema": {}}],
            "messages": [
                turn("user", "q"),
                turn(
                    "assistant",
                    [
                        part("text", text="wait"),
                        part("tool_use", id="t", name="find", input={"n": 1}),
                    ],
                ),
                turn(
                    "user", [part("tool_result", tool_use_id="t", content=[part("text", text="r")])]
                ),
                turn("assistant", [part("text", text="a")]),
            ],
        },
        [("system", "s"), *USED],
        ["find"],
    ),
    "Gemini": (
        {
            "systemInstruction": {"role": "system", "parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "q"}]},
                {"role": "model", "parts": [{"text": "a"}]},
            ],
        },
        PLAIN,
        [],
    ),
    "Gemini, with a function": (
        {
            "contents": [
                {"role": "user", "parts": [{"text": "q"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "wait"},
                        {"functionCall": {"name": "find", "args": {"n": 1}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": "find", "response": {"x": 1}}}],
                },
                {"role": "model", "parts": [{"text": "a"}]},
            ],
            "tools": [{"functionDeclarations": [TOOL]}],
        },
        [*USED[:2], ("tool", '{"x": 1}'), USED[3]],
        ["find"],
    ),
    "Bedrock": (
        {
            "schemaVersion": "bedrock-conversation-2024",
            "system": [{"text": "s"}],
            "messages": [turn("user", [{"text": "q"}]), turn("assistant", [{"text": "a"}])],
        },
        PLAIN,
        [],
    ),
    "Bedrock, with a tool": (
        {
            "messages": [
                turn("user", [{"text": "q"}]),
                turn(
                    "assistant",
                    [
                        {"text": "wait"},
                        {"toolUse": {"toolUseId": "t", "name": "find", "input": {"n": 1}}},
                    ],
                ),
                turn("user", [{"toolResult": {"toolUseId": "t", "content": [{"text": "r"}]}}]),
                turn("assistant", [{"text": "a"}]),
            ]
        },
        USED,
        [],
    ),
    "OpenAI, as it was": (
        {
            "functions": [TOOL],
            "messages": [
                turn("user", "q"),
                turn("assistant", "wait", function_call={"name": "find", "arguments": '{"n": 1}'}),
                turn("function", "r", name="find"),
                turn("assistant", "a"),
            ],
        },
        USED,
        ["find"],
    ),
    "ChatGLM3": (
        {
            "tools": [TOOL],
            "conversations": [
                turn("user", "q"),
                turn("assistant", "wait"),
                {"role": "tool", "name": "find", "parameters": {"n": 1}, "observation": "r"},
                turn("assistant", "a"),
            ],
        },
        USED,
        ["find"],
    ),
    "GLM-4": (
        {
            "messages": [
                turn("system", "s", tools=[{"type": "function", "function": TOOL}]),
                turn("user", "q"),
                turn("assistant", '{"n": 1}', metadata="find"),
                turn("observation", "r"),
                turn("assistant", "a", metadata=""),
            ]
        },
        [("system", "s"), USED[0], ("assistant", "", "find", {"n": 1}), *USED[2:]],
        ["find"],
    ),
    "xLAM": (
        {"query": "q", "answers": json.dumps([CALL]), "tools": json.dumps([TOOL])},
        [("user", "q"), ("assistant", "", "find", {"n": 1})],
        ["find"],
    ),
    "Glaive": (
        {
            "system": "s",
            "chat": "USER: q\n\n\nASSISTANT: wait <functioncall> "
            '{"name": "find", "arguments": \'{"n": 1}\'} <|endoftext|>\n\n\n'
            "FUNCTION RESPONSE: r\n\n\nASSISTANT: a <|endoftext|>\n\n\n",
        },
        [("system", "s"), *USED],
        [],
    ),
    "Llama 2": (
        {"text": "<s>[INST] <<SYS>>\ns\n<</SYS>>\n\nq [/INST] a </s>"},
        PLAIN,
        [],
    ),
    "XTuner": (
        {
            "conversation": [
                {"system": "s", "input": "q", "output": "a"},
                {"input": "q2", "output": "a2", "output_with_loss": False},
            ]
        },
        [*PLAIN, ("user", "q2"), ("assistant", "a2")],
        [],
    ),
    "Cohere": (
        {"messages": [turn("System", "s"), turn("User", "q"), turn("Chatbot", "a")]},
        PLAIN,
        [],
    ),
    "IMCS-21": (
        {
            "dialogue": [
                {"speaker": "患者", "sentence": "q", "dialogue_act": "x"},
                {"speaker": "医生", "sentence": "a", "dialogue_act": "y"},
            ]
        },
        PLAIN[1:],
        [],
    ),
    "MultiWOZ, where the machine is the system": (
        {
            "turns": [
                {"speaker": "USER", "utterance": "q"},
                {"speaker": "SYSTEM", "utterance": "a"},
            ]
        },
        PLAIN[1:],
        [],
    ),
    "a shop": (
        {"conversations": [{"from": "买家", "value": "q"}, {"from": "人工客服", "value": "a"}]},
        PLAIN[1:],
        [],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_conversation_is_what_the_service_means(tmp_path: Path, name: str) -> None:
    row, turns, tools = ROWS[name]
    found = [example for _, example in read(written(tmp_path / "rows.jsonl", [row] * 4), "sft")]
    assert [told(chat) for chat in found] == [turns] * 4
    assert [tool["function"]["name"] for tool in found[0].tools] == tools


def test_what_a_round_says_of_its_answer_holds(tmp_path: Path) -> None:
    row, *_ = ROWS["XTuner"]
    ((_, chat),) = read(written(tmp_path / "rows.jsonl", [row]), "sft")
    trained = [one.train for one in chat.turns if one.role == "assistant"]
    assert trained == [None, False]


def test_a_column_of_other_tools_changes_nothing(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": "[]", "tools": "hammer"} for n in range(4)]
    found = [chat for _, chat in read(written(tmp_path / "rows.jsonl", rows), "sft")]
    assert [told(chat) for chat in found] == [
        [("user", f"q{n}"), ("assistant", "[]")] for n in range(4)
    ]
    assert not any(chat.tools for chat in found)


def test_a_turn_that_says_nothing_readable_is_named(tmp_path: Path) -> None:
    rows = [{"messages": [turn("user", "q"), {"role": "assistant", "speech": "a"}]}] * 2
    with pytest.raises(DataError, match=r"rows.jsonl:1:messages\[1\].*it has role, speech"):
        list(read(written(tmp_path / "rows.jsonl", rows), "sft"))


THOUGHTS = {
    "<think>t</think>a": ("t", "a"),
    "<Think>\nt\n</Think>\n\na": ("t", "a"),
    "t\n</think>\n\na": ("t", "a"),
    "<thinking>t</thinking>\na": ("t", "a"),
    "<thought>t</thought>a": ("t", "a"),
    "<seed:think>t</seed:think>a": ("t", "a"),
    "[THINK]t[/THINK]a": ("t", "a"),
    "◁think▷t◁/think▷a": ("t", "a"),
    "<|begin_of_thought|>\n\nt\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\na"
    "\n\n<|end_of_solution|>": ("t", "a"),
    "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final<|message|>a": (
        "t",
        "a",
    ),
}
KEPT = [
    "<thinking>t</thinking>\n<output>a</output>",  # a format that is learned as it is
    "<reasoning>t</reasoning>\n<answer>a</answer>",
    "The tags are <think> and\n</think>\n\nso.",
    "It ends with </think>.",
]


@pytest.mark.parametrize("text", [*THOUGHTS, *KEPT])
def test_thinking_is_known_by_the_marks_of_its_model(tmp_path: Path, text: str) -> None:
    rows = [{"question": f"q{n}", "answer": text} for n in range(3)]
    *_, (_, chat) = read(written(tmp_path / "rows.jsonl", rows), "sft")
    last = chat.turns[-1]
    assert (last.reasoning, last.content) == THOUGHTS.get(text, (None, text))
