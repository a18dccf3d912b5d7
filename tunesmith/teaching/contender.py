"""A model behind an endpoint as a contender of a proof: it is asked the held-out questions, and
only writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.events.stream import Events
from tunesmith.examples import Chat
from tunesmith.proving.others import Other, other_model
from tunesmith.settings.run import Generate, Model, Run
from tunesmith.settings.teacher import Teacher, is_endpoint
from tunesmith.teaching.endpoint import Endpoint
from tunesmith.teaching.questions import Question


class _Asked(Endpoint):
    """The endpoint, with words that fit a proof."""

    gave_up, which_name = "prove.gave_up", "prove.which_name"
    key_refused, key_missing = "prove.key_refused", "prove.key_missing"
    place = name_place = "against"


class EndpointContender:
    """A model at ``http://HOST/v1``, or ``http://HOST/v1#NAME`` where several models are served.

    Made before anything is scored; raises SpecError where nobody answers as such an endpoint does.
    """

    def __init__(self, address: str, run: Run, events: Events) -> None:
        url, _, served = address.partition("#")
        teacher = run.teacher or Teacher()
        asked = {
            "model": Model(path=url),
            "generate": Generate(stop=run.generate.stop),
            "teacher": teacher.model_copy(update={"name": served or None}),
        }
        self.endpoint = _Asked(run.model_copy(update=asked), events)
        self.name = address
        self.identity = f"{url.rstrip('/')} {self.endpoint.name}"

    def write(
        self, chats: Sequence[Chat], most: int, done: Sequence[int]
    ) -> Iterator[tuple[int, str, bool]]:
        """Yields for each conversation that is not ``done`` its number, the likeliest answer of at
        most ``most`` tokens, and whether it ended by itself; raises Stopped where the endpoint
        went down.
        """
        run = self.endpoint.run
        limited = run.generate.model_copy(update={"max_new_tokens": most})
        self.endpoint.run = run.model_copy(update={"generate": limited})
        questions = (
            Question(str(number), chat.prompt, "", {}) for number, chat in enumerate(chats, 1)
        )
        for number, answer in self.endpoint.answers(questions, done, lambda: False):
            yield number, answer.text, answer.finish == "stop"


def others_of(against: Sequence[str], run: Run, events: Events) -> tuple[Other, ...]:
    """Finds the contenders that ``against`` names, each once; raises SpecError with all that is
    wrong with them.
    """
    others: list[Other] = []
    problems: list[Problem] = []
    for name in dict.fromkeys([against] if isinstance(against, str) else against):
        try:
            others.append(
                EndpointContender(name, run, events)
                if is_endpoint(name)
                else other_model(name, run)
            )
        except TunesmithError as error:
            problems += [
                replace(problem, where=f"against: {name}") if problem.where == name else problem
                for problem in error.problems
            ]
    if problems:
        raise SpecError(problems)
    return tuple(others)
