"""What is exported: a run's model folder, its base, and what is known of both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError, Problem, SpecError
from tunesmith.export.folders.files import weights_in
from tunesmith.machine.memory import GIB, total_and_free
from tunesmith.plain import JsonObject
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded


@dataclass(frozen=True)
class Source:
    """What is exported."""

    folder: RunFolder
    run: Run
    place: Path
    """The run's model folder."""
    base: Path
    told: JsonObject
    """What tunesmith.json says."""

    @property
    def adapter(self) -> bool:
        """Whether the run left an adapter beside its base, and no whole model."""
        return (self.place / "adapter_config.json").is_file()

    @property
    def head(self) -> str:
        """What stands on the model's trunk."""
        return OBJECTIVES.make(self.run.objective).head

    @cached_property
    def config(self) -> Any:
        """transformers' configuration of the base."""
        from tunesmith.models.structure.kinds import load_config

        return load_config(self.base, trust_remote_code=self.run.model.trust_remote_code)

    @property
    def loader(self) -> Any:
        """transformers' class for the base, and so for what is exported."""
        from tunesmith.models.structure.kinds import class_of

        return class_of(self.config, self.head)

    @cached_property
    def stored(self) -> tuple[str, int]:
        """The commonest type of the weights, and their number."""
        return weights_in(self.base if self.adapter else self.place)


def source_of(folder: RunFolder) -> Source:
    """Finds what the run left; raises ModelError without a model, SpecError where the base is no
    whole model.
    """
    from tunesmith.models.finding.hub import folder_of

    run = folder.resolved().run
    model_folder = folder.model
    facts = model_folder / "tunesmith.json"
    if not facts.is_file():
        raise ModelError(Problem(str(model_folder), say("export.no_model", run=folder.path)))
    base = folder_of(run.model)
    if not (base / "config.json").is_file():
        raise SpecError(Problem(str(base), say("export.base_is_adapter")))
    return Source(folder, run, model_folder, base, json.loads(facts.read_text(encoding="utf-8")))


def merge_problems(source: Source) -> list[Problem]:
    """Returns what keeps the adapter from folding into the base's weights, with how it is served
    instead.
    """
    from tunesmith.models.adapters import beside_base, prompt_in_encoder

    run, model_folder = source.run, source.place
    method = METHODS.make(run.method)
    if not source.adapter or method.merges:
        return []
    key = "export.slots_do_not_merge" if method.slots else "export.does_not_merge"
    text = say(key, method=run.method.name, place=str(model_folder))
    if beside_base.is_own(model_folder) or prompt_in_encoder.is_there(model_folder):
        labels = len((source.told.get("outputs") or {}).get("names", ()))
        options = {
            "loader": source.loader.__name__,
            "labels": labels,
            "quantize": run.model.quantize,
        }
        serving = beside_base.serving(source.base, model_folder, **options)
        lines = "\n".join(f"  {line}" for line in serving)
        text = say("own.does_not_merge", method=run.method.name, lines=lines)
    return [Problem("method", text)]


def check_memory(source: Source) -> None:
    """Raises SpecError where the models that are compared, in fp32, need more memory than is
    free.
    """
    # An adapter stands on the base; a whole model is loaded beside it.
    needed = 4.0 * source.stored[1] * (1 if source.adapter else 2)
    _, free = total_and_free()
    if free is not None and needed > free:
        fields = {"needed": f"{needed / GIB:.2f}", "free": f"{free / GIB:.2f}"}
        raise SpecError(Problem(str(source.base), say("export.no_memory", **fields)))


def load_trained(source: Source) -> tuple[Loaded, Loaded]:
    """Loads the base and the trained model, in fp32 on the CPU; of an adapter they are one object,
    which is the base until ``put_on``.
    """
    import torch

    from tunesmith.models.loading.load import load_model
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.models.saved import renderer
    from tunesmith.models.structure.heads import head_in

    run = source.run
    options: Any = {
        "dtype": torch.float32,
        "device": "cpu",
        "trust_remote_code": run.model.trust_remote_code,
        **head_in(source.told),
    }
    tokenizer = load_tokenizer(source.place, trust_remote_code=run.model.trust_remote_code)
    base = load_model(source.base, **options, **run.model.values("quantize", "add_tokens"))
    trained = base if source.adapter else load_model(source.place, **options)
    for loaded in (base, trained):
        loaded.tokenizer = tokenizer
    trained.render, trained.facts = renderer(source.place, tokenizer, run), source.told
    return base, trained


def put_on(trained: Loaded, source: Source) -> None:
    """Puts the adapter on its base."""
    from tunesmith.models.adapters.attach import attach

    if source.adapter:
        trained.model = attach(trained.model, source.place)
