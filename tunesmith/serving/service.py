"""Where and how runs are served."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.serving.limits import Limits

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Address:
    """Where a server listens, and who may ask: ``keys`` is a file with one a line; without it a
    random one is made. ``hosts`` are further names under which clients reach it.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    hosts: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The values of ``Host`` that are answered."""
        return [*LOOPBACK, self.host, *self.hosts]

    @property
    def url(self) -> str:
        """The address below which the routes are."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"


@dataclass(frozen=True)
class Service:
    """How runs are served."""

    address: Address
    limits: Limits = field(default_factory=Limits)
    at_once: int = 16
    """Answers that are written at once."""
    waiting: int = 64
    """Answers that wait for that."""
    bases: bool = False
    """Whether the bases of the runs are served beside them."""
