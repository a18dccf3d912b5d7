"""The folder for vLLM says the same to a reader that knows one scale, and asks as the run does."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from material.exported import asked, beside, run_folder, tuned
from tunesmith.cli.main import main
from tunesmith.data.rendering.render import Render
from tunesmith.examples import Chat, Turn
from tunesmith.export.folders.vllm import room_for
from tunesmith.export.make import export
from tunesmith.storage.run_folder import RunFolder

IDS = torch.arange(4, 40)[None]


def as_vllm_reads(folder: Path, base: Path) -> torch.Tensor:
    """Logits of the base with ``lora_alpha / r`` B A added to each layer, and nothing else of the
    settings looked at.
    """
    told = json.loads((folder / "adapter_config.json").read_text())
    weights = load_file(folder / "adapter_model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    parts = dict(model.named_modules())
    for key, down in weights.items():
        if "lora_A" in key:
            name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            up = weights[key.replace("lora_A", "lora_B")]
            parts[name].weight.data += told["lora_alpha"] / told["r"] * up @ down
    with torch.no_grad():
        return model(IDS).logits


def trained(place: Path, base: Path, **how: object) -> tuple[RunFolder, PeftModel]:
    """A run with a LoRA of these settings, and its model."""
    folder = run_folder(place, base)
    layers = ["q_proj", "v_proj", "down_proj"]
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=4, lora_alpha=8, target_modules=layers, task_type="CAUSAL_LM", **how),
    )
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.2)
    model.save_pretrained(folder.model)
    beside(folder, base)
    return folder, model


@pytest.mark.slow  # 2 s
def test_one_scale_stands_for_all(tiny_llama: Path, tmp_path: Path) -> None:
    """rsLoRA and what single layers have would be overlooked, and the model be another."""
    folder, model = trained(
        tmp_path / "run", tiny_llama, use_rslora=True, alpha_pattern={"v_proj": 3},
        rank_pattern={"down_proj": 2, "0.self_attn.q_proj": 9},
    )  # fmt: skip
    line = ["export", str(folder.path), str(tmp_path / "out"), "format=vllm", "require=same"]
    assert main(line) == 0
    with torch.no_grad():
        wanted = model.eval()(IDS).logits
        again = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(tiny_llama), tmp_path / "out"
        )(IDS).logits
    assert (as_vllm_reads(folder.model, tiny_llama) - wanted).abs().max() > 0.1, "it would differ"
    assert (as_vllm_reads(tmp_path / "out", tiny_llama) - wanted).abs().max() < 1e-4
    assert (again - wanted).abs().max() < 1e-4
    assert "--max-lora-rank 16 " in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow  # 2 s
def test_what_is_no_lora_is_merged(tiny_llama: Path, tmp_path: Path) -> None:
    folder, _ = trained(tmp_path / "run", tiny_llama, use_dora=True)
    done = export(folder, tmp_path / "out", asked("format=vllm"))
    assert done.merged is not None and (done.out / "model.safetensors").is_file()
    assert done.load == (f"vllm serve {done.out} --served-model-name run",)
    assert "Not verified by vLLM" in (done.out / "parity.md").read_text(encoding="utf-8")


def test_the_template_asks_as_the_run_does(tiny_llama: Path, tmp_path: Path) -> None:
    """A client that sends one question gets the run's system text before it; one that sends its
    own keeps that.
    """
    data = {"path": "rows.json", "system": 'Say "药" or {{ x }}.'}
    folder = tuned(tmp_path / "run", tiny_llama, data=data)
    done = export(folder, tmp_path / "out", asked("format=vllm"))
    assert not any("data.template" in told for told in done.warnings)
    words = shlex.split(done.load[0])
    assert words[:5] == ["vllm", "serve", str(tiny_llama), "--served-model-name", tiny_llama.name]
    assert words[words.index("--lora-modules") + 1] == f"run={done.out}"
    template = Path(words[words.index("--chat-template") + 1]).read_text(encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(words[words.index("--tokenizer") + 1])
    run = folder.resolved().run
    render = Render(AutoTokenizer.from_pretrained(tiny_llama), run.data)
    for said in ([], [{"role": "system", "content": "Be short."}]):
        turns = [*said, {"role": "user", "content": "它是什么？"}]
        ids = tokenizer.apply_chat_template(
            turns, chat_template=template, add_generation_prompt=True, return_dict=False
        )
        wanted = render.prompt(Chat(tuple(Turn(one["role"], one["content"]) for one in turns)))
        assert ids == np.asarray(wanted).tolist()


@pytest.mark.parametrize(("rank", "room"), [(1, 8), (8, 8), (9, 16), (300, 320), (513, None)])
def test_room_is_one_of_the_values_that_vllm_takes(rank: int, room: int | None) -> None:
    assert room_for(rank) == room
