"""What a server accepts: sizes of a request, and how long anything may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a server. Times are in seconds."""

    body: int = 2**20
    """Bytes of a request's body."""
    header: int = 16_384
    """Bytes of a request's head."""
    messages: int = 256
    prompts: int = 16
    """Prompts of one request for completions."""
    inputs: int = 256
    """Texts or rows of one request that are read."""
    new_tokens: int = 8192
    """Longest answer; a request that wants more gets this much."""
    choices: int = 4
    """``n`` of a request."""
    stops: int = 8
    stop_length: int = 256
    """Characters of a stop text."""
    likely: int = 20
    """``top_logprobs``."""
    tools: int = 128
    connections: int = 512
    in_flight: int = 128
    """Requests of one key at once."""
    head_seconds: float = 10.0
    """Until a request's head is there, from the first byte or the last answer on."""
    body_seconds: float = 20.0
    idle_seconds: float = 30.0
    """A connection without a request."""
    unread_seconds: float = 30.0
    """Until a client reads on that takes nothing of its answer."""
    wait_seconds: float = 60.0
    """Until an answer is begun."""
    answer_seconds: float = 300.0
    """Until an answer is finished."""
    drain_seconds: float = 30.0
    """How long answers that are being written may go on once the server is told to end."""
