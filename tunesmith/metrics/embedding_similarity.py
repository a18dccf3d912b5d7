"""How alike an encoder finds answer and reference: the cosine of their vectors (Reimers and
Gurevych 2019).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.errors import Problem, SpecError
from tunesmith.metrics import METRICS, Grades, Metric, Written
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

AT_ONCE = 32
"""Texts that are read together."""
LONGEST = 512
"""Tokens that are read of a text, fewer where the encoder reads fewer."""


@METRICS.register
class EmbeddingSimilarity(Metric):
    """The mean cosine between the vectors that an encoder gives an answer and its reference."""

    reads = "grade"

    class Config(Spec):
        """Which encoder."""

        path: str
        """A folder with an encoder and its tokenizer, of sentence-transformers or transformers."""
        pooling: Literal["auto", "mean", "cls"] = "auto"
        """One vector of many tokens: their mean, or that of the first; auto takes what the folder
        says, else the mean.
        """

    def check(self) -> None:
        """Raises SpecError where the folder holds no model."""
        if not (Path(self.config.path) / "config.json").is_file():
            raise SpecError(Problem("path", say("metrics.no_encoder", path=self.config.path)))

    def grade(self, written: Written) -> Grades:
        """Computes the cosines; an answer without text has nothing in common with any."""
        texts = [
            *written.references,
            *(answer for some in written.answers.values() for answer in some),
        ]
        each = list(dict.fromkeys(texts))
        vectors_ND = self._vectors(each, written)
        at = {text: index for index, text in enumerate(each)}
        right_ID = vectors_ND[[at[text] for text in written.references]]
        values: dict[str, list[float | None]] = {}
        for name, answers in written.answers.items():
            cosines_I = (vectors_ND[[at[text] for text in answers]] * right_ID).sum(1)
            values[name] = [
                float(cosine) if text.strip() else 0.0
                for cosine, text in zip(cosines_I, answers, strict=True)
            ]
        return Grades(values)

    def _vectors(self, texts: Sequence[str], written: Written) -> np.ndarray:
        """Returns vectors [texts, D] of length 1."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.config.path, local_files_only=True)
        model = AutoModel.from_pretrained(self.config.path, local_files_only=True).float().eval()
        longest = min(tokenizer.model_max_length, LONGEST)
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        vectors = []
        for start in range(0, len(texts), AT_ONCE):
            some = list(texts[start : start + AT_ONCE])
            read = tokenizer(
                some, padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden_BTD = model(**read).last_hidden_state
            vectors.append(self._pooled(hidden_BTD, read["attention_mask"]))
            written.progress(start + len(some), len(texts))
        vectors_ND = torch.cat(vectors).numpy()
        lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        return vectors_ND / np.maximum(lengths_N1, 1e-12)

    def _pooled(self, hidden_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        if self._pooling() == "cls":
            return hidden_BTD[:, 0]
        weights_BT1 = mask_BT.unsqueeze(-1).to(hidden_BTD.dtype)
        return (hidden_BTD * weights_BT1).sum(1) / weights_BT1.sum(1).clamp(min=1)

    def _pooling(self) -> str:
        pooling_file = Path(self.config.path) / "1_Pooling" / "config.json"
        if self.config.pooling != "auto" or not pooling_file.is_file():
            return "cls" if self.config.pooling == "cls" else "mean"
        says_cls = json.loads(pooling_file.read_text(encoding="utf-8")).get(
            "pooling_mode_cls_token"
        )
        return "cls" if says_cls else "mean"
