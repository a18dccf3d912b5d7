"""The model folder that a run leaves: an adapter in peft's format or a whole model, with tokenizer,
template, settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from tunesmith.data.lengths import default_limit
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DiskError
from tunesmith.examples import Outputs
from tunesmith.methods import Method
from tunesmith.models.finding.parent import parent_of
from tunesmith.objectives import Objective
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import replace_folder
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Saver:
    """A saver of one run's model in its current state."""

    model: Any
    render: Render
    run: Run
    base: Path
    """The folder of the base."""
    method: Method
    outputs: Outputs | None = None
    """The outputs of a classification head."""
    kept_head: bool = False
    """Whether that head came with the base."""
    objective: Objective | None = None
    """What else a saved model needs beside it is the objective's to say."""
    fitted: JsonObject = field(default_factory=dict)
    """What was fitted on the watched rows at the end."""
    weights: Mapping[str, torch.Tensor] | None = None
    """The weights of a whole model that is divided over processes, gathered; None for any other."""

    def __call__(self, folder: Path, step: int) -> None:
        """Writes ``folder``, whole; raises DiskError when the disk refuses."""
        try:
            replace_folder(folder, lambda draft: self.write(draft, step))
        except (OSError, SafetensorError) as error:
            raise DiskError(say("train.model_unsaved", folder=folder, error=error)) from error

    def write(self, folder: Path, step: int) -> None:
        """Writes the model's files into a folder that is there; raises OSError as it comes."""
        writes = OBJECTIVES.make(self.run.objective).output.writes
        generation = self._generation() if writes else None
        if generation is not None:
            # A whole model saves its own; that of the base may hold settings that transformers
            # refuses to write.
            self.model.generation_config = generation
        if self.weights is None:
            self.method.save(self.model, folder)
        else:
            self.model.save_pretrained(folder, state_dict=self.weights)
        if generation is not None:
            generation.save_pretrained(folder)
        self.render.tokenizer.save_pretrained(folder)
        self._name_base(folder / "adapter_config.json")
        run = self.run
        facts = {
            "base": run.model.path,
            "base_folder": str(self.base),
            "revision": run.model.revision,
            "quantize": run.model.quantize,
            "add_tokens": list(run.model.add_tokens),
            "objective": run.objective.name,
            "head": self.render.head,
            "method": run.method.name,
            "step": step,
            "template_fingerprint": self.render.fingerprint,
            "stop_ids": list(self.render.stop_ids),
            "generate": run.generate.model_dump(mode="json"),
        }
        if self.outputs is not None:
            facts["outputs"] = {
                "names": list(self.outputs.names),
                "problem": self.outputs.problem,
                "kept": self.kept_head,
            }
        facts |= {"fitted": self.fitted} if self.fitted else {}
        parent = parent_of(run.model.path)
        facts |= {"parent": parent.to_json()} if parent else {}
        if self.objective is not None:
            longest = run.data.max_length or default_limit(self.render.tokenizer.model_max_length)
            self.objective.beside(folder, self.model.config, longest)
        (folder / "tunesmith.json").write_text(
            json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8"
        )

    def _generation(self) -> Any:
        """Returns the run's settings in transformers' terms, for its own ``generate``; those of
        sampling only where it samples.
        """
        from transformers import GenerationConfig

        settings, stop_ids, start = self.run.generate, self.render.stop_ids, self.render.start
        pad_id = self.render.tokenizer.pad_token_id
        sampling = (
            {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
            if settings.temperature > 0
            else {}
        )
        # transformers counts what it is forced to begin an answer with as written.
        return GenerationConfig(
            max_new_tokens=settings.max_new_tokens + max(len(start) - 1, 0),
            decoder_start_token_id=start[0] if start else None,
            forced_bos_token_id=start[1] if len(start) > 1 else None,
            do_sample=bool(sampling),
            repetition_penalty=settings.repetition_penalty,
            no_repeat_ngram_size=settings.no_repeat_ngram,
            eos_token_id=list(stop_ids),
            pad_token_id=stop_ids[0] if pad_id is None else pad_id,
            **sampling,
        )

    def _name_base(self, path: Path) -> None:
        """Writes the hub id into an adapter of a hub model, so that it loads on another machine."""
        if (
            path.is_file()
            and HUB_ID.fullmatch(self.run.model.path)
            and not Path(self.run.model.path).exists()
        ):
            config = json.loads(path.read_text(encoding="utf-8"))
            config |= {
                "base_model_name_or_path": self.run.model.path,
                "revision": self.run.model.revision,
            }
            path.write_text(json.dumps(config, indent=2), encoding="utf-8")
