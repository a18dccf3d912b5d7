"""A peer's file or command line is answered with the same in our keys, ready to paste, and what has
no translation.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tunesmith import words
from tunesmith.cli.settings_line import settings_line
from tunesmith.errors import SpecError
from tunesmith.settings.given import settings_of
from tunesmith.settings.import_peers import (
    command_line,
    peer_command,
    peer_of,
    shell_words,
    translate,
)
from tunesmith.settings.peer_names import BATCH, CHANGED, SAME, name_here
from tunesmith.settings.peer_unmatched import NEEDLESS, NOTHING
from tunesmith.settings.run import validate

LLAMA_FACTORY = """
model_name_or_path: Qwen/Qwen2.5-0.5B-Instruct
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset_dir: FOLDER
dataset: identity
template: qwen
cutoff_len: 2048
max_samples: 1000
preprocessing_num_workers: 16
output_dir: saves/qwen
logging_steps: 10
save_steps: 500
plot_loss: true
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
val_size: 0.1
use_rslora: true
"""

SWIFT = """--model Qwen/Qwen2.5-7B-Instruct --tuner_type lora
 --dataset AI-ModelScope/alpaca-gpt4-data-zh#500 swift/self-cognition#500 --torch_dtype bfloat16 --num_train_epochs 1
 --per_device_train_batch_size 1 --learning_rate 1e-4 --lora_rank 8 --lora_alpha 32 --target_modules all-linear
 --gradient_accumulation_steps 16 --max_length 2048 --output_dir output --warmup_ratio 0.05 --model_author swift"""

AXOLOTL = """
base_model: NousResearch/Llama-3.2-1B
load_in_4bit: true
adapter: qlora
datasets:
  - path: teknium/GPT4-LLM-Cleaned
    type: alpaca
    split: train
val_set_size: 0.1
sequence_len: 2048
sample_packing: true
lora_r: 16
lora_alpha: 32
lora_target_linear: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 1
optimizer: adamw_8bit
lr_scheduler: cosine
learning_rate: 0.0002
output_dir: ./outputs
wandb_entity: me
"""


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


PREFERENCES = {
    "LLaMA-Factory": (
        "model_name_or_path: m\nstage: dpo\nfinetuning_type: lora\ndataset: "
        "./pairs.json\npref_beta: 0.2\n"
        "pref_loss: LOSS\npref_ftx: 0.5\nref_model: other"
    ),
    "ms-swift": (
        "model: ./m\nrlhf_type: LOSS\ntrain_type: lora\ndataset: [./pairs.json]\nbeta: "
        "0.2\nrpo_alpha: 0.5"
    ),
}


@pytest.mark.parametrize("peer", PREFERENCES)
@pytest.mark.parametrize(
    ("loss", "objective"),
    [
        ("ipo", {"name": "dpo", "loss": "ipo", "beta": 0.2, "sft": 0.5}),
        ("orpo", {"name": "orpo", "beta": 0.2}),
        ("simpo", {"name": "simpo", "beta": 0.2, "sft": 0.5}),
        ("dpo", {"name": "dpo", "beta": 0.2, "sft": 0.5}),
        ("kto", {"name": "kto", "beta": 0.2}),
        ("cpo", {"name": "cpo", "beta": 0.2, "sft": 0.5}),
    ],
)
def test_a_peers_preferences(peer: str, loss: str, objective: dict[str, object]):
    if peer == "ms-swift" and loss == "ipo":
        pytest.skip("it names the loss by loss_type")
    settings = yaml.safe_load(PREFERENCES[peer].replace("LOSS", loss))
    assert peer_of(settings) == peer
    found = translate(settings, peer)
    made = found.settings()["objective"]
    assert (made if isinstance(made, dict) else {"name": made}) == objective
    validate({**found.settings(), "out": "o"})
    if peer == "LLaMA-Factory":
        assert "the reference is the model before training" in found.left["ref_model"]


def test_dataset_info_is_read_as_it_is(tmp_path: Path):
    """Their README's forms of an entry: own column names, ShareGPT's and OpenAI's turns."""
    openai = {"role_tag": "role", "content_tag": "content", "user_tag": "user"}
    entries = {
        "mine": {
            "file_name": "a.json",
            "num_samples": 50,
            "columns": {"prompt": "ask", "response": "reply", "images": "pictures"},
        },
        "talk": {
            "file_name": "b.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "dialogue"},
        },
        "open": {
            "ms_hub_url": "AI/c",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": openai,
        },
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    asked = [{"ask": f"q{n}", "reply": f"a{n}", "pictures": []} for n in range(60)]
    (tmp_path / "a.json").write_text(json.dumps(asked), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"dialogue": turns}) + "\n", encoding="utf-8")
    theirs = yaml.safe_load(LLAMA_FACTORY.replace("FOLDER", str(tmp_path)))
    found = translate({**theirs, "dataset": "mine,talk,open"}, "LLaMA-Factory")
    first, second, third = found.settings()["data"]["path"]
    columns = {"instruction": "ask", "output": "reply"}
    assert first == {"path": f"{tmp_path / 'a.json'}#50", "columns": columns}
    second_path = f"{tmp_path / 'b.jsonl'}#1000"  # max_samples is for each
    assert second == {"path": second_path, "columns": {"conversations": "dialogue"}}
    assert third == "ms:AI/c#1000"
    assert {key for key in found.left if key.startswith("dataset ")} == {
        "dataset mine.columns.images"
    }
    from tunesmith import api

    prepared = api.check({"data": {"path": [first, second], "held_out": 0}}).prepared
    assert len(prepared.train) == 51


