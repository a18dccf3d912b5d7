"""Group relative policy optimisation (Shao et al. 2024) and its relatives: answers to one prompt
are compared with each other, and what made the better ones likely is strengthened.

Each choice is named by what it does; with group, constant and no KL term it is Dr. GRPO, with
leave_one_out, product and KL in the reward RLOO, with sequence and answer GSPO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Gt

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.batches.rollout import Group, answered
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat, Example
from tunesmith.objectives import OBJECTIVES, Objective, Ranks
from tunesmith.objectives._advantages import Advantage, advantages
from tunesmith.objectives._sampled import (
    Overlong,
    clipped_losses,
    encode_prompt,
    looked_up,
    see_at,
    still,
    stopped_by_clip,
    weigh_overlong,
)
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.models.loading.load import Loaded

CAPS = {"two_sided": 4.0, "cispo": 5.0}
"""Largest ratios where none is given: INTELLECT-2's (2505.07291, section 3.4) and ScaleRL's
(2510.13786).
"""
KL_WEIGHTS = {"reward": 0.05, "loss": 0.04}
"""Prices of the distance where none is given: that of TRL's RLOO, and that of the paper of GRPO."""
SAPO_TEMPERATURES = (1.0, 1.05)
"""For answers better and worse than the others (Gao et al. 2025, section 4)."""


