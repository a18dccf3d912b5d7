from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from material import runs
from tunesmith.errors import SpecError
from tunesmith.machine.allocator import CUDA_SETTINGS
from tunesmith.machine.device import Device, LossScale, choose, prepare
from tunesmith.machine.memory import free_memory
from tunesmith.machine.micro_batch import activation_bytes, room
from tunesmith.models.loading.load import load_model
from tunesmith.settings.run import Machine
from tunesmith.training import start
from tunesmith.training.keeping.state import environment
from tunesmith.training.loop import Position
from tunesmith.training.start import train


def test_a_cpu_gets_fp32_and_says_why():
    device = choose(Machine(device="cpu"))
    assert (device.place.type, device.precision, device.scale) == ("cpu", "fp32", None)
    assert (
        device.reasons["train.machine.precision"] == "most CPUs compute bf16 more slowly than fp32"
    )


def test_what_is_asked_for_and_absent_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError) as caught:
        choose(Machine(device="cuda"))
    assert "train.machine.device: cuda is not there (torch sees: cpu" in str(caught.value)
    with pytest.raises(SpecError) as caught:
        choose(Machine(device="cpu", precision="fp16"))
    assert "train.machine.precision: fp16 needs a CUDA GPU, and this is cpu" in str(caught.value)


@pytest.mark.parametrize(
    ("capability", "precision"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_a_gpu_gets_bf16_or_scaled_fp16(capability, precision, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    device = choose(Machine())
    assert device.place.type == "cuda" and device.precision == precision
    assert (device.scale is not None) == (precision == "fp16")
    if precision == "fp16":
        with pytest.raises(SpecError, match="this GPU has no bf16"):
            choose(Machine(precision="bf16"))


def test_cudas_allocator_is_told_before_cuda_starts(monkeypatch):
    told: list[str | None] = []
    for name in CUDA_SETTINGS:
        monkeypatch.delenv(name, raising=False)

    def started(*_: object) -> tuple[int, int]:
        told.append(os.environ.get(CUDA_SETTINGS[0]) or os.environ.get(CUDA_SETTINGS[1]))
        return (8, 0)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", started)
    monkeypatch.setattr(torch.cuda, "get_device_capability", started)
    choose(Machine())
    assert told and set(told) == {"expandable_segments:True"}
    for name in CUDA_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CUDA_SETTINGS[1], "max_split_size_mb:64")
    choose(Machine())
    assert CUDA_SETTINGS[0] not in os.environ, "what is given stays"


def test_a_gpu_is_exact_where_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    asked: list[bool] = []
    monkeypatch.setattr(
        torch, "use_deterministic_algorithms", lambda on, warn_only: asked.append(on and warn_only)
    )
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    usual, exact = choose(Machine(threads=1)), choose(Machine(threads=1, exact=True))
    prepare(usual)
    assert not usual.exact and not asked and environment(usual)["exact"] is False
    prepare(exact)
    assert exact.exact and asked == [True] and "exact" not in environment(exact)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert choose(Machine(device="cpu")).exact


@pytest.mark.parametrize(("exact", "told"), [(False, True), (True, False)])
def test_resuming_on_a_gpu_says_where_the_last_digits_may_differ(exact: bool, told: bool) -> None:
    said: list[str] = []
    device = Device(torch.device("cuda"), "bf16", 1, exact=exact)
    state: Any = SimpleNamespace(device=device, restore=lambda _: {})
    checkpoints: Any = SimpleNamespace(newest=lambda _: Path("step-2"))
    record: Any = None
    start._resume(checkpoints, state, Position(step=2), record, runs.said(said), total=4)
    assert any("in a different order each time" in text for text in said) == told


def test_a_gpus_model_is_loaded_straight_to_it(tiny_llama, monkeypatch):
    class Asked(Exception):
        pass

    def asked(*_: object, **how: Any) -> None:
        raise Asked(how.get("device_map"))

    whole = load_model(tiny_llama, dtype=torch.float32, device="cpu").model
    # What transformers does with the map, on a device that is here: no hooks, the same weights.
    placed = LlamaForCausalLM.from_pretrained(tiny_llama, device_map={"": "cpu"})
    assert not any("_hf_hook" in vars(part) for part in placed.modules())
    for ours, theirs in zip(placed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", asked)
    with pytest.raises(Asked, match=r"\{'': device\(type='cuda', index=1\)\}"):
        load_model(tiny_llama, dtype=torch.bfloat16, device=torch.device("cuda", 1))


def test_micro_batches_and_checkpointing_follow_from_the_memory():
    config = LlamaConfig(hidden_size=1024, num_hidden_layers=16, intermediate_size=4096)
    device = Device(torch.device("cpu"), "fp32", 1)
    plain, again = activation_bytes(config, 4)
    assert again < plain / 4

    def fitted(gib: float, **machine: Any) -> Any:
        return room(
            device,
            Machine(memory=gib, **machine),
            trainable=20,
            kept=activation_bytes(config, 1),
            longest=2048,
            micro_tokens=None,
        )

    large, small = fitted(64), fitted(2)
    assert (large.checkpointing, large.micro_tokens) == (False, 16384)
    assert small.checkpointing and small.micro_tokens * again <= 2 * 2**30 * 0.8
    assert "2048 tokens" in small.reasons["train.machine.checkpointing"]
    assert not fitted(2, checkpointing=False).checkpointing
    assert free_memory(torch.device("cpu")) > 2**20


def test_the_loss_scale_halves_on_overflow_and_doubles_after_2000_clean_steps():
    scale = LossScale()
    assert scale.overflow() and scale.value == 2.0**15 and scale.overflows == 1
    for _ in range(2000):
        scale.step()
    assert scale.value == 2.0**16
    assert not LossScale(value=1.0).overflow()


def test_an_overflow_lowers_the_scale_and_repeats_the_step(
    tiny_llama, prepared, tmp_path, monkeypatch
):
    from tunesmith.machine import device as devices

    # On a CPU, in fp32: what is tested is the scaling, which is the same there.
    real = devices.choose

    def scaled(machine: Machine) -> Device:
        device = real(machine)
        device.scale = LossScale(value=2.0**130)
        return device

    plain = train(runs.resolved(tmp_path / "plain", tiny_llama), prepared)
    monkeypatch.setattr(devices, "choose", scaled)
    folder = train(
        runs.resolved(tmp_path / "run", tiny_llama, **{"method.dropout": 0}),
        prepared,
    )
    overflows = [line for line in folder.steps() if line.get("event") == "overflow"]
    assert overflows and all(line["step"] == 1 for line in overflows)
    steps = [line for line in folder.steps() if "learning_rate" in line]
    assert [line["learning_rate"] for line in steps] == [
        line["learning_rate"] for line in plain.steps() if "learning_rate" in line
    ]


@pytest.mark.slow  # 1 s
def test_checkpointing_gives_the_same_training(tiny_llama, prepared, tmp_path):
    settings = {"method.dropout": 0, "train.steps": 3}
    plain, again = (
        train(
            runs.resolved(
                tmp_path / str(on), tiny_llama, **settings, **{"train.machine.checkpointing": on}
            ),
            prepared,
        )
        for on in (False, True)
    )
    first, second = (
        load_file(folder.model / "adapter_model.safetensors") for folder in (plain, again)
    )
    assert first.keys() == second.keys() and len(first) > 2
    for name in first:
        assert torch.allclose(first[name], second[name], atol=1e-6), name
