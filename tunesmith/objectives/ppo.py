"""Proximal policy optimisation (Schulman et al. 2017; for language models Ziegler et al. 2019): a
value head learns what to expect of each token, and what did better is strengthened. It stands on
the policy, or on a model of its own.

The score of an answer comes at its last token, the distance to the base at each (Ziegler et al.,
eq. 2). Advantages are Schulman et al. 2016's, over the tokens of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.batches.rollout import Group, Sampled, answered
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat, Example
from tunesmith.objectives import OBJECTIVES, Objective, Ranks
from tunesmith.objectives._advantages import gae, whitened
from tunesmith.objectives._sampled import (
    Overlong,
    clipped_losses,
    encode_prompt,
    looked_up,
    still,
    stopped_by_clip,
    weigh_overlong,
)
from tunesmith.plain import Named
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.models.loading.load import Loaded

FASTEST = 0.2
"""Largest relative error that moves the price (Ziegler et al. 2019, section 2.2)."""


@OBJECTIVES.register
class Ppo(Objective):
    """Proximal policy optimization: learns from its own answers, by what a value head expected of
    each token.
    """

    eats, unit, samples = Chat, "token", True
    measures, rate_reason = {"reward": True}, "plan.reason_rate_objective"

    class Config(Spec):
        """What is expected, what the distance to the base costs, and how far an update may go."""

        low: Annotated[float, Gt(0)] = 0.2
        """How far a ratio to the model that sampled may fall below 1."""
        high: Annotated[float, Gt(0)] | None = None
        """How far a ratio may rise above 1; as low when not given."""
        cap: Annotated[float, Gt(1)] | None = None
        """Largest ratio of tokens that did worse (dual clip, 3 is usual); none when not given."""
        discount: Annotated[float, Gt(0), Le(1)] = 1.0
        """What the reward of the next token is worth at this one (gamma)."""
        trace: Annotated[float, Ge(0), Le(1)] = 0.95
        """How much of a later surprise counts for the token before it (lambda of GAE): 0 believes
        the value head, 1 the rewards alone.
        """
        whiten: bool = True
        """Whether advantages get mean 0 and variance 1 over the tokens of a step."""
        value_weight: Annotated[float, Gt(0)] = 0.1
        """Weight of the values' loss beside the policy's."""
        value_clip: Annotated[float, Gt(0)] | None = 0.2
        """How far a value may move from what it was when the answer was sampled; no limit when
        null.
        """
        value: Literal["head", "joint", "own"] = "head"
        """What learns the values: head, a head on the model's hidden states; joint, that head with
        the model's own layers; own, a second model with a head, trained by the same method, that
        begins as the base.
        """
        value_rate: Annotated[float, Gt(0)] = 1.0
        """Learning rate of what learns the values, as a multiple of train.learning_rate."""
        kl_weight: Annotated[float, Ge(0)] = 0.05
        """Price of the distance to the model before training (a nat), at each token; 0 asks for no
        price, and needs no base.
        """
        kl_target: Annotated[float, Gt(0)] | None = None
        """Distance (nats an answer) at which the price is held by raising and lowering it; the
        price stays as it is when not given.
        """
        kl_horizon: Annotated[float, Gt(0)] = 10_000
        """Answers over which the price adapts: more is slower."""
        overlong: Overlong = "kept"
        """What happens to answers that the limit cut: they count as they are, not at all, or lose
        reward as they come near the limit (Yu et al. 2025, eq. 13).
        """
        margin: Annotated[int, Gt(0)] | None = None
        """Tokens before the limit from which punished begins; a fifth of it when not given."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.temperature, self.most, self.passes = 1.0, 1, 1
        self.kl_weight = config.kl_weight
        priced = config.kl_weight > 0
        self.roles = frozenset({"value", "base"} if priced else {"value"})  # type: ignore[misc]
        adapts = config.kl_target is not None
        problems = [
            Problem(f"objective.{name}", say("rollout.without_effect", name=name, needs=needs))
            for name, needs, idle in (
                ("kl_target", "kl_weight above 0", adapts and not priced),
                ("kl_horizon", "kl_target", config.kl_horizon != 10_000 and not adapts),
                ("margin", "overlong=punished", config.margin and config.overlong != "punished"),
            )
            if idle
        ]
        if problems:
            raise SpecError(problems)
        self._clip = {
            "low": config.low,
            "high": config.high or config.low,
            "cap": config.cap or np.inf,
        }

    def sampled(self, config: Any) -> None:
        """Takes temperature, limit and number of updates."""
        self.temperature, self.most = config.temperature, config.max_new_tokens
        self.passes = config.passes

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Renders the prompt."""
        return encode_prompt(example, render)

    def experience(
        self, groups: Sequence[Group], policy: Loaded, models: Models
    ) -> tuple[list[list[Tokens]], dict[str, float]]:
        """Turns answers into examples with their advantages and what the values should have been,
        over the whole step; answers without a reward are left out.
        """
        config = self.config
        weigh_overlong(groups, config.overlong, most=self.most, margin=config.margin)
        plain = [[answered(group.prompt_T, answer) for answer in group.answers] for group in groups]
        wanted = ["old", "value", *(["reference"] if "base" in self.roles else [])]
        looked = looked_up(policy, models, plain, self.temperature, wanted=wanted)
        kept = [
            (group, index, {name: values[index] for name, values in seen.items()})
            for group, seen in zip(groups, looked, strict=True)
            for index in np.flatnonzero(~np.isnan(group.rewards_G)).tolist()
        ]
        if not kept:
            return [], {}
        distances = [seen["old"] - seen["reference"] for *_, seen in kept if "reference" in seen]
        estimates = []
        for index, (group, number, seen) in enumerate(kept):
            rewards_T = np.zeros(len(seen["old"]))
            if distances:
                rewards_T -= self.kl_weight * distances[index]
            rewards_T[-1] += group.rewards_G[number]
            options = {"discount": config.discount, "trace": config.trace}
            estimates.append(gae(rewards_T, seen["value"], **options))
        # Before whitening: what a value should be is in the units of the rewards.
        targets = [one_T + seen["value"] for one_T, (*_, seen) in zip(estimates, kept, strict=True)]
        numbers = _expected(targets, [seen["value"] for *_, seen in kept])
        if distances:
            numbers |= self._price([float(one_T.sum()) for one_T in distances])
        examples: dict[int, list[Tokens]] = {}
        better = whitened(estimates) if config.whiten else estimates
        for (group, index, seen), *columns in zip(kept, better, targets, strict=True):
            tokens = _tokens(group, group.answers[index], seen, *columns)
            examples.setdefault(id(group), []).append(tokens)
        return [*examples.values()], numbers

    def _price(self, distances: Sequence[float]) -> dict[str, float]:
        """Tells of the distances of answers (nats: the sum of k1 over their tokens), and adapts
        the price of the next step (Ziegler et al. 2019, section 2.2).
        """
        distance = float(np.mean(distances))
        numbers = {"kl_sampled": distance}
        if self.config.kl_target is not None:
            numbers["kl_weight"] = self.kl_weight
            error = float(np.clip(distance / self.config.kl_target - 1, -FASTEST, FASTEST))
            self.kl_weight *= 1 + error * len(distances) / self.config.kl_horizon
        return numbers

    def state(self) -> dict[str, Any]:
        """Returns the price of the distance, which adapts."""
        return {"kl_weight": self.kl_weight}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        self.kl_weight = state["kl_weight"]

    def prepare(self, models: Models, step: list[Batch], over_ranks: Ranks) -> None:
        """Turns dropout off."""
        from tunesmith.models.calling.loss_models import policy_of, value_of

        for model in (policy_of(models), *value_of(models).modules()):
            still(model)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Sums the clipped policy loss and the clipped value loss of each scored token.

        ``clipped`` is the share of tokens whose gradient was stopped, ``value_clipped`` that of
        values, ``kl`` k3 (nats a token), ``sampler_gap`` the mean difference to what the sampler
        said (nats).
        """
        from tunesmith.models.calling.loss_models import value_of
        from tunesmith.models.calling.temperature import at_temperature
        from tunesmith.models.calling.views import see

        columns = batch.columns
        seen = see(models["policy"], batch)
        new_N = at_temperature(seen, self.temperature).logprobs_N
        values_N = value_of(models).of(seen, batch)
        ratio_N = (new_N - columns["old_N"]).exp()
        advantage_N = columns["advantage_N"]
        losses_N = clipped_losses(ratio_N, advantage_N, **self._clip)
        errors_N, held_N = self._value_errors(values_N, columns)
        total = (losses_N + self.config.value_weight * errors_N).sum()
        count = len(new_N)
        gap_N = (columns["old_N"] - columns["sampled_N"]).abs()
        metrics = {
            "loss": (total.detach(), batch.units),
            "value_loss": (errors_N.detach().sum(), count),
            "sampler_gap": (gap_N.sum(), count),
        }
        if self.passes > 1:
            stopped_N = stopped_by_clip(ratio_N.detach(), advantage_N, **self._clip)
            metrics["clipped"] = (stopped_N.sum(), count)
            metrics["value_clipped"] = (held_N.sum(), count)
        if "reference_N" in columns:
            distance_N = columns["reference_N"] - new_N.detach()
            metrics["kl"] = ((distance_N.exp() - 1 - distance_N).sum(), count)
        return Loss(total, {name: Ratio(*both) for name, both in metrics.items()})

    def _value_errors(self, values_N: Any, columns: Named) -> tuple[Any, Any]:
        """Computes [N] half the squared error of each value, the larger of it as it is and as it
        may have moved; and which values may not move further.
        """
        import torch

        target_N = columns["target_N"]
        old_N = columns["value_N"]
        plain_N = (values_N - target_N) ** 2
        most = self.config.value_clip
        if most is None:
            return plain_N / 2, torch.zeros_like(plain_N, dtype=torch.bool)
        near_N = (old_N + (values_N - old_N).clamp(-most, most) - target_N) ** 2
        held_N = (near_N >= plain_N) & ((values_N - old_N).abs() > most)
        return torch.maximum(plain_N, near_N) / 2, held_N.detach()


def _expected(targets: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> dict[str, float]:
    """Computes the share of the targets' variance that the values explain: 1 is all of it, 0 or
    less nothing; not told where the targets do not differ.
    """
    target_N = np.concatenate(targets)
    value_N = np.concatenate(values)
    spread = float(target_N.var())
    numbers = {"value": float(value_N.mean())}
    if spread > 0:
        numbers["explained_variance"] = 1 - float((target_N - value_N).var()) / spread
    return numbers


def _tokens(
    group: Group,
    answer: Sampled,
    seen: Mapping[str, np.ndarray],
    advantages_T: np.ndarray,
    targets_T: np.ndarray,
) -> Tokens:
    """Returns an answer as it is trained."""
    columns_T = {"advantage": advantages_T, "target": targets_T, "sampled": answer.logprobs_T}
    return answered(group.prompt_T, answer, **columns_T, **seen)
