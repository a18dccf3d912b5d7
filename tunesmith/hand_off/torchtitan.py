"""torchtitan's backend for models of transformers, as on its main branch in November 2026: a
configuration in Python, and torchrun.
"""

from __future__ import annotations

from tunesmith.errors import Problem, SpecError
from tunesmith.hand_off.recipe import Recipe, Translated
from tunesmith.words import say

CONFIG = "tunesmith_config"
DECAYS = {"linear": "linear", "cosine": "cosine"}
FILE = '''"""{head}"""

import math
import os

from torchtitan.components.checkpointer import CheckpointManager
from torchtitan.components.data import (
    FirstFitPackingConfig,
    GrainDataLoader,
    HuggingFaceRandomAccessSource,
    SingleDatasetConfig,
)
from torchtitan.components.loss import CrossEntropyLoss
from torchtitan.components.optimizer import LRSchedulersContainer, default_adamw
from torchtitan.config import ParallelismConfig, TrainingConfig
from torchtitan.distributed.activation_checkpoint import SelectiveAC
from torchtitan.experiments.transformers_modeling_backend import model_registry
from torchtitan.experiments.transformers_modeling_backend.config_registry import (
    TransformersBackendConfig,
)
from torchtitan.experiments.transformers_modeling_backend.tokenizer import HFBackendTokenizer
from torchtitan.hf_datasets.text_datasets import ChatProcessor

LENGTH = {length}
TOKENS = {tokens}  # of one pass over rows/train.jsonl
A_STEP = {a_step}  # of {batch} rows
EPOCHS = {epochs}
CARDS = int(os.environ.get("WORLD_SIZE", 1))
EACH = max(1, round(A_STEP / CARDS / LENGTH)) * LENGTH
STEPS = max(1, math.ceil(EPOCHS * TOKENS / (EACH * CARDS)))


def run() -> TransformersBackendConfig:
    return TransformersBackendConfig(
        loss=CrossEntropyLoss.Config(),
        hf_assets_path={model!r},
        hf_model={model!r},
        model_spec=model_registry("sft_full", seq_len=LENGTH),
        tokenizer=HFBackendTokenizer.Config(),
        optimizer=default_adamw(lr={rate!r}),
        lr_scheduler=LRSchedulersContainer.Config(
            warmup_steps={warmup},
            decay_type={decay!r},
            min_lr_factor=0.0,
        ),
        training=TrainingConfig(
            num_tokens_per_microbatch_per_dp_rank=EACH,
            max_context_length=LENGTH,
            steps=STEPS,
        ),
        dataloader=GrainDataLoader.Config(
            dataset=FirstFitPackingConfig(
                dataset=SingleDatasetConfig(
                    source=HuggingFaceRandomAccessSource.Config(
                        path="json",
                        split="train",
                        load_dataset_kwargs={{"data_files": "rows/train.jsonl"}},
                    ),
                    processor=ChatProcessor.Config(messages_fn=lambda row: row["messages"]),
                    post_filters=(lambda row: row is not None,),
                ),
            ),
        ),
        parallelism=ParallelismConfig(),
        checkpoint=CheckpointManager.Config(
            enable=True,
            initial_load_path={model!r},
            initial_load_in_hf=True,
            initial_load_model_only=True,
            last_save_in_hf=True,
        ),
        activation_checkpoint=SelectiveAC.Config(),
    )
'''


def translate(recipe: Recipe) -> Translated:
    """Translates a run on conversations; raises SpecError for a method that is not ``full``: that
    backend trains every weight.
    """
    run = recipe.run
    if run.method.name != "full":
        raise SpecError(Problem("to", say("hand_off.titan_full", method=run.method.name)))
    translated = Translated({"module": CONFIG, "config": "run"}, notes=["titan_packs", "per_token"])
    translated.leave(
        "train.schedule", run.train.schedule.name if _decay(recipe) is None else "", ""
    )
    translated.leave("train.optimizer", run.train.optimizer.name, "adamw")
    translated.leave("train.weight_decay", run.train.weight_decay, 0.1)
    translated.leave("train.clip", run.train.clip, 1.0)
    translated.leave("data.system", run.data.system, None)
    translated.leave("data.template", run.data.template, None)
    translated.leave("source", run.source.name, "rows")
    return translated


def _decay(recipe: Recipe) -> str | None:
    return DECAYS.get(recipe.run.train.schedule.name)


def config_file(recipe: Recipe) -> str:
    """Returns the configuration, which reads the number of cards from torchrun."""
    train = recipe.run.train
    a_step = max(1, round(recipe.tokens / recipe.rows * (train.batch or 1)))
    share = f"round({train.warmup!r} * STEPS)" if train.warmup < 1 else str(int(train.warmup))
    return FILE.format(
        head=say("hand_off.script", to="torchtitan"),
        length=recipe.run.data.max_length,
        tokens=recipe.tokens,
        a_step=a_step,
        batch=train.batch,
        epochs=recipe.epochs,
        model=recipe.model,
        rate=train.learning_rate,
        warmup=share,
        decay=_decay(recipe) or "linear",
    )


def command(options: dict[str, object]) -> list[str]:
    """Returns the words of the command, for all cards of one machine."""
    words = ["torchrun", "--nproc_per_node=auto", "-m", "torchtitan.train"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words
