"""A merged model behaves as the adapter did, loads with three lines, and is not there at all when
it does not.
"""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraModel, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from conftest import tiny_model
from material.exported import QUESTIONS, beside, in_type, run_folder, tuned
from tunesmith.data.asked_rows import shown
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DiskError, ExportError, ModelError, SpecError
from tunesmith.export.held_memory import held
from tunesmith.export.make import export
from tunesmith.export.parity import FIXED, PROBES, probe_ids, probes


def test_merged_folder_answers_as_the_adapter(tiny_llama: Path, tmp_path: Path) -> None:
    folder, out, seen = tuned(tmp_path / "run", tiny_llama), tmp_path / "merged", []
    exported = export(folder, out, progress=lambda stage, done, total: seen.append(stage))
    parts = ["loading base and adapter", "asking the probe prompts", "merging"]
    assert seen == [*parts, "saving", "checking what was saved"]
    assert exported.merged.relative < 1e-4 and exported.saved.relative < 1e-4
    assert exported.saved.same_answers == exported.saved.probes == PROBES
    assert [one for one in exported.warnings if "held-out rows" not in one] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merged", "run"], (
        "a draft was left behind"
    )
    names = {path.name for path in out.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "generation_config.json",
    } <= names
    assert not any(name.startswith(("adapter", "tunesmith")) for name in names)
    if held() is not None:  # the system tells
        weights = (out / "model.safetensors").stat().st_size
        assert all(
            (one or 0) >= weights for one in (exported.page.memory_before, exported.page.memory)
        )

    space: dict[str, object] = {}
    exec("\n".join(exported.load), space)  # the three lines that are printed, as printed
    model, tokenizer = space["model"], space["tokenizer"]
    assert model.config._attn_implementation == "sdpa"  # type: ignore[attr-defined]
    assert model.generation_config.eos_token_id == [2, 0]  # type: ignore[attr-defined]
    ids = tokenizer.apply_chat_template(  # type: ignore[attr-defined]
        [{"role": "user", "content": "what is the answer"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=False,
    )
    adapter = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_llama), folder.model
    ).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            model(ids).logits, adapter(input_ids=ids).logits, atol=1e-4, rtol=1e-4
        )  # type: ignore[operator]


@pytest.mark.slow  # 4 s
def test_saved_in_the_type_of_the_base_unless_given(tiny_llama: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.bfloat16).save_pretrained(base)
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(base)
    folder = tuned(tmp_path / "run", base)
    exported = export(folder, tmp_path / "own")
    assert exported.dtype == exported.saved.dtype == "bf16"
    assert 0 < exported.saved.relative < 0.1 and exported.merged.relative < 1e-4
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "own").dtype == torch.bfloat16
    given = export(folder, tmp_path / "given", in_type("fp32"))
    assert given.saved.relative < 1e-4
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "given").dtype == torch.float32


