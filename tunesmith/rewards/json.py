"""An answer that a program can read: valid JSON with the keys and of the shape that it needs."""

from __future__ import annotations

import re

from tunesmith.examples import final
from tunesmith.metrics._json import parsed
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.rewards._schema import Schema, holds
from tunesmith.settings.spec import Spec

_FENCED = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL)


@REWARDS.register
class Json(AnswerReward):
    """1 for valid JSON with all the keys and of the schema's shape, less where some of that is
    missing, 0 where it is no JSON.
    """

    class Config(Spec):
        """What must be in it."""

        keys: tuple[str, ...] = ()
        """Keys that the object must have; each counts the same."""
        json_schema: Schema = None
        """A JSON Schema, or the path of a file with one, whose shape the answer must have; it
        counts as much as a key, or alone.
        """
        fenced: bool = False
        """Whether JSON between lines of three backticks counts too."""

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns a reward between 0 and 1: half for the form, half for keys and schema, where
        these are asked for.
        """
        text = final(completion)
        fence = _FENCED.match(text) if self.config.fenced else None
        read = parsed(fence[1] if fence else text)
        if read is None:
            return 0.0
        (value,), keys, schema = read, self.config.keys, self.config.json_schema
        if keys and not isinstance(value, dict):
            return 0.0
        there = [key in value for key in keys]
        if schema is not None:
            there.append(holds(value, schema, schema))
        return 0.5 + 0.5 * sum(there) / len(there) if there else 1.0
