"""A dense model as a mixture of experts (sparse upcycling, Komatsuzaki et al. 2023): each
feed-forward copied E times.

Of a transformers class whose other layers are the same, so that what is saved loads anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tunesmith.errors import Problem, SpecError
from tunesmith.models.structure.kinds import class_of, head_of
from tunesmith.words import say

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Dense type -> mixture, whose other layers are the same, and its settings beside those of the dense
# config.
MIXTURES: dict[str, tuple[str, dict[str, object]]] = {
    "llama": ("mixtral", {}),
    "mistral": ("mixtral", {}),
    "qwen3": (
        "qwen3_moe",
        {"norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
    ),
}
NOT_TAKEN = ("attention_bias", "mlp_bias", "use_sliding_window")
"""Settings of a dense model that its mixture knows nothing of, or takes in another way."""
DIFFERENT = 1e-3
"""Largest difference of logits (of hidden states without a head), as a share of their size, that
rounding explains.
"""


def mixture_of(model: Any, *, experts: int, top_k: int, balance: float) -> Any:
    """Returns a mixture in fp32 that answers as ``model`` does; raises SpecError where transformers
    has no such class for it.
    """
    config = _config(model, experts=experts, top_k=top_k, balance=balance)
    head = head_of(model)
    mixture = class_of(config, head).from_config(config).float().eval()
    mixture.set_attn_implementation(model.config._attn_implementation)
    if head == "language":
        mixture.generation_config = model.generation_config
    mixture.to(next(model.parameters()).device)
    theirs = dict(model.named_parameters())
    ours = dict(mixture.named_parameters())
    with torch.no_grad():
        for name, weight in theirs.items():
            layer, _, part = name.partition(".mlp.")
            if not part:
                ours[name].copy_(weight)
            elif part == "down_proj.weight":
                ours[f"{layer}.mlp.experts.down_proj"].copy_(weight)
            elif part == "up_proj.weight":
                both = torch.cat([theirs[f"{layer}.mlp.gate_proj.weight"], weight])
                ours[f"{layer}.mlp.experts.gate_up_proj"].copy_(both)
    _check(model, mixture)
    return mixture


def _config(model: PreTrainedModel, *, experts: int, top_k: int, balance: float) -> Any:
    from transformers import AutoConfig

    dense = model.config.to_dict()
    kind = dense["model_type"]
    odd = [f"{name}: {dense[name]}" for name in NOT_TAKEN if dense.get(name)]
    if kind not in MIXTURES or odd:
        text = say("own.no_mixture", kind=", ".join([kind, *odd]), known=", ".join(MIXTURES))
        raise SpecError(Problem("method", text))
    name, settings = MIXTURES[kind]
    allowed_keys = AutoConfig.for_model(name).to_dict().keys() - {
        "model_type",
        "architectures",
        "transformers_version",
    }
    # Both names for the number of experts are in use; each class takes its own.
    settings = settings | {
        "num_local_experts": experts,
        "num_experts": experts,
        "num_experts_per_tok": top_k,
    }
    settings |= {
        "moe_intermediate_size": dense["intermediate_size"],
        "router_aux_loss_coef": balance,
    }
    taken = {key: value for key, value in (dense | settings).items() if key in allowed_keys}
    return AutoConfig.for_model(name, **taken)


def _check(model: PreTrainedModel, mixture: Any) -> None:
    """Raises SpecError when the mixture does not answer as the dense model, whatever the reason."""
    ids = (
        torch.arange(5, 21, device=next(model.parameters()).device)[None] % model.config.vocab_size
    )
    if ids.is_meta:
        return
    with torch.no_grad():
        dense, ours = (
            each.eval()(input_ids=ids, use_cache=False)[0].float() for each in (model, mixture)
        )
    worst = float((dense - ours).abs().max() / dense.abs().max())
    allowed = DIFFERENT if model.dtype == torch.float32 else 0.1
    if not worst <= allowed:
        text = say("own.mixture_differs", kind=model.config.model_type, difference=f"{worst:.1e}")
        raise SpecError(Problem("method", text))
