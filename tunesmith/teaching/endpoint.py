"""A teacher behind an endpoint that speaks OpenAI's ``/chat/completions``: several requests at a
time, repeated where that helps.

What is busy, fails or is cut off is asked again after a pause that doubles, with jitter, or after
what ``Retry-After`` says. What the request itself is to blame for (400, 401, 404, …) ends all at
once.
"""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tunesmith.data.rendering.template import Template
from tunesmith.errors import Problem, SpecError, Stopped, TunesmithError
from tunesmith.events.stream import Events
from tunesmith.events.verbs import AskedAgain
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run
from tunesmith.settings.teacher import Teacher, has_host
from tunesmith.teaching.questions import Question
from tunesmith.teaching.sse import Cut, answer_of, message_of
from tunesmith.teaching.written import Written, messages
from tunesmith.words import say

if TYPE_CHECKING:
    import httpx

AGAIN = (408, 425, 429)
"""Statuses below 500 that may pass by themselves."""
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_TOLD = 0.5, 60.0, 900.0
"""Seconds: the pause before the second try, the longest that doubling comes to, and the longest
that a server may ask for.
"""
HEARD = 0.1
"""Seconds between two looks at whether a signal came."""
LIMITS = ("max_tokens", "max_completion_tokens")
"""What the limit of an answer's tokens is called; servers that want the second name say so to the
first.
"""
NOT_THERE = {
    "generate": ("no_repeat_ngram", "repetition_penalty"),
    "model": ("revision", "dtype", "quantize", "add_tokens", "trust_remote_code"),
}
"""Settings that ``/chat/completions`` does not have."""


class _Again(Exception):
    """A request that may go better later; ``after`` is what the server says of when (seconds),
    ``kind`` what is told once.
    """

    def __init__(self, reason: str, kind: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.kind, self.after = kind, after

    def pause(self, attempt: int) -> float:
        """Returns how long to wait after so many tries (seconds)."""
        if self.after is not None:
            return min(self.after, LONGEST_TOLD)
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1)


