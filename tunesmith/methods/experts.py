"""Sparse upcycling (Komatsuzaki et al. 2023): each feed-forward copied into E experts behind a
router that takes the top k.

The gates sum to 1 over the top k (the paper's normalised combine weights), so that equal experts
answer as the dense layer did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from tunesmith.methods import METHODS, Method
from tunesmith.methods._mixture import check_top_k
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class Experts(Method):
    """A mixture of full experts grown from a dense model; saved as an ordinary Mixtral or Qwen3-MoE
    model.
    """

    learning_rate = 2e-5
    source = (
        "no published rate that was checked; that of full, whose weights the experts are: "
        "Touvron et al. 2023 (Llama 2), section 3.1"
    )
    search = (2e-6, 2e-4)
    kinds = frozenset({"decoder"})
    merges = False
    rewrites_base = True
    adapter = False
    full_precision = True
    bases = frozenset({"plain"})

    class Config(Spec):
        """A mixture of full experts."""

        experts: Annotated[int, Gt(1)] = 4
        """Experts at each feed-forward; memory grows with it."""
        top_k: Annotated[int, Gt(0)] = 2
        """How many of them a token uses."""
        balance: Annotated[float, Ge(0)] = 0.01
        """Weight of the loss that spreads the tokens over the experts; saved with the model as
        router_aux_loss_coef.
        """
        parts: Literal["experts", "everything"] = "experts"
        """What is trained: experts and routers, or all weights."""

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Makes the mixture in fp32; raises SpecError for a model that has no mixture of
        its kind.
        """
        from tunesmith.models.adapters.upcycle import mixture_of
        from tunesmith.models.structure.heads import train_head

        config = self.config
        check_top_k(config.top_k, config.experts)
        mixture = mixture_of(
            model, experts=config.experts, top_k=config.top_k, balance=config.balance
        )
        for name, weight in mixture.named_parameters():
            weight.requires_grad_(config.parts == "everything" or ".mlp." in name)
        train_head(mixture)
        return mixture
