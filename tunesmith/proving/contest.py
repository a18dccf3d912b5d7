"""The frame of every proof: a run's model and its held-out rows are made ready, the run's kind of
output says what the contenders make of them, and the result is judged and written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events, Parts
from tunesmith.events.verbs import Proved
from tunesmith.plain import JsonObject
from tunesmith.proving.collect import targets, to_collect
from tunesmith.proving.efficiency import training_cost, weights_size
from tunesmith.proving.file_items import file_items
from tunesmith.proving.grading import grade, graders, graders_work, judges_are_others, with_metrics
from tunesmith.proving.hard_prompt import read_prompt
from tunesmith.proving.interrupted import Kept, weights_in
from tunesmith.proving.judge import TUNED, metric
from tunesmith.proving.leaks import Leak, leaks
from tunesmith.proving.mistakes import mistakes
from tunesmith.proving.others import Other, OtherWriter
from tunesmith.proving.proof import Proof
from tunesmith.proving.record import Record
from tunesmith.proving.retention import asked_suites, retained
from tunesmith.proving.row_traits import traits
from tunesmith.proving.task import evenly
from tunesmith.proving.write import conclude
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.suites import suites_of
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.models.loading.load import Loaded
    from tunesmith.objectives import Objective


@dataclass(frozen=True)
class Wanted:
    """What a person asks of one proof; None leaves it to the run. ``prompt`` is a file, ``data``
    one whose rows are asked instead of those that were held out.
    """

    items: int | None = None
    shots: int | None = None
    prompt: str | None = None
    data: str | None = None
    others: tuple[Other, ...] = ()
    suites: Sequence[str | Mapping[str, object]] = ()
    """Questions that have nothing to do with the task, instead of those of ``prove.suites``."""
    metrics: Sequence[str | Mapping[str, object]] = ()
    """Metrics that are told beside those of the run."""


@dataclass
class Contest:
    """What the contenders of a proof are made from."""

    folder: RunFolder
    run: Run
    tuned: Loaded
    prepared: Prepared
    items: list[Item]
    """The held-out rows that are asked, spread evenly over all of the proof."""
    shots: int
    """Examples that are shown to the base, at most."""
    prompt: str | None
    """The text of a hard prompt."""
    events: Events
    kept: Kept
    """What was scored already."""
    identities: dict[str, str]
    """What tells the weights of ``base`` and ``tuned`` from any others."""
    others: tuple[Other, ...] = ()
    """Contenders from outside the run."""
    also: Sequence[str] = ()
    """Metrics that are told beside those of the run."""
    later: int = 1
    """Phases after those of the contenders: grading, suites, the verdict."""

    @property
    def objective(self) -> Objective:
        """The objective, which has seen the rows."""
        return self.prepared.objective

    @contextmanager
    def base(self) -> Iterator[Loaded]:
        """Yields the base: the adapter switched off where this restores the base, else
        loaded anew.
        """
        from tunesmith.models.saved import load_run

        method = METHODS.make(self.run.method)
        # A head that is trained beside an adapter stays in place when that is off.
        if method.adapter and not method.rewrites_base and self.objective.output.writes:
            with self.tuned.model.disable_adapter():
                yield self.tuned
        else:
            yield load_run(self.folder, tuned=False)

    def parts(self, own: int) -> None:
        """Tells how many phases follow, of which ``own`` are those of the contenders."""
        self.events(Parts(own + self.later))

    def teller(self, phase: str) -> Callable[[int, int], None]:
        """Makes a listener to the progress of one phase."""
        return self.events.progress_of(phase)


@dataclass
class Outcome:
    """What the contenders made of the items. ``reason`` is the key of why ``primary`` decides;
    ``facts`` go into proof.json.
    """

    records: list[Record]
    metrics: list[str]
    primary: str
    reason: str
    against: str = "base"
    facts: JsonObject = field(default_factory=dict)
    speed: dict[str, JsonObject | None] = field(default_factory=dict)
    """How long ``base`` and ``tuned`` let a person wait (seconds)."""


def contest(folder: RunFolder, wanted: Wanted, events: Events, kept: Kept | None = None) -> Proof:
    """Scores the contenders on the proof rows, writes items.jsonl and proof.json, and gives the
    verdict. With ``kept``, several proofs share what was scored.

    SpecError for what the run's kind of output cannot be asked, DataError where the data is no
    longer what was trained on.
    """
    from tunesmith.models.finding.hub import folder_of

    run = folder.resolved().run
    with_more = _with_more(run, wanted)
    prompt = read_prompt(wanted.prompt or run.prove.prompt)
    asked = asked_suites(suites_of(wanted.suites, run), folder)
    tuned = _tuned(folder, wanted.data, events)
    prepared = prepared_again(folder, run, tuned.tokenizer, events)
    proof_folder, held, facts = _held(folder, run, prepared, wanted.data)
    leaked = leaks(held, prepared.train, partial(_texts, tuned.tokenizer))
    weights = {"base": folder_of(run.model), TUNED: folder.model}
    given = Contest(
        folder,
        run,
        tuned,
        prepared,
        evenly(_without(held, leaked), wanted.items or run.prove.items),
        run.prove.shots if wanted.shots is None else wanted.shots,
        prompt,
        events,
        kept or Kept(proof_folder / "scoring.jsonl"),
        _identities(weights),
        wanted.others,
        with_more.prove.named,
        later=bool(graders(with_more)) + 2 * len(asked) + 1,
    )
    proved = given.objective.output.prove(given)
    facts["grading"] = _graded(given, proved, with_more)
    lines = _lines(proved, given.items)
    fields = {
        "primary_reason": proved.reason,
        "fingerprint": prepared.fingerprint,
        "leaked": [asdict(leak) for leak in leaked],
        "efficiency": _efficiency(folder, weights, proved.speed),
        **_others(wanted),
        **facts,
        **proved.facts,
    }
    where: JsonObject = {"against": proved.against, "place": proof_folder}
    analysed = mistakes(lines, proved.primary, proved.against, seed=run.train.seed)
    if analysed is not None:
        kinds = to_collect(targets(analysed), run, prepared)
        fields["mistakes"] = analysed | {"collect": [_without_rows(kind) for kind in kinds]}
        where["to_collect"] = kinds
    if asked:
        fields["retention"], suite_lines = retained(given, asked)
        where["suite_lines"] = suite_lines
    events.phase(say("prove.phase_verdict"), 0, 0)
    proof = conclude(folder, run, lines, proved.metrics, proved.primary, **where, **fields)
    if kept is None:
        given.kept.done()
    events(Proved(folder.path, proof.verdict, proved.primary))
    return proof


def _tuned(folder: RunFolder, held: str | None, events: Events) -> Loaded:
    """Loads the run's model; DataError before that where rows are absent."""
    from tunesmith.data.asked_reading import open_rows
    from tunesmith.data.find import find_data
    from tunesmith.models.saved import load_run

    open_rows(folder.resolved().run)
    if held is not None:
        find_data(held)
    events.phase(say("train.loading"), 0, 0)
    return load_run(folder)


