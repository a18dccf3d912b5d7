"""One ONNX file: a classifier, a tagger, sentence vectors, or a decoder with its cache."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.errors import Problem
from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import Engine

FILE = "model.onnx"
NEEDS = ("onnx", "onnxscript", "onnxruntime")
CACHED = ("llama", "mistral", "qwen2", "qwen3")
"""Decoders that were compared with onnxruntime."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@FORMATS.register
class Onnx(ExportFormat):
    """An ONNX file for any number and length of texts, with the tokenizer beside it; of vectors the
    pooled one is an output, too. A decoder takes and gives keys and values of each layer.
    """

    verified_by = "onnxruntime"
    install = "pip install 'tunesmith[onnx]'"

    class Config(Spec):
        """ONNX file."""

        type: Literal["fp32", "int8"] = "fp32"
        """fp32, or weights in 8 bits with activations rounded as it runs: a quarter of the size."""

    def refused(self, source: Source) -> list[Problem]:
        """Refuses classifiers that are decoders, decoders whose cache forgets, models with both
        sides, and a machine without the packages.
        """
        from tunesmith.models.structure.kinds import kind_of

        kind, problems = kind_of(source.config), []
        writes = source.head == "language"
        if writes and kind == "decoder" and not keeps_all(source.config):
            text = say("export.onnx_cache", kind=source.config.model_type)
            problems.append(Problem("format", text))
        elif kind != ("decoder" if writes else "encoder"):
            problems.append(Problem("format", say("export.onnx_kind", kind=kind)))
        missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
        if missing:
            text = say("export.onnx_missing", names=", ".join(missing), install=self.install)
            problems.append(Problem("format", text))
        return problems

    def dtype(self, source: Source) -> str:
        """Returns the type asked for."""
        return self.config.type

    def size(self, source: Source) -> int:
        """Counts the fp32 file, from which the other is made."""
        return source.stored[1] * (4 if self.config.type == "fp32" else 5)

    def write(self, made: Made, place: Path) -> None:
        """Writes the file, and tokenizer and configuration beside it."""
        from tunesmith.export.folders.files import copy_beside
        from tunesmith.export.onnx.write import rounded, write_decoder, write_onnx

        source, model = made.source, made.trained.model
        names = [name for name in INPUTS if name in made.trained.tokenizer.model_input_names]
        vectors = source.head == "embedding"
        pooling = OBJECTIVES.make(source.run.objective).config if vectors else None
        file = place / (FILE if self.config.type == "fp32" else "fp32.onnx")
        if source.head == "language":
            write_decoder(file, model)
        else:
            write_onnx(file, model, names, pooling)
        if self.config.type == "int8":
            rounded(place / "fp32.onnx", place / FILE)
            for left in place.glob("fp32.onnx*"):
                left.unlink()
        model.config.save_pretrained(place)
        copy_beside(source.place, place)

    def open(self, place: Path, made: Made) -> Engine:
        """Loads the file in onnxruntime, which is here if the file could be written."""
        from tunesmith.export.onnx.engine import OnnxRuntime, OnnxWriter

        if made.source.head == "language":
            return OnnxWriter(place / FILE, made.trained.tokenizer)
        return OnnxRuntime(place / FILE)

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the lines of Python that load it."""
        lines = [
            "import onnxruntime, transformers",
            f'tokenizer = transformers.AutoTokenizer.from_pretrained("{out}")',
            f'session = onnxruntime.InferenceSession("{out / FILE}")',
        ]
        if source.head == "language":
            return [*lines, say("export.onnx_inputs")]
        return [
            *lines,
            'outputs = session.run(None, dict(tokenizer(["a text"], return_tensors="np")))',
        ]


def keeps_all(config: Any) -> bool:
    """Tells whether every layer's cache holds all tokens: no windows, no states beside it."""
    values = config.to_dict()
    kinds = values.get("layer_types") or ["full_attention"]
    plain = set(kinds) == {"full_attention"} and config.model_type in CACHED
    return plain and not (values.get("sliding_window") and values.get("use_sliding_window", True))
