"""A masked language model as it comes from pretraining: what it expects where a mask stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tunesmith.batches.batch import Tokens
from tunesmith.errors import ModelError, Problem
from tunesmith.models.structure.heads import quiet
from tunesmith.models.structure.kinds import kind_of, load_config
from tunesmith.words import say


def load_masked(folder: Path, *, device: torch.device, trust_remote_code: bool = False) -> Any:
    """Loads the model of ``folder`` in fp32 with the head that fills masks; raises ModelError where
    the checkpoint lacks part of it.
    """
    from transformers import AutoModelForMaskedLM

    config = load_config(folder, trust_remote_code=trust_remote_code)
    if kind_of(config) != "encoder":
        raise ModelError(Problem(str(folder), say("cloze.not_masked", kind=config.model_type)))
    options = {
        "dtype": torch.float32,
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": trust_remote_code,
    }
    with quiet():
        model, info = AutoModelForMaskedLM.from_pretrained(
            folder, config=config, output_loading_info=True, **options
        )
    lacking = sorted(info["missing_keys"])
    if lacking:
        # transformers draws them at random, and whatever they then say means nothing.
        raise ModelError(Problem(str(folder), say("cloze.no_head", names=", ".join(lacking[:3]))))
    return model.to(device).eval().requires_grad_(False)


@torch.no_grad()
def logprobs_at(
    model: Any, rows: Sequence[Tokens], places: Sequence[int], *, pad_id: int
) -> torch.Tensor:
    """Computes log-probabilities ``[B, V]`` (nats) of every word of the vocabulary at one position
    of each row.
    """
    device = model.get_input_embeddings().weight.device
    longest = max(map(len, rows))
    ids_BT = torch.full((len(rows), longest), pad_id)
    for ids_T, row in zip(ids_BT, rows, strict=True):
        ids_T[: len(row)] = torch.from_numpy(row.ids_T.astype("int64"))
    lengths_B1 = torch.tensor([[len(row)] for row in rows])
    mask_BT = (torch.arange(longest) < lengths_B1).long()
    index_B = torch.tensor(places, device=device)

    def only_there(
        _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        # The vocabulary is large, and one place of each row is asked for.
        hidden_BTD = inputs[0]
        return (
            hidden_BTD[torch.arange(len(index_B), device=device), index_B].unsqueeze(1),
            *inputs[1:],
        )

    handle = model.get_output_embeddings().register_forward_pre_hook(only_there)
    try:
        logits = model(input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device)).logits
    finally:
        handle.remove()
    assert logits.shape[1] == 1, "the head before the vocabulary works place by place"
    return logits[:, 0].float().log_softmax(-1)
