"""A folder sent to a model hub: huggingface_hub, or ModelScope for ids that begin with ``ms:``."""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from tunesmith.errors import HubError, Problem, SpecError, first_line, named_line
from tunesmith.storage.hub import offline_by
from tunesmith.words import say

T = TypeVar("T")

_ID = re.compile(r"(ms:)?[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
MESSAGE = "Exported by tunesmith"


@dataclass(frozen=True)
class Hub(ABC):
    """Where a folder goes: an id on one hub."""

    id: str
    """As the hub knows it: owner/name."""

    title: ClassVar[str]
    token_name: ClassVar[str]
    """The variable that holds a token."""

    @abstractmethod
    def has_token(self) -> bool:
        """Tells whether a token is set here."""

    @abstractmethod
    def check(self) -> None:
        """Asks the hub whether it knows the token; raises HubError if it does not, or does not
        answer. Changes nothing there.
        """

    @abstractmethod
    def send(self, folder: Path, *, public: bool) -> str:
        """Sends all files and returns the address of the page; makes the model, private unless
        ``public``, where the hub has none of that id. Raises HubError; the folder is untouched.
        """

    @abstractmethod
    def command(self, folder: str, *, public: bool) -> str:
        """Returns the hub's own command that sends a folder; both hubs' commands make a new model
        public unless told otherwise.
        """

    @abstractmethod
    def fetch(self, folder: str) -> str:
        """Returns the hub's own command that fetches the model into a folder."""

    def refused(self, endpoint: str, status: int | None, reason: str) -> HubError:
        """Returns the error for an answer of the hub, or for none."""
        key = {401: "hub.send_401", 403: "hub.send_403"}.get(status or 0, "hub.send_failed")
        text = say(
            key, hub=endpoint, token=self.token_name, owner=self.id.split("/")[0], reason=reason
        )
        return HubError(Problem(self.id, text))


class HuggingFace(Hub):
    """huggingface.co, or the hub at HF_ENDPOINT."""

    title, token_name = "Hugging Face", "HF_TOKEN"

    def has_token(self) -> bool:
        """Looks where huggingface_hub does: HF_TOKEN, or what ``hf auth login`` kept."""
        from huggingface_hub import get_token

        return bool(get_token())

    def check(self) -> None:
        """Asks whose the token is."""
        from huggingface_hub import HfApi, constants

        if constants.is_offline_mode():
            raise HubError(Problem(self.id, say("hub.send_offline", variable=offline_by())))
        self._asked(lambda: HfApi().whoami())

    def send(self, folder: Path, *, public: bool) -> str:
        """Sends everything as one commit: readers see all of it or nothing."""
        from huggingface_hub import HfApi

        def sent() -> str:
            url = HfApi().create_repo(self.id, private=not public, exist_ok=True)
            HfApi().upload_folder(repo_id=self.id, folder_path=folder, commit_message=MESSAGE)
            return str(url)

        return self._asked(sent)

    def command(self, folder: str, *, public: bool) -> str:
        """Returns the line with hf."""
        return f"hf upload {self.id} {shlex.quote(folder)}{'' if public else ' --private'}"

    def fetch(self, folder: str) -> str:
        """Returns the line with hf."""
        return f"hf download {self.id} --local-dir {shlex.quote(folder)}"

    def _asked(self, ask: Callable[[], T]) -> T:
        import httpx
        from huggingface_hub import constants
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return ask()
        except HfHubHTTPError as error:
            status = error.response.status_code
            reason = error.server_message or first_line(error)
        except (OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
            # hf_xet, which carries large files, raises RuntimeError
            status = None
            reason = named_line(error)
        raise self.refused(constants.ENDPOINT, status, reason)


class ModelScope(Hub):
    """modelscope.cn, or the hub at MODELSCOPE_ENDPOINT."""

    title, token_name = "ModelScope", "MODELSCOPE_API_TOKEN"

    def has_token(self) -> bool:
        """Looks where modelscope does; SpecError where it is not installed."""
        try:
            from modelscope_hub import get_default_config
        except ImportError:
            raise SpecError(Problem("export.hub", say("hub.no_modelscope"))) from None
        return bool(get_default_config().token)

    def check(self) -> None:
        """Asks whose the token is."""
        from modelscope_hub import HubApi

        self._asked(lambda: HubApi().whoami())

    def send(self, folder: Path, *, public: bool) -> str:
        """Sends everything, a large folder in several commits."""
        from modelscope_hub import HubApi

        api, kind = HubApi(), "model"

        def sent() -> str:
            # Made first: what upload_folder makes by itself has the hub's own visibility.
            if not api.repo_exists(self.id, kind):
                api.create_repo(self.id, kind, visibility="public" if public else "private")
            # Its cache would be a folder of its own within the one that is sent.
            api.upload_folder(self.id, kind, folder, commit_message=MESSAGE, use_cache=False)
            return f"{_modelscope_endpoint()}/models/{self.id}"

        return self._asked(sent)

    def command(self, folder: str, *, public: bool) -> str:
        """Returns the line with modelscope; ``&&``, so that what could not be made private is
        not sent.
        """
        seen = "public" if public else "private"
        made = f"modelscope create {self.id} --repo-type model --visibility {seen}"
        return f"{made} && modelscope upload {self.id} {shlex.quote(folder)}"

    def fetch(self, folder: str) -> str:
        """Returns the line with modelscope."""
        return f"modelscope download {self.id} --local_dir {shlex.quote(folder)}"

    def _asked(self, ask: Callable[[], T]) -> T:
        from modelscope_hub.errors import APIError
        from modelscope_hub.errors import HubError as Refusal

        try:
            return ask()
        except APIError as error:
            status = error.status_code
            reason = first_line(error)
        except (Refusal, OSError, ValueError) as error:
            status = None
            reason = named_line(error)
        raise self.refused(_modelscope_endpoint(), status, reason)


def hub_of(name: str, where: str = "export.hub") -> Hub:
    """Returns the place that ``owner/name`` or ``ms:owner/name`` means; raises SpecError at the
    setting ``where`` for anything else.
    """
    if not _ID.fullmatch(name):
        raise SpecError(Problem(where, say("hub.send_id", name=name)))
    kind = ModelScope if name.startswith("ms:") else HuggingFace
    return kind(name.removeprefix("ms:"))


def _modelscope_endpoint() -> str:
    from modelscope_hub import get_default_config

    return get_default_config().endpoint
