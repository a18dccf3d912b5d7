"""``tunesmith check``: what a file holds, how it is read, what is trained of it, and where every
row goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text as Coloured

from tunesmith.batches.batch import Tokens
from tunesmith.data.doubted_labels import Labels
from tunesmith.data.ledger import Ledger, why_dropped
from tunesmith.data.one_row import OneRow, rows_named, title, trained
from tunesmith.data.prepare import Prepared
from tunesmith.data.prepare_once import prepare_once
from tunesmith.data.reading import examples
from tunesmith.data.remedies import whole
from tunesmith.data.rows import Progress
from tunesmith.examples import Labelled
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Data, Run
from tunesmith.words import say, some

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer

SHOWN = 3
FILES = 20
"""Files with a line of their own."""
BAR = 40


@dataclass(frozen=True)
class Check:
    """The answer to ``tunesmith check``; ``to_json`` is the same for programs."""

    ledger: Ledger
    samples: tuple[tuple[str, Coloured], ...]
    """A few training rows: id and text, with the trained tokens coloured."""
    prepared: Prepared = field(repr=False)
    """All rows, as training would have them."""

    def row(self, name: str) -> list[OneRow]:
        """Returns the rows called ``41`` or ``rows.jsonl:41``, as the model gets them; DataError
        where there is none.
        """
        return rows_named(self.prepared, name)

    def to_json(self) -> dict[str, object]:
        """Returns the ledger, and the sample rows with the spans of their texts that are
        trained.
        """
        samples = [
            {"id": name, "text": text.plain, "trained": list(trained(text))}
            for name, text in self.samples
        ]
        return {
            **self.ledger.to_json(),
            "dropped_rows": self.ledger.dropped,
            "near_rows": [{"row": row, "of": of} for row, of in self.ledger.near],
            "samples": samples,
        }

    def head(self, *, marked: bool = False) -> list[str]:
        """Returns the lines printed above the sample rows; learned text in these is coloured, or
        ``marked``.
        """
        files = self.ledger.files
        lines = [_file_line(entry) for entry in files[:FILES]]
        if len(files) > FILES:
            rest = files[FILES:]
            rows = sum(entry["rows"] for entry in rest)
            lines.append(say("check.more_files", count=len(rest), rows=rows))
        lines += ["", *self.ledger.lines()]
        dropped = self.ledger.dropped[:SHOWN]
        if dropped:
            lines += ["", say("check.dropped", shown=len(dropped), count=len(self.ledger.dropped))]
            for entry in dropped:
                lines.append(f"  {Path(entry['file']).name}:{entry['row']}  {why_dropped(entry)}")
        lines += ["", say("check.lengths"), *bars(self.ledger.lengths)]
        if not any(text for _, sample in self.samples for text in trained(sample)):
            key = "check.samples_read"  # what is learned stands beside a row, not within it
        else:
            key = "check.samples_marked" if marked else "check.samples"
        return [*lines, "", say(key)] if self.samples else lines


def check(
    asked: Run | Data,
    tokenizer: Tokenizer,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Check:
    """Reads and renders the data of a run, or data alone, as training would; nothing is written and
    no model is loaded.

    ``limit`` is the model's own longest sequence (tokens).
    """
    run = (
        asked
        if isinstance(asked, Run)
        else Run.model_validate({"model": "-", "data": asked, "out": "-"})
    )
    prepared = prepare_once(run, tokenizer, limit=limit, progress=progress)
    reads = prepared.render.data, prepared.objective.eats
    doubts = _doubted_labels(run.data, prepared.objective)
    prepared.ledger.notes += [whole(line, *reads) for line in doubts]
    return of(prepared)


def _doubted_labels(data: Data, objective: Any) -> list[str]:
    """Returns one line with the labels that a cheap model doubts, where texts have one each."""
    if not objective.output.names_rows:
        return []
    seen = Labels()
    for located, example in examples(data, Labelled, objective.meant):
        seen.add(f"{located.file.name}:{located.number}", example)
    doubts = seen.doubted()
    if not doubts:
        return []
    named = [
        say("check.doubt", place=where, label=doubt.label, better=doubt.better)
        for where, doubt in doubts
    ]
    fields = {"number": len(doubts), "rows": len(seen.labels), "places": some(named)}
    return [say("check.doubted", **fields)]


def of(prepared: Prepared) -> Check:
    """Builds the check from rows that are prepared already."""
    items = prepared.train
    places = sorted({round(n * (len(items) - 1) / max(SHOWN - 1, 1)) for n in range(SHOWN)})
    shown = [
        (items[index].id, tokens) for index in places for tokens in _shown(items[index].tokens)
    ]
    titles = [
        f"{title(name, tokens)}  {prepared.objective.told(tokens)}".rstrip()
        for name, tokens in shown
    ]
    samples = zip(titles, (prepared.render.coloured(tokens) for _, tokens in shown), strict=True)
    return Check(prepared.ledger, tuple(samples), prepared)


def _shown(sequences: tuple[Tokens, ...]) -> tuple[Tokens, ...]:
    """Returns all sequences of a pair or a comparison; of any other row only the first one."""
    return sequences if {"side", "role"} & set(sequences[0].columns) else sequences[:1]


def bars(lengths: JsonObject) -> list[str]:
    """Draws a histogram as text: a line for each bin, with its longest row in tokens and its number
    of rows; of the empty bins before the shortest row, only the last; and where rows are cut.
    """
    if not lengths:
        return []
    uppers = lengths["upper"]
    counts = lengths["counts"]
    most = max(counts)
    width = len(f"{uppers[-1]:,}")
    first = next(index for index, count in enumerate(counts) if count)
    lines: list[str] = []
    for upper, count in list(zip(uppers, counts, strict=True))[max(first - 1, 0) :]:
        bar = "█" * max(round(BAR * count / most), bool(count))
        lines.append(f"  ≤ {upper:>{width},}  {bar} {count:,}".rstrip())
    limit = lengths.get("limit")
    if limit is not None:
        shorter = sum(upper <= limit for upper in uppers[max(first - 1, 0) :])
        told = say("check.cut_line", limit=f"{limit:,}", longer=lengths["longer"])
        lines.insert(shorter, f"  ── {told}")
    return lines


def _file_line(entry: JsonObject) -> str:
    kind = entry["format"] + (f", {entry['encoding']}" if entry["encoding"] else "")
    columns = ", ".join(entry["columns"])
    return say(
        "check.file",
        path=entry["path"],
        kind=kind,
        columns=columns,
        reader=entry["reader"],
        rows=entry["rows"],
    )


def marked(text: Coloured) -> Coloured:
    """Puts ⟦ and ⟧ round the text that is learned; a newline at its end stays outside, so that the
    mark is visible.
    """
    parts, done = [], 0
    for start, end in trained(text):
        learned = text.plain[start:end]
        inside = learned.rstrip("\n") or learned
        parts += [text.plain[done:start], f"⟦{inside}⟧", learned[len(inside) :]]
        done = end
    return Coloured("".join([*parts, text.plain[done:]]))
