"""Tasks of EleutherAI's lm-eval as a suite: its YAML asks and judges, the loading and the batches
of this toolkit answer.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.storage.cache import cache_folder
from tunesmith.suites import SUITES, Question, Suite
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

KINDS = ("multiple_choice", "generate_until")
"""What a task may ask for (its ``output_type``)."""


@SUITES.register
class LmEval(Suite):
    """Local tasks of lm-eval (``pip install "tunesmith[lm-eval]"``): multiple choice by likelihood,
    or written answers; an item counts by the task's first metric.
    """

    asks_itself = True

    class Config(Spec):
        """The tasks."""

        path: str
        """A task's YAML file, or a folder of them; its rows are files of this machine
        (``dataset_path: json``, ``dataset_kwargs.data_files`` with the whole path)."""
        items: Annotated[int, Gt(0)] = 200
        """At most the first so many items of each task."""

    @property
    def title(self) -> str:
        """The file's or folder's name."""
        return Path(self.config.path).stem

    @property
    def content(self) -> str:
        """What its answers follow from: the text of its files."""
        return "".join(file.read_text(encoding="utf-8") for file in self._files())

    def questions(self) -> Sequence[Question]:
        """Reads the items of the tasks; raises SpecError without lm-eval, DataError where a task
        cannot be asked.
        """
        if importlib.util.find_spec("lm_eval") is None:
            raise SpecError(Problem("prove.suites", say("suite.lm_eval_missing")))
        questions = []
        for name, task in self._tasks().items():
            for number, doc in enumerate(self._docs(task)):
                right = Turn("assistant", _right(task, doc))
                chat = Chat((Turn("user", str(task.doc_to_text(doc))), right))
                questions.append(Question(f"{name}:{number}", name, chat, "lm_eval"))
        if not questions:
            raise DataError(Problem(self.config.path, say("suite.none_answered")))
        return questions

    def through(
        self, loaded: Loaded, stop_ids: Sequence[int], progress: Callable[[int, int], None]
    ) -> list[JsonObject]:
        """Asks one model; returns what it said and its score, in the order of the questions."""
        from lm_eval.evaluator import simple_evaluate

        from tunesmith.suites._lm import lm_of

        manager = self._manager()
        tasks = self._tasks()
        results = simple_evaluate(
            model=lm_of(loaded, stop_ids, progress),
            tasks=list(tasks),
            task_manager=manager,
            limit=self.config.items,
            log_samples=True,
            bootstrap_iters=0,
        )
        assert results is not None, "only other processes than the first get nothing"
        answers = []
        for name, task in tasks.items():
            metric = self._metric(name, task)
            samples = {
                int(sample["doc_id"]): sample for sample in reversed(results["samples"][name])
            }
            for number in sorted(samples):
                sample = samples[number]
                said = _said(task, sample)
                score = sample.get(metric)
                if not isinstance(score, int | float):
                    told_wrong = say("suite.lm_eval_metric", task=name, metric=metric)
                    raise DataError(Problem(self.config.path, told_wrong))
                answers.append({"said": said, "sums": [float(score), 1.0]})
        return answers

    def _files(self) -> list[Path]:
        path = Path(self.config.path)
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            raise DataError(Problem(self.config.path, say("suite.lm_eval_no_task")))
        return files

    def _manager(self) -> Any:
        # It would write the rows into the cache of the hub otherwise.
        os.environ.setdefault("HF_DATASETS_CACHE", str(cache_folder() / "datasets"))
        from lm_eval.tasks import TaskManager

        folder = self._files()[0].parent.resolve()
        return TaskManager(include_path=str(folder), include_defaults=False)

    def _tasks(self) -> dict[str, Any]:
        """Returns the tasks by name, with their rows read."""
        files = self._files()
        import yaml
        from datasets.exceptions import DatasetsError

        wrong = (OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
        try:
            names = [_name(yaml.safe_load(file.read_bytes())) for file in files]
            tasks = self._manager().load_task_or_group([name for name in names if name])
        except (*wrong, RuntimeError, yaml.YAMLError, DatasetsError) as error:
            text = say("suite.lm_eval_task", error=str(error).split("\n")[0])
            raise DataError(Problem(self.config.path, text)) from None
        for name, task in tasks.items():
            if task.OUTPUT_TYPE not in KINDS:
                values = {"task": name, "kind": task.OUTPUT_TYPE, "known": ", ".join(KINDS)}
                raise DataError(Problem(self.config.path, say("suite.lm_eval_kind", **values)))
            self._metric(name, task)
        return tasks

    def _metric(self, name: str, task: Any) -> str:
        """Returns the task's first metric; raises DataError where less is better."""
        directions = task.higher_is_better()
        first = next(iter(directions), "")
        if not directions.get(first):
            text = say("suite.lm_eval_metric", task=name, metric=first or "–")
            raise DataError(Problem(self.config.path, text))
        return first

    def _docs(self, task: Any) -> list[Any]:
        return [doc for doc, _ in zip(task.eval_docs, range(self.config.items), strict=False)]


def _name(task: object) -> str:
    return str(task.get("task", "")) if isinstance(task, dict) else ""


def _right(task: Any, doc: Any) -> str:
    """Returns the right answer as text."""
    target = task.doc_to_target(doc)
    if task.OUTPUT_TYPE == "multiple_choice" and isinstance(target, int):
        return str(task.doc_to_choice(doc)[target])
    return str(target)


def _said(task: Any, sample: Any) -> str:
    """Returns what the model said: the likeliest option, or the text."""
    replies = sample["filtered_resps"]
    if task.OUTPUT_TYPE != "multiple_choice":
        return str(replies[0])
    likely = [float(reply[0]) for reply in replies]
    return str(task.doc_to_choice(sample["doc"])[likely.index(max(likely))])
