"""Weights in few bits: the format is that of compressed-tensors, GPTQ is better than the nearest
where it claims to be, and what does not fit is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from conftest import tiny_model
from material.exported import asked, tuned
from tunesmith.errors import SpecError
from tunesmith.export.make import export
from tunesmith.export.rounding.codes import gptq, nearest, nearest_fp8
from tunesmith.export.rounding.compressed import packed
from tunesmith.export.rounding.walk import walk
from tunesmith.storage.run_folder import RunFolder


def correlated() -> torch.Tensor:
    """Inputs [T, 64] of which some go together and some are large, as a model's are."""
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(400, 12, generator=generator)
    mixed = few @ torch.randn(12, 64, generator=generator)
    return mixed + 0.3 * torch.randn(400, 64, generator=generator)


def test_codes_stand_for_weights_within_half_a_step() -> None:
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    for bits, group in ((8, 64), (4, 32)):
        codes = nearest(weight, bits, group)
        step = codes.scales.float().repeat_interleave(group, 1)
        most = 2 ** (bits - 1)
        assert codes.codes.min() >= -most and codes.codes.max() <= most - 1
        # The largest may be cut by half a step more, and the scales are those of bf16.
        assert ((codes.weight - weight).abs() <= step * (1.0 if bits == 4 else 1.1)).all()


def test_gptq_without_correlation_is_the_nearest() -> None:
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    straight, corrected = nearest(weight, 4, 32), gptq(weight, torch.eye(64), 4, 32)
    assert torch.equal(straight.codes, corrected.codes)


def test_gptq_changes_the_outputs_less() -> None:
    inputs, weight = correlated(), torch.randn(16, 64, generator=torch.Generator().manual_seed(2))
    hessian = inputs.T @ inputs / len(inputs)
    errors = [
        float(((one.weight - weight) @ inputs.T).norm())
        for one in (nearest(weight, 4, 32), gptq(weight, hessian, 4, 32))
    ]
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_as_compressed_tensors_packs(bits: int) -> None:
    packing = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers")
    most = 2 ** (bits - 1)
    codes = torch.randint(-most, most, (6, 64), generator=torch.Generator().manual_seed(0))
    wanted = packing.pack_to_int32(codes.to(torch.int8), bits)
    assert torch.equal(packed(codes.float(), bits), wanted)


