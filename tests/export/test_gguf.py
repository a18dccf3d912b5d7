"""GGUF: what llama.cpp computes from our files is what the model computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from conftest import byte_tokenizer, tiny_model
from material.chat_templates import CHATML
from material.exported import asked, tuned
from tunesmith.batches.batch import Tokens
from tunesmith.cli.main import main
from tunesmith.errors import SpecError
from tunesmith.export.folders.lora import read_lora
from tunesmith.export.gguf.architectures import turned
from tunesmith.export.gguf.modelfile import modelfile, pieces_of
from tunesmith.export.gguf.write import Words, write_adapter, write_gguf
from tunesmith.export.make import export

SIZES: dict[str, Any] = {
    "vocab_size": 404,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "tied": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama3": LlamaConfig(**SIZES, rope_parameters=LLAMA3),
    "linear": LlamaConfig(**SIZES, rope_parameters=LINEAR),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=32),
    "gemma": GemmaConfig(**SIZES, head_dim=16),
    "gemma2": Gemma2Config(
        **SIZES, head_dim=16, query_pre_attn_scalar=16, sliding_window=32, attn_logit_softcapping=5.0
    ),
    # The sixth layer alone sees everything.
    "gemma3": Gemma3TextConfig(
        **SIZES | {"num_hidden_layers": 6}, head_dim=16, query_pre_attn_scalar=16, sliding_window=32
    ),
    "phi": PhiConfig(**SIZES, pad_token_id=3),
    "phi3": Phi3Config(**SIZES, pad_token_id=3),
    "phi4": Phi3Config(
        **SIZES, pad_token_id=3,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Words:
    folder = tmp_path_factory.mktemp("words")
    byte_tokenizer(folder)
    return Words(AutoTokenizer.from_pretrained(folder), folder, (2,))


@pytest.mark.parametrize("name", CONFIGS)
def test_llama_cpp_computes_what_transformers_does(name: str, words: Words, tmp_path: Path) -> None:
    """Sizes, names, the order of rows, rotations, biases and norms: any one wrong moves logits."""
    pytest.importorskip("cyllama")
    from tunesmith.export.gguf.engine import LlamaCpp

    torch.manual_seed(3)
    # The other ways to attend leave Gemma 2's limit on scores out.
    model = AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation="eager").eval()
    for own, weight in model.named_parameters():
        # Far from the usual start, so that attention, norms and biases matter.
        weight.data.normal_(0, 0.4 if weight.ndim > 1 else 0.5)
        weight.data += 1.0 if "norm" in own else 0.0
    write_gguf(tmp_path / "model.gguf", model, words, "f32", "tiny")
    engine = LlamaCpp(tmp_path / "model.gguf", words.tokenizer)
    prompt = np.random.default_rng(0).integers(4, 400, 100)
    with torch.no_grad():
        wanted = model(torch.as_tensor(prompt)[None]).logits[0, -8:].numpy()
    (seen,) = engine.logits([prompt], 8)
    # llama.cpp keeps keys and values in fp16.
    assert np.abs(seen - wanted).max() < 0.01 * np.ptp(wanted)
    # Options after one prompt share its memory in llama.cpp, and nothing else.
    options = [np.append(prompt, [one, 7]) for one in (50, 60)]
    weights = (np.arange(102) >= 100).astype(np.float32)
    (found,) = engine.likelihoods([[Tokens(ids, weights) for ids in options]])
    for ids, (loss, weight) in zip(options, found, strict=True):
        with torch.no_grad():
            logprobs = model(torch.as_tensor(ids)[None]).logits[0].log_softmax(-1)
        said = logprobs[[99, 100], ids[100:]].sum().item()
        assert weight == 2 and loss == pytest.approx(-said, rel=0.02)
    assert engine.tokens("<|im_start|>问题 it's 123") == words.tokenizer.encode(
        "<|im_start|>问题 it's 123"
    )
    assert engine.ends(2) and not engine.ends(50)


@pytest.mark.parametrize("prefix", [False, True])
def test_sentence_pieces_are_llama_cpps_tokens(prefix: bool, words: Words, tmp_path: Path) -> None:
    """As Gemma has them (no space before a text) and Llama 2 (one), with letters that are none."""
    pytest.importorskip("cyllama")
    from tunesmith.export.gguf.engine import LlamaCpp

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    spaces: Any = normalizers.Replace(" ", "▁")
    if prefix:
        spaces = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.normalizer = spaces
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    special = ["<unk>", "<s>", "</s>", "<pad>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=404, special_tokens=special, show_progress=False)
    lines = ["the question and the answer of a person is this", "中医药知识问题答案"] * 20
    tokenizer.train_from_iterator(lines, trainer)
    told = json.loads(tokenizer.to_str())
    # Bytes are ordinary tokens of such files.
    told["added_tokens"] = [one for one in told["added_tokens"] if one["id"] < 4]
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(told)), unk_token="<unk>", bos_token="<s>",
        eos_token="</s>", pad_token="<pad>",
    )  # fmt: skip
    made.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_config(CONFIGS["gemma"])
    write_gguf(tmp_path / "m.gguf", model, Words(made, tmp_path, (2,)), "f32", "tiny")
    engine = LlamaCpp(tmp_path / "m.gguf", made)
    for text in ("the person is an answer", "问题 the 药", " two  spaces", "é😀 this</s>the end"):
        ids = made(text, add_special_tokens=False)["input_ids"]
        assert engine.tokens(text) == ids, text
        assert made.unk_token_id not in ids and len(ids) < len(text.encode()) + 2


@pytest.mark.parametrize("name", ["llama", "phi3"])
def test_llama_cpp_adds_an_adapter(name: str, words: Words, tmp_path: Path) -> None:
    """The base as GGUF with the adapter beside it gives what the merged model gives."""
    xllamacpp = pytest.importorskip("xllamacpp")
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
    for own, weight in model.named_parameters():
        weight.data.normal_(0, 0.2).add_(1.0 if "norm" in own else 0.0)
    write_gguf(tmp_path / "base.gguf", model, words, "f32", "tiny")
    settings = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", use_rslora=True,
                          rank_pattern={"o_proj": 2})  # fmt: skip
    tuned_model = get_peft_model(model, settings)
    for own, weight in tuned_model.named_parameters():
        if "lora_B" in own:
            weight.data.normal_(0, 0.2)
    tuned_model.save_pretrained(tmp_path)
    write_adapter(tmp_path / "a.gguf", read_lora(tmp_path), CONFIGS[name], "f32", "tiny")
    prompt = list(range(50, 80))
    with torch.no_grad():
        wanted = tuned_model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        with tuned_model.disable_adapter():
            plain = tuned_model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(tmp_path / "base.gguf"), 256, False
    params.n_parallel, params.cpuparams.n_threads, params.verbosity = 1, 1, -1
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(tmp_path / "a.gguf"), 1.0)]
    server = xllamacpp.Server(params)
    asked_of = {"prompt": prompt, "n_predict": 1, "temperature": 0, "logprobs": 20}
    told = server.handle_completions(asked_of)["choices"][0]["logprobs"]["content"][0]
    found = {one["id"]: one["logprob"] for one in told["top_logprobs"]}
    ids = list(found)
    assert len(ids) == 20
    assert (plain[ids] - wanted[ids]).abs().max() > 0.5, "the adapter changes what is compared"
    assert np.abs(wanted[ids].numpy() - np.array(list(found.values()))).max() < 0.02


def test_a_run_becomes_an_adapter_of_its_own(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tuned(tmp_path / "run", tiny_llama)
    done = export(folder, tmp_path / "out", asked("format=gguf", "format.part=adapter"))
    assert done.page.verdict == "not verified" and "tunesmith prove RUN --against" in done.page.why
    names = {path.name for path in done.out.iterdir()}
    assert names == {"README.md", "adapter.gguf", "chat_template.jinja", "parity.json", "parity.md"}
    assert f"--lora {done.out / 'adapter.gguf'} --jinja" in done.load[1]
    with pytest.raises(SpecError, match=r"format\.type: an adapter is not rounded to q8_0"):
        export(
            folder, tmp_path / "no", asked("format=gguf", "format.part=adapter", "format.type=q8_0")
        )
    config = folder.model / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "use_dora": True}))
    with pytest.raises(
        SpecError, match=r"format\.part: what lora learned here is not a plain LoRA"
    ):
        export(folder, tmp_path / "no", asked("format=gguf", "format.part=adapter"))


def test_rounded_as_llama_cpp_rounds(words: Words, tmp_path: Path) -> None:
    """llama-quantize, on our fp32 file, writes the same bytes for each tensor."""
    pytest.importorskip("cyllama")
    import gguf
    from cyllama.llama import llama_cpp

    llama_cpp.disable_logging()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    write_gguf(tmp_path / "f32.gguf", model, words, "f32", "tiny")
    for kind, number in (("q8_0", 7), ("q4_0", 2)):
        counts = write_gguf(tmp_path / "ours.gguf", model, words, kind, "tiny")
        assert counts[kind.upper()] and counts["F32"] == 5
        params = llama_cpp.LlamaModelQuantizeParams()
        params.ftype, params.pure = number, True
        llama_cpp.model_quantize(str(tmp_path / "f32.gguf"), str(tmp_path / "its.gguf"), params)
        its = {one.name: one for one in gguf.GGUFReader(tmp_path / "its.gguf").tensors}
        same = 0
        for ours in gguf.GGUFReader(tmp_path / "ours.gguf").tensors:
            if ours.tensor_type == its[ours.name].tensor_type:
                assert np.array_equal(ours.data, its[ours.name].data), (kind, ours.name)
                same += 1
        assert same >= 14


def test_rows_of_queries_are_turned_once() -> None:
    """Neighbours in the file are the two halves of a head."""
    rows = np.arange(8.0)[:, None]
    assert turned(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_run_becomes_a_file_with_its_page(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cyllama")
    folder = tuned(tmp_path / "run", tiny_llama)
    line = ["export", str(folder.path), str(tmp_path / "out"), "format=gguf", "format.type=f16"]
    assert main([*line, "require=not lost", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] in ("same", "within the noise")
    assert told["saved"]["relative"] < 0.01 and told["library"].startswith("llama.cpp")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "model.gguf", "Modelfile", "parity.json", "parity.md"}
    assert json.loads((tmp_path / "out" / "parity.json").read_text())["format"] == "gguf"
    made = (tmp_path / "out" / "Modelfile").read_text(encoding="utf-8")
    assert made.startswith("FROM ./model.gguf\nTEMPLATE") and 'stop "<|im_end|>"' in made


@pytest.mark.slow  # 2 s
def test_a_k_type_tells_which_types_are_in_the_file(tiny_llama: Path, tmp_path: Path) -> None:
    """Rows of 32 and 64 do not divide into blocks of 256."""
    pytest.importorskip("cyllama")
    done = export(
        tuned(tmp_path / "run", tiny_llama),
        tmp_path / "out",
        asked("format=gguf", "format.type=q4_k_m"),
    )
    assert any("Q5_0" in told or "Q8_0" in told for told in done.warnings)
    assert sorted(path.name for path in done.out.iterdir())[-1] == "parity.md"


def test_without_llama_cpp_nothing_is_claimed(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("tunesmith.export.gguf.engine.installed", lambda: False)
    folder = tuned(tmp_path / "run", tiny_llama)
    with pytest.raises(SpecError, match=r"q4_k_m is written by llama\.cpp itself"):
        export(folder, tmp_path / "out", asked("format=gguf", "format.type=q4_k_m"))
    line = ["export", str(folder.path), str(tmp_path / "out"), "format=gguf"]
    assert main([*line, "require=not lost"]) == 1
    out, error = capsys.readouterr()
    assert "not verified" in out and "pip install 'tunesmith[verify]'" in out
    assert "export.require asks for" in error and (tmp_path / "out" / "model.gguf").is_file()


def test_what_is_not_written_names_the_script(tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "base")
    folder = tuned(tmp_path / "run", base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"model_type": "olmo2"}))
    with pytest.raises(SpecError, match=r"olmo2 is not written to GGUF here .*convert_hf_to_gguf"):
        export(folder, tmp_path / "out", asked("format=gguf"))
    config["rope_parameters"] = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(SpecError, match="positions of the type dynamic"):
        export(folder, tmp_path / "out", asked("format=gguf"))
    # Of a Gemma 2 with more layers than one all but the last of two see a window.
    told = Gemma2Config(**SIZES, head_dim=16).to_dict()
    for odd in ({"query_pre_attn_scalar": 3}, {"layer_types": ["full_attention"] * 2}):
        (base / "config.json").write_text(json.dumps(told | {"query_pre_attn_scalar": 16} | odd))
        with pytest.raises(SpecError, match="this gemma2 has parts"):
            export(folder, tmp_path / "out", asked("format=gguf"))
    tokenizer = json.loads((folder.model / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    (folder.model / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(SpecError, match=r"the tokenizer in .* cannot be written to GGUF here"):
        export(folder, tmp_path / "out", asked("format=gguf"))
    assert not (tmp_path / "out").exists()


DEFAULT_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}"
    "{% endif %}" + CHATML
)
ONE_TURN = "{{ '<|im_start|>' + messages[-1]['content'] + '<|im_end|>' }}"


def test_a_modelfile_says_what_the_template_does(words: Words) -> None:
    """``pieces_of`` compares three conversations with the template itself; what Go is given has the
    same pieces.
    """
    tokenizer = AutoTokenizer.from_pretrained(words.folder)
    tokenizer.chat_template = DEFAULT_SYSTEM
    pieces = pieces_of(tokenizer)
    assert pieces is not None
    told = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    wanted = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
    assert pieces.filled([("system", "s"), ("user", "u")]) == wanted
    text = modelfile(
        pieces, "m.gguf", stops=["<|im_end|>"], settings={"num_ctx": 64}, system="Hi", begin=""
    )
    assert "{{ if not .System }}<|im_start|>system\nBe kind." in text
    assert text.endswith('PARAMETER stop "<|im_end|>"\nPARAMETER num_ctx 64\nSYSTEM """Hi"""\n')
    tokenizer.chat_template = ONE_TURN  # forgets the earlier turns
    assert pieces_of(tokenizer) is None
    tokenizer.chat_template = "{{ raise_exception('no system') }}"
    assert pieces_of(tokenizer) is None
