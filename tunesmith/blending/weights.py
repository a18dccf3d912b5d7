"""Weights between the base and the tuned model (WiSE-FT, Wortsman et al. 2022, section 3):
W₀ + α (W − W₀), written as the model folder of a run.

An adapter W = W₀ + s B A needs only α B. A whole model is interpolated weight by weight.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import ModelError, Problem
from tunesmith.models.saved import FACTS
from tunesmith.settings.family import METHODS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.settings.run import Run

FACTOR = re.compile(r"\.lora_(embedding_)?[AB]\b")
"""Tensors of an adapter that is a product B A, and nothing else."""
SCALED = re.compile(r"\.lora_(embedding_)?B\b")


def refused(folder: RunFolder) -> list[Problem]:
    """Returns why no share of this run's change can be taken: its adapter is no product of two
    matrices, or has rewritten the base.
    """
    from safetensors import safe_open

    run = folder.resolved().run
    model = folder.model
    if not (model / "adapter_config.json").is_file():
        return []
    with safe_open(model / "adapter_model.safetensors", "pt") as file:
        odd = [name for name in file.keys() if not FACTOR.search(name)]  # noqa: SIM118
    if odd:
        text = say("blend.no_product", method=run.method.name, tensor=odd[0])
        return [Problem("method", text)]
    # loftq's base is rounded anew around its start, so that without B A there is no base.
    if not METHODS.make(run.method).starts_as_base:
        return [Problem("method", say("blend.starts_elsewhere", method=run.method.name))]
    return []


def base_weights(run: Run, base: Path, adapter: bool) -> dict[str, torch.Tensor]:
    """Loads what a whole model is interpolated from; nothing for an adapter, which lies beside its
    base.
    """
    import torch

    from tunesmith.models.loading.load import load_model

    if adapter:
        return {}
    options = run.model.values("trust_remote_code", "add_tokens")
    loaded = load_model(base, dtype=torch.float32, device="cpu", **options)
    return loaded.model.state_dict()


def write_between(
    folder: RunFolder, base: Mapping[str, torch.Tensor], alpha: float, draft: Path
) -> None:
    """Writes the model of ``folder`` at ``alpha`` into ``draft``: 1 is the tuned one, bit for bit,
    and 0 answers as the base.
    """
    shutil.copytree(folder.model, draft, dirs_exist_ok=True)
    for path in sorted(draft.glob("*.safetensors")):
        _rewrite(path, alpha, base)
    facts = json.loads((draft / FACTS).read_text(encoding="utf-8"))
    facts["blend"] = {"alpha": alpha, "of": str(folder.path)}
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (draft / FACTS).write_text(text, encoding="utf-8")


def _rewrite(path: Path, alpha: float, base: Mapping[str, torch.Tensor]) -> None:
    """Moves the tensors of one file towards the base; without it they are an adapter's. Raises
    ModelError where the base has no such tensor.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, "pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, tuned in tensors.items():
        if base and (name not in base or base[name].shape != tuned.shape):
            raise ModelError(Problem(str(path), say("blend.other_base", tensor=name)))
        if alpha == 1:  # a sum would not be the tuned weight to the last bit
            continue
        if base:
            start = base[name].float()
            tensors[name] = (start + alpha * (tuned.float() - start)).to(tuned.dtype).contiguous()
        elif SCALED.search(name):
            tensors[name] = tuned * alpha
    save_file(tensors, path, metadata=about)