def test_a_merge_that_changes_the_model_leaves_nothing(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, merge = tuned(tmp_path / "run", tiny_llama), LoraModel.merge_and_unload

    def wrong(self: LoraModel) -> object:
        model = merge(self)
        model.model.layers[0].mlp.down_proj.weight.data.mul_(1.2)
        return model

    monkeypatch.setattr(LoraModel, "merge_and_unload", wrong)
    with pytest.raises(
        ExportError,
        match=r"not behave like the trained one: logits differ .*0\.1 % of the range is allowed",
    ):
        export(folder, tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_save_that_loses_weights_leaves_nothing(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.export.folders import files

    def forgetful(source: Path, target: Path) -> None:
        model = AutoModelForCausalLM.from_pretrained(target)
        model.lm_head.weight.data.zero_()
        model.save_pretrained(target)
        copy(source, target)

    copy = files.copy_beside
    monkeypatch.setattr(files, "copy_beside", forgetful)
    with pytest.raises(ExportError, match="does not behave like the trained one"):
        export(tuned(tmp_path / "run", tiny_llama), tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_whole_model_is_copied_bit_by_bit(tiny_llama: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", tiny_llama, method="full")
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.lm_head.weight.data.mul_(1.5)
    model.save_pretrained(folder.model)
    beside(folder, tiny_llama)
    exported = export(folder, tmp_path / "out")
    assert exported.saved.largest_difference == 0
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        folder.model / "model.safetensors"
    ).read_bytes()


def test_warns_when_training_changed_nothing(tiny_llama: Path, tmp_path: Path) -> None:
    exported = export(tuned(tmp_path / "run", tiny_llama, scale=0), tmp_path / "merged")
    assert exported.warnings[0].startswith(
        "warning: the trained model answers exactly as the base does"
    )
    assert exported.warnings[0] in exported.lines()


@pytest.mark.slow  # 2 s
def test_warns_when_rounding_costs_what_was_learned(tiny_llama: Path, tmp_path: Path) -> None:
    exported = export(
        tuned(tmp_path / "run", tiny_llama, scale=1e-4), tmp_path / "merged", in_type("bf16")
    )
    told = "\n".join(exported.warnings)
    assert "rounding to bf16 loses about as much as was learned" in told
    assert "a type of more bits" in told, "a GGUF file has no dtype"


@pytest.mark.slow  # 2 s
def test_tied_heads_stay_tied(tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "base", tie_word_embeddings=True)
    exported = export(tuned(tmp_path / "run", base), tmp_path / "merged")
    assert exported.saved.relative < 1e-4


def test_probes_are_the_own_questions_then_the_proofs_then_fixed(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", tiny_llama)
    folder.items.write_text(
        "".join(json.dumps({"id": str(k), "prompt": f"item {k}"}) + "\n" for k in range(5)),
        encoding="utf-8",
    )
    texts = [shown(asked) for asked in probes(folder, folder.resolved().run)]
    assert texts[:7] == [*QUESTIONS, *(f"item {k}" for k in range(5))]
    assert texts[7:] == list(FIXED[: PROBES - 7]) and len(texts) == PROBES >= 20


TURNS = [
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Me."},
    {"role": "user", "content": "Why?"},
]
USER, US, END = "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"
SYSTEM = f"<|im_start|>system\nBe brief.{END}"
FREE = "Write one sentence about the sea."


@pytest.mark.parametrize(
    ("settings", "own", "free"),
    [
        (
            {"data": {"path": "rows.json", "system": "Be brief."}, "questions": [{"messages": TURNS}]},
            f"{SYSTEM}{USER}Who?{END}{US}Me.{END}{USER}Why?{END}{US}",
            f"{SYSTEM}{USER}{FREE}{END}{US}",
        ),
        (
            {"data": {"path": "rows.json", "template": "Q: {question}\nA: {answer}"}},
            f"Q: {QUESTIONS[0]}\nA: ",
            f"Q: {FREE}\nA: ",
        ),
        ({"objective": "pretrain"}, QUESTIONS[0], FREE),
        ({"data": {"path": "rows.json", "template": "{answer}"}}, QUESTIONS[0], FREE),
    ],
    ids=["turns", "template", "text", "template of the answer alone"],
)  # fmt: skip
def test_probes_are_asked_as_the_run_asks(
    settings: dict[str, Any], own: str, free: str, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", tiny_llama, **settings)
    run = folder.resolved().run
    files = [{"reader": "messages", "columns": ["messages"]}]
    folder.ledger.write_text(json.dumps({"files": files}), encoding="utf-8")
    render = Render(AutoTokenizer.from_pretrained(tiny_llama), run.data)
    texts = [render.tokenizer.decode(ids) for ids in probe_ids(probes(folder, run), render)]
    assert texts[0] == own and free in texts


@pytest.mark.slow  # 2 s
def test_template_over_columns_is_exported(tiny_llama: Path, tmp_path: Path) -> None:
    folder = tuned(
        tmp_path / "run",
        tiny_llama,
        data={"path": "rows.json", "template": "Q: {question}\nA: {answer}"},
    )
    assert export(folder, tmp_path / "merged").saved.relative < 1e-4


def test_refuses_what_is_there_already(tiny_llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(SpecError, match="already exists and is not empty; name a new folder"):
        export(run_folder(tmp_path / "run", tiny_llama), out)
    assert (out / "thesis.txt").read_text() == "mine"


def test_refuses_an_unknown_type_and_a_run_without_a_model(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", tiny_llama)
    with pytest.raises(
        SpecError,
        match=r"format\.dtype: ",
    ):
        export(folder, tmp_path / "out", in_type("int3"))
    with pytest.raises(
        ModelError,
        match=r"has no trained model yet; finish the run with `tunesmith train .*--resume`",
    ):
        export(folder, tmp_path / "out")


def test_refuses_a_quantised_base(tiny_llama: Path, tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "base")
    folder = tuned(tmp_path / "run", base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "gptq"}})
    )
    with pytest.raises(ModelError, match=r"is already quantised \(gptq\)"):
        export(folder, tmp_path / "out")


def test_refuses_a_disk_that_is_too_small(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(100, 0, 1000))
    with pytest.raises(
        DiskError, match=r"needs 0\.06 GiB, and the disk has 0\.00 GiB free"
    ) as caught:
        export(tuned(tmp_path / "run", tiny_llama), tmp_path / "deep" / "out")
    assert caught.value.exit_code == 74
    assert not (tmp_path / "deep").exists()
