"""The words of one page in one language, without changing the language of the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunesmith.settings.run import Run
from tunesmith.words import filled, language, texts


@dataclass(frozen=True)
class Say:
    """Like ``tunesmith.words.say``, bound to a language: a server may write two reports at once."""

    language: str

    def __call__(self, key: str, **values: Any) -> str:
        """Returns the text ``topic.name`` with ``values`` filled in."""
        topic, _, name = key.partition(".")
        text = texts(self.language, topic)[name]
        return filled(text, values, self.language)

    def known(self, key: str, otherwise: str) -> str:
        """Returns the text of ``key``, or ``otherwise`` where the topic has none, as for a metric
        from outside.
        """
        topic, _, name = key.partition(".")
        return texts(self.language, topic).get(name, otherwise)


def speaker(run: Run, lang: str | None) -> Say:
    """Returns the words of a page about a run: in ``lang``, en or zh, else in the run's own
    language, else in that of the process.
    """
    return Say(lang or (run.lang if run.lang != "auto" else language()))
