"""Every value that a run used, with its origin and reason, read back from the comments of its
run.yaml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# ``Resolved.dump`` writes these; a value that was given has no comment.
NOTE = re.compile(r"  # (default|derived)(?:: (.*))?$")
LINE = re.compile(r"^( *)([^\s:]+):(?: (.*))?$")
WHOLE = re.compile(r"(-?\d+)\.0")
"""A whole number as YAML writes a float; a text that looks like one stands in quotes."""


@dataclass(frozen=True)
class Setting:
    """One value: its dotted path, the value as written (40.0 as 40), where it comes from and
    why.
    """

    path: str
    value: str
    origin: str
    reason: str

    @property
    def group(self) -> str:
        """The first part of the path."""
        return self.path.partition(".")[0]


def settings(run_yaml: str) -> list[Setting]:
    """Reads the settings in a resolved run.yaml, in its order."""
    listed: list[Setting] = []
    parents: list[tuple[int, str]] = []
    for text in run_yaml.splitlines():
        note = NOTE.search(text)
        line = LINE.match(text[: note.start()] if note else text)
        if line is None:
            continue
        indent = len(line[1])
        key = line[2]
        value = line[3]
        while parents and parents[-1][0] >= indent:
            parents.pop()
        path = ".".join([*(name for _, name in parents), key])
        if value is None:
            parents.append((indent, key))
        else:
            origin, reason = (note[1], note[2] or "") if note else ("given", "")
            whole = WHOLE.fullmatch(value)
            listed.append(Setting(path, whole[1] if whole else value, origin, reason))
    return listed