def _with_more(run: Run, wanted: Wanted) -> Run:
    """Returns the run with the metrics that are told besides; raises SpecError for what it cannot
    be asked.
    """
    with_more = with_metrics(run, wanted.metrics)
    for name in with_more.prove.named:
        metric(name)  # an unknown one is told before a row is read
    problems = OBJECTIVES.make(run.objective).output.refused(run, wanted)
    problems += graders_work(with_more)
    problems += judges_are_others(with_more, [other.identity for other in wanted.others])
    if problems:
        raise SpecError(problems)
    return with_more


def _graded(given: Contest, found: Outcome, run: Run) -> JsonObject:
    """Returns what is told of the metrics that ask for more than texts, once they graded what was
    written; a judgement that was paid for is kept beside the run.
    """
    return grade(
        graders(run),
        found.records,
        given.items,
        found.primary,
        kept=Kept(given.folder.path / "judgements.jsonl"),
        progress=given.teller(say("metrics.phase")),
    )


def _identities(weights: Mapping[str, Path]) -> dict[str, str]:
    base = weights_in(weights["base"])
    return {"base": base, TUNED: base + weights_in(weights[TUNED])}


def _others(wanted: Wanted) -> JsonObject:
    """Returns the names of the contenders from outside, and which of them only write."""
    written_only = [other.name for other in wanted.others if isinstance(other, OtherWriter)]
    return {"others": [other.name for other in wanted.others], "written_only": written_only}


