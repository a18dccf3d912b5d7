"""Sentence embeddings learned by contrast: texts that belong together get near, others far.

Every text of a step may be a negative of every other, so the loss is no sum over micro-batches. It
is made one by the cached gradient (Gao et al. 2021, section 3): all vectors of the step without
gradient, the gradient of the loss with respect to these, and then each micro-batch with its part of
that gradient. Memory bounds the micro-batch, never the step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt

from tunesmith.batches.batch import Batch, Loss, Tokens
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Example, TextPair
from tunesmith.objectives import OBJECTIVES, Objective, Ranks
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import LossModel, Models
    from tunesmith.models.calling.views import Seen
    from tunesmith.objectives._contrast import Facts, Terms

SETTINGS = {
    "temperature": ("infonce", "cosent"),
    "symmetric": ("infonce",),
    "margin": ("triplet",),
    "distance": ("triplet",),
}
"""Which losses have which setting."""
POOLINGS = {"cls": "cls_token", "mean": "mean_tokens", "last": "lasttoken"}
"""Ours to the names of sentence-transformers."""
RANKED, GRADED = ("recall_at_1", "recall_at_10"), ("spearman",)


@OBJECTIVES.register
class Embed(Objective):
    """Embeddings: learns vectors for texts, near each other where the texts belong together."""

    eats, unit, head, gives = TextPair, "example", "embedding", "vectors"
    measures = dict.fromkeys((*RANKED, *GRADED), True)

    class Config(Spec):
        """Pairs of texts, and how they are contrasted."""

        loss: Literal["auto", "infonce", "cosent", "triplet"] = "auto"
        """The loss of a step: infonce tells a text's partner from all other texts of the step,
        cosent ranks graded pairs, triplet keeps a text nearer to its partner than to its negative;
        auto takes cosent where rows have a similarity, else infonce."""
        pooling: Literal["mean", "cls", "last"] = "mean"
        """What stands for a text: the mean of its tokens, the first one, or the last one, which a
        decoder needs.
        """
        normalize: bool = True
        """Whether vectors have length 1, in the loss, in predictions and in the saved model."""
        temperature: Annotated[float, Gt(0)] = 0.05
        """What cosines are divided by in infonce and cosent; lower looks harder at the nearest
        texts.
        """
        symmetric: bool = False
        """Whether infonce also tells a partner's own text from the others'."""
        distance: Literal["euclidean", "cosine"] = "euclidean"
        """How far apart two vectors are, for triplet."""
        margin: Annotated[float, Gt(0)] = 0.5
        """How much farther than its partner triplet wants the negative; vectors of length 1 are at
        most 2 apart.
        """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.loss_name = "infonce" if config.loss == "auto" else config.loss

    def learn(self, examples: Iterable[Example]) -> list[str]:
        """Settles the loss by what the rows bring; raises SpecError where they do not bring what
        the loss needs.
        """
        pairs = [
            (example.similarity is not None, bool(example.negatives))
            for example in examples
            if isinstance(example, TextPair)
        ]
        graded = sum(has_grade for has_grade, _ in pairs)
        negatives = sum(two for _, two in pairs)
        asked = self.config.loss
        usual = "cosent" if graded else "infonce"
        self.loss_name = usual if asked == "auto" else asked
        name = self.loss_name
        problems = [
            Problem(
                f"objective.{setting}", say("embed.no_effect", loss=name, losses=", ".join(losses))
            )
            for setting, losses in SETTINGS.items()
            if name not in losses
            and self.config.model_dump()[setting] != type(self.config).model_fields[setting].default
        ]
        if name == "cosent" and graded < len(pairs):
            problems.append(
                Problem(
                    "objective.loss",
                    say("embed.needs_similarity", lack=len(pairs) - graded, rows=len(pairs)),
                )
            )
        if name != "cosent" and graded:
            problems.append(
                Problem(
                    "objective.loss", say("embed.graded", loss=name, graded=graded, rows=len(pairs))
                )
            )
        if name == "triplet" and negatives < len(pairs):
            problems.append(
                Problem(
                    "objective.loss",
                    say("embed.needs_negatives", lack=len(pairs) - negatives, rows=len(pairs)),
                )
            )
        if name == "cosent" and negatives:
            problems.append(Problem("objective.loss", say("embed.no_negatives", loss=name)))
        if problems:
            raise SpecError(problems)
        return [say(f"embed.note_{name}", rows=len(pairs), negatives=negatives)]

    def measured(self) -> dict[str, bool]:
        """Returns rank correlation where rows have grades, else what is found among all texts."""
        return dict.fromkeys(GRADED if self.loss_name == "cosent" else RANKED, True)

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes the text, its partner, and its negatives, one sequence each."""
        assert isinstance(example, TextPair)
        texts = (example.text, example.second, *example.negatives)
        similarity = float(example.similarity or 0.0)
        sequences = [render.sequence(text) for text in texts]
        facts = [
            {"role": min(n, 2), "similarity": similarity, "key": _key(sequence)}
            for n, sequence in enumerate(sequences)
        ]
        return [
            replace(sequence, columns=sequence.columns | facts_of_one)
            for sequence, facts_of_one in zip(sequences, facts, strict=True)
        ]

    def told(self, tokens: Tokens) -> str:
        """Describes which text of its row it is, and how similar it should be where rows have
        grades.
        """
        role = tokens.columns["role"]
        graded = role == 1 and self.loss_name == "cosent"
        more = (
            [say("embed.similarity", similarity=f"{tokens.columns['similarity']:g}")]
            if graded
            else []
        )
        return "  ".join([say(f"embed.role_{role}"), *more])

    def prepare(self, models: Models, step: list[Batch], over_ranks: Ranks) -> None:
        """Computes the vectors of all the step's texts, and the gradient of the step's loss with
        respect to each.

        A step that is one micro-batch of one process needs none of it, and costs one forward.
        """
        import torch

        from tunesmith.objectives._contrast import Facts, random_state

        if len(step) == 1 and not over_ranks.several:
            return
        drawn, vectors = [], []
        with torch.no_grad():
            for batch in step:
                drawn.append(random_state(batch.ids_T.device))
                vectors_BD = self._vectors(models["policy"], batch)
                # The texts of an idle batch stand in another one too.
                vectors.append(vectors_BD[:0] if batch.idle else vectors_BD)
        every_SD, start = over_ranks.gather(torch.cat(vectors))
        pairs_of = zip(step, vectors, strict=True)
        facts = [Facts.of(batch).values_SF[: len(some)] for batch, some in pairs_of]
        every_SF, _ = over_ranks.gather(torch.cat(facts))
        facts_of_all = Facts(every_SF)
        with torch.enable_grad():
            leaf_SD = every_SD.detach().requires_grad_()
            terms = self._terms(leaf_SD, facts_of_all)
            gradient_SD = torch.autograd.grad(terms.losses_P.sum(), leaf_SD)[0]
        for batch, state in zip(step, drawn, strict=True):
            if batch.idle:
                continue
            stop = start + len(batch.ends_B)
            pair = int(facts_of_all.pair_S[start])
            metrics = terms.metrics(slice(pair, pair + len(batch.sequences)))
            batch.columns["cached"] = (gradient_SD[start:stop], metrics, state)
            start = stop

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Computes the loss of the batch where it is the whole step; else a value with the same
        gradient, with its share of the metrics.
        """
        import torch

        from tunesmith.objectives._contrast import Facts, drawn_again

        policy = models["policy"]
        cached = batch.columns.get("cached")
        if cached is None:
            terms = self._terms(self._vectors(policy, batch), Facts.of(batch))
            return Loss(terms.losses_P.sum(), terms.metrics(slice(None)))
        gradient_BD, metrics, state = cached
        if not torch.is_grad_enabled():
            return Loss(gradient_BD.new_zeros(()), metrics)
        with drawn_again(batch.ids_T.device, state):
            vectors_BD = self._vectors(policy, batch)
        return Loss((vectors_BD * gradient_BD.to(vectors_BD)).sum(), metrics)

    def _vectors(self, policy: LossModel, batch: Batch) -> torch.Tensor:
        from tunesmith.models.calling.views import see

        return self.pooled(see(policy, batch))

    def pooled(self, seen: Seen) -> torch.Tensor:
        """Pools a vector for each sequence, fp32."""
        from torch.nn.functional import normalize

        if self.config.pooling == "last":
            vectors_BD = seen.features("ends").float()
        else:
            hidden_BLD, mask_BL = seen.tokens()
            weights_BL = mask_BL.float()
            if self.config.pooling == "cls":
                weights_BL[:, 1:] = 0
            total_BD = (hidden_BLD.float() * weights_BL[..., None]).sum(1)
            vectors_BD = total_BD / weights_BL.sum(1, keepdim=True)
        return normalize(vectors_BD, dim=-1) if self.config.normalize else vectors_BD

    def _terms(self, vectors_SD: torch.Tensor, facts: Facts) -> Terms:
        from tunesmith.objectives._contrast import TERMS

        return TERMS[self.loss_name](vectors_SD, facts, self.config)

    def beside(self, folder: Path, config: PreTrainedConfig, longest: int) -> None:
        """Writes what sentence-transformers reads beside a model's weights, under the names that
        all its versions know.
        """
        parts = ["", "1_Pooling", *(["2_Normalize"] if self.config.normalize else [])]
        kinds = [
            f"sentence_transformers.models.{kind}"
            for kind in ("Transformer", "Pooling", "Normalize")
        ]
        modules = [
            {"idx": n, "name": str(n), "path": part, "type": kinds[n]}
            for n, part in enumerate(parts)
        ]
        pooling = {
            f"pooling_mode_{name}": self.config.pooling == kind for kind, name in POOLINGS.items()
        }
        files: JsonObject = {
            "modules.json": modules,
            "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
            "1_Pooling/config.json": {
                "word_embedding_dimension": config.get_text_config().hidden_size,
                **pooling,
            },
        }
        for part in parts[1:]:
            (folder / part).mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")


def _key(tokens: Tokens) -> int:
    """Hashes a text to a number that is exact in fp64."""
    return int.from_bytes(hashlib.sha256(tokens.ids_T.tobytes()).digest()[:6], "big")
