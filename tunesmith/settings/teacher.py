"""What is asked of a teacher that writes answers: how an endpoint is spoken to, and which answers
are kept.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import Gt

from tunesmith.settings.rewards import Rewards
from tunesmith.settings.spec import Spec


class Teacher(Spec):
    """How a teacher is asked, and what it writes is kept; read by ``tunesmith generate`` alone."""

    name: str | None = None
    """The model's name at an endpoint; not needed where it serves a single one."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds an endpoint's key; without it none is sent."""
    requests: Annotated[int, Gt(0)] = 4
    """Requests to an endpoint at a time."""
    attempts: Annotated[int, Gt(0)] = 6
    """How often a row is asked of an endpoint that is busy, fails, or breaks off its answer, with
    growing pauses between.
    """
    timeout: Annotated[float, Gt(0)] = 120.0
    """An endpoint that sends nothing for so long is asked again (seconds)."""
    cut: Literal["drop", "keep"] = "drop"
    """What becomes of answers that ``generate.max_new_tokens`` cut off: they are left out, or kept
    as they are.
    """
    rewards: Rewards = ()
    """What an answer is worth, by name or with settings: of ``generate.samples`` answers to a row
    only the best is kept. A function of yours is ``./my_reward.py:function``.
    """
    weights: tuple[float, ...] = ()
    """Weight of each reward, in their order; 1 each when not given."""
    best: Annotated[int, Gt(0)] = 1
    """How many answers to a row are kept, the best by rewards, each text once."""
    least: float | None = None
    """What an answer must be worth at least to be kept, such as 1 for right answers alone; any when
    not given.
    """
    reward_timeout: Annotated[float, Gt(0)] = 10.0
    """Longest time that a reward may take for one answer (seconds); then it has abstained, and
    an answer without a reward is not kept.
    """


def is_endpoint(path: str) -> bool:
    """Tells whether a model is asked over HTTP."""
    return path.startswith(("http://", "https://"))


def has_host(url: str) -> bool:
    """Tells whether a text is an address of HTTP that can be asked: it has a host, and its port is
    a number.
    """
    try:
        parts = urlsplit(url)
        return is_endpoint(url) and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        return False