def _efficiency(
    folder: RunFolder, weights: Mapping[str, Path], speed: Mapping[str, JsonObject | None]
) -> JsonObject:
    return {
        "training": training_cost(folder),
        "bytes": {name: weights_size(weight) for name, weight in weights.items()},
        "speed": {name: seconds for name, seconds in speed.items() if seconds is not None},
    }


def _without_rows(kind: JsonObject) -> JsonObject:
    return {name: kind[name] for name in ("target", "why", "rows", "trained")}


def _lines(found: Outcome, items: list[Item]) -> list[JsonObject]:
    """Returns the lines of items.jsonl, each with what else is known of its row: what tells it from
    other rows, and its group where rows have groups.
    """
    metrics = {name: metric(name) for name in found.metrics}
    row_traits = traits(items)
    groups = {item.id: item.group for item in items if item.group is not None}
    return [
        record.line(metrics)
        | row_traits.get(record.id, {})
        | ({"group": groups[record.id]} if record.id in groups else {})
        for record in found.records
    ]


def _held(
    folder: RunFolder, run: Run, prepared: Prepared, file: str | None
) -> tuple[Path, list[Item], JsonObject]:
    """Returns where the proof goes, the rows that are asked, and what is told of their file."""
    if file is not None:
        return _place_of(folder, file), *file_items(file, run, prepared)
    if not prepared.proof:
        raise DataError(Problem("data.held_out", say("prove.no_proof_rows")))
    return folder.proved_in, prepared.proof, {}


def _place_of(folder: RunFolder, file: str) -> Path:
    """Returns where the proof of a file goes: named like it, with a number behind the name where
    another file of that name was proved.
    """
    proofs = folder.path / "proofs" if folder.proved_in == folder.path else folder.proved_in
    name = Path(file).stem
    numbered = (f"{name}-{number}" for number in count(2))
    places = (proofs / each for each in chain([name], numbered))
    return next(place for place in places if not _of_other(place / folder.proof.name, file, folder))


def _of_other(proof: Path, file: str, folder: RunFolder) -> bool:
    """Tells whether a proof is there, of another file than this one."""
    earlier = folder.read(proof)
    if earlier is None:
        return False
    asked = earlier.get("file")  # none in the proof of a step
    return asked is None or Path(asked).resolve() != Path(file).resolve()


def _texts(tokenizer: Any, item: Item) -> list[str]:
    sides = [side for tokens in item.tokens for side in (tokens.ids_T, tokens.source_ids_T)]
    return [tokenizer.decode(side) for side in sides if side is not None]


def _without(items: list[Item], leaked: list[Leak]) -> list[Item]:
    gone = {leak.id for leak in leaked}
    kept = [item for item in items if item.id not in gone]
    if not kept:
        raise DataError(Problem("data.held_out", say("prove.all_leaked", count=len(items))))
    return kept


def prepared_again(folder: RunFolder, run: Run, tokenizer: Any, events: Events) -> Prepared:
    """Prepares the run's rows, split as they were in training."""
    from tunesmith.data.prepare_once import prepare_once

    ledger = folder.read(folder.ledger)
    if ledger is None or "fingerprint" not in ledger:
        raise DataError(Problem(str(folder.ledger), say("prove.no_ledger")))
    prepared = prepare_once(run, tokenizer, seed=ledger.get("split_seed"), progress=events.phase)
    if prepared.fingerprint != ledger["fingerprint"]:
        raise DataError(Problem("data.path", say("prove.data_changed")))
    return prepared
