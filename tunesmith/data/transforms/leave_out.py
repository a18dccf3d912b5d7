"""Rows left out because of what ``check`` says of them, or by their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tunesmith.data.files.file_facts import Located
from tunesmith.data.transforms import TRANSFORMS, Account, Rows, Transform
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.spec import Spec, Word
from tunesmith.words import say

Oddity = Literal[
    "empty",
    "hollow",
    "terse",
    "cut",
    "lost",
    "encoding",
    "marks",
    "turns",
    "answers",
    "script",
    "crossed",
    "order_system",
    "order_result",
    "order_call",
    "order_twice",
    "doubted",
    "contradiction",
    "alike",
    "margin",
    "order",
    "tie",
    "prompt_inside",
    "both_kinds",
]
READ = ("objective", "columns", "reader")


@TRANSFORMS.register
class LeaveOut(Transform):
    """Leaving out: rows in which check finds something, or that are named."""

    class Config(Spec):
        """Which rows go; rows read before others with the same question or pair stay."""

        found: list[Oddity] | None = None
        """What check says of them: empty (nothing to learn), hollow (an answer or label without
        content), terse (a word where a text is asked for), cut, lost (lost characters), encoding,
        marks (of a template), turns (further ones), answers (another to the same question),
        script, crossed (another language than asked in), order_… (of turns), doubted (a label); of
        pairs and judgements contradiction, alike, margin, order, tie, prompt_inside and both_kinds.
        """
        rows: list[Word] | None = None
        """Their numbers in the file (41), or with the file where there are several (a.jsonl:41)."""
        objective: str | None = None
        """What the rows are read for: dpo, kto, classify; sft when not given. In a run that of the
        run, as are columns and reader.
        """
        columns: Mapping[str, Word] | None = None
        """Our names to the file's, as ``data.columns``."""
        reader: str | None = None
        """The reader by name, as ``data.reader``."""

    read_by = READ

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if not config.found and not config.rows:
            raise SpecError(Problem("found", say("transforms.leave_out_what")))

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Looks at all rows, then gives those in which nothing was found."""
        kinds = self.config.found or []
        named = {*(self.config.rows or [])}
        odd = self.look(rows, kinds) if kinds and self.look else {}
        missing = {*named}
        for index, located in enumerate(rows()):
            names = {str(located.number), f"{located.file.name}:{located.number}"}
            missing -= names
            why = [kind for kind in kinds if index in odd.get(kind, ())]
            why += ["named"] if names & named else []
            if why:
                account.dropped(located, self.name, *why)
            else:
                yield located
        if missing:
            text = say("transforms.no_row", rows=", ".join(sorted(missing)))
            raise SpecError(Problem("rows", text))
