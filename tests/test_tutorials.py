"""What well-known tutorials do, with their own settings and at tiny size: rows, formats and methods
as they stand there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from peft import PeftConfig

from material.headed import encoder
from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.storage.run_folder import RunFolder

FEW = {"train.steps": 2, "train.batch": 4, "generate.max_new_tokens": 4, "prove.shots": 0}


def written(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    return str(path)


def trained(out: Path, **settings: Any) -> RunFolder:
    return api.train({}, {"out": str(out), **FEW, **settings})


def medicine(many: int) -> list[dict[str, str]]:
    """Alpaca rows of Chinese patent medicine."""
    return [
        {"instruction": "根据症状推荐中成药", "input": f"头痛发热{n}天", "output": f"银翘散{n}"}
        for n in range(many)
    ]


def learned(settings: dict[str, Any]) -> list[str]:
    """What is learned of the rows that ``check`` shows."""
    samples = api.check({}, settings).to_json()["samples"]
    return ["".join(row["text"][start:end] for start, end in row["trained"]) for row in samples]


def test_lora_on_alpaca_rows_of_chinese_medicine(tiny_llama: Path, tmp_path: Path) -> None:
    rows = {"model": str(tiny_llama), "data.path": written(tmp_path / "rows.json", medicine(40))}
    method = {"name": "lora", "rank": 8, "alpha": 32, "dropout": 0.1}
    run = trained(
        tmp_path / "run",
        **rows,
        method={**method, "targets": ["q_proj", "k_proj", "v_proj", "o_proj"]},
        **{"train.learning_rate": 1e-4, "train.machine.checkpointing": True},
        **{"data.max_length": 384, "data.unknown": "accept"},
    )
    ledger = run.read(run.ledger)
    assert ledger["files"][0]["reader"] == "alpaca" and not sum(ledger["dropped"].values())
    adapter = json.loads((run.model / "adapter_config.json").read_text("utf-8"))
    assert (adapter["r"], adapter["lora_alpha"], adapter["lora_dropout"]) == (8, 32, 0.1)
    assert sorted(adapter["target_modules"]) == ["k_proj", "o_proj", "q_proj", "v_proj"]
    # The answer with its end, and nothing of the question: what the tutorials mark with -100.
    assert all(text.startswith("银翘散") for text in learned(rows | {"data.unknown": "accept"}))
    (answer,) = api.load(run).predict([{"instruction": "推荐中成药", "input": "咳嗽"}])
    assert answer["input"] == "咳嗽" and isinstance(answer["prediction"], str)


def test_a_bert_classifies_and_is_judged_by_accuracy_and_f1(tmp_path: Path) -> None:
    rows = [
        {"text": f"{'good' if n % 2 else 'bad'} text {n * 7919}", "label": n % 2} for n in range(60)
    ]
    run = trained(
        tmp_path / "run",
        model=str(encoder(tmp_path / "bert")),
        method="full",
        objective="classify",
        **{"data.path": written(tmp_path / "rows.json", rows), "data.held_out": 0.2},
        **{"train.learning_rate": 2e-5, "train.weight_decay": 0.01, "train.keep.evaluate": "epoch"},
        **{"prove.metrics": ["accuracy", "macro_f1"]},
    )
    proof = api.prove(run)
    tuned = proof.to_json()["contenders"]["tuned"]
    items = [json.loads(line) for line in run.items.read_text("utf-8").splitlines()]
    right = [item["choices"]["tuned"] == item["reference"] for item in items]
    assert tuned["accuracy"] == pytest.approx(sum(right) / len(right))
    assert 0 <= tuned["macro_f1"] <= 1
    (found,) = api.load(run).predict([{"text": "a good text"}])
    assert found["prediction"] in ("0", "1")


def test_a_chain_of_thought_is_learned_before_its_answer(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [
        {"Question": f"what is {n} + 1?", "Complex_CoT": f"{n} and one", "Response": str(n + 1)}
        for n in range(30)
    ]
    texts = learned({"data": written(tmp_path / "rows.json", rows), "model": str(tiny_llama)})
    assert texts
    for text in texts:
        thought, answer = text.split("</think>")
        assert thought.strip().startswith("<think>") and "and one" in thought
        assert answer.strip()[0].isdecimal()


@pytest.mark.parametrize(
    ("method", "settings", "saved"),
    [
        pytest.param(*case, marks=() if case[0] in ("prompt", "lora") else pytest.mark.slow)
        for case in [
            ("prompt", {"tokens": 20}, {"num_virtual_tokens": 20}),
            (
                "p_tuning",
                {"tokens": 20, "encoder": "mlp", "hidden": 128},
                {"num_virtual_tokens": 20},
            ),
            ("prefix", {"tokens": 30}, {"num_virtual_tokens": 30}),
            ("ia3", {}, {"peft_type": "IA3"}),
            (
                "adalora",
                {"rank": 8, "initial_rank": 12, "alpha": 32},
                {"target_r": 8, "init_r": 12},
            ),
            ("lora", {"rank": 8, "alpha": 32, "variant": "dora"}, {"r": 8, "use_dora": True}),
        ]
    ],
)
def test_the_methods_of_peft_by_name(
    method: str, settings: dict[str, Any], saved: dict[str, Any], tiny_llama: Path, tmp_path: Path
) -> None:
    run = trained(
        tmp_path / "run",
        **{"model": str(tiny_llama), "method": {"name": method, **settings}, "train.steps": 12},
        **{"data": written(tmp_path / "rows.json", medicine(30)), "data.unknown": "accept"},
    )
    config = PeftConfig.from_pretrained(str(run.model))
    assert {name: getattr(config, name) for name in saved} == saved
    assert len([line for line in run.steps() if "loss" in line]) == 12


@pytest.mark.slow  # 5 s
def test_pretraining_then_answers_then_preferences(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``pt``, ``sft`` and ``rlhf``, as they are typed."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "texts.json", [{"text": f"number {n} of a book"} for n in range(30)])
    written(tmp_path / "rows.json", medicine(30))
    pairs = [
        {"prompt": f"q{n}", "chosen": f"good {n * 7}", "rejected": f"bad {n}"} for n in range(30)
    ]
    written(tmp_path / "pairs.json", pairs)
    few = [f"{name}={value}" for name, value in FEW.items()]

    def typed(*words: str) -> None:
        assert main([*words, *few]) == 0

    typed("pt", f"model={tiny_llama}", "method=full", "data=texts.json", "out=pt")
    typed("sft", "model=pt", "data=rows.json", "data.unknown=accept", "out=sft")
    stages = {
        "model": "sft",
        "out": "rlhf",
        "data": "pairs.json",
        "stages": [{"objective": "reward"}, {"objective": {"name": "dpo", "beta": 0.1}}],
    }
    (tmp_path / "stages.yaml").write_text(json.dumps(stages), "utf-8")
    typed("rlhf", "stages.yaml")
    for stage in ("reward", "dpo"):
        assert (tmp_path / "rlhf" / stage / "model" / "adapter_config.json").is_file()