@OBJECTIVES.register
class Grpo(Objective):
    """Group relative policy optimization: learns from its own answers, by comparing those to one
    prompt by their rewards.
    """

    eats, unit, samples, compares = Chat, "token", True, True
    measures, rate_reason = {"reward": True}, "plan.reason_rate_objective"

    class Config(Spec):
        """How answers are compared, and how far an update may go."""

        advantage: Advantage = "group_std"
        """How much better an answer is: its reward less the mean of its group, divided by the
        group's standard deviation (group_std), by nothing (group) or by that of the whole step
        (batch_std); or less the mean of the others (leave_one_out).
        """
        ratio: Literal["token", "sequence", "product"] = "token"
        """What is compared with the model that sampled: each token, the geometric mean over an
        answer (sequence), or the whole answer (product).
        """
        clip: Literal["ratio", "two_sided", "cispo", "sapo"] = "ratio"
        """What keeps an update small: the clipped ratio of PPO; that with a cap for worse answers
        too (two_sided); a capped weight that stops no token's gradient (cispo); a soft gate (sapo).
        """
        low: Annotated[float, Gt(0)] = 0.2
        """How far a ratio may fall below 1."""
        high: Annotated[float, Gt(0)] | None = None
        """How far a ratio may rise above 1; as low when not given (DAPO: 0.28)."""
        cap: Annotated[float, Gt(1)] | None = None
        """Largest ratio of two_sided (4 when not given) and of cispo (5)."""
        aggregation: Literal["token", "answer", "constant"] = "token"
        """What counts the same: every token; every answer, so that its tokens count less the longer
        it is; or every token, with a sum divided by the longest answer there may be (constant).
        """
        kl: Literal["none", "reward", "loss"] = "none"
        """Where the distance to the model before training is paid for: nowhere, as a part of each
        answer's reward, or as a part of the loss.
        """
        kl_weight: Annotated[float, Gt(0)] | None = None
        """Price of that distance (a nat); 0.05 in the reward, 0.04 in the loss, when not given."""
        overlong: Overlong = "kept"
        """What happens to answers that the limit cut: they count as they are, not at all, or lose
        reward as they come near the limit (Yu et al. 2025, eq. 13).
        """
        margin: Annotated[int, Gt(0)] | None = None
        """Tokens before the limit from which punished begins; a fifth of it when not given."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.temperature, self.most, self.passes = 1.0, 1, 1
        self.unit = "token" if config.aggregation == "token" else "sequence"  # type: ignore[misc]
        if config.kl != "none":
            self.roles = frozenset({"base"})  # type: ignore[misc]
        self.high = config.high or config.low
        self.cap = config.cap or CAPS.get(config.clip, np.inf)
        self.kl_weight = config.kl_weight or KL_WEIGHTS.get(config.kl, 0.0)
        problems = [
            Problem(f"objective.{name}", say("rollout.without_effect", name=name, needs=needs))
            for name, needs, used in (
                ("low", "clip=ratio, two_sided", config.clip in ("ratio", "two_sided")),
                ("high", "clip=ratio, two_sided", config.clip in ("ratio", "two_sided")),
                ("cap", "clip=two_sided, cispo", config.clip in CAPS),
                ("kl_weight", "kl=reward, loss", config.kl != "none"),
                ("margin", "overlong=punished", config.overlong == "punished"),
            )
            if not used and dict(config)[name] != type(config).model_fields[name].default
        ]
        if problems:
            raise SpecError(problems)

    def sampled(self, config: Any) -> None:
        """Takes temperature, limit and number of updates; raises SpecError where there is nothing
        to compare.
        """
        if config.samples < 2:
            raise SpecError(Problem("source.samples", say("rollout.one_sample")))
        self.temperature, self.most = config.temperature, config.max_new_tokens
        self.passes = config.passes

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes the prompt."""
        return encode_prompt(example, render)

    def experience(
        self, groups: Sequence[Group], policy: Loaded, models: Models
    ) -> tuple[list[list[Tokens]], dict[str, float]]:
        """Turns answers into examples with their advantages, and with the values that later updates
        compare them with.
        """
        config = self.config
        weigh_overlong(groups, config.overlong, most=self.most, margin=config.margin)
        plain = [[answered(group.prompt_T, answer) for answer in group.answers] for group in groups]
        wanted = [*(["old"] if self.passes > 1 else []), *(["reference"] if self.roles else [])]
        values = (
            looked_up(policy, models, plain, self.temperature, wanted=wanted)
            if wanted
            else [{} for _ in groups]
        )
        numbers: dict[str, float] = {}
        if self.config.kl == "reward":
            numbers["kl_sampled"] = self._pay(groups, values)
        by_group = advantages([group.rewards_G for group in groups], self.config.advantage)
        # Where nothing pays for the distance, advantages of 0 give no gradient: no update is made.
        if self.config.kl != "loss" and not any(
            np.nan_to_num(advantages_G).any() for advantages_G in by_group
        ):
            return [], numbers
        parts = zip(groups, by_group, values, strict=True)
        examples = [self._example(group, one_G, seen) for group, one_G, seen in parts]
        return [example for example in examples if example], numbers

    def _pay(self, groups: Sequence[Group], known: Sequence[Mapping[str, Any]]) -> float:
        """Takes the distance of each answer off its reward: the sum of k1 over its tokens, which as
        a reward has the gradient of the KL divergence. Gives its mean.
        """
        paid: list[float] = []
        for group, seen in zip(groups, known, strict=True):
            both = zip(group.answers, seen["reference"], strict=True)
            distances = [
                float((answer.logprobs_T - reference_T).sum()) for answer, reference_T in both
            ]
            group.rewards_G = group.rewards_G - self.kl_weight * np.array(distances)
            paid += distances
        return float(np.mean(paid))

    def _example(
        self, group: Group, advantages_G: np.ndarray, seen: Mapping[str, Any]
    ) -> list[Tokens]:
        """Returns the sequences of a prompt, without answers that have no reward."""
        sequences = []
        for index, (answer, advantage) in enumerate(zip(group.answers, advantages_G, strict=True)):
            if np.isnan(advantage):
                continue
            ones_T = np.ones(len(answer.ids_T))
            share = {"token": 1.0, "answer": 1 / len(ones_T), "constant": 1 / self.most}
            columns_T = {
                "advantage": ones_T * advantage,
                "share": ones_T * share[self.config.aggregation],
                "sampled": answer.logprobs_T,
                **{name: values[index] for name, values in seen.items()},
            }
            sequences.append(answered(group.prompt_T, answer, **columns_T))
        return sequences

    def prepare(self, models: Models, step: list[Batch], over_ranks: Ranks) -> None:
        """Turns dropout off."""
        from tunesmith.models.calling.loss_models import policy_of

        still(policy_of(models))

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Sums the policy loss of each scored token by its share, and the distance to the reference
        where the loss includes it. ``clipped`` is the share of tokens whose gradient was stopped,
        ``kl`` k3 (nats a token), ``sampler_gap`` the mean difference to the sampler's
        log-probabilities (nats).
        """
        columns = batch.columns
        new_N = see_at(models["policy"], batch, self.temperature)
        old_N = columns.get("old_N", new_N.detach())
        advantage_N = columns["advantage_N"]
        count = len(new_N)
        ratio_N = self._ratio_N(new_N - old_N, batch)
        losses_N = self._losses_N(ratio_N, advantage_N, new_N)
        metrics = {
            "sampler_gap": Ratio((old_N - columns["sampled_N"]).abs().sum().detach(), count),
        }
        if self.passes > 1 and self.config.clip != "sapo":
            metrics["clipped"] = Ratio(self._clipped_N(ratio_N.detach(), advantage_N).sum(), count)
        if "reference_N" in columns:
            distance_N = columns["reference_N"] - new_N
            k3_N = distance_N.exp() - 1 - distance_N
            metrics["kl"] = Ratio(k3_N.detach().sum(), count)
            if self.config.kl == "loss":
                # The ratio in front makes its gradient that of the KL divergence.
                losses_N = losses_N + self.kl_weight * ratio_N * k3_N
        total = (columns["share_N"] * losses_N).sum()
        return Loss(total, {"loss": Ratio(total.detach(), batch.units), **metrics})

    def _ratio_N(self, moved_N: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Returns how much likelier each token, or its whole answer, is than when it was
        sampled.
        """
        if self.config.ratio == "token":
            return moved_N.exp()
        zeros_B = moved_N.new_zeros(len(batch.units_B))
        sums_B = zeros_B.index_add(0, batch.owner_N, moved_N)
        if self.config.ratio == "sequence":
            counts_B = zeros_B.index_add(0, batch.owner_N, moved_N.new_ones(len(moved_N)))
            sums_B = sums_B / counts_B.clamp(min=1)
        return sums_B.exp().index_select(0, batch.owner_N)

    def _losses_N(
        self, ratio_N: torch.Tensor, advantage_N: torch.Tensor, new_N: torch.Tensor
    ) -> torch.Tensor:
        import torch

        config = self.config
        if config.clip == "cispo":  # MiniMax 2025, eq. 4
            return -ratio_N.detach().clamp(max=self.cap) * advantage_N * new_N
        if config.clip == "sapo":  # Gao et al. 2025, eq. 6: slope 1 where the ratio is 1
            better, worse = SAPO_TEMPERATURES
            heat_N = torch.where(advantage_N > 0, better, worse)
            return -4 / heat_N * (heat_N * (ratio_N - 1)).sigmoid() * advantage_N
        options = {"low": config.low, "high": self.high, "cap": self.cap}
        return clipped_losses(ratio_N, advantage_N, **options)

    def _clipped_N(self, ratio_N: torch.Tensor, advantage_N: torch.Tensor) -> torch.Tensor:
        """Marks the tokens that the update no longer moves; for cispo, those that it weighs
        less.
        """
        if self.config.clip == "cispo":
            return ratio_N > self.cap
        options = {"low": self.config.low, "high": self.high, "cap": self.cap}
        return stopped_by_clip(ratio_N, advantage_N, **options)
