"""Starts a server: what is wrong is told before weights load, then it answers until it is told to
end.
"""

from __future__ import annotations

import errno
import importlib.util
import ipaddress
import json
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.serving.served import asked_runs, refuse_too_large, with_bases
from tunesmith.serving.service import Address, Service
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

PACKAGES = ("starlette", "uvicorn", "prometheus_client", "llguidance")
SHORTEST_KEY = 16  # characters; a shorter one could be found by trying
BODIES: dict[str, JsonObject] = {
    "chat/completions": {"messages": [{"role": "user", "content": "…"}]},
    "embeddings": {"input": ["…"]},
    "classify": {"input": ["…"]},
    "score": {"input": [{"messages": [{"role": "user", "content": "…"}]}]},
}
"""What the line of curl asks, by route."""


Tell = Callable[[Sequence[str]], None]
Ready = Callable[[Mapping[str, frozenset[str]], Address, Sequence[str]], None]


def serve(
    runs: Sequence[str],
    service: Service,
    *,
    which: Callable[[Path], RunFolder],
    tell: Tell,
    answers: Ready | None = None,
) -> None:
    """Serves the runs (``RUN`` or ``NAME=RUN``) until SIGTERM or Ctrl-C; raises SpecError for what
    is wrong before any weights load. ``tell`` gets lines for a person, ``answers`` the names with
    their routes, the address and the keys once they can be asked.
    """
    refuse_missing()
    asked = asked_runs(runs, which)
    if service.bases:
        asked = with_bases(asked)
    address = service.address
    keys, new = read_keys(address.keys)
    refuse_open(address)
    refuse_too_large(asked)
    with closing(bound(address)) as listener:
        address = replace(address, port=listener.getsockname()[1])
        tell([say("serve.loading", names=", ".join(run.name for run in asked))])
        from tunesmith.serving.run import run

        def is_ready(served: Mapping[str, frozenset[str]]) -> None:
            tell(ready(served, address, keys[0] if new else None))
            if answers is not None:
                answers(served, address, keys)

        run(asked, replace(service, address=address), listener, keys, is_ready)
    tell([say("serve.ended")])


def ready(served: Mapping[str, frozenset[str]], address: Address, key: str | None) -> list[str]:
    """Returns what a person has to know: address, key, models (with their routes) and a line that
    works; the key where it was made here, for it is written nowhere else.
    """
    name = next(iter(served))
    route = next(body for body in BODIES if body in served[name])
    body = json.dumps({"model": name, **BODIES[route]}, ensure_ascii=False)
    shown = key or "$KEY"
    lines = [say("serve.ready", url=address.url)]
    if key is not None:
        lines.append(say("serve.key_made", key=key))
    for run_name, routes in served.items():
        listed = ", ".join(f"/v1/{route}" for route in sorted(routes))
        lines.append(say("serve.model", name=run_name, routes=listed))
    auth = f"-H 'Authorization: Bearer {shown}'" if key else f'-H "Authorization: Bearer {shown}"'
    kind = "-H 'Content-Type: application/json'"
    lines.append(say("serve.try"))
    lines.append(f"  curl {address.url}/{route} {auth} {kind} -d '{body}'")
    return [*lines, say("serve.how_to_end")]


def refuse_missing() -> None:
    """Raises SpecError where the packages of the extra ``serve`` are not there."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SpecError(say("serve.install", names=", ".join(missing)))


def read_keys(file: Path | None) -> tuple[list[str], bool]:
    """Reads the keys, one a line; without a file makes one. Returns whether it was made."""
    if file is None:
        return [f"ts-{secrets.token_urlsafe(24)}"], True
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        text = say("serve.no_keys", reason=error)
        raise SpecError(Problem("--keys", text)) from None
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    short = [n for n, key in enumerate(keys, 1) if len(key) < SHORTEST_KEY]
    if short or not keys:
        text = say("serve.short_key", path=file, least=SHORTEST_KEY)
        raise SpecError(Problem("--keys", text))
    return keys, False


def refuse_open(address: Address) -> None:
    """Raises SpecError for an address of every network without the names of this machine there."""
    try:
        everywhere = ipaddress.ip_address(address.host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere and not address.hosts:
        raise SpecError(Problem("--host", say("serve.no_host", host=address.host)))


def bound(address: Address) -> socket.socket:
    """Returns a socket at the address, which nobody else gets from now on; it listens only when the
    model is there.
    """
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
    except OSError as error:
        fields = {"host": address.host, "port": address.port, "reason": error.strerror}
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise SpecError(Problem("--host", say("serve.not_ours", **fields))) from None
        raise SpecError(Problem("--port", say("serve.port", **fields))) from None
    return listener
