"""From files to what is trained, watched and proved, with every row accounted for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith.data import split as splitting
from tunesmith.data.asked_reading import open_rows
from tunesmith.data.clustering import beside, clusters
from tunesmith.data.files.file_facts import Names
from tunesmith.data.files.paths import on_disk
from tunesmith.data.files.yaml_rows import written_in
from tunesmith.data.grouping import Marker
from tunesmith.data.items import Item, fingerprint
from tunesmith.data.ledger import Ledger, counted, histogram, lost_note, sides_note, windows_note
from tunesmith.data.lengths import (
    kind_of,
    limits,
    refuse_too_many,
    truncate_row,
    unanswered_note,
)
from tunesmith.data.mix import epoch_of
from tunesmith.data.reading import Reading
from tunesmith.data.remedies import whole_remedies
from tunesmith.data.rendering.render import Render
from tunesmith.data.rendering.text_to_ids import ReadOtherwise
from tunesmith.data.rendering.tokenizers import Tokenizer, converses
from tunesmith.data.rows import Encoder, Progress, Row, items_of
from tunesmith.data.texts.duplicates import leaked_share
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Example, chats_of
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data, Run
from tunesmith.words import say


@dataclass
class Prepared:
    """The data of a run, in the order of its files; ``render.data`` holds the settings as they are
    used.
    """

    train: list[Item]
    watch: list[Item]
    proof: list[Item]
    ledger: Ledger
    fingerprint: str
    """sha256 over all ids and tokens: tells a changed file, template or setting from the one
    trained on.
    """
    render: Render
    objective: Any
    """The objective, which has seen the rows and knows what they taught it."""
    seed: int = 0
    """By which the rows were split."""
    replayed: list[Item] = field(default_factory=list)
    """Old rows that are mixed in, beside those of the run's own data."""
    all_rows: str = ""
    """The fingerprint of these rows and of those mixed in."""
    widened: bool = False
    """Whether the run's source of steps has added what it adds."""

    def __post_init__(self) -> None:
        """Takes the own fingerprint where nothing is mixed in."""
        self.all_rows = self.all_rows or self.fingerprint

    @property
    def choosing(self) -> list[Item]:
        """The watched rows; none where they are too few to choose a model by."""
        return [] if self.ledger.watch < splitting.CHOOSES and self.ledger.watch else self.watch

    def objective_of(self, run: Run) -> Any:
        """Returns the objective of a run over these rows, a new one for other settings."""
        same = self.objective.config.model_dump() == run.objective.model_dump()
        return self.objective if same else OBJECTIVES.make(run.objective)


