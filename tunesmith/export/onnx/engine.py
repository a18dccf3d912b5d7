"""An ONNX file run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.export.onnx.write import PAST
from tunesmith.predicting.engine import likelihood_of
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.models.calling.generate import Answer


class OnnxRuntime:
    """A model that onnxruntime runs, one text after the other."""

    def __init__(self, path: Path) -> None:
        self.name, self._session = _session(path)
        self._names = [declared.name for declared in self._session.get_inputs()]

    def run(self, ids_T: np.ndarray, types_T: np.ndarray | None = None) -> np.ndarray:
        """Computes the first output ``[1, C]``, or ``[T, C]`` for a head on tokens and for
        vectors.
        """
        ids = np.asarray(ids_T, np.int64)[None]
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        types = np.zeros_like(ids) if types_T is None else np.asarray(types_T, np.int64)[None]
        inputs["token_type_ids"] = types
        output = self._session.run(None, {name: inputs[name] for name in self._names})[0]
        return output[0] if output.ndim == 3 else output

    def logits(self, prompts: Sequence[np.ndarray], last: int) -> list[np.ndarray]:
        """Computes them one text at a time."""
        return [self.run(ids)[-last:] for ids in prompts]

    def outputs(self, sequences: Sequence[Tokens]) -> np.ndarray:
        """Computes them one text at a time."""
        return np.stack(
            [self.run(sequence.ids_T, sequence.columns.get("types_T"))[0] for sequence in sequences]
        ).astype(np.float64)

    def write(
        self, prompts: Sequence[np.ndarray], settings: Generate, stop_ids: Sequence[int]
    ) -> list[Answer]:
        """Raises AssertionError: this model reads texts."""
        raise AssertionError("this model in ONNX writes no text")

    def likelihoods(self, examples: Sequence[Sequence[Tokens]]) -> list[np.ndarray]:
        """Raises AssertionError: this model reads texts."""
        raise AssertionError("this model in ONNX writes no text")


class OnnxWriter:
    """A decoder that onnxruntime runs with its cache, one prompt after the other."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        self.name, self._session = _session(path)
        self.tokenizer = tokenizer
        self._past = [
            declared for declared in self._session.get_inputs() if declared.name.startswith(PAST)
        ]

    def run(
        self, ids: Sequence[int] | np.ndarray, past: list[np.ndarray] | None
    ) -> list[np.ndarray]:
        """Computes the logits ``[1, T, V]`` of ``ids`` behind what ``past`` holds, and the keys and
        values of all tokens then.
        """
        if past is None:
            # [batch, heads, tokens, width]: of these heads and width alone are numbers.
            past = [
                np.zeros((1, declared.shape[1], 0, declared.shape[3]), np.float32)
                for declared in self._past
            ]
        before = past[0].shape[2]
        inputs = {
            "input_ids": np.asarray(ids, np.int64)[None],
            "attention_mask": np.ones((1, before + len(ids)), np.int64),
            "position_ids": np.arange(before, before + len(ids))[None],
        }
        inputs |= {declared.name: values for declared, values in zip(self._past, past, strict=True)}
        return self._session.run(None, inputs)

    def logits(self, prompts: Sequence[np.ndarray], last: int) -> list[np.ndarray]:
        """Computes them one prompt at a time."""
        return [self.run(ids, None)[0][0, -last:] for ids in prompts]

    def write(
        self, prompts: Sequence[np.ndarray], settings: Generate, stop_ids: Sequence[int]
    ) -> list[Answer]:
        """Writes greedy answers one after the other."""
        return [self._answer(ids, settings, stop_ids) for ids in prompts]

    def likelihoods(self, examples: Sequence[Sequence[Tokens]]) -> list[np.ndarray]:
        """Computes them one sequence at a time."""

        def seen(ids: np.ndarray, places: Sequence[int]) -> np.ndarray:
            return self.run(ids, None)[0][0, places]

        return [np.array([likelihood_of(sequence, seen) for sequence in some]) for some in examples]

    def outputs(self, sequences: Sequence[Tokens]) -> np.ndarray:
        """Raises AssertionError: this model has no head over rows."""
        raise AssertionError("this model in ONNX writes text")

    def _answer(self, ids: np.ndarray, settings: Generate, stop_ids: Sequence[int]) -> Answer:
        from tunesmith.models.calling.generate import finished

        logits, *past = self.run(ids.tolist(), None)
        new = [int(logits[0, -1].argmax())]
        while new[-1] not in stop_ids and len(new) < settings.max_new_tokens:
            logits, *past = self.run(new[-1:], past)
            new.append(int(logits[0, -1].argmax()))
        return finished(self.tokenizer, new, settings, stop_ids)


def _session(path: Path) -> tuple[str, Any]:
    """Opens the file, on as many threads as torch has; returns the library's name too."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Errors alone: its warnings on a graph would stand between our own lines.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return f"onnxruntime {onnxruntime.__version__}", session