def test_a_walk_sees_each_layer_with_its_inputs_after_those_before_it(tiny_llama: Path) -> None:
    """Against hooks on whole forwards: the same products where nothing is changed; zero inputs for
    all that follows a block that was zeroed.
    """
    model = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    rows = [np.arange(5, 25), np.arange(30, 41)]
    seen: dict[str, torch.Tensor] = {}
    walk(model, rows, lambda name, layer, hessian: seen.update({name: hessian}))
    assert list(seen)[:1] == ["model.layers.0.self_attn.q_proj"] and len(seen) == 14
    caught: list[torch.Tensor] = []
    layer = model.model.layers[1].mlp.down_proj
    layer.register_forward_pre_hook(lambda part, args: caught.append(args[0][0]))
    with torch.no_grad():
        for row in rows:
            model(input_ids=torch.as_tensor(row)[None])
    inputs = torch.cat(caught)
    wanted = inputs.T @ inputs / len(inputs)
    torch.testing.assert_close(seen["model.layers.1.mlp.down_proj"], wanted)
    apart: dict[str, torch.Tensor] = {}
    save = lambda name, layer, hessian: apart.update({name: hessian})  # noqa: E731
    walk(model, rows, save, only="down_proj", width=8)
    assert list(apart) == [f"model.layers.{n}.mlp.down_proj" for n in (0, 1)]
    for place, block in enumerate(apart["model.layers.1.mlp.down_proj"]):
        here = slice(place * 8, place * 8 + 8)
        torch.testing.assert_close(block, wanted[here, here])

    def zero(name: str, part: torch.nn.Linear, hessian: torch.Tensor) -> None:
        seen[name] = hessian
        if "layers.0" in name:
            part.weight.data.zero_()

    before = seen["model.layers.1.self_attn.q_proj"]
    walk(model, rows, zero)
    assert not torch.allclose(seen["model.layers.1.self_attn.q_proj"], before)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A run whose model has rows that divide into groups of 32."""
    base = tiny_model(tmp_path / "base", hidden_size=64, intermediate_size=96)
    return tuned(tmp_path / "run", base, scale=0.1).path


@pytest.mark.slow  # 3 s
def test_fp8_is_written_as_compressed_tensors_reads_it(wide: Path, tmp_path: Path) -> None:
    """Each weight is within half a step of three bits; what the library computes from the folder,
    where it rounds inputs as well, stays close to the model.
    """
    pytest.importorskip("compressed_tensors")
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    codes = nearest_fp8(weight)
    away = (codes.weight - weight).abs()
    assert (away <= weight.abs() / 16 + codes.scales.float() * 2**-9).all() and away.max() > 0
    done = export(RunFolder(wide), tmp_path / "out", asked("format=fp8"))
    assert done.saved is not None and done.saved.relative < 0.1
    stored = load_file(tmp_path / "out" / "model.safetensors")
    linear = {name for name in stored if stored[name].dtype == torch.float8_e4m3fn}
    assert len(linear) == 14 and "lm_head.weight" not in linear
    told = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert told["format"] == "float-quantized"
    assert told["config_groups"]["group_0"]["input_activations"]["strategy"] == "token"


@pytest.mark.parametrize(
    "line",
    [pytest.param(("format=int8",), marks=pytest.mark.slow), ("format=int4", "format.method=rtn")],
)
def test_a_folder_that_transformers_loads(wide: Path, tmp_path: Path, line: Any) -> None:
    pytest.importorskip("compressed_tensors")
    done = export(RunFolder(wide), tmp_path / "out", asked(*line))
    assert done.saved is not None and done.saved.relative < (0.05 if "int8" in line[0] else 0.5)
    told = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    bits = told["config_groups"]["group_0"]["weights"]["num_bits"]
    assert (bits, told["ignore"]) == (8 if "int8" in line[0] else 4, ["lm_head"])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"tokenizer.json", "generation_config.json", "parity.md"} <= names


def test_layers_of_one_group_stand_beside_layers_of_several(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With 32 inputs a group of 32 is the whole row; the next layer has two of them."""
    pytest.importorskip("compressed_tensors")
    run = tuned(tmp_path / "run", tiny_model(tmp_path / "base"), scale=0.1)
    done = export(run, tmp_path / "out", asked("format=int4", "format.method=rtn", "items=0"))
    assert done.saved is not None and done.saved.relative < 0.5
    assert "it/s" not in capfd.readouterr().err, "bars of the library"


def test_what_does_not_fit_is_refused(tiny_llama: Path, wide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SpecError, match=r"format\.group: .*64, 96 inputs.*groups that fit: 32"):
        export(RunFolder(wide), out, asked("format=int4", "format.group=128"))
    assert not out.exists()


def with_rows(tmp_path: Path, count: int) -> tuple[RunFolder, int]:
    """A run that trained on so many rows, and how many tokens they have."""
    from tunesmith.data.prepare_once import prepare_once
    from tunesmith.models.loading.tokenizer import load_tokenizer

    rows = [{"instruction": f"what is {n}", "output": f"it is {n}"} for n in range(count)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    base = tiny_model(tmp_path / "base", hidden_size=64, intermediate_size=96)
    run = tuned(tmp_path / "run", base, data=str(tmp_path / "rows.json"))
    prepared = prepare_once(run.resolved().run, load_tokenizer(base))
    told = {"files": [], "fingerprint": prepared.fingerprint, "split_seed": 0}
    run.ledger.write_text(json.dumps(told))
    return run, sum(len(one) for item in prepared.train for one in item.tokens)


def test_gptq_sees_the_rows_of_the_run_and_tells_how_far_it_is(tmp_path: Path) -> None:
    pytest.importorskip("compressed_tensors")
    run, tokens = with_rows(tmp_path, 120)
    assert tokens > 960
    told: list[tuple[str, int, int]] = []
    done = export(
        run, tmp_path / "out", asked("format=int4"), progress=lambda *one: told.append(one)
    )
    stage = "rounding, block by block"
    assert [one for one in told if one[0] == stage] == [(stage, 1, 2), (stage, 2, 2)]
    assert done.dtype == "int4 gptq" and done.saved is not None and done.saved.divergence < 0.01


def test_gptq_with_too_few_rows_is_refused_before_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, tokens = with_rows(tmp_path, 20)
    monkeypatch.setattr("tunesmith.export.make.load_trained", lambda source: pytest.fail("loaded"))
    # Ten for each of 96 inputs of the widest layer.
    with pytest.raises(SpecError, match=rf"about 960 tokens .* there are {tokens}; .*=rtn") as seen:
        export(run, tmp_path / "out", asked("format=int4"))
    assert tokens < 960 and "\n" not in str(seen.value)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
