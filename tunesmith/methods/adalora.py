"""AdaLoRA (Zhang et al. 2023, algorithm 1): W + P Λ Q; as training goes on, rank is taken from the
layers that use it least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, targets_of, with_adapter
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.batches.batch import Batch


@METHODS.register
class Adalora(Method):
    """Low-rank changes whose rank moves to the layers that need it."""

    learning_rate = 3e-3
    source = (
        "measured: the best of those tried on SmolLM2-135M and 300 questions "
        "(benchmarks/README.md); "
        "no published rate that was checked"
    )
    search = (5e-4, 1e-2)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Low-rank adaptation with a budget."""

        rank: Annotated[int, Gt(0)] = 8
        """Mean rank of the layers at the end."""
        initial_rank: Annotated[int, Gt(1)] | None = None
        """Rank of every layer at the start; one and a half times the rank when not given."""
        alpha: Annotated[int, Gt(0)] = 32
        """Scale of the change is alpha / initial_rank."""
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the adapter's inputs that is dropped in training."""
        full_until: Annotated[float, Ge(0), Lt(1)] = 0.1
        """Share of the steps after which ranks begin to fall."""
        fixed_from: Annotated[float, Gt(0), Lt(1)] = 0.7
        """Share of the steps after which they stay as they are."""
        orthogonal: Annotated[float, Ge(0)] = 0.5
        """Weight of the term that keeps P and Q orthogonal."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft; raises SpecError when a target matches nothing
        or the ranks do not fit.
        """
        from peft import AdaLoraConfig

        config = self.config
        initial = config.initial_rank or -(-3 * config.rank // 2)
        if initial <= config.rank:
            raise SpecError(
                Problem(
                    "method.initial_rank",
                    say("method.no_budget", initial=initial, rank=config.rank),
                )
            )
        if config.fixed_from <= config.full_until:
            text = say("method.no_time", full_until=config.full_until, fixed_from=config.fixed_from)
            raise SpecError(Problem("method.fixed_from", text))
        options = {
            "lora_alpha": config.alpha,
            "lora_dropout": config.dropout,
            "orth_reg_weight": config.orthogonal,
        }
        # peft wants a number of steps here; ``begin`` lays the schedule over the true one.
        ranks = {"init_r": initial, "target_r": config.rank, "total_step": 1}
        targets = targets_of(model, config.targets, rank=initial)
        self.model = with_adapter(model, AdaLoraConfig, target_modules=targets, **ranks, **options)
        return self.model

    @property
    def _peft(self) -> Any:
        return self.model.peft_config["default"]  # type: ignore[index]

    @property
    def _allocator(self) -> Any:
        return self.model.base_model.rankallocator  # type: ignore[union-attr]

    @property
    def _scores(self) -> dict[str, dict[str, torch.Tensor]]:
        """The allocator's memory of each weight: its importance, the running mean of it, and how
        uncertain that is.
        """
        allocator = self._allocator
        return {
            "ipt": allocator.ipt,
            "exp_avg_ipt": allocator.exp_avg_ipt,
            "exp_avg_unc": allocator.exp_avg_unc,
        }

    def begin(self, total_steps: int) -> None:
        """Lays the budget's schedule over the run's real number of steps."""
        self._peft.total_step = total_steps
        self._peft.tinit = round(self.config.full_until * total_steps)
        # peft fixes the ranks by the scores of the steps before, of which the first step has none.
        last = max(round(self.config.fixed_from * total_steps), self._peft.tinit + 1, 2)
        self._peft.tfinal = total_steps - last

    def after_step(self, step: int) -> None:
        """Scores the weights by their gradients and cuts the ranks to the step's budget."""
        last = self._peft.total_step - self._peft.tfinal
        scored = bool(self._allocator.exp_avg_ipt)  # until the ranks are fixed
        if step >= last and not scored and not self._peft.rank_pattern:
            return  # all steps so far were left out, because their numbers were not finite
        if step > last and scored:
            step = last  # so was the one that fixes the ranks
        self.model.base_model.update_and_allocate(step)  # type: ignore[union-attr, operator]

    def penalty(self, batch: Batch) -> Any:
        """Computes orthogonal · the mean over P and Q of ‖PᵀP − I‖ (peft's norm; the paper's eq. 4
        squares it), once a step.
        """
        import torch

        terms = []
        # PᵀP is close to I: in bf16 little but rounding would be left of the difference.
        with torch.autocast(batch.ids_T.device.type, enabled=False):
            for name, weight in self.model.named_parameters():
                if "lora_A" in name or "lora_B" in name:
                    product = weight @ weight.T if "lora_A" in name else weight.T @ weight
                    terms.append((product - torch.eye(len(product), device=product.device)).norm())
        return self.config.orthogonal * torch.stack(terms).mean() * batch.units

    def state(self) -> dict[str, torch.Tensor]:
        """Returns the allocator's scores, and which ranks are left."""
        import torch

        tensors = {
            f"{kind}:{name}": value
            for kind, scores in self._scores.items()
            for name, value in scores.items()
        }
        pattern = self._peft.rank_pattern or {}
        return tensors | {
            f"left:{name}": torch.tensor(left, dtype=torch.bool) for name, left in pattern.items()
        }

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``."""
        device = next(self.model.parameters()).device
        left: dict[str, list[bool]] = {}
        scores = self._scores
        for score in scores.values():
            score.clear()
        for key, value in state.items():
            kind, _, name = key.partition(":")
            if kind == "left":
                left[name] = value.tolist()
            else:
                scores[kind][name] = value.to(device)
        self._peft.rank_pattern = left or None

    def at_end(self) -> dict[str, object]:
        """Returns the rank of every layer."""
        ranks = {}
        for name, weight in self.model.named_parameters():
            if "lora_E" in name:
                # peft sets what it takes away from Λ to zero, and leaves the shape as it is.
                ranks[name.removeprefix("base_model.model.").partition(".lora_E")[0]] = int(
                    (weight != 0).sum()
                )
        return {"ranks": ranks}