def test_llama_factory(tmp_path: Path):
    (tmp_path / "dataset_info.json").write_text(
        json.dumps({"identity": {"file_name": "identity.json"}}), encoding="utf-8"
    )
    file = tmp_path / "lora_sft.yaml"
    file.write_text(LLAMA_FACTORY.replace("FOLDER", str(tmp_path)), encoding="utf-8")
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert peer_of(settings) == "LLaMA-Factory"
    found = translate(settings, "LLaMA-Factory")
    assert found.settings() == {
        "model": {"path": "Qwen/Qwen2.5-0.5B-Instruct", "trust_remote_code": True},
        "data": {
            "path": str(tmp_path / "identity.json"),
            "max_length": 2048,
            "limit": 1000,
            "held_out": 0.1,
        },
        "out": "saves/qwen",
        "objective": "sft",
        "method": {"name": "lora", "rank": 8, "targets": "all-linear", "variant": "rslora"},
        "train": {
            "learning_rate": 1e-4,
            "epochs": 3.0,
            "schedule": "cosine",
            "warmup": 0.1,
            "batch": 16,
            "machine": {"precision": "bf16"},
            "keep": {"save": 500},
        },
    }
    validate(found.settings())
    assert found.left["ddp_timeout"].startswith("not needed: the processes of a run")
    with pytest.raises(SpecError) as caught:
        settings_of(file)
    told = str(caught.value)
    assert told.startswith(
        "These are settings of LLaMA-Factory. Below they are written in tunesmith's keys;"
    )
    pasted = told.split("\n\n")[1]
    assert validate(yaml.safe_load(pasted)) == validate(found.settings())
    assert "Not translated:" in told and "ddp_timeout: not needed: the processes of a run" in told


def test_ms_swift_command_line():
    settings = command_line(SWIFT.split())
    assert settings is not None and peer_of(settings) == "ms-swift"
    with pytest.raises(SpecError) as caught:
        settings_line(SWIFT.split())
    pasted = yaml.safe_load(str(caught.value).split("\n\n")[1])
    run = validate(pasted)
    assert run.model.path == "ms:Qwen/Qwen2.5-7B-Instruct"
    paths = [source.path for source in run.data.path]
    assert paths == ["ms:AI-ModelScope/alpaca-gpt4-data-zh#500", "ms:swift/self-cognition#500"]
    assert (run.train.batch, run.method.rank, run.method.alpha, run.train.machine.precision) == (
        16,
        8,
        32,
        "bf16",
    )
    assert "model_author: no name is put into the rows" in str(caught.value)


def test_axolotl():
    settings = yaml.safe_load(AXOLOTL)
    assert peer_of(settings) == "axolotl"
    found = translate(settings, "axolotl")
    run = validate(found.settings())
    assert (run.method.name, run.method.rank, run.train.batch, run.data.held_out) == (
        "qlora",
        16,
        8,
        0.1,
    )
    assert (run.data.path, run.train.optimizer.name) == ("teknium/GPT4-LLM-Cleaned", "adamw_8bit")
    assert run.model.quantize == "nf4"
    assert run.model.path == "NousResearch/Llama-3.2-1B"
    assert found.left["sample_packing"].startswith("not needed: rows run without padding")
    assert found.left["wandb_entity"].startswith("not needed")


