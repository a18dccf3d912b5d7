"""The folder of an arena: what was asked of whom, the answers, and the votes beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import sha256, write_whole
from tunesmith.words import say


@dataclass(frozen=True)
class Item:
    """A prompt with its whole answers, by the number of the contender that gave each."""

    id: str
    messages: list[JsonObject]
    answers: dict[int, str]


@dataclass(frozen=True)
class ArenaFolder:
    """Where an arena keeps what it holds; files are written whole, votes line by line."""

    path: Path

    @property
    def facts(self) -> Path:
        """The contenders, the settings, and what was left out."""
        return self.path / "arena.json"

    @property
    def prompts(self) -> Path:
        """The prompts that are answered."""
        return self.path / "prompts.jsonl"

    @property
    def items(self) -> Path:
        """Prompts and answers, as they are voted on."""
        return self.path / "items.jsonl"

    @property
    def votes(self) -> Path:
        """The votes, one a line, in the order in which they were given."""
        return self.path / "votes.jsonl"

    def answers(self, number: int) -> Path:
        """Returns the file with the answers of a contender."""
        return self.path / "answers" / f"{number}.jsonl"

    def read(self) -> JsonObject:
        """Reads the facts; raises SpecError where the folder holds no arena."""
        try:
            facts = json.loads(self.facts.read_text(encoding="utf-8"))
            facts["contenders"]
        except (OSError, ValueError, LookupError, TypeError):
            raise SpecError(Problem(str(self.path), say("arena.no_folder"))) from None
        return facts

    def write_items(self, items: Sequence[Item], facts: JsonObject) -> None:
        """Writes the items, then the facts with their digest."""
        lines = (
            {"id": item.id, "messages": item.messages, "answers": list(item.answers.items())}
            for item in items
        )
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_whole(self.items, text.encode("utf-8", "replace"))
        facts_whole = {**facts, "items": sha256(self.items)}
        write_whole(self.facts, json.dumps(facts_whole, ensure_ascii=False, indent=1) + "\n")

    def read_items(self) -> list[Item]:
        """Reads the items; raises DataError where the file is not the one that was written."""
        facts = self.read()
        if "items" not in facts:
            raise SpecError(Problem(str(self.path), say("arena.unanswered")))
        if not self.items.is_file() or sha256(self.items) != facts["items"]:
            raise DataError(Problem(str(self.items), say("arena.items_changed")))
        items = []
        for line in self.items.read_text(encoding="utf-8").splitlines():
            stored = json.loads(line)
            answers = {int(number): text for number, text in stored["answers"]}
            items.append(Item(stored["id"], stored["messages"], answers))
        return items
