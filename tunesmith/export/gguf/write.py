"""A GGUF file from a model in memory, one tensor after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.export.gguf.architectures import (
    ARCHITECTURES,
    add_settings,
    as_written,
    names_of,
    tensors,
)
from tunesmith.export.gguf.types import FILE_TYPES, rounded, type_of
from tunesmith.export.gguf.vocabulary import add_vocabulary

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.export.folders.lora import Lora


@dataclass(frozen=True)
class Words:
    """The tokenizer, its folder, the tokens that end an answer, and a chat template that stands in
    place of the tokenizer's.
    """

    tokenizer: Tokenizer
    folder: Path
    stop_ids: Sequence[int]
    template: str | None = None


def write_gguf(path: Path, model: Any, words: Words, kind: str, name: str) -> Counter[str]:
    """Writes the model in ``kind``, a key of ``types.BITS``; returns how many tensors have which
    type.
    """
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(path, ARCHITECTURES[config.model_type])
    writer.add_name(name)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    rows = model.get_input_embeddings().weight.shape[0]
    add_settings(writer, config, rows)
    add_vocabulary(writer, words.tokenizer, words.folder, rows, words.stop_ids)
    template = words.template or words.tokenizer.chat_template
    if template:
        writer.add_chat_template(template)
    counts: Counter[str] = Counter()
    # Twice over the tensors: the head of the file tells all sizes, and all values at once would
    # take the memory of another model.
    for tensor, values in tensors(model, config):
        its = type_of(tensor, values.shape, kind)
        counts[its.name] += 1
        block, size = gguf.GGML_QUANT_SIZES[its]
        writer.add_tensor_info(
            tensor, values.shape, values.dtype, values.size // block * size, raw_dtype=its
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, values in tensors(model, config):
        writer.write_tensor_data(rounded(values, type_of(tensor, values.shape, kind)))
    _close(writer, path)
    return counts


def write_adapter(path: Path, lora: Lora, config: Any, kind: str, name: str) -> None:
    """Writes a LoRA, whose scale is in B, for a GGUF file of the base with this ``config``."""
    import gguf

    writer = gguf.GGUFWriter(path, ARCHITECTURES[config.model_type])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    # llama.cpp multiplies by alpha / rank, with the rank of each pair, unless alpha is 0.
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 0.0)
    names, its = names_of(config), gguf.GGMLQuantizationType[kind.upper()]
    for layer, (down, up) in lora.pairs.items():
        weight = f"{layer}.weight"
        rows = as_written(weight, up.numpy(), config)
        for end, values in (("lora_a", down.numpy()), ("lora_b", rows)):
            writer.add_tensor(f"{names(weight)}.{end}", rounded(values, its), raw_dtype=its)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    _close(writer, path)


def _close(writer: Any, path: Path) -> None:
    """Closes the file; raises OSError where less arrived than was written, which numpy does not
    tell of small tensors on a full disk.
    """
    wanted = writer.fout[0].tell()
    writer.close()
    size = path.stat().st_size
    if size < wanted:
        raise OSError(f"{wanted} requested and {size} written")
