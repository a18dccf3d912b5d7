"""An ONNX file run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.models.calling.generate import Answer


class OnnxRuntime:
    """A model that onnxruntime runs, one text after the other."""

    def __init__(self, path: Path) -> None:
        import onnxruntime
        import torch

        self.name = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._names = [one.name for one in self._session.get_inputs()]

    def run(self, ids_T: np.ndarray, types_T: np.ndarray | None = None) -> np.ndarray:
        """Computes the first output ``[1, C]``, or ``[T, C]`` for a head on tokens and for
        vectors.
        """
        ids = np.asarray(ids_T, np.int64)[None]
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        types = np.zeros_like(ids) if types_T is None else np.asarray(types_T, np.int64)[None]
        given["token_type_ids"] = types
        found = self._session.run(None, {name: given[name] for name in self._names})[0]
        return found[0] if found.ndim == 3 else found

    def logits(self, prompts: Sequence[np.ndarray], last: int) -> list[np.ndarray]:
        """Computes them one text at a time."""
        return [self.run(ids)[-last:] for ids in prompts]

    def outputs(self, sequences: Sequence[Tokens]) -> np.ndarray:
        """Computes them one text at a time."""
        return np.stack(
            [self.run(one.ids_T, one.columns.get("types_T"))[0] for one in sequences]
        ).astype(np.float64)

    def write(
        self, prompts: Sequence[np.ndarray], settings: Generate, stop_ids: Sequence[int]
    ) -> list[Answer]:
        """Raises AssertionError: what is written to ONNX reads texts."""
        raise AssertionError("a model in ONNX writes no text")

    def likelihoods(self, examples: Sequence[Sequence[Tokens]]) -> list[np.ndarray]:
        """Raises AssertionError: what is written to ONNX reads texts."""
        raise AssertionError("a model in ONNX writes no text")
