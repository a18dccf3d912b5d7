"""The page on which people vote: a prompt, two answers, five buttons; it works without a script."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from tunesmith import words
from tunesmith.errors import TunesmithError
from tunesmith.pages.templates import templates
from tunesmith.voting.comparison import Comparison
from tunesmith.voting.votes import CHOICES, Choice, left_of
from tunesmith.words import say

if TYPE_CHECKING:
    from jinja2 import Template
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HERE = Path(__file__).parent
KEYS: dict[str, Choice] = {"1": "left", "2": "right", "3": "tie", "4": "both_bad", "s": "skip"}
FILES = {"arena.css": "text/css", "arena.js": "text/javascript"}
LONGEST_FORM = 10_000
"""Bytes of a form; a vote has some fifty."""


class Page:
    """The page of one voter. What it shows depends on the votes in the file alone, so that it may
    be closed, opened twice, or ended at any time.
    """

    def __init__(self, comparison: Comparison, who: str) -> None:
        self.comparison, self.who = comparison, who
        self.known = {ballot.id: ballot for ballot in comparison.ballots}
        self.shown: dict[str, float] = {}
        """When each ballot was shown for the first time (seconds of a clock)."""
        self.template = _template()

    def app(self) -> Starlette:
        """Returns the application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        return Starlette(
            routes=[
                Route("/", self.show),
                Route("/vote", self.take, methods=["POST"]),
                Route("/{name:str}", self.file),
            ]
        )

    async def show(self, request: Request) -> Response:
        """Shows what comes next: what the votes can show, a ballot, or that all are done; with
        ``?again=BALLOT`` one that was voted on.
        """
        try:
            votes = self.comparison.votes.read()
        except TunesmithError as error:
            return self._page({"problem": str(error)}, status=500)
        waiting = left_of(self.comparison.ballots, votes, self.who)
        voted = [vote.ballot.id for vote in votes if vote.who == self.who]
        total = len(self.comparison.ballots)
        progress: dict[str, object] = {"done": total - len(waiting), "total": total}
        again = self.known.get(request.query_params.get("again", ""))
        if again is None and not voted and "start" not in request.query_params:
            return self._page({**progress, "before": self.comparison.before()})
        if again is None and not waiting:
            return self._page({**progress, "finished": True})
        ballot = again or waiting[0]
        self.shown.setdefault(ballot.id, time.monotonic())
        answers = ballot.item.answers
        return self._page(
            {
                **progress,
                "ballot": ballot.id,
                "turns": ballot.item.messages,
                "answers": [answers[ballot.left], answers[ballot.right]],
                "keys": KEYS,
                "before_this": voted[-1] if voted and again is None else None,
            }
        )

    async def take(self, request: Request) -> Response:
        """Takes a vote, and goes on to the next ballot."""
        from starlette.responses import RedirectResponse

        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_FORM:
                return self._page({"problem": say("arena.odd_vote")}, status=400)
        sent = parse_qs(body.decode("utf-8", "replace"))
        ballot = self.known.get(sent.get("ballot", [""])[0])
        choice = _choice(sent.get("choice", [""])[0])
        if ballot is None or choice is None:
            return self._page({"problem": say("arena.odd_vote")}, status=400)
        began = self.shown.pop(ballot.id, None)
        seconds = None if began is None else round(time.monotonic() - began, 1)
        self.comparison.vote(ballot, choice, self.who, seconds)
        return RedirectResponse("/", status_code=303)

    async def file(self, request: Request) -> Response:
        """Sends the style or the script."""
        from starlette.responses import Response

        name = request.path_params["name"]
        if name not in FILES:
            return self._page({"problem": say("arena.no_page")}, status=404)
        return Response((HERE / name).read_bytes(), media_type=FILES[name])

    def _page(self, told: Mapping[str, object], status: int = 200) -> Response:
        from starlette.responses import HTMLResponse

        html = self.template.render(say=say, lang=words.language(), **told)
        # Half a surrogate pair in an answer is no text that can be sent.
        return HTMLResponse(html.encode("utf-8", "replace"), status_code=status)


def _choice(sent: str) -> Choice | None:
    return next((choice for choice in CHOICES if choice == sent), None)


@cache
def _template() -> Template:
    return templates(HERE).get_template("arena.html.j2")
