"""LLaMA-Factory's ``dataset_info.json``, read as it is: a registered name becomes its file, with
the columns and the number of rows that stand there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tunesmith.plain import JsonObject, Named
from tunesmith.settings.peer_translation import Translation
from tunesmith.words import say

COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "history",
    "system": "system",
    "tools": "tools",
    "chosen": "chosen",
    "rejected": "rejected",
    "kto_tag": "label",
}
"""Their name of a column, and ours."""
READ_HERE = frozenset(
    ("file_name", "hf_hub_url", "ms_hub_url", "columns", "formatting", "num_samples", "ranking")
)
"""What an entry may say that is read; how turns are tagged is seen in the rows themselves."""


def registered(name: str, settings: Named, translation: Translation) -> str | JsonObject:
    """Returns the source behind a name of ``dataset_info.json``: its path, with its columns where
    they are named; the name itself where it is not registered.
    """
    folder = Path(str(settings.get("dataset_dir", "data")))
    info = folder / "dataset_info.json"
    entry = json.loads(info.read_text(encoding="utf-8")).get(name, {}) if info.is_file() else {}
    path = _path(entry, folder)
    if path is None:
        if not os.path.exists(name):
            translation.left[f"dataset {name}"] = say(
                "peers.registered", name=name, peer=translation.peer
            )
        return name
    if entry.get("num_samples"):
        path = str(at_most(path, int(entry["num_samples"])))
    for key in sorted(entry.keys() - READ_HERE - {"tags"}):
        translation.left[f"dataset {name}.{key}"] = say("peers.entry_left", name=key)
    columns = {}
    for theirs, column in entry.get("columns", {}).items():
        ours = COLUMNS.get(theirs)
        if theirs == "messages":
            ours = _conversation(entry)
        if ours is None:
            translation.left[f"dataset {name}.columns.{theirs}"] = say(
                "peers.column_left", name=column
            )
        elif ours != column:
            columns[ours] = column
    return {"path": path, "columns": columns} if columns else path


def at_most(source: str | JsonObject, number: int) -> str | JsonObject:
    """Returns a source of which ``number`` rows are taken, or fewer where it says so itself."""
    if not isinstance(source, str):
        return {**source, "path": at_most(source["path"], number)}
    path, mark, taken = source.rpartition("#")
    if mark and taken.isdecimal():
        return f"{path}#{min(number, int(taken))}"
    return f"{source}#{number}"


def _path(entry: Named, folder: Path) -> str | None:
    """Returns where the rows are: on the hub, on ModelScope, or in a file beside the list, as
    LLaMA-Factory looks for them.
    """
    if "hf_hub_url" in entry:
        return str(entry["hf_hub_url"])
    if "ms_hub_url" in entry:
        return f"ms:{entry['ms_hub_url']}"
    return str(folder / str(entry["file_name"])) if "file_name" in entry else None


def _conversation(entry: Named) -> str:
    """Returns our name for the column of turns: by the tags, OpenAI's messages or ShareGPT's."""
    tags = entry.get("tags")
    openai = isinstance(tags, dict) and tags.get("role_tag") == "role"
    return "messages" if openai else "conversations"
