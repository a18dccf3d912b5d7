"""Fixtures: the real data folder where it is there, and tiny random models with a real
tokenizer.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytest_plugins = ["material.proved"]

os.environ["HF_HUB_OFFLINE"] = (
    "1"  # before any import of huggingface_hub: nothing in the suite may reach a hub
)
# Where PYTHONDONTWRITEBYTECODE is set, each worker and each of the hundreds of processes that the
# tests start compiles 700 modules anew: collecting took 32 seconds of CPU, and takes 20 with
# compiled modules; a refused `tunesmith plan` took 1.7 seconds, and takes 1.4.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # before any import of torch: the workers share the cores

# A shell starts what stands behind `&` with Ctrl-C ignored, and Python leaves it so: three tests that
# send this signal failed where the suite ran in the background.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test is about a power cut. The 112 waits for the disk of a run of 8 steps took 47 ms alone, and
# more beside others; tests of when one waits put their own in its place.
os.fsync = lambda _file: None

SHARED_DATA = Path(os.environ.get("TUNESMITH_DATA", Path(__file__).parents[2] / "shared" / "data"))

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(autouse=True)
def english() -> None:
    """A test that trains in Chinese must not leave the next one in it."""
    from tunesmith import words

    words.use("en")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fetched models and data come from the user's cache, or go there; what a test makes of them
    does not stay.
    """
    from tunesmith.storage.cache import cache_folder

    base = tmp_path_factory.getbasetemp()
    ours, users = (
        (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache",
        cache_folder(),
    )
    ours.mkdir(exist_ok=True)
    for name in ("models", "data"):
        (users / name).mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another worker's
            (ours / name).symlink_to(users / name)
    os.environ["TUNESMITH_CACHE"] = str(ours)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of small real data sets; tests that read it are skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data sets are not at {SHARED_DATA} (set TUNESMITH_DATA)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of small faulty inputs; tests that read it are skipped where it is missing."""
    folder = SHARED_DATA.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"the faulty inputs are not at {folder} (they stand beside TUNESMITH_DATA)")
    return folder


def byte_tokenizer(folder: Path) -> None:
    """Writes a byte-level BPE tokenizer with ChatML tokens, trained on a few lines, to
    ``folder``.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [
            "the question and the answer of a person",
            "what is the name of this",
            "中医药知识问题答案",
        ]
        * 20,
        trainer,
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|pad|>"
    )
    fast.chat_template = CHATML
    fast.save_pretrained(folder)


def tiny_model(folder: Path, **changes: object) -> Path:
    """Writes a tiny random Llama with grouped-query attention, and its tokenizer, to ``folder``."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    byte_tokenizer(folder)
    settings: dict[str, object] = {
        "vocab_size": 404,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 3,
    } | changes
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**settings)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random Llama (2 layers, width 32) with a ChatML tokenizer."""
    return tiny_model(tmp_path_factory.mktemp("tiny_llama"))
