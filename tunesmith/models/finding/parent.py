"""The finished run that a model path names: what it learned, and how its weights are taken over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


@dataclass(frozen=True)
class Parent:
    """A run that another goes on from."""

    folder: RunFolder
    facts: JsonObject
    """What its tunesmith.json tells."""

    @property
    def adapter(self) -> bool:
        """Whether the run trained an adapter, which is merged into its base; else it is a whole
        model.
        """
        return (self.folder.model / "adapter_config.json").is_file()

    @property
    def writes(self) -> bool:
        """Whether the model writes text."""
        return OBJECTIVES.make(self.folder.resolved().run.objective).output.writes

    def told(self) -> str:
        """Describes for a person which run this is, and what became of its adapter."""
        key = "stages.parent_merged" if self.adapter else "stages.parent_whole"
        named = {name: self.facts[name] for name in ("objective", "method", "step", "base")}
        return say(key, run=self.folder.path, **named)

    def warnings(self, run: Run) -> list[str]:
        """Returns warnings where the new run asks for answers in a different form than the parent
        learned.
        """
        if not (self.writes and OBJECTIVES.make(run.objective).output.writes):
            return []
        before = self.folder.resolved().run.data
        now = run.data
        other = ["data.template"] * (before.template != now.template)
        other += ["data.system"] * (before.system != now.system)
        return [say("stages.other_format", run=self.folder.path, setting=name) for name in other]

    def to_json(self) -> dict[str, object]:
        """Returns the facts for tunesmith.json of the run that continues from this one."""
        kept = {
            name: self.facts.get(name) for name in ("objective", "method", "step", "base", "parent")
        }
        return {"run": str(self.folder.path), "merged": self.adapter, **kept}


def parent_of(path: str) -> Parent | None:
    """Returns the finished run at ``path``; None where it is another kind of model."""
    folder = RunFolder(Path(path).expanduser())
    facts = folder.model / "tunesmith.json"
    if not (folder.run_yaml.is_file() and facts.is_file()):
        return None
    return Parent(folder, json.loads(facts.read_text(encoding="utf-8")))
