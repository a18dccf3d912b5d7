"""What a form sends, read within a bound; pages take from it what they know and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.requests import Request

LONGEST = 100_000
"""Bytes of a form."""


class Form:
    """The fields of a form by name, each of which may have several values."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self.fields = fields

    def all(self, name: str) -> list[str]:
        """Returns the values of a field, each once."""
        return list(dict.fromkeys(self.fields.get(name, [])))

    def one(self, name: str) -> str:
        """Returns the text of a field; empty where there is none."""
        return self.fields.get(name, [""])[0].strip()


async def form_of(request: Request) -> Form | None:
    """Reads the form of a request; None for one that is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            return None
    return Form(parse_qs(body.decode("utf-8", "replace"), max_num_fields=1000))
