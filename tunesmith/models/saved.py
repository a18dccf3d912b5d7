"""Loads the model that a run left, with the template and settings it was trained with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError, Problem
from tunesmith.models.adapters.attach import attach
from tunesmith.models.loading.load import Loaded, load_model
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.settings.run import Run
    from tunesmith.storage.run_folder import RunFolder


def load_run(folder: RunFolder, *, tuned: bool = True, dtype: torch.dtype | None = None) -> Loaded:
    """Loads a run's model with its adapter attached, or its base (``tuned=False``), and the run's
    own renderer.

    ``dtype`` is the base's; that of the run when not given.
    """
    from tunesmith.models.finding.hub import folder_of
    from tunesmith.models.structure.heads import head_in

    run = folder.resolved().run
    saved_model = folder.model
    if not (saved_model / FACTS).is_file():
        key = "load.still_training" if folder.busy else "load.no_run_model"
        raise ModelError(Problem(str(saved_model), say(key, folder=str(folder.path))))
    device, usual_dtype = _place(run.train.machine)
    adapter = (saved_model / "adapter_config.json").is_file()
    source = folder_of(run.model) if adapter or not tuned else saved_model
    facts = json.loads((saved_model / FACTS).read_text(encoding="utf-8"))
    options = {"trust_remote_code": run.model.trust_remote_code, **head_in(facts)}
    options |= (
        {"quantize": run.model.quantize, "add_tokens": run.model.add_tokens}
        if source != saved_model
        else {}
    )
    loaded = load_model(source, dtype=dtype or usual_dtype, device=device, **options)
    if adapter and (tuned or METHODS.make(run.method).slots):
        loaded.model = attach(loaded.model, saved_model)
    if METHODS.make(run.method).slots:
        # Rows with virtual tokens inside them mean nothing to a base that does not know how to
        # leave them out.
        loaded.layout, loaded.model.on = "padded", tuned
    loaded.tokenizer = load_tokenizer(saved_model)
    loaded.render, loaded.facts = renderer(saved_model, loaded.tokenizer, run), facts
    return loaded


def load_other(folder: Path, run: Run, render: Render) -> Loaded:
    """Loads a model that no run left, asked by its own template with the settings of ``render``,
    that of ``run``.
    """
    from tunesmith.data.rendering.render import Render

    device, dtype = _place(run.train.machine)
    loaded = load_model(folder, dtype=dtype, device=device)
    objective = OBJECTIVES.make(run.objective)
    loaded.render = Render(
        loaded.tokenizer,
        render.data,
        max_length=render.max_length,
        head=objective.head,
        chats=objective.chats,
    )
    return loaded


def renderer(place: Path, tokenizer: Tokenizer, run: Run) -> Render:
    """Makes the renderer of a saved model; raises ModelError when it gives other tokens than in
    training.
    """
    from tunesmith.data.rendering.render import Render

    facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
    objective = OBJECTIVES.make(run.objective)
    data = run.data
    render = Render(
        tokenizer, data, max_length=data.max_length, head=objective.head, chats=objective.chats
    )
    if render.fingerprint != facts["template_fingerprint"]:
        raise ModelError(Problem(str(place), say("load.template_changed")))
    return render


def _place(machine: Any) -> tuple[torch.device, torch.dtype]:
    """Returns the run's device and type where this machine has them; a CPU computes in fp32, which
    is faster there than bf16.
    """
    import torch

    if machine.device == "cuda" and torch.cuda.is_available():
        types = {"bf16": torch.bfloat16, "fp16": torch.float16}
        return torch.device("cuda"), types.get(machine.precision, torch.float32)
    return torch.device("cpu"), torch.float32


FACTS = "tunesmith.json"
"""The file beside a saved model that says how it was made and how it is asked."""
