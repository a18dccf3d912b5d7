"""Conversations with several models at once. One is a file to which lines are added: what was
asked, and what each model answered; pages and models see it alone.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.plain import JsonObject
from tunesmith.ui.places import CHATS, kept_in

if TYPE_CHECKING:
    import httpx

READ_SECONDS = 320.0
"""A little more than a server takes at most, which then says itself that it was late."""


@dataclass
class Turn:
    """What was asked, and the answer of each model that has one: ``text``, how it ended
    (``finish``), and what went wrong (``problem``).
    """

    asked: str
    how: JsonObject
    """What of the models' own settings was given otherwise."""
    answers: dict[str, JsonObject] = field(default_factory=dict)


@dataclass(frozen=True)
class Chat:
    """A conversation, from its file."""

    path: Path

    @property
    def id(self) -> str:
        """The name of its file."""
        return self.path.stem

    def add(self, line: Mapping[str, object]) -> None:
        """Adds a line, whole or not at all; raises OSError where the disk has no room for it."""
        text = json.dumps({"at": round(time.time(), 2), **line}, ensure_ascii=False)
        data = (text + "\n").encode("utf-8", "replace")
        with self.path.open("a+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":  # a crash cut the last line short
                    data = b"\n" + data
            if file.write(data) < len(data):  # half a line would swallow the next one
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def lines(self) -> list[JsonObject]:
        """Reads the lines; one that was cut short is left out."""
        lines = []
        for line in self.path.read_bytes().splitlines():
            try:
                line_read = json.loads(line)
            except ValueError:
                continue
            if isinstance(line_read, dict):
                lines.append(line_read)
        return lines

    def turns(self) -> list[Turn]:
        """Returns what was said so far."""
        turns: list[Turn] = []
        for line in self.lines():
            if "asked" in line:
                turns.append(Turn(line["asked"], line["how"]))
            elif "model" in line and line["turn"] < len(turns):
                turns[line["turn"]].answers[line["model"]] = line
        return turns

    @property
    def runs(self) -> dict[str, str]:
        """The runs that it is held with: the name of each model, and that of its run; none where
        the file is no conversation.
        """
        return next((line["runs"] for line in self.lines()[:1] if "runs" in line), {})

    def messages(self, model: str, system: str) -> list[JsonObject]:
        """Returns what a model is asked: the questions with its own answers, and the last one."""
        *before, last = self.turns()
        messages: list[JsonObject] = [{"role": "system", "content": system}] if system else []
        for turn in before:
            text = turn.answers.get(model, {}).get("text")
            if text:
                messages.append({"role": "user", "content": turn.asked})
                messages.append({"role": "assistant", "content": text})
        return [*messages, {"role": "user", "content": last.asked}]


class Chats:
    """The conversations of a folder of runs."""

    def __init__(self, root: Path) -> None:
        self.place = root / CHATS
        self._writing: dict[tuple[str, str], Answer] = {}
        """By conversation and model, the answers that are being written."""
        self._lock = threading.Lock()

    def all(self) -> list[Chat]:
        """Returns them, the newest first, without files that are none, or of which a full disk let
        no line be kept.
        """
        files = kept_in(self.place, "*.jsonl")
        return [chat for chat in map(Chat, files[::-1]) if chat.runs]

    def find(self, id_: str) -> Chat | None:
        """Returns one by its name, which is looked up and never opened as a path."""
        chats = (Chat(path) for path in kept_in(self.place, "*.jsonl") if path.stem == id_)
        return next((chat for chat in chats if chat.runs), None)

    def begin(self, runs: Mapping[str, str]) -> Chat:
        """Begins one with runs, by the names of their models."""
        self.place.mkdir(exist_ok=True)
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        chat = Chat(self.place / f"{name}.jsonl")
        chat.add({"runs": dict(runs)})
        return chat

    def ask(self, chat: Chat, question: str, how: JsonObject, server: JsonObject) -> bool:
        """Asks every model of a server that chats (see ``ready`` of a work), each in a thread of
        its own; tells whether it was asked: while an answer is being written, nothing else is.
        """
        models = [m for m, routes in server["models"].items() if "chat/completions" in routes]
        with self._lock:
            if self.writing(chat):
                return False
            turn = len(chat.turns())
            chat.add({"asked": question, "how": how})
            answers = [Answer(chat, turn, model, server) for model in models]
            self._writing |= {(chat.id, answer.model): answer for answer in answers}
        for answer in answers:
            threading.Thread(target=self._write, args=(answer, how), daemon=True).start()
        return True

    def writing(self, chat: Chat) -> dict[str, str]:
        """Returns what of the answers is there that are being written, by model."""
        pieces = tuple(self._writing.items())
        return {model: piece.text for (id_, model), piece in pieces if id_ == chat.id}

    def stop(self, chat: Chat) -> None:
        """Ends the answers that are being written; what is there of them stays."""
        for (id_, _), piece in tuple(self._writing.items()):
            if id_ == chat.id:
                piece.stopped = True

    def _write(self, one: Answer, how: JsonObject) -> None:
        try:
            one.chat.add(one.write(how))
        finally:
            del self._writing[one.chat.id, one.model]


class Answer:
    """An answer that a model is writing."""

    def __init__(self, chat: Chat, turn: int, model: str, server: JsonObject) -> None:
        self.chat, self.turn, self.model, self.server = chat, turn, model, server
        self.text, self.stopped = "", False

    def write(self, how: JsonObject) -> JsonObject:
        """Asks the model and takes what it says; returns the line of the conversation."""
        import httpx

        began = time.monotonic()
        problem = ""
        finish = ""
        asked = {name: value for name, value in how.items() if name != "system"}
        asked |= {"model": self.model, "stream": True}
        asked["messages"] = self.chat.messages(self.model, str(how.get("system", "")))
        headers = {"authorization": f"Bearer {self.server['key']}"}
        try:
            # A proxy of the environment has no business with this machine's own server.
            with (
                httpx.Client(trust_env=False, timeout=READ_SECONDS) as client,
                client.stream(
                    "POST", f"{self.server['url']}/chat/completions", json=asked, headers=headers
                ) as response,
            ):
                finish, problem = self._heard(response)
        except (httpx.HTTPError, ValueError, LookupError) as error:
            problem = str(error) or type(error).__name__
        line: JsonObject = {"turn": self.turn, "model": self.model, "text": self.text}
        line |= {"finish": finish, "seconds": round(time.monotonic() - began, 2)}
        return line | {"problem": problem}

    def _heard(self, response: httpx.Response) -> tuple[str, str]:
        """Takes the pieces of a reply; returns how it ended and what went wrong."""
        from tunesmith.teaching.sse import events_of, message_of

        if response.status_code != 200:
            return "", message_of(response.read())
        finish = ""
        for data in events_of(response):
            event = json.loads(data)
            if event.get("error"):
                return finish, message_of(event)
            for choice in event["choices"]:
                self.text += choice["delta"].get("content") or ""
                finish = choice.get("finish_reason") or finish
            if self.stopped:
                return "stopped", ""
        return finish, ""
