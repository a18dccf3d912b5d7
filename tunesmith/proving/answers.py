"""The contenders of a proof of written answers: what each finds likely and writes for the same
held-out items.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.items import fingerprint
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat, final, question_of
from tunesmith.metrics import in_a_row, metric_class, words
from tunesmith.plain import JsonObject
from tunesmith.predicting.likelihoods import likeliest, likelihoods
from tunesmith.proving import rivals
from tunesmith.proving.contest import Contest
from tunesmith.proving.embedded import embedded
from tunesmith.proving.hard_prompt import prompted
from tunesmith.proving.interrupted import Kept, digest_of
from tunesmith.proving.others import Other, OtherWriter
from tunesmith.proving.record import Record, called
from tunesmith.proving.task import Task, choose_best_shots, rendered
from tunesmith.proving.writing import written
from tunesmith.settings.family import METRICS
from tunesmith.settings.run import Generate, Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.events.stream import Events
    from tunesmith.models.loading.load import Loaded

FOR_LABELS = ("accuracy", "macro_f1", "exact_match")
FOR_TEXT = ("rouge_l", "chrf", "bleu", "exact_match")
SEEN = 40
"""Characters of a right answer that an error shows."""
SPARE = 16
"""New tokens allowed beyond twice the longest reference, where answers are free text."""
SPARE_FOR_LABELS = 4
"""New tokens allowed beyond the longest option, for white space: what goes on after that will not
become right.
"""


def metrics_of(run: Run, task: Task, also: Sequence[str] = ()) -> tuple[list[str], str, str]:
    """Returns the metrics, those of ``also`` last, the one that decides, and the key of the reason;
    raises SpecError for metrics that these answers do not allow.
    """
    if not task.prompts:
        usual, reason = (), "pretraining"
    else:
        usual, reason = (FOR_LABELS, "labels") if task.options else (FOR_TEXT, "text")
    able = [name for name in METRICS.names() if _able(name, task)]
    wanted = run.prove.named
    problems = [
        Problem("prove.metrics", _unfit(name, task, run.objective.name, ", ".join(able)))
        for name in dict.fromkeys([*wanted, *also])
        if not _able(name, task)
    ]
    if problems:
        raise SpecError(problems)
    names = list(dict.fromkeys([*(wanted or usual), "nll", *also]))
    primary = run.prove.primary or names[0]
    return names, primary, "given" if wanted else reason


def _unfit(name: str, task: Task, objective: str, known: str) -> str:
    """Says what a metric needs that these rows have not."""
    if not task.prompts:
        return say("prove.needs_text", metric=name, known=known)
    if metric_class(name).reads in ("choice", "options"):
        return say("prove.needs_options", metric=name, known=known)
    if not metric_class(name).fits(task.references):
        return say("prove.needs_values", metric=name, seen=task.references[0][:SEEN], known=known)
    return say("prove.needs_other", metric=name, objective=objective, known=known)


def _able(name: str, task: Task) -> bool:
    reads = metric_class(name).reads
    written = bool(task.prompts)
    if written and not metric_class(name).fits(task.references):
        return False
    if reads in ("text", "grade"):
        return written
    return reads == "nll" or bool(reads in ("choice", "options") and written and task.options)


def by_model_alone(names: Sequence[str], primary: str) -> tuple[list[str], str]:
    """Returns the metrics that need no grades, and the first of them where ``primary`` is none."""
    kept = [name for name in names if metric_class(name).reads != "grade"]
    return kept, primary if primary in kept else kept[0]


def settings_for(run: Run, task: Task) -> Generate:
    """Returns settings for one greedy answer that is no longer than a right one could be."""
    useful = task.longest + SPARE_FOR_LABELS if task.options else 2 * task.longest + SPARE
    new = min(run.generate.max_new_tokens, useful)
    return run.generate.model_copy(update={"max_new_tokens": new, "temperature": 0.0, "samples": 1})


@dataclass
class ContenderAnswers:
    """The contenders' answers, by contender and item, in the form of items.jsonl."""

    task: Task
    settings: Generate
    events: Events
    kept: Kept
    identities: Mapping[str, str]
    """What tells the weights of a contender from any others, by its name."""
    writes: bool = True
    """Whether answers are written, or only scored."""
    predictions: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    nll: dict[str, list[list[float]]] = field(default_factory=dict)
    options: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    ended: dict[str, list[bool]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def shares_stopped(self) -> dict[str, float]:
        """Share of the answers that end by themselves."""
        return {name: sum(ended) / len(ended) for name, ended in self.ended.items()}

    def cheap(self, seed: int) -> None:
        """Runs the rivals that need no language model, where answers are a small set."""
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

    def _embedded(self, base: Loaded, seed: int) -> None:
        start = time.perf_counter()
        task = self.task
        prompts = [task.render.prompt(chat) for _, chat in task.training]
        answers, _ = embedded(
            base,
            [_unscored(ids) for ids in prompts],
            task.labels,
            [_unscored(ids) for ids in task.prompts],
            seed=seed,
            progress=self._teller("prove.phase_embed", "embedded"),
        )
        self._choose("embedded", answers, start)

    def untuned(
        self, base: Loaded, asked: str | None, seed: int, *, embeddings: bool = False
    ) -> list[int]:
        """Runs the untrained base alone, with ``embeddings`` also by its hidden states, under the
        hard prompt ``asked``, and with examples; returns the examples that were shown.
        """
        task = self.task
        weights = self.identities["base"]
        self.model("base", base, weights)
        if embeddings and task.options and task.render.sides is None:
            self._embedded(base, seed)
        if task.shots:
            self._teller("prove.phase_choose", called("few_shot", shots=len(task.shots)))(0, 0)
            choose_best_shots(task, base, seed)
        if asked:
            task = prompted(task, asked, base.limit)
            self.model("prompted", base, weights, task=task)
        if task.shots:
            self.model("few_shot", base, weights, task=task, shots=True)
        return task.shots

    def other(self, other: Other, contest: Contest) -> None:
        """Asks a contender from outside the run the same items, by its own template."""
        if isinstance(other, OtherWriter):
            self._ask(other)
            return
        loaded = other.load(self.task.render)
        assert loaded.render is not None, "another model is loaded with its renderer"
        render = loaded.render
        task = rendered(
            self.task, render, lambda example: contest.objective.encode(example, render)
        )
        longest = max(
            len(tokens) for index in range(len(task.items)) for tokens in task.sequences(index)
        )
        if loaded.limit is not None and longest > loaded.limit:
            text = say("prove.other_too_long", tokens=longest, limit=loaded.limit)
            raise SpecError(Problem(f"against: {other.name}", text))
        self.model(other.name, loaded, other.identity, task=task)
        if not _same_tokens(self.task, task):
            # Per token of another tokenizer a likelihood is no number that compares.
            del self.nll[other.name]

    def _ask(self, other: OtherWriter) -> None:
        """Collects answers written elsewhere. Where answers are a small set, its choice is the one
        option that it names.
        """
        start = time.perf_counter()
        items = self.task.items
        chats = [item.example for item in items if isinstance(item.example, Chat)]
        most = self.settings.max_new_tokens
        names = [
            f"{other.identity} {most} {item.id} {chat.prompt}"
            for item, chat in zip(items, chats, strict=True)
        ]
        tell = self._teller("prove.phase_write", other.name)
        answered = [number for number, name in enumerate(names) if name in self.kept]
        for number, text, ended in other.write(chats, most, answered):
            self.kept.value(names[number], lambda text=text, ended=ended: [text, ended])
            answered.append(number)
            tell(len(answered), len(chats))
        replies = [self.kept[name] for name in names]
        self.predictions[other.name] = [text for text, _ in replies]
        self.ended[other.name] = [ended for _, ended in replies]
        if self.task.options:
            self.choices[other.name] = [
                named(final(text), self.task.options) for text, _ in replies
            ]
        self.seconds[other.name] = time.perf_counter() - start

    def model(
        self,
        name: str,
        loaded: Loaded,
        weights: str,
        *,
        task: Task | None = None,
        shots: bool = False,
    ) -> None:
        """Computes the likelihood of the references and of the options, then generates answers; for
        the prompts of ``task`` where it is given. ``weights`` tells the model's from any others.
        """
        task, start = task or self.task, time.perf_counter()
        shown = called(name, shots=len(task.shots))
        sequences = [task.sequences(index, shots=shots) for index in range(len(task.items))]
        kept = self.kept.by_pieces(
            f"score {weights}",
            sequences,
            lambda some, tell: [row.tolist() for row in likelihoods(loaded, some, progress=tell)],
            digest_of,
            self._teller("prove.phase_score", shown),
        )
        rows = [np.array(row) for row in kept]
        counts = [len(row) - len(task.options) for row in rows]
        self.nll[name] = [
            row[:count].sum(0).tolist() for row, count in zip(rows, counts, strict=True)
        ]
        if task.options:
            labels = list(task.options)
            self.choices[name] = [
                likeliest(row[count:, 0], labels) for row, count in zip(rows, counts, strict=True)
            ]
            self.options[name] = [
                dict(zip(labels, (-row[count:, 0]).tolist(), strict=True))
                for row, count in zip(rows, counts, strict=True)
            ]
        if task.prompts and self.writes:
            prompts = [task.prompt(index, shots=shots) for index in range(len(task.items))]
            stops = task.render.stop_ids
            # Another tokenizer may need more tokens for the same answer.
            room = max(self.settings.max_new_tokens, task.longest + SPARE_FOR_LABELS)
            settings = self.settings.model_copy(update={"max_new_tokens": room})
            answers = self.kept.by_pieces(
                f"write {weights} {settings} {stops}",
                prompts,
                lambda some, tell: written(loaded, some, settings, stops, tell),
                lambda some: repr([prompt.tolist() for prompt in some]),
                self._teller("prove.phase_write", shown),
            )
            self.predictions[name] = [text for text, _ in answers]
            self.ended[name] = [ended for _, ended in answers]
        self.seconds[name] = time.perf_counter() - start

    def _teller(self, key: str, contender: str) -> Callable[[int, int], None]:
        return self.events.progress_of(say(key, contender=contender))

    def records(self) -> list[Record]:
        """Returns the lines of items.jsonl. Texts are compared without the thinking that precedes
        an answer, which is kept in ``thoughts``.
        """
        return [self._record(index) for index in range(len(self.task.items))]

    def _record(self, index: int) -> Record:
        def of(values: dict[str, list[Any]]) -> JsonObject:
            return {name: given[index] for name, given in values.items()}

        texts = of(self.predictions)
        thoughts = {name: text.rpartition("</think>")[0] for name, text in texts.items()}
        return Record(
            self.task.items[index].id,
            self.task.questions[index],
            self.task.references[index],
            predictions={name: final(text) for name, text in texts.items()},
            thoughts={name: said for name, said in thoughts.items() if "</think>" in texts[name]},
            choices=of(self.choices),
            nll=of(self.nll),
            options=of(self.options),
            stopped=of(self.ended),
        )


def _unscored(ids: np.ndarray) -> Tokens:
    return Tokens(ids, np.zeros(len(ids), np.float32))


def _same_tokens(one: Task, other: Task) -> bool:
    return fingerprint(one.items) == fingerprint(other.items)


def named(answer: str, options: Iterable[str]) -> str:
    """Finds the option that a written answer is, or the only one whose words stand in it; else
    returns the answer itself, which is wrong. Case and marks do not count, but where options such
    as -1 and 1 or C and C++ differ by nothing else.
    """
    bare = answer.strip().casefold()
    for option in (options := list(options)):
        if bare in (option.strip().casefold(), f"{option.strip().casefold()}."):
            return option
    said = words(answer)
    runs = {option: run for option in options if (run := words(option))}
    whole = [option for option, run in runs.items() if run == said]
    within = [option for option, run in runs.items() if in_a_row(run, said)]
    for meant in (whole, within):
        if len(meant) == 1:
            return meant[0]
    return answer
