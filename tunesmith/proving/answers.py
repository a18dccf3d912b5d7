"""prove: tuned, base and the rivals on the same held-out items, and whether the difference is more
than chance.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Feedback, Preference, final, question_of
from tunesmith.methods import METHODS
from tunesmith.predicting.likelihoods import likeliest, likelihoods
from tunesmith.proving import preferences, rivals
from tunesmith.proving.hard_prompt import prompted, read_prompt
from tunesmith.proving.judge import item_scores, metric
from tunesmith.proving.proof import Proof
from tunesmith.proving.task import Task, choose_best_shots, evenly, task_of
from tunesmith.proving.write import conclude
from tunesmith.settings.family import METRICS, OBJECTIVES
from tunesmith.settings.run import Generate, Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.models.loading.load import Loaded

__all__ = ["Proof", "prove"]

Progress = Callable[[str, int, int], None]

FOR_LABELS = ("accuracy", "macro_f1", "exact_match")
FOR_TEXT = ("rouge_l", "chrf", "bleu", "exact_match")
SPARE = 16
"""New tokens allowed beyond twice the longest reference, where answers are free text."""
SPARE_FOR_LABELS = 4
"""New tokens allowed beyond the longest option, for white space: what goes on after that will not
become right.
"""


def prove(
    folder: RunFolder,
    *,
    items: int | None = None,
    shots: int | None = None,
    prompt: str | None = None,
    progress: Progress | None = None,
) -> Proof:
    """Scores the contenders on the proof rows, writes items.jsonl and proof.json, and gives the
    verdict.

    ``items``, ``shots`` and ``prompt`` override the run's own. DataError where the data is no
    longer what was trained on.
    """
    from tunesmith.models.calling.generate import own_defaults
    from tunesmith.models.saved import load_run

    run, tell = folder.resolved().run, progress or (lambda phase, done, of: None)
    asked = read_prompt(prompt or run.prove.prompt)
    tuned = load_run(folder)
    prepared = prepared_again(folder, run, tuned.tokenizer, progress)
    if OBJECTIVES.get(run.objective.name).eats in (Preference, Feedback):
        if asked:
            raise SpecError(
                Problem(
                    "prove.prompt", say("prove.no_prompt_for_pairs", objective=run.objective.name)
                )
            )
        return _preferred(
            folder,
            run,
            tuned,
            evenly(prepared.proof, items or run.prove.items),
            tell=tell,
            fingerprint=prepared.fingerprint,
        )
    wanted = run.prove.shots if shots is None else shots
    task = task_of(run, prepared, items=items or run.prove.items, shots=wanted)
    names, primary, reason = metrics_of(run, task)
    contest = Contest(task, settings_for(run, task), tell)
    contest.cheap(run.train.seed)
    with base_of(folder, run, tuned) as base:
        defaults = own_defaults(base.model)
        shown = contest.untuned(base, asked, run.train.seed)
    contest.model("tuned", tuned)
    more = {
        "primary_reason": reason,
        "stopped": contest.stopped,
        "seconds": contest.seconds,
        "generation": {**contest.settings.model_dump(mode="json"), "folder_defaults": defaults}
        if task.prompts
        else None,
        "options": list(task.options),
        "prompt": asked,
        "shots": [task.training[index][0] for index in shown],
        "shots_wanted": wanted,
        "fingerprint": prepared.fingerprint,
    }
    return conclude(folder, run, contest.records(names), names, primary, **more)


def _preferred(
    folder: RunFolder,
    run: Run,
    tuned: Loaded,
    items: list[Item],
    *,
    tell: Progress,
    fingerprint: str,
) -> Proof:
    """The proof of an objective over preferences: what both models find likely, and nothing
    written.
    """
    names, primary, reason = preferences.metrics_of(run, OBJECTIVES.get(run.objective.name))
    preferences.refuse_one_kind(items)
    with base_of(folder, run, tuned) as base:
        before = preferences.known(base, items, tell)
    records = preferences.records(items, before, preferences.known(tuned, items, tell), names)
    more = {"primary_reason": reason, "fingerprint": fingerprint}
    return conclude(folder, run, records, names, primary, **more)


def metrics_of(run: Run, task: Task) -> tuple[list[str], str, str]:
    """The metrics, the one that decides, and the key of the reason; SpecError for those that these
    answers cannot have.
    """
    if not task.prompts:
        usual, reason = (), "pretraining"
    else:
        usual, reason = (FOR_LABELS, "labels") if task.options else (FOR_TEXT, "text")
    able = [name for name in METRICS.names() if _able(name, task)]
    wanted = [*run.prove.metrics, *([run.prove.primary] if run.prove.primary else [])]
    key = "prove.needs_options" if task.prompts else "prove.needs_text"
    problems = []
    for name in wanted:
        METRICS.get(name)
        if name not in able:
            problems.append(Problem("prove.metrics", say(key, metric=name, known=", ".join(able))))
    if problems:
        raise SpecError(problems)
    names = list(dict.fromkeys([*(wanted or usual), "nll"]))
    primary = run.prove.primary or names[0]
    return names, primary, "given" if wanted else reason


def _able(name: str, task: Task) -> bool:
    reads = METRICS.get(name).reads
    return reads == "nll" or bool(
        task.prompts and (reads == "text" or (reads in ("choice", "options") and task.options))
    )


def prepared_again(
    folder: RunFolder, run: Run, tokenizer: Any, progress: Progress | None
) -> Prepared:
    """The run's rows, split as they were in training."""
    from tunesmith.data.prepare import prepare

    ledger = folder.read(folder.ledger)
    if ledger is None or "fingerprint" not in ledger:
        raise DataError(Problem(str(folder.ledger), say("prove.no_ledger")))
    prepared = prepare(run, tokenizer, seed=ledger.get("split_seed"), progress=progress)
    if prepared.fingerprint != ledger["fingerprint"]:
        raise DataError(Problem("data.path", say("prove.data_changed")))
    if not prepared.proof:
        raise DataError(Problem("data.held_out", say("prove.no_proof_rows")))
    return prepared


