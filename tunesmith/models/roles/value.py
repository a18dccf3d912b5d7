"""What PPO expects of each token: the reward from there on, which a head reads from the hidden
state that predicts the token. That is the policy's, or that of a model of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.batches.batch import Batch
from tunesmith.errors import Problem, SpecError
from tunesmith.methods.lora import Lora
from tunesmith.models.calling.views import Seen, forward
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.loading.load import Loaded, load_model
from tunesmith.models.roles import ROLES, Role
from tunesmith.settings.family import METHODS
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.methods import Method
    from tunesmith.settings.run import Run


class ValueHead(torch.nn.Module):
    """A linear map to one number, in fp32, that begins with 0 everywhere (Huang et al. 2023)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, 1, dtype=torch.float32)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """Computes values ``[N]``."""
        # Returns are small differences, for which bf16 is too coarse.
        with torch.autocast(hidden_ND.device.type, enabled=False):
            return self.linear(hidden_ND.float())[:, 0]


@dataclass(frozen=True)
class Trunk:
    """A model beside the policy that is trained for the values alone."""

    model: Any
    layout: str

    def see(self, batch: Batch) -> Seen:
        """Runs one forward over ``batch``, which may be laid out for the policy."""
        padded = self.layout == "padded" and batch.layout.forest is not None
        return forward(self.model, batch.padded() if padded else batch)


@dataclass(frozen=True)
class Values:
    """The head with what it stands on; without a ``trunk`` that is the policy."""

    head: ValueHead
    trunk: Trunk | None = None
    joint: bool = False
    """Whether learning the values moves the policy's own layers too."""

    def of(self, seen: Seen, batch: Batch) -> torch.Tensor:
        """Computes the values ``[N]`` of the scored tokens; ``seen`` is the policy's forward."""
        if self.trunk is not None:
            return self.head(self.trunk.see(batch).features("scored"))
        hidden_ND = seen.features("scored")
        return self.head(hidden_ND if self.joint else hidden_ND.detach())

    def modules(self) -> list[torch.nn.Module]:
        """Returns the models whose dropout is to be off."""
        return [] if self.trunk is None else [self.trunk.model]


@ROLES.register
class Value(Role):
    """What says what a token is worth, trained with the policy."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.kind: str = run.objective.value  # type: ignore[attr-defined]
        self.own = METHODS.make(run.method) if self.kind == "own" else None
        """The method of the model of its own: the run's, once more."""

    @property
    def copies(self) -> int:
        """The number of models like the policy that are trained beside it."""
        return int(self.own is not None)

    def check(self, tokenizer: Tokenizer) -> None:
        """Refuses a method that follows the run step by step: it follows one model."""
        if self.own is not None and _follows(self.own):
            text = say("method.no_second_model", method=self.run.method.name)
            raise SpecError([Problem("method", text)])

    def load(self, dtype: torch.dtype, device: torch.device) -> None:
        """Loads the base a second time, where the values have a model of their own."""
        if self.own is None:
            return
        model = self.run.model
        options: Any = model.values("trust_remote_code", "quantize", "add_tokens")
        self.loaded = load_model(folder_of(model), dtype=dtype, device=device, **options)

    def model(self, policy: Loaded, method: Method) -> Values:
        """Gives the head, on the policy's device, with what it stands on."""
        weight = policy.model.get_output_embeddings().weight
        self.head = ValueHead(weight.shape[1]).to(weight.device)
        self.trunk: Any = None
        if self.own is None:
            return Values(self.head, joint=self.kind == "joint")
        # What a method puts on has its dropout on.
        self.trunk = self.own.apply(self.loaded.model).eval()
        if self.run.train.machine.checkpointing:
            self.trunk.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        fits = self.loaded.layout in self.own.layouts
        return Values(self.head, Trunk(self.trunk, self.loaded.layout if fits else "padded"))

    def trained(self) -> Iterable[tuple[str, torch.nn.Parameter]]:
        """Gives the weights of the head, and those that the method trains of its own model; not
        those of an output head that nothing reads.
        """
        yield from self.head.named_parameters()
        if self.trunk is not None:
            head = self.trunk.get_output_embeddings()
            table = self.trunk.get_input_embeddings()
            unread = {id(weight) for weight in head.parameters()} - {id(table.weight)}
            for name, weight in self.trunk.named_parameters():
                if weight.requires_grad and id(weight) not in unread:
                    yield f"trunk/{name}", weight

    def rate_factor(self, name: str, weight: torch.nn.Parameter) -> float:
        """Returns ``objective.value_rate``, and for its own model what the method says too."""
        rate: float = self.run.objective.value_rate  # type: ignore[attr-defined]
        if self.own is not None and name.startswith("trunk/"):
            rate *= self.own.rate_factor(name.removeprefix("trunk/"), weight)
        return rate


def _follows(method: Method) -> bool:
    """Tells whether a method does more than put weights on a model that are then trained."""
    from tunesmith.methods import Method

    if isinstance(method, Lora):
        return method.rewrites_base or method.config.init in ("eva", "loftq")
    followed = {"study", "begin", "after_step", "penalty", "state"}
    classes = [kind for kind in type(method).__mro__ if kind not in (Method, object)]
    return any(followed & vars(kind).keys() for kind in classes)
