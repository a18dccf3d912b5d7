"""Adapters of our own: equal to their formulas, found at the right places in any architecture, and
served in three lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import gelu, relu

from material import runs
from material.adapted import applied, base, logits, stepped
from material.architectures import tiny
from material.outside import outside
from tunesmith.data.prepare import Prepared
from tunesmith.errors import ModelError, SpecError
from tunesmith.export.make import export
from tunesmith.models.adapters.attach import attach
from tunesmith.models.finding.hub import find_model
from tunesmith.models.structure.layers import blocks
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train
from tunesmith.words import use


def made(**settings: Any) -> Any:
    return METHODS.make(METHODS.config(settings))


def ends(model: Any) -> list[tuple[list[str], list[str]]]:
    """Of the last block of each stack: ends of attention, and first and last layer of the
    feed-forward.
    """
    found = []
    for block in blocks(model, 64):
        if block.layer == 1:
            places = [*block.attentions], [*(block.feed_forward or ())]
            found.append(
                tuple([name.removeprefix(f"{block.name}.") for name in one] for one in places)
            )
    return found  # type: ignore[return-value]


PLACES = {
    "llama": [(["self_attn.o_proj"], ["mlp.gate_proj", "mlp.down_proj"])],
    "gpt2": [(["attn.c_proj"], ["mlp.c_fc", "mlp.c_proj"])],
    "opt": [(["self_attn.out_proj"], ["fc1", "fc2"])],
    "phi3": [(["self_attn.o_proj"], ["mlp.gate_up_proj", "mlp.down_proj"])],
    "gpt_neox": [(["attention.dense"], ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"])],
    "qwen2_moe": [(["self_attn.o_proj"], ["mlp", "mlp"])],
    "bert": [(["attention.output.dense"], ["intermediate.dense", "output.dense"])],
    "t5": [
        (["layer.0.SelfAttention.o"], ["layer.1.DenseReluDense.wi", "layer.1.DenseReluDense.wo"]),
        (
            ["layer.0.SelfAttention.o", "layer.1.EncDecAttention.o"],
            ["layer.2.DenseReluDense.wi", "layer.2.DenseReluDense.wo"],
        ),
    ],
    "bart": [
        (["self_attn.out_proj"], ["fc1", "fc2"]),
        (["self_attn.out_proj", "encoder_attn.out_proj"], ["fc1", "fc2"]),
    ],
}


@pytest.mark.parametrize("name", PLACES)
def test_the_ends_of_attention_and_feed_forward_are_found_by_structure(name: str) -> None:
    assert ends(outside(name) if name in ("bert", "t5", "bart") else tiny(name)) == PLACES[name]


@pytest.mark.parametrize("variant", ["houlsby", "pfeiffer", "parallel"])
@pytest.mark.parametrize("kind", ["bert", "t5", "bart", "qwen2_moe"])
def test_a_bottleneck_fits_encoders_and_encoder_decoders_and_mixtures(
    kind: str, variant: str
) -> None:
    model = (outside(kind) if kind in ("bert", "t5", "bart") else tiny(kind)).requires_grad_(False)
    ids = torch.arange(3, 15)[None]
    both = {"decoder_input_ids": ids[:, :5]} if kind in ("t5", "bart") else {}
    plain = model(input_ids=ids, **both).logits
    model = made(name="bottleneck", variant=variant, size=8).apply(model)
    assert torch.equal(model(input_ids=ids, **both).logits, plain)
    # A classification head is trained beside the adapter, and stays when the adapter is off.
    trained = [
        weight
        for name, weight in model.named_parameters()
        if weight.requires_grad and "classifier" not in name
    ]
    for weight in trained:
        torch.nn.init.normal_(weight, std=0.3)
    changed = model(input_ids=ids, **both).logits
    changed.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in trained)
    assert (changed - plain).abs().max() > 1e-3
    with model.disable_adapter():
        assert torch.equal(model(input_ids=ids, **both).logits, plain)


def formula(adapter: Any, hidden: torch.Tensor, activation: Any) -> torch.Tensor:
    return activation(hidden @ adapter.down_SD.T + adapter.down_S) @ adapter.up_DS.T + adapter.up_D


@pytest.mark.parametrize(
    ("variant", "activation", "scale"),
    [("houlsby", gelu, 1), ("pfeiffer", relu, 0.5), ("parallel", relu, 4)],
)
def test_a_bottleneck_is_its_formula(variant: str, activation: Any, scale: float) -> None:
    given = {} if variant != "pfeiffer" else {"scale": scale}
    method = made(
        name="bottleneck",
        variant=variant,
        size=8,
        activation=activation.__name__,
        layers=[1],
        **given,
    )
    model = method.apply(base())
    stepped(method, model)
    assert sum(type(part).__name__ == "Bottleneck" for part in model.modules()) == (
        2 if variant == "houlsby" else 1
    )
    mlp, hidden = model.model.layers[1].mlp, torch.randn(2, 5, 64)
    changed = mlp(hidden)
    with model.disable_adapter():
        plain = mlp(hidden)
    read = hidden if variant == "parallel" else plain
    torch.testing.assert_close(
        changed, plain + scale * formula(mlp.down_proj.bottleneck, read, activation)
    )


def test_lora_experts_are_their_formula_token_by_token() -> None:
    method, model = applied({"name": "moe_lora", "rank": 4, "alpha": 12, "experts": 3, "top_k": 2})
    stepped(method, model)
    layer, inputs = model.model.layers[0].mlp.up_proj, torch.randn(7, 64)
    ours = layer(inputs)
    experts = layer.experts
    for x, out in zip(inputs, ours, strict=True):
        chances = (experts.router_EI @ x).softmax(0)
        best = chances.topk(2)
        change = sum(
            gate * experts.up_OER[:, e] @ experts.down_ERI[e] @ x
            for gate, e in zip(best.values / best.values.sum(), best.indices, strict=True)
        )
        torch.testing.assert_close(out, layer.weight @ x + 12 / 4 * change, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3"])
def test_upcycled_experts_are_a_class_of_transformers_and_answer_as_the_dense_model(
    name: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    dense = tiny(name)
    if name == "llama":
        dense.config.tie_word_embeddings = True
        dense.tie_weights()
    plain = logits(dense)
    method = made(name="experts", experts=3, top_k=2)
    model = method.apply(dense.requires_grad_(False))
    trained = {
        key.rpartition("layers.")[2][2:]
        for key, weight in model.named_parameters()
        if weight.requires_grad
    }
    assert trained == {"mlp.gate.weight", "mlp.experts.gate_up_proj", "mlp.experts.down_proj"}
    torch.testing.assert_close(logits(model), plain, rtol=1e-4, atol=1e-4)
    stepped(method, model)
    method.save(model, tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    assert told["architectures"] == [
        {"qwen3": "Qwen3MoeForCausalLM"}.get(name, "MixtralForCausalLM")
    ]
    assert told["router_aux_loss_coef"] == 0.01 and told["num_experts_per_tok"] == 2
    saved = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(saved), logits(model), rtol=1e-5, atol=1e-5)
    assert (logits(saved) - plain).abs().max() > 1e-2


WRONG = [
    (
        {"name": "bottleneck", "layers": [0, 7]},
        "method.layers",
        "this model has no blocks 7; each of its stacks",
    ),
    ({"name": "bottleneck", "size": 65}, "method.size", "65 is wider than the model, 64"),
    ({"name": "moe_lora", "top_k": 5}, "method.top_k", "5 of 4 experts"),
    (
        {"name": "moe_lora", "targets": "q_porj"},
        "method.targets",
        "'q_porj' matches no linear layer (did you mean 'q_proj'?)",
    ),
    (
        {"name": "moe_lora", "rank": 40},
        "method.rank",
        "40 is larger than these layers: k_proj 32×64",
    ),
    ({"name": "experts", "top_k": 5}, "method.top_k", "5 of 4 experts"),
]


@pytest.mark.parametrize(("case", "where", "text"), WRONG, ids=lambda value: str(value)[:40])
def test_what_does_not_fit_is_one_clear_error_in_both_languages(
    case: dict[str, Any], where: str, text: str
) -> None:
    told = {}
    for language in ("en", "zh"):
        use(language)
        with pytest.raises(SpecError) as caught:
            made(**case).apply(base())
        assert [problem.where for problem in caught.value.problems] == [where]
        told[language] = caught.value.problems[0].text
    assert told["en"].startswith(text) and told["zh"] != told["en"]


def test_a_model_without_a_place_is_told_what_was_found() -> None:
    model = tiny("llama")
    for layer in model.model.layers:
        layer.mlp = torch.nn.Identity()
    with pytest.raises(
        SpecError, match=r"model.layers.0 has no feed-forward where .*: self_attn.q_proj 64×64, "
    ):
        made(name="bottleneck").apply(model)


@pytest.mark.parametrize(
    ("name", "changes"), [("gpt2", {}), ("llama", {"attention_bias": True}), ("qwen2", {})]
)
def test_experts_of_a_model_without_a_mixture_of_its_kind_are_refused(
    name: str, changes: dict[str, Any]
) -> None:
    model = tiny(name)
    model.config.update(changes)
    with pytest.raises(
        SpecError,
        match=(
            rf"no mixture of experts .* \({name}.*\); .* llama, mistral, qwen3.*moe_lora takes "
            r"any"
        ),
    ):
        made(name="experts").apply(model)


REFUSED = [
    (["lora", "vera"], "lora and vera both change linear layers; choose one of them"),
    (["lora", "full"], "full works only alone"),
    (["ln_tuning", "bitfit"], "ln_tuning and bitfit both change layer norms"),
    (["moe_lora", "ia3"], "moe_lora and ia3 both change linear layers"),
    (
        [{"name": "lora", "init": "pissa"}, "bitfit"],
        "lora with these settings changes the base's own weights",
    ),
    (
        [{"name": "lora", "bias": "all"}, "ln_tuning"],
        "lora with these settings changes the base's own weights",
    ),
    ({"name": "combined", "methods": ["prompt"]}, "prompt works only alone"),
    (["lora", "lora"], "lora and lora both change linear layers"),
    (["lroa"], "unknown method 'lroa'; did you mean 'lora'?"),
]


@pytest.mark.parametrize(("methods", "text"), REFUSED, ids=lambda value: str(value)[:40])
def test_methods_that_cannot_be_combined_are_refused_with_the_reason(
    methods: Any, text: str
) -> None:
    told = {}
    for language in ("en", "zh"):
        use(language)
        with pytest.raises(SpecError) as caught:
            validate({"model": "m", "data": "d", "out": "o", "method": methods})
        assert all(problem.where.startswith("method") for problem in caught.value.problems)
        told[language] = str(caught.value)
    assert text in told["en"] and told["zh"] != told["en"]


def test_a_list_of_one_is_that_one_and_no_targets_are_refused() -> None:
    common = {"model": "m", "data": "d", "out": "o"}
    assert (
        validate(common | {"method": ["prompt"]}).method
        == validate(common | {"method": "prompt"}).method
    )
    for name in ("lora", "moe_lora", "boft"):
        with pytest.raises(SpecError, match=r"method\.targets: "):
            validate(common | {"method": {"name": name, "targets": []}})


def test_a_list_means_the_same_in_any_order_and_starts_at_the_smallest_rate() -> None:
    answers = []
    for methods in (["ln_tuning", "bottleneck", "lora"], ["lora", "ln_tuning", "bottleneck"]):
        run = validate({"model": "m", "data": "d", "out": "o", "method": methods})
        assert validate(run.model_dump(mode="json")) == run
        torch.manual_seed(0)
        method = METHODS.make(run.method)
        assert method.learning_rate == 2e-4 and "lora 0.0002" in method.source and not method.merges
        answers.append(logits(stepped(method, method.apply(base()))))
    torch.testing.assert_close(*answers)


@pytest.fixture(scope="module")
def prepared(tiny_llama: Path) -> Prepared:
    torch.set_num_threads(1)
    return runs.data_of(runs.resolved(tiny_llama / "unused", tiny_llama), watch=8)


def test_what_does_not_merge_is_served_by_the_three_lines_that_export_prints(
    tiny_llama: Path, prepared: Prepared, tmp_path: Path
) -> None:
    import tunesmith

    one = runs.resolved(tmp_path / "run", tiny_llama, **{"method": "bottleneck", "train.steps": 2})
    assert runs.in_child(lambda: train(one, prepared)) == 0
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(
        SpecError, match=r"bottleneck cannot be merged into the base's weights"
    ) as caught:
        export(folder, tmp_path / "merged")
    lines = [line.strip() for line in str(caught.value).split("\n")[1:]]
    assert len(lines) == 3
    space: dict[str, Any] = {}
    exec("\n".join(lines), space)
    ours = tunesmith.load(folder).loaded.model
    ids = torch.arange(20, 30)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            space["model"](ids).logits, ours(input_ids=ids).logits, rtol=1e-5, atol=1e-5
        )
    assert space["model"].generate(ids, max_new_tokens=3).shape == (1, 13)
    with pytest.raises(
        ModelError, match="is an adapter of bottleneck, which cannot be merged into its base"
    ):
        find_model(str(folder.path))


@pytest.mark.parametrize(
    "case", [{"name": "moe_lora", "rank": 4}, {"name": "bottleneck"}], ids=lambda case: case["name"]
)
def test_an_adapter_of_ours_for_another_base_is_refused(
    case: dict[str, Any], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    method, model = applied(case)
    method.save(model, tmp_path / "adapter")
    for changes in ({"hidden_size": 32}, {"num_hidden_layers": 3}, {"num_hidden_layers": 1}):
        config = tiny("llama").config
        config.update(changes)
        with pytest.raises(ModelError, match="has an adapter that was made for another base"):
            attach(AutoModelForCausalLM.from_config(config), tmp_path / "adapter")


def test_a_trained_head_is_saved_with_the_adapter(tmp_path: Path) -> None:
    model = outside("bert").requires_grad_(False)
    model.classifier.requires_grad_(True)
    method = made(name="bottleneck", size=8)
    model = method.apply(model)
    with torch.no_grad():
        model.classifier.weight.fill_(0.3)
    method.save(model, tmp_path)
    assert torch.equal(attach(outside("bert"), tmp_path).classifier.weight, model.classifier.weight)


def test_a_copy_of_the_model_switches_its_own_layers() -> None:
    import copy

    method, model = applied({"name": "bottleneck"})
    stepped(method, model)
    plain, twin = logits(base()), copy.deepcopy(model)
    with twin.disable_adapter():
        torch.testing.assert_close(logits(twin), plain)
        assert (logits(model) - plain).abs().max() > 1e-2