def test_trl_trains_all_weights_unless_an_adapter_is_asked_for():
    settings = {
        "model_name_or_path": "m/n",
        "dataset_name": "a/b",
        "output_dir": "o",
        "learning_rate": 2e-5,
    }
    assert peer_of(settings) == "TRL"
    assert translate(settings, "TRL").settings()["method"] == "full"
    assert translate(settings | {"use_peft": True, "lora_r": 4}, "TRL").settings()["method"] == {
        "name": "lora",
        "rank": 4,
    }


def test_a_rank_is_never_translated_to_training_all_weights():
    line = [
        "--model_name_or_path",
        "x",
        "--lora_rank",
        "8",
        "--lora_alpha",
        "16",
        "--learning_rate",
        "1e-4",
    ]
    settings = command_line(line)
    assert settings is not None and peer_of(settings) == "LLaMA-Factory"
    assert translate(settings, "LLaMA-Factory").settings()["method"] == {
        "name": "lora",
        "rank": 8,
        "alpha": 16,
    }
    for switched in ({}, {"use_peft": False}):
        theirs = {"model_name_or_path": "m/n", "lora_r": 8, "dataset_name": "a/b", **switched}
        assert peer_of(theirs) == "TRL"
        found = translate(theirs, "TRL")
        assert found.settings()["method"] == {"name": "lora", "rank": 8}
        assert found.left["use_peft"].startswith(
            "not switched on: without use_peft, TRL itself would train all weights"
        )
    assert translate({"base_model": "m", "lora_r": 8}, "axolotl").settings()["method"] == {
        "name": "lora",
        "rank": 8,
    }


def test_quantised_bases_and_the_kinds_of_lora():
    theirs = {
        "model_name_or_path": "m",
        "finetuning_type": "lora",
        "dataset": "d",
        "output_dir": "o",
        "lora_rank": 8,
    }
    more = {
        "quantization_bit": 8,
        "quantization_method": "bnb",
        "loraplus_lr_ratio": 16.0,
        "add_tokens": "<a>,<b>",
    }
    found = translate(
        theirs | more | {"use_dora": True, "additional_target": "embed_tokens"}, "LLaMA-Factory"
    )
    run = validate(found.settings())
    assert (run.model.quantize, run.model.add_tokens, run.method.variant) == (
        "int8",
        ("<a>", "<b>"),
        "dora",
    )
    assert run.method.plus_ratio == 16 and found.left["quantization_method"].startswith(
        "not needed: bitsandbytes"
    )
    assert found.left["additional_target"].startswith(
        "whole layers beside an adapter cannot be trained"
    )
    pissa = translate(
        theirs | {"pissa_init": True, "use_rslora": False, "quantization_bit": 3}, "LLaMA-Factory"
    )
    assert (
        pissa.settings()["method"]["init"] == "pissa"
        and "variant" not in pissa.settings()["method"]
    )
    assert pissa.left["3 bit"] == "there are 4 bits (nf4) and 8 bits (int8), but not 3"
    assert name_here("load_in_8bit") == "is called model.quantize here"
    paged = translate(
        {"base_model": "m", "adapter": "qlora", "optimizer": "paged_adamw_32bit"}, "axolotl"
    ).settings()
    assert paged["train"]["optimizer"] == "adamw" and paged["method"] == "qlora"


def test_what_is_not_built_is_said():
    settings = {
        "model_name_or_path": "m",
        "stage": "no_such_stage",
        "finetuning_type": "no_such_method",
        "optim": "galore",
    }
    left = translate(settings, "LLaMA-Factory").left
    assert left["no_such_stage"].startswith("objective no_such_stage is not supported; there are: ")
    assert left["no_such_method"].startswith(
        "method no_such_method is not supported; there are: adalora, bitfit, "
    )
    assert left["galore"].startswith("optimizer galore is not supported")
    auto = translate(
        {"model_name_or_path": "m", "per_device_train_batch_size": "auto", "max_steps": "auto"},
        "TRL",
    )
    assert (
        auto.left["per_device_train_batch_size"]
        == auto.left["max_steps"]
        == "auto is not a whole number"
    )
    assert "train.batch" not in auto.pairs and "train.steps" not in auto.pairs


