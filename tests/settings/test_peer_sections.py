"""Files and commands of LitGPT, Unsloth and H2O LLM Studio, whose settings stand in sections, are
answered in our keys; and each key of theirs is known alone.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tunesmith.settings.import_peers import peer_command, peer_of, translate
from tunesmith.settings.peer_names import name_here
from tunesmith.settings.peer_translation import Translation
from tunesmith.settings.run import validate

LITGPT = """
checkpoint_dir: checkpoints/TinyLlama/TinyLlama-1.1B-Chat-v1.0
out_dir: out/finetune/lora
precision: bf16-true
quantize: bnb.nf4
devices: 1
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_query: true
lora_key: false
lora_value: true
lora_projection: true
lora_head: true
data:
  class_path: litgpt.data.JSON
  init_args:
    json_path: rows.json
    mask_prompt: false
    val_split_fraction: 0.04
    prompt_style: alpaca
    ignore_index: -100
    seed: 42
    num_workers: 4
train:
  save_interval: 200
  log_interval: 1
  global_batch_size: 8
  micro_batch_size: 2
  lr_warmup_steps: 10
  epochs: 2
  max_tokens:
  max_seq_length: 512
  max_norm: 0.5
  min_lr: 6.0e-05
eval:
  interval: 100
  max_new_tokens: 100
  initial_validation: true
optimizer:
  class_path: torch.optim.AdamW
  init_args:
    lr: 0.0002
    weight_decay: 0.01
    betas: [0.9, 0.95]
logger_name: csv
seed: 1337
"""
UNSLOTH = """
model: unsloth/Qwen3-0.6B
data:
  local_dataset: [rows.json]
  format_type: alpaca
training:
  training_type: lora
  max_seq_length: 1024
  load_in_4bit: true
  output_dir: outputs
  num_epochs: 2
  learning_rate: 2.0e-4
  batch_size: 2
  gradient_accumulation_steps: 4
  warmup_steps: 5
  max_steps: 0
  save_steps: 0
  weight_decay: 0.01
  random_seed: 3407
  train_on_completions: true
  gradient_checkpointing: unsloth
lora:
  lora_r: 64
  lora_alpha: 16
  target_modules: "q_proj,v_proj"
  use_rslora: true
  use_dora: false
  finetune_vision_layers: true
logging:
  enable_wandb: true
  wandb_project: tunes
  enable_tensorboard: false
"""
H2O = """
llm_backbone: h2oai/h2o-danube2-1.8b-base
output_directory: runs/h2o
problem_type: text_causal_language_modeling
architecture:
  backbone_dtype: int4
  force_embedding_gradients: false
  gradient_checkpointing: true
  intermediate_dropout: 0.0
  pretrained: true
  pretrained_weights: ''
augmentation: {random_parent_probability: 0.0, token_mask_probability: 0.0}
dataset:
  add_eos_token_to_answer: true
  chatbot_name: h2oGPT
  data_sample_choice: [Train, Validation]
  limit_chained_samples: false
  parent_id_column: None
  personalize: false
  text_prompt_start: <|prompt|>
  validation_strategy: automatic
  train_dataframe: train.csv
  validation_dataframe: None
  validation_size: 0.01
  prompt_column: [instruction]
  answer_column: output
  system_column: None
  mask_prompt_labels: true
  data_sample: 1.0
environment:
  seed: 7
  number_of_workers: 8
  compile_model: false
  find_unused_parameters: false
  gpus: ['0', '1']
  huggingface_branch: main
  mixed_precision: true
  trust_remote_code: true
  use_deepspeed: false
experiment_name: first
logging: {logger: None, neptune_project: test}
tokenizer:
  max_length: 512
  max_length_answer: 256
  padding_quantile: 1.0
  tokenizer_kwargs: '{"use_fast": true}'
training:
  batch_size: 2
  grad_accumulation: 4
  epochs: 2
  evaluate_before_training: false
  gradient_clip: 0.5
  learning_rate: 0.0001
  lora: true
  lora_r: 4
  lora_alpha: 16
  optimizer: AdamW
  schedule: Cosine
  weight_decay: 0.0
  differential_learning_rate: 1.0e-05
  differential_learning_rate_layers: []
  drop_last_batch: true
  evaluation_epochs: 0.5
  lora_dropout: 0.05
  lora_target_modules: ''
  loss_function: TokenAveragedCrossEntropy
  save_checkpoint: best
  train_validation_data: false
  warmup_epochs: 0.25
