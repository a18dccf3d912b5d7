"""A peer's settings in our keys, and what of them has no counterpart here."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from tunesmith.plain import JsonObject
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run
from tunesmith.words import say

Pairs = JsonObject


@dataclass
class Translation:
    """``pairs`` are ours by dotted path; ``left`` is what has no translation, with the reason."""

    peer: str
    pairs: Pairs = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    """Keys among ``left`` without which something else would be trained: none is offered."""

    def refuse(self, key: str, reason: str) -> None:
        """Notes that ``key`` has no counterpart and changes what is trained."""
        self.left[key] = reason
        self.other.append(key)

    def settings(self) -> JsonObject:
        """Returns our settings as the mapping that a run.yaml holds."""
        order = {name: index for index, name in enumerate(Run.model_fields)}
        paths = sorted(
            self.pairs, key=lambda path: (order[path.partition(".")[0]], path.count("."))
        )
        return with_overrides({}, {path: self.pairs[path] for path in paths})

    def text(self, verb: str = "train") -> str:
        """Returns the text to print: our YAML, ready to paste, and what could not be translated."""
        if self.other:
            untranslated = (f"  {key}: {self.left[key]}" for key in dict.fromkeys(self.other))
            return "\n".join([say("peers.none", peer=self.peer), *untranslated])
        missing = [
            key for key in ("model", "data", "out") if not {key, f"{key}.path"} & self.pairs.keys()
        ]
        lines = [say("peers.head", peer=self.peer, verb=verb), ""]
        lines.append(
            yaml.safe_dump(self.settings(), allow_unicode=True, sort_keys=False, width=120).rstrip()
        )
        if missing:
            lines.append(say("peers.fill", keys=", ".join(missing)))
        if self.left:
            lines += [
                "",
                say("peers.no_translation"),
                *(f"  {key}: {reason}" for key, reason in self.left.items()),
            ]
        return "\n".join(lines)
