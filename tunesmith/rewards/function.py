"""A reward of the user's own, written as a Python function."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from tunesmith.errors import FAULTS, Problem, SpecError
from tunesmith.rewards import REWARDS, AnswerReward, Asked, Row
from tunesmith.settings.spec import Spec
from tunesmith.words import say


def _whole(path: Any) -> Any:
    """Writes the place as a whole path, so that it is found from anywhere."""
    file, colon, name = str(path).rpartition(":")
    return f"{os.path.abspath(file)}{colon}{name}" if colon and os.path.isfile(file) else path


@REWARDS.register
class OwnFunction(AnswerReward):
    """What a function of yours says: ``def reward(prompt, completion, row): return 1.0``."""

    runs_users_code = True

    class Config(Spec):
        """Where it stands."""

        path: Annotated[str, BeforeValidator(_whole)]
        """File and function, ``./my_reward.py:reward``; it gets prompt and completion as texts and
        the row as a dict, and returns a number, or None where it has no opinion.
        """
        gets: Literal["prompt, completion, row", "prediction, reference, row"] = (
            "prompt, completion, row"
        )
        """What the function is given, in this order; the second is what a metric gets."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._function: Callable[..., Any] | None = None

    def load(self) -> None:
        """Runs the file and finds the function; raises SpecError where there is none."""
        file, _, name = self.config.path.rpartition(":")
        spec = importlib.util.spec_from_file_location("own_reward", file)
        if not os.path.isfile(file) or spec is None or spec.loader is None:
            raise SpecError(Problem("", say("rewards.no_file", path=self.config.path)))
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except FAULTS as error:
            text = say("rewards.broken_file", file=file, error=repr(error))
            raise SpecError(Problem("", text)) from None
        function = vars(module).get(name)
        if not callable(function):
            functions = (
                ", ".join(key for key, value in vars(module).items() if callable(value)) or "–"
            )
            text = say("rewards.no_function", file=file, name=repr(name), known=functions)
            raise SpecError(Problem("", text))
        self._function = function

    def rewards(self, answers: Sequence[Asked]) -> list[float | None]:
        """Returns what the function returns, for a metric or for a reward."""
        if self.config.gets.startswith("prompt"):
            return super().rewards(answers)
        return [
            self._own()(answer.completion, answer.reference, dict(answer.row)) for answer in answers
        ]

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns what the function returns."""
        return self._own()(prompt, completion, dict(row))

    def _own(self) -> Callable[..., Any]:
        if self._function is None:
            self.load()
        assert self._function is not None, "it was loaded above"
        return self._function