def prepare(
    run: Run,
    tokenizer: Tokenizer,
    *,
    limit: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Reads, renders, cleans and splits the rows of a run.

    ``limit`` is the model's own longest sequence (tokens), used where ``data.max_length`` is not
    given; the split is drawn by ``seed``, that of the run when not given.
    """
    given = (run, tokenizer, limit, progress, run.split_seed if seed is None else seed)
    try:
        return _Preparation(*given).done()
    except ReadOtherwise:  # the model's own tokenizer is right, about the rows before this one too
        return _Preparation(*given, quick=False).done()


class _Preparation:
    """The rows on their way; each step takes some out, and the ledger notes where they went."""

    def __init__(
        self,
        run: Run,
        tokenizer: Tokenizer,
        limit: int | None,
        progress: Progress | None,
        seed: int,
        *,
        quick: bool = True,
    ) -> None:
        self.run, self.progress, self.seed = run, progress, seed
        self.limit, self.most = limits(run, tokenizer, limit)
        self.ledger, self.names = Ledger(), Names()
        self.objective = OBJECTIVES.make(run.objective)
        self.reading, held = open_rows(run)
        self.held_reading = held or self.reading
        data = self._settings(tokenizer)
        self.render = Render(
            tokenizer,
            data,
            max_length=self.limit,
            head=self.objective.head,
            chats=self.objective.chats,
        )
        cuts = data.too_long == "truncate" and self.render.converses and not self.render.sides
        marker, shorten = Marker(data.split_by), self.limit if cuts else None
        self.encoder = Encoder(self.objective, self.render, marker, shorten, quick=quick)

    def _settings(self, tokenizer: Tokenizer) -> Data:
        """Returns the data settings, with thinking turned off where the model can think but no row
        has reasoning to learn it from.
        """
        data = self.run.data
        if not converses(tokenizer, self.objective.head, chats=self.objective.chats):
            return data
        if data.template is not None and data.columns is None and self.reading.columns:
            data = data.model_copy(update={"columns": self.reading.columns})
        if (
            data.reasoning != "think"
            or data.template is not None
            or not Render(tokenizer, data).conversation.thinks
        ):
            return data
        if any(
            turn.reasoning
            for _, example in self.reading
            for chat in chats_of(example)
            for turn in chat.turns
        ):
            return data
        self.ledger.notes.append(say("ledger.no_reasoning"))
        return data.model_copy(update={"reasoning": "drop"})

    def done(self) -> Prepared:
        """Runs all steps in order."""
        with whole_remedies(self.ledger, self.render.data, self.objective.eats):
            return self._done()

    def _done(self) -> Prepared:
        held_out = self.run.data.held_out
        own_file = isinstance(held_out, str)
        if own_file and (part := on_disk(Path(held_out))[1]):
            self.ledger.notes.append(say("ledger.held_part", part=part))
        self.ledger.notes += self.encoder.learn(
            [self.reading, *([self.held_reading] if own_file else [])]
        )
        held = self._read(self.held_reading) if own_file else []
        data = self.run.data
        self.encoder.marker = Marker(
            data.split_by, data.mix.by if data.mix else None, data.curriculum
        )
        rows = self._read(self.reading)
        self._measure_unknown()
        self.ledger.leaked_share = leaked_share(row.key for row in rows)
        self.ledger.different = len({row.key for row in (*rows, *held)})
        if own_file:
            held = self._drop(held, beside([row for row in rows if row.voted], held), "voted on")
            made = {row.key for row in held if row.marks.augmented}
            held = self._drop(held, made, "made from another row")
            same = {row.key: row for row in reversed(held)}
            if leaked := len(same.keys() & {row.key for row in rows}):
                text = say("ledger.leaked_rows", number=leaked, held=len(held))
                self.ledger.notes.append(text)
            rows = self._drop(rows, same, "also in held-out file")
            rows = self._drop(rows, beside(held, rows), "near a held-out row")
        rows = self._cleaned(rows)
        if own_file:
            held = self._cleaned(held)
            roots = clusters(held).roots
            parts = splitting.halves(roots, *splitting.keys_and_voted(held), seed=self.seed)
            train, held_rows = rows, held
        else:
            train, held_rows, parts = self._split(rows)
        train = self._fewer(train)
        return self._finished(train, held_rows, parts)

    def _name(self, row: Row) -> str:
        return f"{self.names.of(row.file)}:{row.number}"

    def _measure_unknown(self) -> None:
        unknown = self.encoder.unknown
        self.ledger.unknown = {"lost": unknown.share, "split": unknown.split_share}
        note = unknown.note(accepted=self.run.data.unknown == "accept")
        self.ledger.notes += [note] if note else []

    def _read(self, reading: Reading) -> list[Row]:
        rows = self.encoder.rows(reading, self.progress)
        for dropped in reading.dropped:
            where = str(dropped.file), dropped.number
            self.ledger.drop(*where, dropped.reason, dropped.seen, dropped.of)
        self.ledger.rows += len(rows) + len(reading.dropped)
        self.ledger.notes += reading.notes
        for opened in reading.opened:
            facts = opened.facts
            entry = {
                "path": str(facts.path),
                "format": written_in(facts.path) or facts.format,
                "encoding": facts.encoding,
                "reader": opened.reader.name,
            }
            columns = {"columns": list(facts.columns), "read_as": dict(opened.columns)}
            count = opened.rows + reading.counts[facts.path, "filler"]
            self.ledger.files.append({**entry, **columns, "rows": count})
        self.ledger.notes += self.encoder.notes()
        before = len(self.ledger.dropped) - len(reading.dropped)
        kept = self._without_untrained(rows)
        note = lost_note(self.ledger.dropped[before:], len(rows) + len(reading.dropped))
        self.ledger.notes += [note] if note else []
        return kept

    def _without_untrained(self, rows: list[Row]) -> list[Row]:
        # Of a row that was cut to nothing something else is said (see _answered).
        writes = self.objective.output.writes and not self.objective.samples

        def untrained(row: Row) -> bool:
            return not row.whole and not row.learned(writes)

        if rows and all(map(untrained, rows)):
            where = f"{rows[0].file}:{rows[0].number}"
            raise DataError(
                Problem("data", say("ledger.nothing_to_train", count=len(rows), where=where))
            )
        return self._without(rows, untrained, "nothing to train")

    def _drop(self, rows: list[Row], keys: Collection[int], reason: str) -> list[Row]:
        """Removes the rows with these keys; a dict of them says which row each is like."""
        like: Mapping[int, Row] = keys if isinstance(keys, dict) else {}
        for row in rows:
            if row.key in keys:
                self._leave(row, reason, like.get(row.key))
        return [row for row in rows if row.key not in keys]

    def _without(self, rows: list[Row], gone: Callable[[Row], object], reason: str) -> list[Row]:
        for row in filter(gone, rows):
            self._leave(row, reason)
        return [row for row in rows if not gone(row)]

    def _leave(self, row: Row, reason: str, like: Row | None = None) -> None:
        of = f"{like.file}:{like.number}" if like else ""
        self.ledger.drop(str(row.file), row.number, reason, of=of)

    def _cleaned(self, rows: list[Row]) -> list[Row]:
        """Removes copies and rows that are too long; the ledger's lengths are those of the rows
        given first.
        """
        written: set[int] = set()
        first: dict[int, Row] = {}
        for row in rows:
            if (like := first.setdefault(row.key, row)) is not row:
                spaced = "" if row.written in written else " but for spacing"
                self._leave(row, f"duplicate{spaced}", like)
            written.add(row.written)
        kept = [*first.values()]
        policy = self.run.data.too_long
        windows = all(row.windows for row in kept)
        kind = kind_of(self.render, windows=windows, asked=self.objective.samples)
        lengths = [row.uncut for row in kept]
        refuse_too_many(lengths, self.limit, policy, kind=kind, most=self.most)
        if not self.ledger.lengths:
            read = [length for length in lengths if policy == "truncate" or length <= self.limit]
            self.ledger.lengths = histogram(read, limit=self.limit)
        if policy == "truncate" and self.render.converses:
            sides = self.render.sides
            cut = partial(
                truncate_row, bos=self.render.pieces.bos, ends=len(sides.after) if sides else 0
            )
            kept = [row.cut(self.limit, cut) for row in kept]
            return self._without_untrained(self._answered(kept))
        return self._without(kept, lambda row: row.length > self.limit, "too long")

    def _answered(self, rows: list[Row]) -> list[Row]:
        """Removes rows whose answer lies wholly beyond the limit."""
        if not self.objective.output.writes or self.objective.samples:
            return rows
        gone = [row for row in rows if row.lost and row.unanswered]
        note = unanswered_note(len(gone), len(rows), self.limit)
        self.ledger.notes += [note] if note else []
        return self._without(rows, lambda row: row.lost and row.unanswered, "nothing to train")

    def _split(self, rows: list[Row]) -> tuple[list[Row], list[Row], splitting.Split]:
        held_out = self.run.data.held_out
        assert not isinstance(held_out, str), "a file of its own is not drawn from the rows"
        if self.progress:
            self.progress(say("ledger.phase_split"), 0, len(rows))
        made = [row for row in rows if row.marks.augmented]  # a proof is of real rows
        rows = [row for row in rows if not row.marks.augmented]
        clustered = clusters(rows)
        roots = clustered.roots
        self.ledger.near = [(self._name(row), self._name(like)) for row, like in clustered.near]
        self.ledger.notes += clustered.notes
        wanted = splitting.target(held_out, len(rows))
        strata = [self.objective.stratum(row.tokens) for row in rows]
        self.encoder.sketches.rest()
        parts = splitting.draw(
            roots, *splitting.keys_and_voted(rows), wanted=wanted, seed=self.seed, strata=strata
        )
        if self.progress:
            self.progress(say("ledger.phase_split"), len(rows), len(rows))
        every = parts.watch | parts.proof
        if not wanted:
            self.ledger.notes.append(
                say("ledger.single_row" if held_out else "ledger.none_held_out")
            )
        elif len(every) < wanted:
            self.ledger.notes.append(say("ledger.not_enough", held=len(every), wanted=wanted))
        places = {row: index for index, row in enumerate(sorted(every))}
        of_real_rows = splitting.Split(
            *(frozenset(places[row] for row in part) for part in (parts.watch, parts.proof))
        )
        held = [rows[n] for n in places]
        made = self._drop(made, beside(held, made), "made from a held-out row")
        return [row for n, row in enumerate(rows) if n not in every] + made, held, of_real_rows

    def _fewer(self, rows: list[Row]) -> list[Row]:
        """Takes out what is more than ``train.rows``."""
        strata, keys = [self.objective.stratum(row.tokens) for row in rows], [r.key for r in rows]
        drawn = {"wanted": self.run.train.rows, "seed": self.run.train.seed}
        more = set(keys) - splitting.nested(keys, strata, **drawn)
        return self._drop(rows, more, "more than train rows")

    def _finished(self, train: list[Row], held: list[Row], parts: splitting.Split) -> Prepared:
        ledger = self.ledger
        if not train:
            raise DataError(
                Problem("data.path", say("ledger.none_left", reasons=counted(ledger.reasons())))
            )
        ledger.notes += self.objective.missing([row.tokens for row in train])
        watched = sum(row.voted for index, row in enumerate(held) if index in parts.watch)
        if watched:
            ledger.notes.append(say("ledger.voted", number=watched))
        ledger.notes += splitting.few_notes(len(train), len(held), len(parts.watch))
        ledger.trained, ledger.watch, ledger.proof = len(train), len(parts.watch), len(parts.proof)
        totals, scored = [row.total for row in train], [row.scored for row in train]
        lost = sum(row.lost for row in train)
        ledger.tokens = {"total": sum(totals), "scored": sum(scored), "lost": lost}
        ledger.share(scored, totals, lambda n: self._name(train[n]))
        windows = [len(row.tokens) for row in train if len(row.tokens) > 1 and row.windows]
        ledger.notes += windows_note(windows, self.limit)
        if self.render.sides is not None:
            read_and_written = [tokens for row in train for tokens in row.tokens]
            ledger.notes.append(sides_note(read_and_written, self.limit))
        ledger.check()
        sides: dict[bool, list[Item]] = {True: [], False: []}
        examples = self._examples(held)
        names = {file: self.names.of(file) for file in dict.fromkeys(row.file for row in held)}
        for index, row in enumerate(held):
            example = examples[row.file, row.number]
            sides[index in parts.watch] += items_of(row, names[row.file], example=example)
        trained = self._weighted(train)
        every = (trained, sides[True], sides[False])
        return Prepared(*every, ledger, fingerprint(*every), self.render, self.objective, self.seed)

    def _examples(self, held: list[Row]) -> dict[tuple[Path, int], Example]:
        """Reads the held-out rows once more, so that the examples of all other rows are never held
        in memory.
        """
        reading = self.held_reading if isinstance(self.run.data.held_out, str) else self.reading
        return (
            dict(self.encoder.examples(reading, {(row.file, row.number): row.key for row in held}))
            if held
            else {}
        )

    def _weighted(self, train: list[Row]) -> list[Item]:
        """Returns the training items, each as often as an epoch sees it."""
        weighed_by = self.reading.weights, self.run.data, self.objective
        counted_rows, notes = epoch_of(train, *weighed_by, seed=self.seed)
        self.ledger.notes += notes
        names = {file: self.names.of(file) for file in dict.fromkeys(row.file for row in train)}
        return [
            item
            for row, count in counted_rows
            for n in range(1, count + 1)
            for item in items_of(row, names[row.file], suffix="" if n == 1 else f"#{n}")
        ]
