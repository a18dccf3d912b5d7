"""Classification: a label, several labels or a number for a text or a pair of texts, by a head on
the trunk (Devlin et al. 2019, section 4.1, for encoders; for decoders Radford et al. 2018, section
3.2: the last token's hidden state).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.data.classes import Classes
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Example, Labelled
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.settings.spec import Spec, Word
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models


@OBJECTIVES.register
class Classify(Objective):
    """Text classification: learns to name the class of a text."""

    eats, unit, head, gives = Labelled, "sequence", "classes", "classes"
    # measured: the methods' own rates are those of large models that write (words:
    # plan.reason_rate_classes)
    rate_factor, rate_reason = 2.5, "plan.reason_rate_classes"

    class Config(Spec):
        """Labels and how they count."""

        problem: Literal["auto", "single", "multi", "regression"] = "auto"
        """One label a row, several, or a number; auto sees it from the labels."""
        labels: tuple[Word, ...] = ()
        """The classes in the order of the outputs; found in the data and sorted when not given."""
        split_labels: str | None = None
        """What stands between several labels in one cell, such as a comma."""
        class_weights: Literal["none", "balanced"] | dict[Word, Annotated[float, Gt(0)]] = "none"
        """How much a row counts by its class: balanced weighs rare classes up, {label: weight} says
        it for each.
        """
        balanced_sampling: bool = False
        """Whether the rows of rare classes are repeated until every class is seen equally often in
        an epoch.
        """
        stratify: bool = True
        """Whether every class has its share of the held-out rows."""
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the target that is spread over all classes."""
        threshold: Literal["auto", "half", "fitted"] = "auto"
        """The probability from which a class is named: half, or fitted on the watched rows (by the
        F1 of each of several labels, by the macro-F1 of two classes); auto fits several labels, and
        names the likelier of two classes as transformers does."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.threshold = config.threshold

    def learn(self, examples: Iterable[Example]) -> list[str]:
        """Finds the labels and what kind of problem they pose."""
        asked = self.config
        rows = (example for example in examples if isinstance(example, Labelled))
        self.classes = Classes.find(rows, asked.problem, asked.labels, asked.split_labels)
        self.outputs = self.classes.outputs
        allowed = ", ".join(self.classes.names)
        if isinstance(asked.class_weights, dict):
            wrong = [name for name in asked.class_weights if name not in self.classes.names]
            problems = [
                Problem(
                    "objective.class_weights", say("labelled.no_weight", name=name, known=allowed)
                )
                for name in wrong
            ]
            if problems:
                raise SpecError(problems)
        if self.outputs.problem == "regression" and asked.class_weights != "none":
            raise SpecError(Problem("objective.class_weights", say("labelled.no_weights_here")))
        if self.outputs.problem == "regression" and asked.label_smoothing:
            raise SpecError(Problem("objective.label_smoothing", say("labelled.no_weights_here")))
        if self.outputs.problem != "single_label_classification" and asked.balanced_sampling:
            raise SpecError(
                Problem("objective.balanced_sampling", say("labelled.no_sampling_here"))
            )
        cut = self.outputs.problem == "multi_label_classification" or len(self.classes.names) == 2
        if asked.threshold != "auto" and (not cut or self.outputs.problem == "regression"):
            raise SpecError(Problem("objective.threshold", say("labelled.no_threshold_here")))
        return self.classes.notes

    @staticmethod
    def fits(config: Any) -> str | None:
        """Returns the setting of the threshold, where it is to be fitted."""
        return "objective.threshold" if config.threshold == "fitted" else None

    def repeats(self, tokens: tuple[Tokens, ...]) -> float:
        """Returns, with balanced sampling, how much rarer the row's class is than the commonest."""
        counts = self.classes.counts
        return (
            float(counts.max() / counts[tokens[0].columns["label"]])
            if self.config.balanced_sampling
            else 1.0
        )

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes the text, or the pair, with its label as a column."""
        assert isinstance(example, Labelled)
        tokens = render.sequence(example.text, example.second)
        label = {"label": self.classes.target(example)}
        return [Tokens(tokens.ids_T, tokens.weights_T, tokens.columns | label, lost=tokens.lost)]

    def stratum(self, tokens: tuple[Tokens, ...]) -> str | None:
        """Returns the row's class, where it has one."""
        if not self.config.stratify or self.classes.problem != "single_label_classification":
            return None
        return str(tokens[0].columns["label"])

    def missing(self, train: Sequence[tuple[Tokens, ...]]) -> list[str]:
        """Returns a note that names the classes without a training row."""
        if self.classes.problem == "regression":
            return []
        seen = np.zeros(len(self.classes.names), bool)
        for tokens in train:
            label = tokens[0].columns["label"]
            if self.classes.problem == "single_label_classification":
                seen[label] = True
            else:
                seen |= label > 0
        names = [name for name, there in zip(self.classes.names, seen, strict=True) if not there]
        return [say("labelled.note_untrained", names=", ".join(names))] if names else []

    def told(self, tokens: Tokens) -> str:
        """Describes the label."""
        return say("labelled.told", label=self.classes.shown(tokens.columns["label"]))

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Sums over sequences the cross-entropy, the binary cross-entropy averaged over classes, or
        the squared error.
        """
        import torch

        from tunesmith.models.calling.views import see

        outputs_BC = see(models["policy"], batch).outputs_BC
        target = batch.columns["label_B"]
        if not isinstance(target, torch.Tensor):
            target = torch.from_numpy(np.stack(target)).to(outputs_BC.device)
        terms_B = self._terms(outputs_BC, target)
        total = terms_B.sum()
        metrics = {"loss": Ratio(total.detach(), len(terms_B))}
        if self.outputs is not None and self.outputs.problem == "single_label_classification":
            metrics["accuracy"] = Ratio((outputs_BC.argmax(-1) == target).sum(), len(terms_B))
        return Loss(total, metrics)

    def _terms(self, outputs_BC: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Computes the loss of each sequence, in the same units as transformers' mean over them."""
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

        assert self.outputs is not None, "the rows were seen before the first loss"
        smoothing = self.config.label_smoothing
        weights_C = self._weights(outputs_BC)
        if self.outputs.problem == "regression":
            return mse_loss(outputs_BC[:, 0], target.to(outputs_BC), reduction="none")
        if self.outputs.problem == "single_label_classification":
            return cross_entropy(
                outputs_BC, target, weights_C, label_smoothing=smoothing, reduction="none"
            )
        wanted_BC = target.to(outputs_BC) * (1 - smoothing) + smoothing / 2
        options = {"pos_weight": weights_C, "reduction": "none"}
        return binary_cross_entropy_with_logits(outputs_BC, wanted_BC, **options).mean(-1)

    def _weights(self, like: torch.Tensor) -> torch.Tensor | None:
        """Returns the weight of each class; for several labels, the weight of rows that have the
        label against rows that do not.
        """
        given = self.config.class_weights
        if given == "none":
            return None
        if isinstance(given, dict):
            return like.new_tensor([given.get(name, 1.0) for name in self.classes.names])
        counts = np.maximum(self.classes.counts, 1)
        rows = self.classes.rows
        several = self.outputs is not None and self.outputs.problem == "multi_label_classification"
        # The mean weight of a row is 1, as sklearn's class_weight="balanced" has it.
        return like.new_tensor(
            (rows - counts) / counts if several else rows / (len(counts) * counts)
        )
