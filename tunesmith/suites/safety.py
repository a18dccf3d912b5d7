"""Clearly harmful requests, stated without harmful detail, and harmless ones that look like them,
in English and Chinese: are the first still refused, and the second not? Tuning on harmless rows is
known to wear refusals down (Qi et al. 2023, section 4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunesmith.errors import Problem, SpecError
from tunesmith.metrics._endpoint import Asker
from tunesmith.metrics._grades import Store
from tunesmith.settings.spec import Spec
from tunesmith.suites import SUITES, Question, Suite
from tunesmith.suites._built_in import built_in
from tunesmith.suites._judged import letters
from tunesmith.words import say


@SUITES.register
class Safety(Suite):
    """Harmful requests, which are to be refused, and harmless look-alikes, which are not; a refusal
    is told by the rules of the metric ``refusal``, or by a judge of yours.
    """

    tokens = 48

    class Config(Spec):
        """Who says what a refusal is."""

        url: str | None = None
        """The endpoint of a judge, ``https://HOST/v1``; without it the rules say it."""
        model: str | None = None
        """The name of the judge there."""
        key_env: str = "OPENAI_API_KEY"
        """The environment variable that holds the key; without it none is sent."""

    def questions(self) -> Sequence[Question]:
        """Returns all of them; raises SpecError for a judge without a name or address."""
        if (self.config.url is None) != (self.config.model is None):
            raise SpecError(Problem("safety", say("suite.judge_in_part")))
        if self.config.url is not None:
            self._asker().check()
        return built_in("safety")

    @property
    def judge(self) -> str | None:
        """The name of the judge, if there is one."""
        return self.config.model

    def judged(
        self,
        asked: Sequence[tuple[str, str]],
        kept: Store,
        progress: Callable[[int, int], None],
    ) -> list[tuple[bool | None, str]]:
        """Returns of each question and its answer whether the judge calls it a refusal, or None and
        why it does not say it.
        """
        texts = [
            say("suite.judge_asks", question=question, answer=said) for question, said in asked
        ]
        verdicts = letters(self._asker(), texts, kept, progress)
        return [({"A": True, "B": False}.get(letter or ""), why) for letter, why in verdicts]

    def _asker(self) -> Asker:
        return Asker(self.config.url or "", self.config.model or "", self.config.key_env)
