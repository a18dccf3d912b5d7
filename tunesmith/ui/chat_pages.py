"""Conversations with the base, a run and other runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tunesmith.errors import Problem
from tunesmith.plain import JsonObject
from tunesmith.serving.requests import ChatRequest
from tunesmith.settings.problems import problems_of
from tunesmith.settings.spec import Spec
from tunesmith.ui.chats import Chat, Chats
from tunesmith.ui.forms import Form, form_in, form_of
from tunesmith.ui.serve_pages import Servers, called_by
from tunesmith.ui.views import HERE, Views
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

LAST = 30
"""Turns that the page shows; all of them are in the file."""
NUMBERS = ("temperature", "top_p", "max_tokens")
"""Of the models' own settings, those that a person may give otherwise."""
FIELDS: Mapping[str, Sequence[str]] = dict.fromkeys(("question", "system", *NUMBERS), ())
WRITING_EVERY = 100
"""Milliseconds between two looks while an answer is being written."""


class ChatPages:
    """The conversations of a folder of runs."""

    def __init__(self, views: Views, servers: Servers) -> None:
        self.views, self.servers, self.chats = views, servers, Chats(views.runs.root)

    def routes(self) -> list[Route]:
        """Returns the routes."""
        from starlette.routing import Route

        acts = {"ask": self.ask, "stop": self.stop, "load": self.load}
        return [
            Route("/chat.js", self.script),
            Route("/chat/", self.list),
            Route("/chat/begin", self.begin, methods=["POST"]),
            Route("/chat/{id:str}/", self.show),
            Route("/chat/{id:str}/now", self.now),
            Route("/chat/{id:str}/file", self.file),
            *(Route(f"/chat/{{id:str}}/{name}", do, methods=["POST"]) for name, do in acts.items()),
        ]

    def script(self, request: Request) -> Response:
        """Sends the script of a conversation's page."""
        from starlette.responses import FileResponse

        return FileResponse(HERE / "chat.js", media_type="text/javascript")

    def list(self, request: Request) -> Response:
        """Shows the conversations, and the runs that one can talk with."""
        return self._list(form_in(request))

    def _list(self, form: Form) -> Response:
        runs = [run.row for run in self.views.runs.table() if run.chats]
        held = [(chat.id, _when(chat), list(chat.runs.values())) for chat in self.chats.all()]
        status = 400 if form.at else 200
        return self.views.page("chats", status, runs=runs, chats=held, form=form)

    async def begin(self, request: Request) -> Response:
        """Begins a conversation, and a server where these runs have none."""
        from starlette.responses import RedirectResponse

        form = await form_of(request)
        names = form.all("run")
        talks = {run.row["name"] for run in self.views.runs.table() if run.chats}
        if not names or not set(names) <= talks:
            wrong = [Problem("run", say("ui_chat.choose"))]
            return self._list(form.refused(wrong, {"run": ()}))
        chat = self.chats.begin(called_by(names))
        self._load(chat)
        return RedirectResponse(f"{chat.id}/", status_code=303)

    def show(self, request: Request) -> Response:
        """Shows a conversation."""
        return self._shown(request, "chat")

    def now(self, request: Request) -> Response:
        """Sends what changes of it."""
        return self._shown(request, "chat_now")

    def file(self, request: Request) -> Response:
        """Sends the file of a conversation."""
        from starlette.responses import FileResponse

        chat = self._chat(request)
        if chat is None:
            return self._absent()
        return FileResponse(chat.path, filename=f"chat-{chat.id}.jsonl")

    async def ask(self, request: Request) -> Response:
        """Asks all models a question."""
        chat, form = self._chat(request), await form_of(request)
        if chat is None:
            return self._absent()
        settings, problems = _how(form)
        server = self.servers.of(chat.runs)
        ready = server if server is not None and server.state == "ready" else None
        if not form.one("question"):
            problems.append(Problem("question", say("ui_chat.empty")))
        if ready is None:
            loads = server is not None and server.state == "loading"
            problems.append(Problem("", say(f"ui_chat.{'not_yet' if loads else 'not_loaded'}")))
        elif not problems:
            asked = {"models": ready.models, "url": ready.url, "key": ready.key}
            if self.chats.ask(chat, form.one("question"), settings, asked):
                return _back()
            problems.append(Problem("", say("ui_chat.writing")))
        return self._shown(request, "chat", form.refused(problems, FIELDS))

    async def stop(self, request: Request) -> Response:
        """Ends the answers that are being written."""
        chat = self._chat(request)
        if chat is None:
            return self._absent()
        self.chats.stop(chat)
        return _back()

    async def load(self, request: Request) -> Response:
        """Loads the models of a conversation again."""
        chat = self._chat(request)
        if chat is None:
            return self._absent()
        if not self._load(chat):
            return self.views.problem(say("ui_chat.runs_gone"), 400)
        return _back()

    def _load(self, chat: Chat) -> bool:
        """Begins a server for a conversation where none lives; tells whether there is one."""
        server = self.servers.of(chat.runs)
        lives = server is not None and server.state != "failed"
        return lives or self.servers.begin(list(chat.runs.values())) is not None

    def _chat(self, request: Request) -> Chat | None:
        return self.chats.find(request.path_params["id"])

    def _absent(self) -> Response:
        return self.views.problem(say("ui_chat.none"), 404)

    def _shown(self, request: Request, template: str, refused: Form | None = None) -> Response:
        chat = self._chat(request)
        if chat is None:
            return self._absent()
        writing, server = self.chats.writing(chat), self.servers.of(chat.runs)
        stands = (server.state, server.work.id) if server is not None else None
        marks = [chat.path.stat().st_size, writing, stands]

        def told() -> JsonObject:
            turns = chat.turns()
            answering = list(dict.fromkeys(m for turn in turns for m in turn.answers))
            models = list(server.models) if server and server.models else answering
            return {
                "chat": chat,
                "turns": [*enumerate(turns)][-LAST:],
                "more": max(0, len(turns) - LAST),
                "models": list(dict.fromkeys([*models, *answering])) or list(chat.runs),
                "writing": writing,
                "server": server,
                "every": WRITING_EVERY if writing else 500,
                "form": refused or Form(),
                "numbers": NUMBERS,
            }

        return self.views.live(request, marks, template, told, 400 if refused else 200)


def _how(form: Form) -> tuple[JsonObject, list[Problem]]:
    """Returns what a form gives otherwise than the models' own settings, and what of it the server
    would refuse.
    """
    given = {name: form.one(name) for name in NUMBERS if form.one(name)}
    settings: JsonObject = {"system": form.one("system")} if form.one("system") else {}
    try:
        read = ChatRequest.model_validate({**given, "messages": []})
    except ValidationError as error:
        return settings, problems_of(error, Spec)
    return settings | read.model_dump(include=set(given)), []


def _when(chat: Chat) -> str:
    """Returns the day and time at which a conversation was begun."""
    name = chat.id
    return f"{name[:4]}-{name[4:6]}-{name[6:8]} {name[9:11]}:{name[11:13]}"


def _back() -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse("./", status_code=303)