prediction:
  max_length_inference: 256
  temperature: 0.3
  metric: Perplexity
  min_length_inference: 1
  num_history: 4
  stop_tokens: ''
"""


def translated(text: str, peer: str) -> Translation:
    settings = yaml.safe_load(text)
    assert peer_of(settings) == peer
    found = translate(settings, peer)
    assert not found.other
    return found


def test_litgpt() -> None:
    found = translated(LITGPT, "LitGPT")
    run = validate(found.settings())
    assert (run.model.path, run.out) == ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "out/finetune/lora")
    assert (run.model.quantize, run.train.machine.precision) == ("nf4", "bf16")
    assert (run.data.path, run.data.held_out, run.data.max_length) == ("rows.json", 0.04, 512)
    assert run.data.train_on == "everything", "mask_prompt: false trains the prompts too"
    train = run.train
    assert (train.batch, train.epochs, train.warmup, train.clip) == (8, 2, 10, 0.5)
    assert (train.learning_rate, train.weight_decay, train.seed) == (2e-4, 0.01, 1337)
    assert (train.optimizer.name, train.keep.save, train.keep.evaluate) == ("adamw", 200, 100)
    assert (run.method.name, run.method.rank, run.method.alpha) == ("lora", 32, 16)
    assert run.method.targets == ("q_proj", "v_proj", "o_proj")
    assert found.left["lora_head"].startswith("the output head gets no adapter")
    assert found.left["initial_validation"].startswith("not needed: the base is measured")
    assert "chosen while loading" in found.left["micro_batch_size"]


@pytest.mark.parametrize(
    ("more", "targets"),
    [
        ({}, ("q_proj", "v_proj")),
        ({"lora_query": False}, ("v_proj",)),
        (
            {"lora_key": True, "lora_projection": True, "lora_mlp": True},
            ("all-linear",),
        ),
    ],
)
def test_litgpts_switches_are_layers(more: dict[str, bool], targets: tuple[str, ...]) -> None:
    given = {"checkpoint_dir": "checkpoints/a/b", "lora_r": 8, "json_path": "d", "out_dir": "o"}
    found = translate(given | more, "LitGPT").settings()
    run = validate(found)
    assert run.method.targets == targets


def test_litgpts_command() -> None:
    line = (
        "litgpt finetune_lora checkpoints/a/b --data JSON --data.json_path rows.json "
        "--data.val_split_fraction 0.1 --train.epochs 2 --train.global_batch_size 4 --out_dir o"
    )
    told = peer_command(line.split())
    assert told is not None
    run = validate(yaml.safe_load(told[told.index("model:") : told.index("Not translated")]))
    assert (run.model.path, run.data.path, run.data.held_out) == ("a/b", "rows.json", 0.1)
    assert (run.train.epochs, run.train.batch, run.method.name) == (2, 4, "lora")
    full = peer_command(line.replace("finetune_lora", "finetune full").split())
    assert full is not None and "method: full" in full
    adapter = peer_command(line.replace("finetune_lora", "finetune_adapter").split())
    assert adapter is not None and "cannot be translated" in adapter


def test_unsloth() -> None:
    found = translated(UNSLOTH, "Unsloth")
    run = validate(found.settings())
    assert (run.model.path, run.model.quantize) == ("unsloth/Qwen3-0.6B", "nf4")
    assert (run.data.path, run.out, run.data.max_length) == ("rows.json", "outputs", 1024)
    assert (run.data.train_on, run.objective.name) == ("answers", "sft")
    train = run.train
    assert (train.batch, train.epochs, train.steps, train.warmup) == (8, 2, None, 5)
    assert (train.seed, train.machine.checkpointing, train.keep.save) == (3407, True, 0)
    assert (run.method.rank, run.method.variant) == (64, "rslora")
    assert run.method.targets == ("q_proj", "v_proj")
    assert [one.name for one in run.track] == ["wandb"]
    assert found.left["finetune_vision_layers"].startswith("pictures are not trained")
    raw = UNSLOTH.replace("format_type: alpaca", "format_type: raw").replace(
        "training_type: lora", "training_type: full"
    )
    settings = yaml.safe_load(raw)
    settings["lora"] = {}
    told = validate(translate(settings, "Unsloth").settings())
    assert (told.objective.name, told.method.name) == ("pretrain", "full")


def test_h2o() -> None:
    found = translated(H2O, "H2O LLM Studio")
    run = validate(found.settings())
    assert (run.model.path, run.model.quantize) == ("h2oai/h2o-danube2-1.8b-base", "nf4")
    assert (run.data.path, run.out, run.data.held_out) == ("train.csv", "runs/h2o", 0.01)
    assert run.data.columns == {"question": "instruction", "answer": "output"}
    train = run.train
    assert (train.batch, train.epochs, train.clip, train.seed) == (8, 2, 0.5, 7)
    assert (train.optimizer.name, train.schedule.name) == ("adamw", "cosine")
    assert (train.warmup, train.keep.evaluate, train.keep.final) == (0.125, 0.25, "best")
    assert (run.generate.max_new_tokens, run.generate.temperature) == (256, 0.3)
    assert run.method.targets == ("all-linear",) and run.processes == 2
    assert (run.method.name, run.method.rank) == ("lora", 4)
    assert found.left["evaluate_before_training"].startswith("not needed: the base is measured")
    other = yaml.safe_load(H2O) | {"problem_type": "text_sequence_to_sequence_modeling"}
    assert translate(other, "H2O LLM Studio").other == ["problem_type"]


def test_h2os_columns_and_loss_follow_the_problem() -> None:
    pairs = yaml.safe_load(H2O) | {"problem_type": "text_dpo_modeling"}
    pairs["dataset"] |= {"answer_column": "good", "rejected_answer_column": "bad"}
    pairs["training"] |= {"loss_function": "SimPOLoss", "beta": 2.0, "simpo_gamma": 0.5}
    run = validate(translate(pairs, "H2O LLM Studio").settings())
    assert run.data.columns == {"question": "instruction", "chosen": "good", "rejected": "bad"}
    assert run.objective.model_dump(include={"name", "beta", "gamma"}) == {
        "name": "simpo",
        "beta": 2.0,
        "gamma": 0.5,
    }
    classes = yaml.safe_load(H2O) | {"problem_type": "text_causal_classification_modeling"}
    classes["training"]["loss_function"] = "CrossEntropyLoss"
    run = validate(translate(classes, "H2O LLM Studio").settings())
    assert run.objective.name == "classify"
    assert run.data.columns == {"text": "instruction", "label": "output"}


def test_litgpts_own_data_and_folders_are_known() -> None:
    more = yaml.safe_load(LITGPT)
    more["data"] = {"class_path": "litgpt.data.LIMA", "init_args": {"download_dir": "data/lima"}}
    more |= {"num_nodes": 1, "log": {"project": "p", "run": "r"}, "access_token": None}
    more["eval"] |= {"max_iters": 100, "final_validation": True, "evaluate_example": "first"}
    more["train"] |= {"lr_warmup_fraction": None, "max_time": None, "tie_embeddings": None}
    found = translate(more, "LitGPT")
    assert found.other == [] and "# to fill in: data" in found.text()
    more["optimizer"]["class_path"] = "galore_torch.GaLoreAdamW8bit"
    assert translate(more, "LitGPT").other == ["galore_torch.GaLoreAdamW8bit"]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("global_batch_size", "is called train.batch here"),
        ("val_split_fraction", "is called data.held_out here"),
        ("json_path", "is called data here"),
        ("local_dataset", "is called data here"),
        ("format_type", "is called objective here"),
        ("use_lora", "is called method here"),
        ("lora_query", "is called method.targets here"),
        ("prompt_style", "not needed: the tokenizer's own chat template"),
        ("responses_only", "is called data.train_on here"),
        ("segments", "rows of segments have no reader"),
        ("evaluate_before_training", "not needed: the base is measured"),
        ("prompt_column", "is called data.columns.question here"),
        ("batch_size", "here train.batch is the number of rows"),
        ("generate_samples", "own questions are answered during the run"),
        ("dataset_text_field", "is called data.columns.text here"),
    ],
)
def test_each_key_is_known_alone(key: str, told: str) -> None:
    found = name_here(key)
    assert found is not None and found.startswith(told)


@pytest.mark.parametrize(
    "key", ["mask_prompt", "assistant_only_loss", "completion_only_loss", "train_on_completions"]
)
def test_a_switch_that_is_off_trains_all_tokens(key: str) -> None:
    for value, here in ((True, "answers"), (False, "everything")):
        given: dict[str, Any] = {"model_name_or_path": "m", "output_dir": "o", "dataset_name": "d"}
        run = validate(translate(given | {key: value}, "TRL").settings())
        assert run.data.train_on == here
