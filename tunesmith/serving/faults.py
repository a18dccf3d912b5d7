"""What a request is refused with: a status, and an object in the form of OpenAI's API."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping

from tunesmith.errors import TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.words import say

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
"""The ``type`` of an error, by its status; ``server_error`` for others."""


class Refused(Exception):
    """A request that is not answered."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = dict(headers or {})

    def to_json(self) -> JsonObject:
        """Returns the body of the answer."""
        kind = KINDS.get(self.status, "server_error")
        fields = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": fields}


def of_input(error: TunesmithError) -> Refused:
    """Makes the answer to a request that is wrong: all its problems, and the path of the first."""
    message = "; ".join(str(problem) for problem in error.problems)
    return Refused(400, message, param=error.problems[0].where or None)


def too_busy(seconds: int = 1) -> Refused:
    """Makes the answer while too many wait."""
    text = say("serve.busy")
    return Refused(429, text, code="rate_limit_exceeded", headers={"retry-after": str(seconds)})


def log_fault(error: Exception) -> None:
    """Writes to standard error where an engine failed, and with what kind of error: its message may
    quote a request.
    """
    places = "".join(traceback.format_tb(error.__traceback__))
    print(f"{places}{type(error).__name__}", file=sys.stderr, flush=True)