LLAMA = {"model_name_or_path": "m", "finetuning_type": "lora", "dataset": "d", "output_dir": "o"}
TRL = {"model_name_or_path": "m", "dataset_name": "d", "output_dir": "o"}
OTHER: dict[str, tuple[str, dict[str, object], str]] = {
    "ppo without a reward": ("LLaMA-Factory", LLAMA | {"stage": "ppo"}, "objective"),
    "a reward behind an address": (
        "LLaMA-Factory",
        LLAMA | {"stage": "ppo", "reward_model": "http://x", "reward_model_type": "api"},
        "reward_model_type",
    ),
    "a reward model that is asked": (
        "LLaMA-Factory",
        LLAMA | {"reward_model": "runs/rm"},
        "reward_model",
    ),
    "reward functions": ("ms-swift", {"model": "m", "reward_funcs": ["acc"]}, "reward_funcs"),
    "a reranker": ("ms-swift", {"model": "m", "task_type": "reranker"}, "task_type"),
    "an adapter that is gone on with": (
        "LLaMA-Factory",
        LLAMA | {"stage": "sft", "adapter_name_or_path": "saves/x"},
        "adapter_name_or_path",
    ),
    "sources drawn in turns": (
        "LLaMA-Factory",
        LLAMA | {"mix_strategy": "interleave_under"},
        "mix_strategy",
    ),
    "galore": ("LLaMA-Factory", LLAMA | {"use_galore": True}, "use_galore"),
    "an optimizer": ("TRL", TRL | {"optim": "lion_32bit"}, "lion_32bit"),
    "a schedule": ("axolotl", {"base_model": "m", "lr_scheduler": "rex"}, "rex"),
    "a curve of a schedule": (
        "TRL",
        TRL | {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 2}},
        "lr_scheduler_kwargs.power",
    ),
    "a start of the adapter": (
        "ms-swift",
        {"model": "m", "train_type": "lora", "init_weights": "lora-ga"},
        "init=lora-ga",
    ),
    "a scale of the loss": (
        "ms-swift",
        {"model": "m", "train_type": "lora", "loss_scale": "hermes"},
        "loss_scale",
    ),
    "3 bits": ("LLaMA-Factory", LLAMA | {"stage": "sft", "quantization_bit": 3}, "3 bit"),
    "a key that nobody knows": (
        "Unsloth",
        {"model": "m", "training": {"training_type": "lora", "soup": 3}},
        "soup",
    ),
    "a length in tokens alone": (
        "LitGPT",
        {"checkpoint_dir": "c", "train": {"max_tokens": 10000000}},
        "max_tokens",
    ),
    "a model from nothing": (
        "LitGPT",
        {"checkpoint_dir": "c", "model_name": "pythia-14m"},
        "model_name",
    ),
    "columns that are joined": (
        "H2O LLM Studio",
        {"llm_backbone": "m", "dataset": {"prompt_column": ["instruction", "input"]}},
        "question columns",
    ),
    "the user's turns": (
        "axolotl",
        {"base_model": "m", "roles_to_train": ["user"]},
        "roles_to_train",
    ),
    "a test split": (
        "axolotl",
        {"base_model": "m", "datasets": [{"path": "p", "split": "test"}]},
        "datasets.split",
    ),
    "another loss": ("TRL", {"model_name_or_path": "m", "loss_type": "dft"}, "objective.loss=dft"),
    "no trainer named": ("TRL", {"model_name_or_path": "m", "beta": 0.1}, "objective"),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_translation_that_would_train_something_else_is_none(name: str) -> None:
    peer, settings, key = OTHER[name]
    found = translate(settings, peer)
    assert found.other == [key]
    told = found.text()
    assert told.startswith(f"These settings of {peer} cannot be translated")
    assert f"  {key}: " in told and "\nmodel:" not in told and "run.yaml" not in told


def test_switched_off_it_is_no_obstacle() -> None:
    off = {"reward_model": None, "use_galore": False, "mix_strategy": "concat", "adapters": []}
    found = translate(LLAMA | {"stage": "sft", **off}, "LLaMA-Factory")
    assert found.other == [] and found.settings()["objective"] == "sft"