class Endpoint:
    """An endpoint that is asked; ``name`` is what the rows call its model."""

    loading = 0.0
    gave_up, which_name = "generate.gave_up", "generate.which_name"
    key_refused, key_missing = "generate.key_refused", "generate.key_missing"
    """Words for what follows from an endpoint that is down, from one that serves several models,
    and from a key that it does not take.
    """
    place, name_place = "model", "teacher.name"
    """Where a person gave the address, and the name of the model."""

    def __init__(self, run: Run, events: Events) -> None:
        self.run, self.events, self.settings = run, events, run.teacher or Teacher()
        self.url, self.system = run.model.path.rstrip("/"), run.data.system
        self.key = os.environ.get(self.settings.key_env, "").strip()
        self.template = (
            Template(run.data.template, run.data.columns) if run.data.template is not None else None
        )
        self._limit = LIMITS[0]
        self._over = threading.Event()
        self._told: set[str] = set()
        problems = [
            Problem(f"{group}.{name}", say("generate.not_at_endpoint"))
            for group, names in NOT_THERE.items()
            for name in run.values(group)[group].model_dump(
                include=set(names), exclude_defaults=True
            )
        ]
        if not has_host(self.url):
            problem = Problem(self.place, say("rewards.no_address", url=repr(self.url)))
            raise SpecError([*problems, problem])
        parts = urlsplit(self.url)
        if parts.username or parts.query or parts.fragment:
            problems.append(
                Problem(self.place, say("generate.bare_address", key_env=self.settings.key_env))
            )
        if problems:
            raise SpecError(problems)
        self.client = self._client()
        self.name = self.settings.name or self._only_name()

    def identity(self) -> dict[str, str]:
        """Returns what distinguishes this teacher from another."""
        return {"model": self.url, "teacher.name": self.name}

    def answers(
        self, questions: Iterator[Question], done: Collection[int], stopped: Callable[[], bool]
    ) -> Iterator[tuple[int, Written]]:
        """Yields the answers that are not ``done``, by their number, in the order in which they
        come.
        """
        each = self.run.generate.samples
        every = (
            (number * each + n, question)
            for number, question in enumerate(questions)
            for n in range(each)
        )
        wanted = ((number, question) for number, question in every if number not in done)
        results: queue.Queue[tuple[int, Written] | BaseException | None] = queue.Queue()
        taking = threading.Lock()
        # An answer gives its slot back once it is kept, so that a killed process loses no more of
        # them than it has requests.
        slots = threading.Semaphore(self.settings.requests)
        # A thread that waits for a server must not keep the process from ending.
        workers = [
            threading.Thread(target=self._work, args=(wanted, taking, slots, results), daemon=True)
            for _ in range(self.settings.requests)
        ]
        for worker in workers:
            worker.start()
        working = len(workers)
        failed = None
        try:
            while working and not (failed and results.empty()):
                try:
                    result = results.get(timeout=HEARD)
                except queue.Empty:
                    if stopped():
                        return
                    continue
                if result is None:
                    working -= 1
                elif isinstance(result, BaseException):
                    failed = failed or result
                else:
                    yield result
                    slots.release()
            if failed:
                raise failed
        finally:
            self._over.set()
            slots.release(len(workers))

    def _work(
        self,
        wanted: Iterator[tuple[int, Question]],
        taking: threading.Lock,
        slots: threading.Semaphore,
        results: queue.Queue[object],
    ) -> None:
        """Asks one question after the other until there are no more, or one has failed for good."""
        try:
            while slots.acquire() and not self._over.is_set():
                with taking:
                    number, question = next(wanted, (None, None))
                if number is None or question is None:
                    break
                results.put((number, self._answer(number, question)))
        except TunesmithError as error:
            results.put(error)  # before the others are stopped, which end with less to say
            self._over.set()
        except BaseException as error:
            results.put(error)
            self._over.set()
            raise
        finally:
            results.put(None)

    def _answer(self, number: int, question: Question) -> Written:
        body = self._body(number, question)
        answer, retries = self._patiently(lambda: self._ask(body, question.place))
        return replace(answer, retries=retries)

    def _body(self, number: int, question: Question) -> JsonObject:
        settings = self.run.generate
        said = messages(question.chat.turns, self.system)
        if self.template is not None:
            said = [
                {
                    "role": "user",
                    "content": self.template.fill(question.chat, system=self.system, asking=True)[
                        0
                    ],
                }
            ]
        body: dict[str, object] = {"model": self.name, "messages": said, "stream": True}
        body |= {"temperature": settings.temperature} | (
            {"stop": list(settings.stop)} if settings.stop else {}
        )
        if settings.temperature > 0:
            # Samples of one question must differ where a server draws by the seed alone.
            body |= {"top_p": settings.top_p, "seed": self.run.train.seed + number}
        return body

    def _patiently(self, ask: Callable[[], object]) -> tuple[Any, int]:
        """Calls ``ask``, again after failures, and returns its result and the number of
        repetitions; raises Stopped after the last try.
        """
        import httpx

        again = _Again("", "")
        for attempt in range(1, self.settings.attempts + 1):
            try:
                return ask(), attempt - 1
            except _Again as error:
                again = error
            except (httpx.RequestError, Cut) as error:
                again = _Again(
                    self._plain(f"{type(error).__name__}: {error}"), type(error).__name__
                )
            if attempt < self.settings.attempts:
                pause = again.pause(attempt)
                self._tell_once(again, pause)
                if self._over.wait(pause):
                    break
        raise Stopped(
            say(
                self.gave_up,
                url=self.url,
                attempts=self.settings.attempts,
                reason=again,
                out=self.run.out,
            )
        )

    def _ask(self, body: dict[str, object], place: str) -> Written:
        sent = self._limit
        limited = body | {sent: self.run.generate.max_new_tokens}
        with self.client.stream("POST", f"{self.url}/chat/completions", json=limited) as response:
            other = (
                sent == LIMITS[0]
                and response.status_code == 400
                and LIMITS[1] in message_of(response.read())
            )
            if not other:
                self._check(response, place)
                return answer_of(response)
        self._limit = LIMITS[1]
        return self._ask(body, place)

    def _check(self, response: httpx.Response, place: str = "") -> None:
        """Raises what follows from a status that is not 200, or from a page that is no answer of
        such an endpoint.
        """
        if response.status_code == 200 and "html" not in response.headers.get("content-type", ""):
            return
        said = self._plain(message_of(response.read())) or response.reason_phrase
        status = response.status_code
        spent = "insufficient_quota" in response.text
        if (status in AGAIN and not spent) or status >= 500:
            after = _after(response.headers.get("retry-after"))
            raise _Again(say("generate.status", status=status, said=said), str(status), after)
        fields = {"url": response.url, "status": status, "said": said}
        key = self.key_refused if self.key else self.key_missing
        todo = {
            401: key,
            403: key,
            404: "generate.not_found",
            429: "generate.spent",
            200: "generate.not_an_endpoint",
        }
        fields["todo"] = say(
            todo.get(status, "generate.bad_request"),
            key_env=self.settings.key_env,
            place=place or "-",
        )
        raise SpecError(Problem(self.place, say("generate.refused_by", **fields)))

    def _only_name(self) -> str:
        """Returns the name of the one model that is served; raises SpecError with their names where
        there are several.
        """

        def ask() -> list[str]:
            response = self.client.get(f"{self.url}/models")
            self._check(response)
            try:
                return [str(model["id"]) for model in response.json()["data"]]
            except (ValueError, KeyError, TypeError):
                raise SpecError(
                    Problem(self.name_place, say("generate.no_names", url=self.url))
                ) from None

        names, _ = self._patiently(ask)
        if len(names) != 1:
            names_served = ", ".join(names[:20]) or "-"
            raise SpecError(
                Problem(
                    self.name_place,
                    say(self.which_name, url=self.url, count=len(names), known=names_served),
                )
            )
        return names[0]

    def _client(self) -> httpx.Client:
        import httpx

        limits = httpx.Limits(max_connections=self.settings.requests)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(headers=headers, timeout=self.settings.timeout, limits=limits)

    def _plain(self, text: str) -> str:
        """Removes the key from a server's words, because some servers repeat it."""
        return text.replace(self.key, "***") if self.key else text

    def _tell_once(self, again: _Again, pause: float) -> None:
        """Says why something is asked again, each kind of reason once."""
        if again.kind not in self._told:
            self._told.add(again.kind)
            self.events(AskedAgain(self.url, str(again), pause))


def _after(told: str | None) -> float | None:
    """Reads ``Retry-After`` in seconds: a number, or a date."""
    if not told:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(told)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
