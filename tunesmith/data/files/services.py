"""Rows as services give them out: exports of chats, answers of their interfaces, logs of requests,
and rows inside the records of a data base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from tunesmith.data.files.layout import Layout
from tunesmith.plain import JsonObject, Row


def _objects(value: object) -> list[Mapping[str, Any]]:
    """Returns the objects of a list; none where it holds anything else, or nothing."""
    listed = value if isinstance(value, list) else []
    objects = [item for item in listed if isinstance(item, Mapping)]
    return objects if len(objects) == len(listed) else []


def _said(message: Row) -> str | list[Any]:
    """Returns what a message of ChatGPT's export says: its text, or its parts where it has pictures
    too; empty where it was written to a tool, or is no part of the talk.
    """
    content = message.get("content") or {}
    parts = content.get("parts") or []
    if message.get("recipient", "all") != "all":
        return ""
    if content.get("content_type") == "multimodal_text":
        return [part if isinstance(part, str) else {"type": "image"} for part in parts]
    text = content.get("content_type") == "text"
    return "\n".join(part for part in parts if text and isinstance(part, str)).strip()


def _is_chatgpt(row: Row) -> bool:
    nodes = row.get("mapping")
    return isinstance(nodes, Mapping) and all(
        isinstance(node, Mapping) and {"message", "parent"} <= node.keys()
        for node in nodes.values()
    )


def _chatgpt(row: Row) -> Iterator[JsonObject]:
    """Yields the conversation up to the message that was shown last: answers that were written anew
    are branches.
    """
    nodes = row["mapping"]
    parents = {node.get("parent") for node in nodes.values()}
    last = row.get("current_node")
    if last not in nodes:
        last = next((key for key in reversed(nodes) if key not in parents), None)
    path: list[JsonObject] = []
    while last in nodes and len(path) < len(nodes):
        path.append(nodes[last].get("message") or {})
        last = nodes[last].get("parent")
    turns = [
        {"role": message["author"].get("role"), "content": _said(message)}
        for message in reversed(path)
        if message.get("author") and _said(message)
    ]
    # What a tool returned answers a call that the export holds in no known form.
    turns = [turn for turn in turns if turn["role"] in ("user", "assistant", "system")]
    yield {"id": row.get("conversation_id", row.get("id")), "messages": turns}


def _is_claude(row: Row) -> bool:
    messages = _objects(row.get("chat_messages"))
    return bool(messages) and all("sender" in message for message in messages)


def _claude(row: Row) -> Iterator[JsonObject]:
    """Yields the conversation, with the texts of attached files above what is said of them."""
    turns: list[JsonObject] = []
    for message in row["chat_messages"]:
        files = [file.get("extracted_content") for file in _objects(message.get("attachments"))]
        said = "\n\n".join(filter(None, [*files, message.get("text")]))
        turns.append({"role": message["sender"], "content": said or message.get("content") or ""})
    yield {"id": row.get("uuid"), "messages": turns}


def _is_qianfan(row: Row) -> bool:
    turns = _objects(row.get("rows")) if {*row} == {"rows"} else []
    return bool(turns) and all(
        isinstance(turn.get("prompt"), str) and isinstance(turn.get("response"), list)
        for turn in turns
    )


def _answers_in(response: list[Any]) -> list[str]:
    """Returns the answers to one question, from the best to the worst: texts, or lists of one."""
    flat = chain.from_iterable(
        answer if isinstance(answer, list) else [answer] for answer in response
    )
    return [answer for answer in flat if isinstance(answer, str)]


def _qianfan(row: Row) -> Iterator[JsonObject]:
    """Yields the conversation, of which only the first is asked with a system prompt; of several
    answers to its end the first is the best, the last the worst.
    """
    turns: list[JsonObject] = []
    system = row["rows"][0].get("system")
    if isinstance(system, str) and system.strip():
        turns.append({"role": "system", "content": system})
    answers: list[str] = []
    for turn in row["rows"]:
        if answers:
            turns.append({"role": "assistant", "content": answers[0]})
        turns.append({"role": "user", "content": turn["prompt"]})
        answers = _answers_in(turn["response"])
    if len(answers) > 1:
        yield {"prompt": turns, "chosen": answers[0], "rejected": answers[-1]}
    else:
        said = answers[0] if answers else ""
        yield {"messages": [*turns, {"role": "assistant", "content": said}]}


def _is_page(row: Row) -> bool:
    rows = _objects(row.get("rows"))
    inside = bool(rows) and all(isinstance(line.get("row"), Mapping) for line in rows)
    return isinstance(row.get("features"), list) and inside


def _page(row: Row) -> Iterator[JsonObject]:
    yield from (dict(line["row"]) for line in row["rows"])


_RECORDS = {
    "_source": ("_index", "_id"),
    "fields": ("id", "createdTime"),
    "attributes": ("id",),
}
"""Where a record holds the row, and what stands beside it: Elasticsearch, Airtable, Strapi."""


def _inside(row: Row) -> str | None:
    """Returns the name under which a record holds its row; None where this is no such record."""
    for name, beside in _RECORDS.items():
        held = row.get(name)
        alone = all(
            not value or not isinstance(value, dict | list)
            for key, value in row.items()
            if key != name
        )
        if isinstance(held, Mapping) and held and alone and {*beside} <= row.keys():
            return name
    return None


def _record(row: Row) -> Iterator[JsonObject]:
    name = _inside(row)
    assert name is not None
    yield {"id": row.get("_id", row.get("id")), **row[name]}


def _message(row: Row) -> Any:
    """Returns the answer in a logged request; None where this is no such log."""
    asked = row.get("request")
    said = row.get("response")
    if not (isinstance(asked, Mapping) and _objects(asked.get("messages"))):
        return None
    choices = _objects(said.get("choices")) if isinstance(said, Mapping) else []
    return choices[0].get("message") if choices else None


def _logged(row: Row) -> Iterator[JsonObject]:
    asked = row["request"]
    tools = {"tools": asked["tools"]} if asked.get("tools") else {}
    yield {"id": row.get("id"), "messages": [*asked["messages"], _message(row)], **tools}


def _is_eval(row: Row) -> bool:
    turns = _objects(row.get("input"))
    return bool(turns) and all("role" in turn for turn in turns) and "ideal" in row


def _eval(row: Row) -> Iterator[JsonObject]:
    """Yields the question with its ideal answer, the first where there are several."""
    ideal = row["ideal"]
    said = ideal[0] if isinstance(ideal, list) and ideal else ideal
    rest = {key: value for key, value in row.items() if key not in ("input", "ideal")}
    yield {**rest, "messages": [*row["input"], {"role": "assistant", "content": said}]}


def _is_thought(row: Row) -> bool:
    turns = _objects(row.get("messages"))
    asked = bool(turns) and turns[-1].get("role") == "user"
    return asked and all(isinstance(row.get(name), str) for name in ("reasoning", "answer"))


def _thought(row: Row) -> Iterator[JsonObject]:
    rest = {key: value for key, value in row.items() if key not in ("reasoning", "answer")}
    said = {"reasoning_content": row["reasoning"], "content": row["answer"]}
    yield {**rest, "messages": [*row["messages"], {"role": "assistant", **said}]}


def _is_compared(row: Row) -> bool:
    asked = row.get("input")
    sides = (row.get("preferred_output"), row.get("non_preferred_output"))
    turns = asked.get("messages") if isinstance(asked, Mapping) else None
    return bool(_objects(turns)) and all(_objects(side) for side in sides)


def _compared(row: Row) -> Iterator[JsonObject]:
    """Yields the question with the better and the worse answer, as OpenAI takes preferences."""
    tools = {"tools": row["input"]["tools"]} if row["input"].get("tools") else {}
    sides = {"chosen": row["preferred_output"], "rejected": row["non_preferred_output"]}
    yield {"messages": row["input"]["messages"], **sides, **tools}


def _is_palm(row: Row) -> bool:
    told = row.get("context") is None or isinstance(row["context"], str)
    turns = _objects(row.get("messages"))
    talks = bool(turns) and all({"author", "content"} == {*turn} for turn in turns)
    asked = all(isinstance(row.get(name), str) for name in ("input_text", "output_text"))
    return told and (asked or talks)


def _palm(row: Row) -> Iterator[JsonObject]:
    """Yields a row as PaLM learned it: ``context`` says how to answer, ``examples`` show it."""
    rest = {
        name: value
        for name, value in row.items()
        if name not in ("context", "examples", "messages", "input_text", "output_text")
    }
    if row.get("context"):
        rest["system"] = row["context"]
    if "input_text" in row:
        yield {**rest, "question": row["input_text"], "answer": row["output_text"]}
        return
    turns: list[JsonObject] = []
    for example in _objects(row.get("examples")):
        for role, said in (("user", "input"), ("assistant", "output")):
            held = example.get(said)
            text = held.get("content") if isinstance(held, Mapping) else held
            turns.append({"role": role, "content": text, "train": False})
    turns += [{"role": turn["author"], "content": turn["content"]} for turn in row["messages"]]
    yield {**rest, "messages": turns}


SERVICES = {
    "ChatGPT's export": Layout(_is_chatgpt, _chatgpt),
    "Claude's export": Layout(_is_claude, _claude),
    "Qianfan": Layout(_is_qianfan, _qianfan),
    "the Hugging Face rows API": Layout(_is_page, _page),
    "records of a data base": Layout(lambda row: _inside(row) is not None, _record),
    "logged requests": Layout(lambda row: _message(row) is not None, _logged),
    "OpenAI's evals": Layout(_is_eval, _eval),
    "OpenAI, for preferences": Layout(_is_compared, _compared),
    "PaLM": Layout(_is_palm, _palm),
    "Dolphin-R1": Layout(_is_thought, _thought),
}