def test_other_names_of_the_same_are_no_obstacle() -> None:
    same = {"optim": "adamw_torch_fused", "lr_scheduler_type": "polynomial"}
    train = translate(TRL | same, "TRL").settings()["train"]
    assert train == {"optimizer": "adamw", "schedule": "linear"}
    swift = {"model": "m", "train_type": "lora", "init_weights": "pissa_niter_16"}
    found = translate(swift, "ms-swift")
    assert found.other == [] and found.settings()["method"]["init"] == "pissa"


def test_each_key_is_told_what_it_means_there() -> None:
    keys = {"resize_vocab": True, "deepspeed": "ds_z3.json", "push_to_hub": True, "fsdp": "full"}
    left = translate(LLAMA | keys, "LLaMA-Factory").left
    assert left["resize_vocab"].startswith("not needed: the embeddings grow automatically")
    assert left["deepspeed"] == left["fsdp"]
    assert left["deepspeed"].startswith("DeepSpeed and FSDP divide one model among devices")
    assert left["push_to_hub"].startswith("train sends nothing: tunesmith export RUN OUT hub=")
    assert "bitsandbytes" not in "".join(left.values())


def test_values_that_mean_something_else_there() -> None:
    def here(peer: str, **settings: object) -> dict[str, object]:
        return translate(settings, peer).settings()

    two = here("LLaMA-Factory", dataset="a.json,b.json", max_samples=5, model_name_or_path="m")
    assert two["data"] == {"path": ["a.json#5", "b.json#5"]}
    raw = [{"path": "p", "type": "completion", "name": "sub"}]
    assert here("axolotl", base_model="m", datasets=raw)["objective"] == "pretrain"
    assert here("axolotl", base_model="m", datasets=raw)["data"] == "p:sub"
    assert here("axolotl", base_model="m", reward_model=True)["objective"] == "reward"
    assert here("axolotl", base_model="m", rl="ipo")["objective"] == {"name": "dpo", "loss": "ipo"}
    classes = {"task_type": "seq_cls", "problem_type": "multi_label_classification"}
    made = here("ms-swift", model="m", **classes)
    assert made["objective"] == {"name": "classify", "problem": "multi"}
    assert here("ms-swift", model="m", loss_scale="last_round")["data"] == {"train_on": "last"}
    steps = here("TRL", model_name_or_path="m", warmup_steps=50, warmup_ratio=0.1)
    assert steps["train"] == {"warmup": 50}
    assert here("TRL", model_name_or_path="m", warmup_steps=0, warmup_ratio=0.1)["train"] == {
        "warmup": 0.1
    }


def test_ppo_and_grpo_are_translated_with_their_rewards() -> None:
    theirs = {"stage": "ppo", "reward_model": "saves/rm", "reward_model_type": "full"}
    theirs |= {"ppo_epochs": 2, "ppo_target": 6.0, "max_new_tokens": 128, "top_p": 0.9}
    found = translate(LLAMA | theirs | {"ppo_score_norm": False}, "LLaMA-Factory")
    run = validate(found.settings())
    assert run.objective.name == "ppo" and run.objective.kl_target == 6.0
    (reward,) = run.source.rewards
    assert (reward.name, reward.run) == ("model", "saves/rm")
    assert (run.source.passes, run.source.max_new_tokens) == (2, 128)
    assert run.generate.top_p == 1 and "answers are sampled from" in found.left["generate.top_p"]

    trl = {"model_name_or_path": "m", "dataset_name": "d", "output_dir": "o"}
    trl |= {"reward_model_path": "rm", "num_ppo_epochs": 4, "kl_coef": 0.1, "vf_coef": 0.2}
    trl |= {"cliprange": 0.3, "gamma": 0.9, "lam": 0.8, "temperature": 0.7, "response_length": 53}
    run = validate(translate(trl, "TRL", "ppo").settings())
    own = run.objective
    assert (own.kl_weight, own.value_weight, own.low) == (0.1, 0.2, 0.3)
    assert (own.discount, own.trace, run.source.temperature) == (0.9, 0.8, 0.7)
    assert (run.source.passes, run.source.max_new_tokens) == (4, 53)

    swift = {"rlhf_type": "grpo", "model": "m", "dataset": "d", "output_dir": "o"}
    swift |= {"reward_model": ["rm", "rm2"], "reward_weights": [1, 0.5], "beta": 0.04}
    swift |= {"num_generations": 8, "max_completion_length": 512}
    run = validate(translate(swift, "ms-swift").settings())
    assert [reward.run for reward in run.source.rewards] == ["rm", "rm2"]
    assert (run.objective.kl, run.objective.kl_weight) == ("loss", 0.04)
    assert (run.source.weights, run.source.samples) == ((1, 0.5), 8)
    left = translate(LLAMA | {"stage": "sft", "ppo_epochs": 2}, "LLaMA-Factory").left
    assert left["source.passes"] == "there is no source.passes here"


