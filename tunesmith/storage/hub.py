"""Files of a model or data hub: huggingface_hub with its own variables, or ModelScope for ids that
begin with ``ms:``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from tunesmith.errors import DataError, ModelError, Problem, TunesmithError, named_line
from tunesmith.words import say

Kind = Literal["model", "dataset"]


def looks_local(path: str) -> bool:
    """Tells whether the text can only mean a place on this machine."""
    return (
        path.startswith((".", "/", "~"))
        or path.count("/") > 1
        or "\\" in path
        or bool(re.match(r"[A-Za-z]:", path))
    )


def offline_by() -> str:
    """Returns the variable that keeps huggingface_hub from fetching, in the order in which it looks
    at them.
    """
    return "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"


def is_kept(name: str) -> bool:
    """Tells whether something of a model was fetched before, by its id on Hugging Face."""
    from huggingface_hub import constants

    kept = f"models--{name.replace('/', '--')}"
    return os.path.isdir(os.path.join(constants.HF_HUB_CACHE, kept))


def snapshot(
    name: str, kind: Kind, *, patterns: list[str], ignore: list[str], revision: str | None = None
) -> Path:
    """Fetches the matching files of a hub and returns their folder; raises ModelError or DataError
    in one line, with the remedies, if it fails.
    """
    if name.startswith("ms:"):
        return _modelscope(name, kind, patterns=patterns, ignore=ignore, revision=revision)
    return _huggingface(name, kind, patterns=patterns, ignore=ignore, revision=revision)


def _huggingface(
    name: str, kind: Kind, *, patterns: list[str], ignore: list[str], revision: str | None
) -> Path:
    import httpx
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hub = constants.ENDPOINT
    try:
        return Path(
            snapshot_download(
                name,
                repo_type=kind,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=ignore,
            )
        )
    except HFValidationError:
        text = say("hub.not_an_id", ways=_ways(kind))
    except GatedRepoError:
        text = say("hub.gated", hub=hub, ways=_ways(kind))
    except RevisionNotFoundError:
        text = say("hub.no_revision", hub=hub, revision=revision or "main")
    except RepositoryNotFoundError:
        text = say("hub.missing", hub=hub, folder=Path.cwd(), ways=_ways(kind))
    except (OSError, httpx.HTTPError) as error:
        if constants.is_offline_mode():
            text = say("hub.offline", variable=offline_by(), ways=_ways(kind))
        elif _cut_off(error):
            text = say("hub.cut_off", hub=hub, reason=named_line(error))
        else:
            # A refused connection arrives wrapped in advice of huggingface_hub's own; the cause is
            # what matters.
            reason = error if isinstance(error, httpx.HTTPError) else error.__cause__ or error
            text = say("hub.unreachable", hub=hub, reason=named_line(reason), ways=_ways(kind))
    raise _error(kind)(Problem(name, text))


def _cut_off(error: BaseException) -> bool:
    """Tells whether bytes were flowing when the connection ended; huggingface_hub reports this as a
    size that is not consistent.
    """
    import httpx

    cuts = (httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout)
    return (
        isinstance(error, cuts)
        or isinstance(error.__cause__, cuts)
        or "consistency check failed" in str(error).lower()
    )


def _modelscope(
    name: str, kind: Kind, *, patterns: list[str], ignore: list[str], revision: str | None
) -> Path:
    try:
        from modelscope import snapshot_download
        from modelscope.hub.errors import HubError
    except ImportError:
        raise _error(kind)(Problem(name, say("hub.no_modelscope"))) from None
    try:
        folder = snapshot_download(
            name.removeprefix("ms:"),
            revision,
            repo_type=kind,
            allow_patterns=patterns,
            ignore_patterns=ignore,
        )
    except (HubError, OSError, ValueError) as error:
        text = say("hub.modelscope", reason=named_line(error), ways=_ways(kind))
        raise _error(kind)(Problem(name, text)) from None
    return Path(folder)


def _error(kind: Kind) -> type[TunesmithError]:
    return ModelError if kind == "model" else DataError


def _ways(kind: Kind) -> str:
    return say("hub.ways_model" if kind == "model" else "hub.ways_data")
