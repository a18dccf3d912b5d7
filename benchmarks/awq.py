"""Whether scaling a model's inputs before its weights are rounded to 4 bits (AWQ, Lin et al. 2023)
is worth having beside GPTQ: a run's model whole, rounded to the nearest, scaled and rounded, and
rounded by GPTQ, asked the same held-out rows.

    python benchmarks/awq.py RUN [--rows 200]

Each norm's outputs are divided by the mean size of an input to a power of 0 to 1, and the weights
that read them multiplied, which changes nothing before rounding; of the powers the one with the
least error of the block's outputs on training rows is taken, as is done between the feed-forward's
up and down projections.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

GROUP, BITS = 64, 4
POWERS = [step / 10 for step in range(11)]
CALIBRATED = 2048
"""Training tokens whose inputs are looked at."""
Rounding = Callable[[torch.Tensor], torch.Tensor]


def rounded(weight_OI: torch.Tensor) -> torch.Tensor:
    """Rounds to the nearest code."""
    from tunesmith.export.rounding.codes import nearest

    return nearest(weight_OI, BITS, GROUP).weight


def inputs_of(model: Any, rows: list[torch.Tensor], layers: list[torch.nn.Linear]) -> Any:
    """Collects what goes into each layer, by its place."""
    seen: dict[int, list[torch.Tensor]] = {place: [] for place in range(len(layers))}
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, given, place=place: seen[place].append(
                given[0].reshape(-1, given[0].shape[-1])
            )
        )
        for place, layer in enumerate(layers)
    ]
    for ids_T in rows:
        model(ids_T[None])
    for hook in hooks:
        hook.remove()
    return [torch.cat(found) for found in seen.values()]


def best_scale(readers: list[torch.nn.Linear], inputs_NI: torch.Tensor) -> torch.Tensor:
    """Finds the scale of each input with the least error of the readers' outputs."""
    size_I = inputs_NI.abs().mean(0).clamp(min=1e-6)
    found: tuple[float, torch.Tensor] | None = None
    for power in POWERS:
        scale_I = size_I**power
        scale_I = scale_I / (scale_I.max() * scale_I.min()).sqrt()
        error = 0.0
        for layer in readers:
            weight_OI = layer.weight
            near_OI = rounded(weight_OI * scale_I) / scale_I
            error += float((inputs_NI @ (weight_OI - near_OI).T).square().mean())
        if found is None or error < found[0]:
            found = (error, scale_I)
    assert found is not None
    return found[1]


def scale(model: Any, rows: list[torch.Tensor]) -> None:
    """Scales every block of a Llama in place; its outputs stay what they were."""
    for block in model.model.layers:
        attention, forward = block.self_attn, block.mlp
        groups = [
            (block.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj]),
            (block.post_attention_layernorm, [forward.gate_proj, forward.up_proj]),
        ]
        first = [readers[0] for _, readers in groups]
        normed, forwarded, down = inputs_of(model, rows, [*first, forward.down_proj])
        for (norm, readers), inputs_NI in zip(groups, (normed, forwarded), strict=True):
            scale_I = best_scale(readers, inputs_NI)
            norm.weight.div_(scale_I)
            for layer in readers:
                layer.weight.mul_(scale_I)
        scale_I = best_scale([forward.down_proj], down)
        forward.up_proj.weight.div_(scale_I[:, None])
        forward.down_proj.weight.mul_(scale_I)


def round_all(model: Any) -> None:
    """Rounds every linear layer of the blocks in place."""
    for block in model.model.layers:
        for layer in block.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.copy_(rounded(layer.weight))


def asked(model: Any, items: list[Any]) -> tuple[int, float]:
    """Counts the rows whose answer is what the model would write greedily, each of its tokens being
    the likeliest, and computes the perplexity of the right answers.
    """
    right, loss, units = 0, 0.0, 0
    for item in items:
        (row,) = item.tokens
        ids_T, learned_T = torch.tensor(row.ids_T).long(), torch.tensor(row.weights_T)[1:] > 0
        logprobs_TV = model(ids_T[None]).logits[0, :-1].log_softmax(-1)[learned_T]
        wanted_T = ids_T[1:][learned_T]
        loss -= float(logprobs_TV.gather(1, wanted_T[:, None]).sum())
        units += len(wanted_T)
        right += bool((logprobs_TV.argmax(-1) == wanted_T).all())
    return right, math.exp(loss / units)


def main() -> None:
    from transformers import AutoModelForCausalLM

    from tunesmith import api
    from tunesmith.events.stream import Events
    from tunesmith.export.rounding.calibration import spread
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.proving.contest import prepared_again
    from tunesmith.proving.task import evenly
    from tunesmith.storage.run_folder import RunFolder

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("run", type=Path)
    options.add_argument("--rows", type=int, default=200)
    given = options.parse_args()
    run = RunFolder(given.run)
    tokenizer = load_tokenizer(run.model)
    prepared = prepared_again(run, run.resolved().run, tokenizer, Events())
    items = evenly(prepared.proof, given.rows)
    rows = [torch.tensor(row.ids_T).long() for row in spread(prepared, CALIBRATED)]
    place = given.run / "awq"
    for name, format in (("whole", "hf"), ("gptq", "int4")):
        if not (place / name).exists():
            asks = [f"format={format}", "items=0"]
            api.export_run(
                run.path, place / name, asks + ([f"format.group={GROUP}"] * (name == "gptq"))
            )
    whole = AutoModelForCausalLM.from_pretrained(place / "whole").eval()
    print(f"| weights | right of {len(items)} | perplexity of the right answers |\n|---|---:|---:|")
    for name in ("fp32", "4 bits, nearest", "4 bits, scaled (AWQ)", "4 bits, GPTQ"):
        with torch.no_grad():
            if name.endswith("GPTQ"):
                model = AutoModelForCausalLM.from_pretrained(place / "gptq").eval()
            else:
                model = copy.deepcopy(whole)
            if "AWQ" in name:
                scale(model, rows)
            if "nearest" in name or "AWQ" in name:
                round_all(model)
            right, perplexity = asked(model, items)
        print(f"| {name} | {right} | {perplexity:.3f} |", flush=True)


if __name__ == "__main__":
    main()