COMMAND = """# trains
export X=1
CUDA_VISIBLE_DEVICES=0 swift sft \\
  --model_name_or_path "models/base" \\
  --output_dir "./outputs" \\
  --train_file "data/train.jsonl" --num_train_epochs 3
"""


def test_a_whole_command_is_translated_as_a_file_and_pasted(tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text(COMMAND, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        settings_line([str(script)])
    wanted = {
        "model": "models/base",
        "data": "data/train.jsonl",
        "out": "./outputs",
        "objective": "sft",
        "method": "lora",
        "train": {"epochs": 3},
    }
    assert yaml.safe_load(str(caught.value).split("\n\n")[1]) == wanted
    pasted = peer_command(["CUDA_VISIBLE_DEVICES=0", *shell_words(COMMAND)])
    assert pasted == str(caught.value)
    dpo = peer_command(["trl", "dpo", "--model_name_or_path", "m", "--beta", "0.2"])
    assert dpo is not None
    assert yaml.safe_load(dpo.split("\n\n")[1])["objective"] == {"name": "dpo", "beta": 0.2}
    rlhf = peer_command(["swift", "rlhf", "--model", "m"])
    assert rlhf is not None and yaml.safe_load(rlhf.split("\n\n")[1])["objective"] == "dpo"
    verb = peer_command(["swift", "infer", "--adapters", "x"])
    assert verb == "swift infer trains nothing; here the same is done by: tunesmith predict RUN"
    assert peer_command(["train", "run.yaml"]) is None


def test_ours_is_not_taken_for_a_peers():
    assert peer_of({"model": "m", "data": "d", "out": "o"}) is None
    assert peer_of({"model": "m", "lora_rank": 3, "out": "o"}) is None
    with pytest.raises(
        SpecError, match=r"settings are written as key\.path=value, here: train.epochs=3"
    ):
        settings_line(["--train.epochs", "3"])


def test_one_unknown_key_is_told_its_name():
    assert name_here("num_train_epochs") == "is called train.epochs here"
    assert name_here("train.lora_alpha") == "is called method.alpha here"
    assert name_here("gradient_accumulation_steps") == (
        "here train.batch is the number of rows in one optimizer step: gradient_accumulation_steps times "
        "the other factors"
    )
    assert name_here("no_such_key") is None
    words.use("zh")
    assert name_here("lora_rank") == "这里叫 method.rank"


def test_every_key_of_the_tables_has_its_words():
    for key in [*SAME, *CHANGED, *NEEDLESS, *NOTHING, *BATCH]:
        assert name_here(f"x.{key}"), key


TURNED: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "each epoch": (
        "LLaMA-Factory",
        LLAMA | {"save_strategy": "epoch", "save_steps": 500, "eval_strategy": "no"},
        {"train": {"keep": {"save": "epoch", "evaluate": 0}}},
    ),
    "by steps": (
        "TRL",
        {"model_name_or_path": "m", "eval_strategy": "steps", "eval_steps": 50, "save_steps": 20},
        {"train": {"keep": {"evaluate": 50, "save": 20}}},
    ),
    "so often in an epoch": (
        "axolotl",
        {"base_model": "m", "evals_per_epoch": 4, "saves_per_epoch": 1, "num_epochs": 2},
        {"train": {"epochs": 2, "keep": {"evaluate": 0.125, "save": "epoch"}}},
    ),
    "moments": (
        "LLaMA-Factory",
        LLAMA | {"adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6},
        {"train": {"optimizer": {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6}}},
    ),
    "the last blocks": (
        "LLaMA-Factory",
        {
            "model_name_or_path": "m",
            "finetuning_type": "freeze",
            "freeze_trainable_layers": 3,
            "freeze_trainable_modules": "all",
        },
        {"method": {"name": "freeze", "last": 3}},
    ),
    "without thinking": (
        "LLaMA-Factory",
        LLAMA | {"enable_thinking": False},
        {"data": {"path": "d", "reasoning": "drop"}},
    ),
    "a part of a hub's set": (
        "TRL",
        {"model_name_or_path": "m", "dataset_config": "en", "dataset_name": "a/b"},
        {"data": "a/b:en"},
    ),
    "texts to go on with": (
        "axolotl",
        {"base_model": "m", "pretraining_dataset": [{"path": "a/b", "text_column": "body"}]},
        {"objective": "pretrain", "data": {"path": "a/b", "columns": {"text": "body"}}},
    ),
    "raw texts in a column": (
        "axolotl",
        {"base_model": "m", "datasets": [{"path": "p", "type": "completion", "field": "body"}]},
        {"objective": "pretrain", "data": {"path": "p", "columns": {"text": "body"}}},
    ),
    "columns": (
        "ms-swift",
        {"model": "m", "dataset": "./d.json", "columns": '{"ask": "query", "say": "response"}'},
        {"data": {"path": "./d.json", "columns": {"query": "ask", "response": "say"}}},
    ),
    "how the adapter starts": (
        "ms-swift",
        {"model": "m", "tuner_type": "lora", "init_weights": "pissa"},
        {"method": {"name": "lora", "init": "pissa"}},
    ),
    "partners in a batch": (
        "ms-swift",
        {"model": "m", "task_type": "embedding", "loss_type": "infonce"},
        {"objective": {"name": "embed", "loss": "infonce"}},
    ),
    "a loss on sampled answers": (
        "TRL",
        {
            "model_name_or_path": "m",
            "reward_model_path": "rm",
            "loss_type": "dr_grpo",
            "scale_rewards": False,
            "mask_truncated_completions": True,
        },
        {
            "objective": {
                "name": "grpo",
                "aggregation": "constant",
                "advantage": "group",
                "overlong": "masked",
            }
        },
    ),
}


@pytest.mark.parametrize("name", TURNED)
def test_a_value_is_turned_into_what_it_means_here(name: str) -> None:
    peer, settings, right = TURNED[name]
    found = translate(settings, peer, "grpo" if "scale_rewards" in settings else None)
    made = found.settings()
    assert found.other == [] and {key: made.get(key) for key in right} == right


REFUSED_HERE: dict[str, tuple[str, dict[str, object], str]] = {
    "a key that nobody knows": ("LLaMA-Factory", LLAMA | {"frobnicate": 3}, "frobnicate"),
    "a base begun anew": (
        "LLaMA-Factory",
        LLAMA | {"train_from_scratch": True},
        "train_from_scratch",
    ),
    "a loss of theirs": ("LLaMA-Factory", LLAMA | {"use_dft_loss": True}, "use_dft_loss"),
    "whole layers": ("ms-swift", {"model": "m", "modules_to_save": ["lm_head"]}, "modules_to_save"),
    "another reference": ("LLaMA-Factory", LLAMA | {"ref_model": "other"}, "ref_model"),
    "several losses": (
        "TRL",
        {"model_name_or_path": "m", "loss_type": ["sigmoid", "bco_pair"]},
        "loss_type",
    ),
    "another part": (
        "TRL",
        {"model_name_or_path": "m", "dataset_train_split": "train_prefs"},
        "dataset_train_split",
    ),
    "a format of their own": (
        "axolotl",
        {
            "base_model": "m",
            "datasets": [{"path": "p", "type": {"format": "[INST] {instruction}"}}],
        },
        "datasets.type",
    ),
    "rewards in a section": (
        "axolotl",
        {"base_model": "m", "rl": "grpo", "trl": {"reward_funcs": ["f.g"], "beta": 0.1}},
        "reward_funcs",
    ),
    "a loss that vectors have not": (
        "ms-swift",
        {"model": "m", "task_type": "embedding", "loss_type": "cosine_similarity"},
        "objective.loss=cosine_similarity",
    ),
    "no chat template": (
        "ms-swift",
        {"model": "m", "use_chat_template": False},
        "use_chat_template",
    ),
    "answers that the student did not write": (
        "ms-swift",
        {"model": "m", "rlhf_type": "gkd", "teacher_model": "t", "lmbda": 0.5},
        "lmbda",
    ),
}


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_would_train_something_else_is_refused_by_name(name: str) -> None:
    peer, settings, key = REFUSED_HERE[name]
    found = translate(settings, peer)
    assert key in found.other
    assert found.text().startswith(f"These settings of {peer} cannot be translated")


def test_a_value_that_our_settings_refuse_is_never_offered() -> None:
    found = translate(LLAMA | {"stage": "sft", "save_total_limit": 0}, "LLaMA-Factory")
    assert "keep" not in found.settings().get("train", {})
    assert "train.keep.keep=0" in found.left and found.other == []


LAUNCHED: dict[str, tuple[str, dict[str, object]]] = {
    "NPROC_PER_NODE=4 swift sft --model ./m --train_type full": (
        "ms-swift",
        {"model": "./m", "objective": "sft", "method": "full", "processes": 4},
    ),
    "torchrun --nproc_per_node 8 src/train.py --stage sft --model_name_or_path m": (
        "LLaMA-Factory",
        {"model": "m", "objective": "sft", "method": "lora", "processes": 8},
    ),
    "accelerate launch --num_processes=2 trl/scripts/dpo.py --model_name_or_path m --beta 0.3": (
        "TRL",
        {
            "model": "m",
            "objective": {"name": "dpo", "beta": 0.3},
            "method": "full",
            "processes": 2,
        },
    ),
    "python -m trl.scripts.sft --model_name_or_path m": (
        "TRL",
        {"model": "m", "objective": "sft", "method": "full"},
    ),
    "llamafactory-cli train FILE lora_rank=4": (
        "LLaMA-Factory",
        {"model": "m", "data": "d", "out": "o", "method": {"name": "lora", "rank": 4}},
    ),
    "trl sft --config FILE --output_dir p": (
        "TRL",
        {"model": "m", "data": "d", "out": "p", "objective": "sft", "method": "full"},
    ),
}


@pytest.mark.parametrize("line", LAUNCHED)
def test_a_command_is_known_by_its_program_whatever_starts_it(line: str, tmp_path: Path) -> None:
    peer, right = LAUNCHED[line]
    file = tmp_path / "theirs.yaml"
    theirs = LLAMA if "llama" in line else {**LLAMA, "finetuning_type": None}
    if peer == "TRL":
        theirs = {"model_name_or_path": "m", "dataset_name": "d", "output_dir": "o"}
    file.write_text(yaml.safe_dump(theirs), encoding="utf-8")
    words_given = line.replace("FILE", str(file)).split()
    told = peer_command(words_given)
    assert told is not None and told.startswith(f"These are settings of {peer}.")
    assert yaml.safe_load(told.split("\n\n")[1]) == right
    script = f"set -e\n{line.replace('FILE', str(file))}\n"
    assert peer_command(shell_words(script)) == told


def test_a_file_that_a_command_names_and_is_absent_is_told() -> None:
    with pytest.raises(SpecError, match=r"nowhere\.yml: there is no such file"):
        peer_command(["axolotl", "train", "nowhere.yml"])
    assert peer_command(["python", "my_script.py", "--x", "1"]) is None


PEERS_TABLES = """
model_name_or_path base_model stage pref_loss rlhf_type rl reward_model finetuning_type tuner_type
train_type sft_type adapter use_peft load_in_4bit quantization_bit dataset datasets dataset_name
dataset_info template chat_template cutoff_len max_length sequence_len
per_device_train_batch_size gradient_accumulation_steps micro_batch_size lora_rank lora_r lora_alpha
lora_target target_modules lora_target_linear lora_target_modules val_size eval_dataset
split_dataset_ratio val_dataset val_set_size test_datasets dataset_test_split adapter_name_or_path
adapters lora_model_dir resume_from_checkpoint auto_resume_from_checkpoints use_hf mask_history
train_on_prompt loss_scale roles_to_train assistant_only_loss strict truncation_strategy
excess_length_strategy neat_packing packing streaming interleave_probs mix_strategy
"""
"""What LLaMA-Factory, ms-swift, axolotl and TRL call what each of them can set."""


@pytest.mark.parametrize("key", PEERS_TABLES.split())
def test_every_key_of_the_peers_tables_is_answered(key: str):
    assert name_here(key)
