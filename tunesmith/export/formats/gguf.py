"""One GGUF file, which llama.cpp, Ollama and LM Studio run, and Ollama's Modelfile beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tunesmith.errors import Problem
from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.export.gguf.types import BITS, FILE_TYPES, K_BITS
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import Engine

FILE = "model.gguf"
MOST_CONTEXT = 8192
"""Tokens of Ollama's memory that are asked for at most: it is taken whole when the model loads."""


@FORMATS.register
class Gguf(ExportFormat):
    """A GGUF file with tokenizer, chat template and stop tokens, and a Modelfile for Ollama."""

    heads = frozenset({"language"})
    verified_by = "llama.cpp"
    install = "pip install 'tunesmith[verify]'"

    class Config(Spec):
        """GGUF file."""

        type: Literal[
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
        ] = "q8_0"
        """Number type of the weights. Those with k, and iq4, are written by llama.cpp itself
        (``pip install 'tunesmith[verify]'``).
        """

    def refused(self, source: Source) -> list[Problem]:
        """Refuses architectures and tokenizers that are not written here, and K-types without
        llama.cpp.
        """
        from tunesmith.export.gguf.architectures import refused_architecture
        from tunesmith.export.gguf.engine import installed
        from tunesmith.export.gguf.vocabulary import refused_vocabulary

        problems = [*refused_architecture(source.config), *refused_vocabulary(source.place)]
        if self.config.type in K_BITS and not installed():
            told = say("export.gguf_k_type", type=self.config.type, install=self.install)
            problems.append(Problem("format.type", told))
        return problems

    def dtype(self, source: Source) -> str:
        """Returns the type asked for."""
        return self.config.type

    def size(self, source: Source) -> int:
        """Counts the bits of the weights; for a K-type those of the fp16 file that it is made
        from, too.
        """
        own = K_BITS.get(self.config.type)
        bits = BITS[self.config.type] if own is None else own + BITS["f16"]
        return int(source.stored[1] * bits / 8)

    def write(self, made: Made, place: Path) -> None:
        """Writes the file, tells which types are in it, and writes the Modelfile."""
        from tunesmith.export.gguf.write import Words, write_gguf

        source, kind = made.source, self.config.type
        words = Words(made.trained.tokenizer, source.place, source.told["stop_ids"])
        path, name = place / FILE, source.folder.path.name
        if kind in BITS:
            counts: Mapping[str, int] = write_gguf(path, made.trained.model, words, kind, name)
        else:
            rough = place / "f16.gguf"
            write_gguf(rough, made.trained.model, words, "f16", name)
            counts = _by_llama_cpp(rough, path, kind)
            rough.unlink()
        told = ", ".join(f"{count} {its}" for its, count in sorted(counts.items()))
        made.notes.append(say("export.gguf_types", told=told))
        _write_modelfile(made, place)

    def open(self, place: Path, made: Made) -> Engine | None:
        """Loads the file in llama.cpp."""
        from tunesmith.export.gguf.engine import LlamaCpp, installed

        return LlamaCpp(place / FILE, made.trained.tokenizer) if installed() else None

    def faults(self, engine: Any, made: Made, prompts: list[np.ndarray]) -> list[str]:
        """Compares how texts become tokens, and looks whether an answer can end."""
        tokenizer, found = made.trained.tokenizer, []
        texts = [tokenizer.decode(ids.tolist()) for ids in prompts]
        ours = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        odd = sum(engine.tokens(text) != ids for text, ids in zip(texts, ours, strict=True))
        if odd:
            found.append(say("export.gguf_tokens", odd=odd, probes=len(texts)))
        lost = [token for token in made.source.told["stop_ids"] if not engine.ends(token)]
        if lost:
            named = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(lost)))
            found.append(say("export.gguf_stops", tokens=named))
        return found

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the commands that serve it."""
        return [
            f"llama-server -m {out / FILE} --jinja",
            f"ollama create {source.folder.path.name} -f {out / 'Modelfile'}",
        ]


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