def settings_for(run: Run, task: Task) -> Generate:
    """Greedy, one answer, and not longer than could still be right."""
    useful = task.longest + SPARE_FOR_LABELS if task.options else 2 * task.longest + SPARE
    new = min(run.generate.max_new_tokens, useful)
    return run.generate.model_copy(update={"max_new_tokens": new, "temperature": 0.0, "samples": 1})


@contextmanager
def base_of(folder: RunFolder, run: Run, tuned: Loaded) -> Iterator[Loaded]:
    """The base: the adapter switched off where that gives it back, else loaded beside it."""
    from tunesmith.models.saved import load_run

    method = METHODS.make(run.method)
    # A head that is trained beside an adapter of ours stays when that is off.
    switches = (
        method.adapter
        and not method.rewrites_base
        and OBJECTIVES.get(run.objective.name).head == "language"
    )
    if switches:
        with tuned.model.disable_adapter():
            yield tuned
    else:
        yield load_run(folder, tuned=False)


@dataclass
class Contest:
    """The contenders' answers, by contender and item, in the form of items.jsonl."""

    task: Task
    settings: Generate
    tell: Progress
    writes: bool = True
    """Whether answers are written, or only scored."""
    predictions: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    nll: dict[str, list[list[float]]] = field(default_factory=dict)
    options: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    ended: dict[str, list[bool]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def stopped(self) -> dict[str, float]:
        """Share of the answers that end by themselves."""
        return {name: sum(ended) / len(ended) for name, ended in self.ended.items()}

    def cheap(self, seed: int) -> None:
        """The rivals that need no language model, where answers are a small set."""
        task = self.task
        if not task.options:
            return
        start = time.perf_counter()
        most = Counter(task.labels).most_common(1)[0][0]
        self._choose("most_frequent", [most] * len(task.items), start)
        start = time.perf_counter()
        questions = [question_of(chat) for _, chat in task.training]
        self._choose(
            "tfidf", rivals.tfidf(questions, task.labels, task.questions, seed=seed), start
        )

    def _choose(self, name: str, answers: list[str], start: float) -> None:
        self.choices[name] = self.predictions[name] = answers
        self.seconds[name] = time.perf_counter() - start

    def untuned(self, base: Loaded, asked: str | None, seed: int) -> list[int]:
        """The base as it is, under the hard prompt ``asked``, and with examples; gives the examples
        that were shown.
        """
        task = self.task
        self.model("base", base)
        if task.shots:
            choose_best_shots(task, base, seed)
        if asked:
            task = prompted(task, asked, base.limit)
            self.model("prompted", base, task=task)
        if task.shots:
            self.model("few_shot", base, task=task, shots=True)
        return task.shots

    def model(
        self, name: str, loaded: Loaded, *, task: Task | None = None, shots: bool = False
    ) -> None:
        """Likelihood of the references and of the options, then written answers; to what ``task``
        asks where it is given.
        """
        task, start = task or self.task, time.perf_counter()
        called = say(f"prove.{name}", shots=len(task.shots))
        sequences = [task.sequences(index, shots=shots) for index in range(len(task.items))]
        rows = likelihoods(loaded, sequences, progress=self._teller("prove.phase_score", called))
        own = [len(row) - len(task.options) for row in rows]
        self.nll[name] = [row[:count].sum(0).tolist() for row, count in zip(rows, own, strict=True)]
        if task.options:
            labels = list(task.options)
            self.choices[name] = [
                likeliest(row[count:, 0], labels) for row, count in zip(rows, own, strict=True)
            ]
            self.options[name] = [
                dict(zip(labels, (-row[count:, 0]).tolist(), strict=True))
                for row, count in zip(rows, own, strict=True)
            ]
        if task.prompts and self.writes:
            self._write(
                name,
                loaded,
                [task.prompt(index, shots=shots) for index in range(len(task.items))],
                called,
            )
        self.seconds[name] = time.perf_counter() - start

    def _write(self, name: str, loaded: Loaded, prompts: Sequence[Any], called: str) -> None:
        from tunesmith.models.calling.generate import generate

        answers = generate(
            loaded.model,
            loaded.tokenizer,
            prompts,
            self.settings,
            stop_ids=self.task.render.stop_ids,
            share=loaded.layout == "forest",
            progress=self._teller("prove.phase_write", called),
        )
        self.predictions[name] = [answer.text for answer in answers]
        self.ended[name] = [answer.stopped for answer in answers]

    def _teller(self, key: str, contender: str) -> Callable[[int, int], None]:
        return lambda done, of: self.tell(say(key, contender=contender), done, of)

    def records(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The lines of items.jsonl. Texts are compared without the thinking that precedes an
        answer; it stays in ``thoughts``.
        """
        metrics = {name: metric(name) for name in names}
        found = []
        for index, item in enumerate(self.task.items):
            record: dict[str, Any] = {
                "id": item.id,
                "prompt": self.task.questions[index],
                "reference": self.task.references[index],
            }
            written = {name: texts[index] for name, texts in self.predictions.items()}
            record["predictions"] = {name: final(text) for name, text in written.items()}
            record["thoughts"] = {
                name: text.rpartition("</think>")[0]
                for name, text in written.items()
                if "</think>" in text
            }
            for key in ("choices", "nll", "options", "stopped"):
                source = self.ended if key == "stopped" else vars(self)[key]
                record[key] = {name: values[index] for name, values in source.items()}
            record["scores"] = item_scores(record, metrics)
            found.append(record)
        return found
