"""Text: answers that are written, or plain text that is continued."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.asked_rows import asks
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Example, Feedback, Preference, Text, Turn
from tunesmith.metrics import Metric
from tunesmith.models.calling.forwards import BrokenOff
from tunesmith.outputs import COLUMN, OUTPUTS, Output, Progress, Watched
from tunesmith.plain import JsonObject
from tunesmith.proving import preferences
from tunesmith.proving.answers import ContenderAnswers, metrics_of, settings_for
from tunesmith.proving.contest import Contest, Outcome, Wanted
from tunesmith.proving.options import choices_score, chosen_among_options, options_task
from tunesmith.proving.others import OtherWriter
from tunesmith.proving.parity_rows import written_answers
from tunesmith.proving.rewarded import rewarded_answers
from tunesmith.proving.speed import writing_speed
from tunesmith.proving.task import Task, evenly, task_of
from tunesmith.settings.run import Generate, Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.loading.load import Loaded
    from tunesmith.predicting.engine import Engine
    from tunesmith.predicting.fitting import Fitting
    from tunesmith.predicting.predictor import Predictor

AT_ONCE = 8
"""Answers written together; between these, a signal is heard."""
MOST_ANSWERS = 64
"""Watched rows that are answered in writing; more would cost more time than they add to the
decision.
"""


@OUTPUTS.register
class Answers(Output):
    """What a model with a vocabulary writes."""

    writes = True
    takes = frozenset({"questions", "prompt", "shots", "others", "metrics"})
    endpoints = frozenset({"chat/completions", "completions"})

    @property
    def lacks(self) -> str:  # type: ignore[override]
        """The key of the text for a row that lacks its question; for a text that is continued, the
        text itself.
        """
        return "chat.no_text" if self.continues else "chat.no_question"

    @property
    def continues(self) -> bool:  # type: ignore[override]
        """Whether the objective learns plain text, which has no questions."""
        return self.objective.eats is Text

    @property
    def compares(self) -> bool:  # type: ignore[override]
        """Whether the objective learns from given answers, which are then compared instead of
        written.
        """
        return self.objective.eats in (Preference, Feedback)

    @property
    def by_heart(self) -> bool:  # type: ignore[override]
        """Whether the answers of the rows are learned, and nothing is compared or continued."""
        return not (self.compares or self.continues or self.objective.samples)

    @property
    def best_by(self) -> frozenset[str]:  # type: ignore[override]
        """What a metric may read: of answers that are compared, or sampled, only the objective's
        own measures speak, and plain text has no answers.
        """
        if self.compares or self.objective.samples:
            return frozenset()
        return frozenset({"nll"} if self.continues else {"text", "choice", "nll"})

    @property
    def not_best_by(self) -> str:  # type: ignore[override]
        """The key of the text for another metric."""
        if not self.best_by:
            return super().not_best_by
        return "plan.best_by_for_text" if self.continues else "classes.best_by_language"

    @property
    def unused(self) -> tuple[str, ...]:  # type: ignore[override]
        """Settings of ``data`` that only a conversation has."""
        return ("template", "system", "reasoning", "train_on") if self.continues else ()

    not_used = "plan.not_for_text"

    def refused(self, run: Run, wanted: Wanted | None = None) -> list[Problem]:
        """Refuses a hard prompt where given answers are compared, or written ones by their
        rewards.
        """
        compared = self.compares or self.objective.samples
        if wanted is not None and compared and (wanted.prompt or run.prove.prompt):
            key = "prove.no_prompt_for_pairs" if self.compares else "rollout.no_prompt"
            text = say(key, objective=run.objective.name)
            return [Problem("prove.prompt", text)]
        if wanted is not None and compared and wanted.others:
            return [Problem("against", say("prove.no_others", objective=run.objective.name))]
        if wanted is not None and compared and wanted.metrics:
            return [Problem("metric", say("metrics.no_others", objective=run.objective.name))]
        return super().refused(run, wanted)

    def ask(self, predictor: Predictor, row: Any) -> np.ndarray:
        """Returns the prompt of a row, as ids."""
        return _prompt(predictor.rows.asks(row), predictor.fitting)

    def answer(
        self, predictor: Predictor, asked: list[Any], progress: Progress | None
    ) -> list[JsonObject]:
        """Returns the text of each answer; a list of texts for several samples."""
        return [{COLUMN: text} for text in answers_to(predictor, asked, progress)]

    def converse(self, predictor: Predictor, chat: Chat) -> str:
        """Answers the last turn; raises DataError where it asks nothing."""
        if not asks(chat):
            raise DataError(Problem("messages", say("chat.no_turn")))
        prompt = predictor.fitting.asked(chat.prompt)
        answer = answers_to(predictor, [prompt], None)[0]
        return answer if isinstance(answer, str) else answer[0]

    def question(self, text: str) -> Text | Chat:
        """Makes a text to continue, where plain text is learned, or a conversation of one turn."""
        if self.continues:
            return Text(text)
        return Chat((Turn("user", text),), columns={"question": text})

    def refuse_unasked(self, asked: Example, fitting: Fitting) -> None:
        """Renders it, with places left for an answer."""
        _prompt(asked, fitting)

    def reply(
        self, model: Any, asked: Sequence[Example], fitting: Fitting, stopped: Callable[[], bool]
    ) -> list[str]:
        """Answers each question, or continues it where plain text is learned."""
        run = fitting.run
        prompts = [_prompt(example, fitting) for example in asked]
        settings = run.generate.model_copy(update={"samples": 1})
        render, seed = fitting.render, run.train.seed
        return written(model, render, prompts, settings, seed=seed, stopped=stopped)

    def task(self, run: Run, prepared: Prepared) -> Task | None:
        """Returns the options, for a metric of choices."""
        watches = prepared.choosing and run.train.keep.evaluate != 0
        return options_task(run, prepared) if watches and chosen_among_options(run) else None

    def score(self, metric: Metric, watched: Watched) -> float:
        """Computes the metric over the likeliest options where it reads these, else over written
        answers.
        """
        options: Any = {"budget": watched.budget, "stopped": watched.stopped}
        if metric.reads == "choice":
            assert watched.task is not None, "the options were found before the run began"
            return choices_score(watched.model, metric, watched.task, **options)
        items = evenly(watched.items, MOST_ANSWERS)
        chats = [item.example for item in items if isinstance(item.example, Chat)]
        prompts = [watched.render.prompt(chat) for chat in chats]
        settings = watched.settings.model_copy(update={"samples": 1, "temperature": 0.0})
        model = watched.model.model
        answers = written(model, watched.render, prompts, settings, stopped=watched.stopped)
        return metric.over(answers, [chat.answer for chat in chats])

    def measure(
        self,
        run: Run,
        prepared: Prepared,
        items: list[Item],
        engines: Mapping[str, Engine],
        fitted: Mapping[str, object],
    ) -> Outcome | None:
        """Scores written answers and likelihoods; nothing where given answers are judged."""
        if self.compares or self.objective.samples:
            return None
        return written_answers(run, prepared, items, engines)

    def prove(self, contest: Contest) -> Outcome:
        """Compares written answers and likelihoods; for given answers how likely each contender
        finds them.
        """
        if self.objective.samples:
            return rewarded_answers(contest)
        return _given_answers(contest) if self.compares else _written_answers(contest)


def _written_answers(contest: Contest) -> Outcome:
    """Compares cheap rivals, the untrained base alone, under a hard prompt and with examples, and
    tuned.
    """
    from tunesmith.models.calling.generate import own_defaults

    run, seed = contest.run, contest.run.train.seed
    task = task_of(run, contest.prepared, contest.items, shots=contest.shots)
    metrics, primary, reason = metrics_of(run, task, contest.also)
    settings = settings_for(run, task)
    weights = contest.identities
    contenders = ContenderAnswers(task, settings, contest.events, contest.kept, weights)
    contest.parts(_phases(contest, task))
    contenders.cheap(seed)
    with contest.base() as base:
        defaults = own_defaults(base.model)
        speed = {"base": _speed("base", base, contest, task, settings)} if task.prompts else {}
        shown = contenders.untuned(base, contest.prompt, seed, embeddings=run.prove.embeddings)
    for other in contest.others:
        contenders.other(other, contest)
    contenders.model("tuned", contest.tuned, weights["tuned"])
    if task.prompts:
        speed["tuned"] = _speed("tuned", contest.tuned, contest, task, settings)
    dumped = settings.model_dump(mode="json")
    facts = {
        "stopped": contenders.shares_stopped,
        "seconds": contenders.seconds,
        "generation": {**dumped, "folder_defaults": defaults} if task.prompts else None,
        "options": list(task.options),
        "prompt": contest.prompt,
        "shots": [task.training[index][0] for index in shown],
        "shots_wanted": contest.shots,
    }
    return Outcome(contenders.records(), metrics, primary, reason, facts=facts, speed=speed)


def _phases(contest: Contest, task: Task) -> int:
    """Counts the phases of the contenders: each is scored, writes where there is something to
    answer, and the speed of two is measured.
    """
    writers = sum(isinstance(other, OtherWriter) for other in contest.others)
    models = 2 + len(contest.others) - writers + bool(contest.prompt) + bool(task.shots)
    embedded = contest.run.prove.embeddings and task.options and task.render.sides is None
    each = 2 if task.prompts else 1
    choosing = bool(task.shots)
    return each * models + writers + bool(embedded) + choosing + 2 * bool(task.prompts)


def _speed(
    name: str, loaded: Loaded, contest: Contest, task: Task, settings: Generate
) -> JsonObject | None:
    contest.teller(say("prove.phase_speed", contender=say(f"prove.{name}")))(0, 0)
    return writing_speed(loaded, task.prompts, settings)


def _given_answers(contest: Contest) -> Outcome:
    """Compares how likely base and tuned find the given answers; nothing is written."""
    judged = contest.objective.eats is Feedback
    metrics, primary, reason = preferences.metrics_of(contest.run, contest.objective, judged=judged)
    preferences.refuse_one_kind(contest.items)
    contest.parts(2)
    with contest.base() as base:
        before = preferences.known(base, contest.items, contest.events)
    after = preferences.known(contest.tuned, contest.items, contest.events)
    return Outcome(preferences.records(contest.items, before, after), metrics, primary, reason)


def _prompt(asked: Example, fitting: Fitting) -> np.ndarray:
    """Returns what the model is given, as ids, with places left for the answer."""
    if isinstance(asked, Text):
        return fitting.prompt(fitting.render.opening(asked))
    assert isinstance(asked, Chat), "what is answered in words is a conversation or a text"
    return fitting.asked(asked)


def answers_to(
    predictor: Predictor, prompts: list[np.ndarray], progress: Progress | None
) -> list[Any]:
    """Generates the model's answer to each prompt, with the run's own settings; a list of texts for
    several samples.
    """
    from tunesmith.models.calling.generate import generate

    loaded, settings = predictor.loaded, predictor.run.generate
    answers = generate(
        loaded.model,
        loaded.tokenizer,
        prompts,
        settings,
        stop_ids=predictor.render.stop_ids,
        share=loaded.layout == "forest",
        seed=predictor.run.train.seed,
        progress=progress,
    )
    texts = [answer.text for answer in answers]
    samples = settings.samples
    if samples == 1:
        return texts
    return [texts[start : start + samples] for start in range(0, len(texts), samples)]


def written(
    model: Any,
    render: Render,
    prompts: Sequence[np.ndarray],
    settings: Generate,
    *,
    stopped: Callable[[], bool],
    seed: int = 0,
) -> list[str]:
    """Generates the model's answers, a few at once; raises BrokenOff when ``stopped`` returned true
    between them.
    """
    from tunesmith.models.calling.generate import generate

    texts: list[str] = []
    for start in range(0, len(prompts), AT_ONCE):
        if stopped():
            raise BrokenOff
        some = list(prompts[start : start + AT_ONCE])
        answers = generate(
            model, render.tokenizer, some, settings, stop_ids=render.stop_ids, seed=seed + start
        )
        texts += [answer.text for answer in answers]
    return texts
