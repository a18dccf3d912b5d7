"""One GGUF file, which llama.cpp, Ollama and LM Studio run, and Ollama's Modelfile beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tunesmith.errors import Problem
from tunesmith.export.folders.vllm import TEMPLATE, asking_template
from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.export.gguf.architectures import SCRIPT
from tunesmith.export.gguf.types import BITS, FILE_TYPES, K_BITS
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import Engine

FILE, ADAPTER = "model.gguf", "adapter.gguf"
MOST_CONTEXT = 8192
"""Tokens of Ollama's memory that are asked for at most: it is taken whole when the model loads."""
ADAPTER_TYPES = ("f32", "f16", "bf16")
URL = "http://127.0.0.1:8080/v1"
"""Where llama-server listens if told nothing else."""


@FORMATS.register
class Gguf(ExportFormat):
    """A GGUF file with tokenizer, chat template and stop tokens, and a Modelfile for Ollama; or a
    LoRA alone, for a GGUF file of its base.
    """

    heads = frozenset({"language"})
    verified_by = "llama.cpp"
    install = "pip install 'tunesmith[verify]'"

    class Config(Spec):
        """GGUF file."""

        part: Literal["model", "adapter"] = "model"
        """The whole model, or a plain LoRA alone, which llama.cpp adds to a GGUF of the base."""
        type: (
            Literal[
                "f32",
                "f16",
                "bf16",
                "q8_0",
                "q6_k",
                "q5_k_m",
                "q5_1",
                "q5_0",
                "q4_k_m",
                "q4_1",
                "q4_0",
                "q3_k_m",
                "q2_k",
                "iq4_nl",
                "iq4_xs",
            ]
            | None
        ) = None
        """Number type of the weights; q8_0 when not given, and f32 for an adapter, which takes f16
        and bf16 too. Those with k, and iq4, are written by llama.cpp itself
        (``pip install 'tunesmith[verify]'``).
        """

    def folded(self, source: Source) -> bool:
        """Tells whether the whole model is written."""
        return self.config.part == "model"

    def refused(self, source: Source) -> list[Problem]:
        """Refuses architectures and tokenizers that are not written here, K-types without
        llama.cpp, and adapters that are no plain LoRA.
        """
        from tunesmith.export.gguf.architectures import refused_architecture
        from tunesmith.export.gguf.engine import installed
        from tunesmith.export.gguf.vocabulary import refused_vocabulary

        problems = refused_architecture(source.config)
        if self.config.part == "adapter":
            return problems + self._refused_adapter(source)
        problems += refused_vocabulary(source.place)
        if self.config.type in K_BITS and not installed():
            text = say("export.gguf_k_type", type=self.config.type, install=self.install)
            problems.append(Problem("format.type", text))
        return problems

    def _refused_adapter(self, source: Source) -> list[Problem]:
        from tunesmith.export.folders.lora import layers_in, stands_alone

        kind, problems = self.config.type or "f32", []
        if kind not in ADAPTER_TYPES:
            text = say("export.gguf_adapter_type", type=kind, known=", ".join(ADAPTER_TYPES))
            problems.append(Problem("format.type", text))
        tied = source.config.tie_word_embeddings
        plain = stands_alone(source)
        if not plain or (tied and "lm_head" in layers_in(source.place)):
            text = say("export.gguf_adapter", method=source.run.method.name)
            problems.append(Problem("format.part", text))
        return problems

    def dtype(self, source: Source) -> str:
        """Returns the type asked for."""
        return self.config.type or ("q8_0" if self.config.part == "model" else "f32")

    def size(self, source: Source) -> int:
        """Counts the bits of the weights; for a K-type those of the fp16 file that it is made
        from, too.
        """
        from tunesmith.export.folders.lora import WEIGHTS

        kind = self.dtype(source)
        if self.config.part == "adapter":
            return (source.place / WEIGHTS).stat().st_size
        k_bits = K_BITS.get(kind)
        bits = BITS[kind] if k_bits is None else k_bits + BITS["f16"]
        return int(source.stored[1] * bits / 8)

    def write(self, made: Made, place: Path) -> None:
        """Writes the file, tells which types are in it, and writes the Modelfile."""
        kind = self.dtype(made.source)
        if self.config.part == "adapter":
            _write_adapter(made, place, kind)
            return
        counts = self._write_whole(made, place, kind)
        listed = ", ".join(f"{count} {its}" for its, count in sorted(counts.items()))
        made.notes.append(say("export.gguf_types", told=listed))
        _write_modelfile(made, place)

    def _write_whole(self, made: Made, place: Path, kind: str) -> Mapping[str, int]:
        """Writes the model's file; returns how many tensors have which type."""
        from tunesmith.export.gguf.write import Words, write_gguf

        source, render = made.source, made.trained.render
        name, path = source.folder.path.name, place / FILE
        assert render is not None, "a run's model comes with its renderer"
        stops, template = source.told["stop_ids"], asking_template(render)
        words = Words(made.trained.tokenizer, source.place, stops, template)
        if kind in BITS:
            return write_gguf(path, made.trained.model, words, kind, name)
        rough = place / "f16.gguf"
        write_gguf(rough, made.trained.model, words, "f16", name)
        counts = _by_llama_cpp(rough, path, kind)
        rough.unlink()
        return counts

    def open(self, place: Path, made: Made) -> Engine | None:
        """Loads the file in llama.cpp; cyllama has no call that puts an adapter on a model."""
        from tunesmith.export.gguf.engine import LlamaCpp, installed

        whole = self.config.part == "model"
        return LlamaCpp(place / FILE, made.trained.tokenizer) if whole and installed() else None

    def not_run(self, source: Source) -> str:
        """Names the commands that would show an adapter in llama.cpp."""
        return say("export.gguf_not_run", url=URL) if self.config.part == "adapter" else ""

    def faults(self, engine: Any, made: Made, prompts: list[np.ndarray]) -> list[str]:
        """Compares how texts become tokens, and looks whether an answer can end."""
        tokenizer, warnings = made.trained.tokenizer, []
        texts = [tokenizer.decode(ids.tolist()) for ids in prompts]
        ours = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        odd = sum(engine.tokens(text) != ids for text, ids in zip(texts, ours, strict=True))
        if odd:
            warnings.append(say("export.gguf_tokens", odd=odd, probes=len(texts)))
        lost = [token for token in made.source.told["stop_ids"] if not engine.ends(token)]
        if lost:
            named = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(lost)))
            warnings.append(say("export.gguf_stops", tokens=named))
        return warnings

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the commands that serve it."""
        if self.config.part == "adapter":
            template = f" --chat-template-file {out / TEMPLATE}"
            return [
                f"{SCRIPT} {source.base} --outfile base.gguf --outtype f16",
                f"llama-server -m base.gguf --lora {out / ADAPTER} --jinja{template}",
            ]
        return [
            f"llama-server -m {out / FILE} --jinja",
            f"ollama create {source.folder.path.name} -f {out / 'Modelfile'}",
        ]


def _write_adapter(made: Made, place: Path, kind: str) -> None:
    from tunesmith.export.folders.lora import read_lora
    from tunesmith.export.gguf.write import write_adapter

    source, render = made.source, made.trained.render
    assert render is not None, "a run's model comes with its renderer"
    lora = read_lora(source.place)
    write_adapter(place / ADAPTER, lora, source.config, kind, source.folder.path.name)
    template = asking_template(render)
    if template is None:
        made.notes.append(say("export.server_template"))
    else:
        (place / TEMPLATE).write_text(template, encoding="utf-8")


def _by_llama_cpp(rough: Path, path: Path, kind: str) -> dict[str, int]:
    """Writes the K-type ``kind`` with llama.cpp, and returns how many tensors have which type: a
    row that does not divide into blocks of 256 gets another one.
    """
    from collections import Counter

    import gguf
    from cyllama.llama import llama_cpp

    llama_cpp.disable_logging()
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype = FILE_TYPES[kind]
    llama_cpp.model_quantize(str(rough), str(path), params)
    return Counter(tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors)


def _write_modelfile(made: Made, place: Path) -> None:
    from tunesmith.export.gguf.modelfile import modelfile, pieces_of

    run, tokenizer = made.source.run, made.trained.tokenizer
    plain = run.data.template is None and tokenizer.chat_template
    pieces = pieces_of(tokenizer) if plain else None
    if pieces is None:
        made.notes.append(say("export.no_modelfile"))
        return
    config, new = made.source.config, run.generate.max_new_tokens
    context = min(config.max_position_embeddings, MOST_CONTEXT)
    begins = tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    text = modelfile(
        pieces,
        FILE,
        stops=[tokenizer.decode([token]) for token in made.source.told["stop_ids"]],
        settings={"temperature": run.generate.temperature, "num_ctx": context, "num_predict": new},
        system=run.data.system,
        begin=(tokenizer.bos_token or "") if begins else "",
    )
    (place / "Modelfile").write_text(text, encoding="utf-8")
