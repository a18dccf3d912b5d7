"""What is taken out of a model: Wanda by its formula, two of four, heads and channels cut as if they
were silenced, layers left out and put back.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from material.architectures import ARCHITECTURES, SIZES, tiny
from tunesmith.batches.batch import Tokens
from tunesmith.models.loading.load import Loaded
from tunesmith.pruning.parts.projections import attention_of, harm
from tunesmith.pruning.parts.whole_layers import Layers
from tunesmith.pruning.parts.zeros import smallest, two_of_four
from tunesmith.pruning.pruners import PRUNERS, Pruner
from tunesmith.pruning.pruners.layers import influences
from tunesmith.pruning.pruners.wanda import scores_of

ROWS = [
    Tokens(ids, np.ones(len(ids), dtype=np.float32))
    for ids in (np.arange(5, 25), np.arange(30, 41), np.arange(100, 140))
]
KINDS = ["llama", "qwen2", "qwen3", "gemma3_text"]
"""With biases, with norms over a head, with layers of two kinds."""


def pruner(**how: object) -> Pruner:
    return PRUNERS.make(PRUNERS.config(how))


def logits(model: Any, **more: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(40, 60)[None], **more).logits


def loaded(model: Any) -> Loaded:
    return Loaded(model, None, "padded")  # type: ignore[arg-type]


def five_layers() -> Any:
    """A Gemma, whose layers are of two kinds."""
    settings = SIZES | ARCHITECTURES["gemma3_text"] | {"num_hidden_layers": 5}
    config = AutoConfig.for_model("gemma3_text", **settings)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.15)
    return model


def loss_without(model: Any, gone: set[int]) -> float:
    """The mean loss of ROWS where these layers hand on what they are given."""
    layers = list(model.model.layers)
    handles = [
        layers[number].register_forward_hook(lambda layer, args, output: args[0]) for number in gone
    ]
    losses, tokens = 0.0, 0
    for row in ROWS:
        ids = torch.as_tensor(row.ids_T)
        with torch.no_grad():
            found = model(input_ids=ids[None]).logits[0, :-1]
        losses += float(torch.nn.functional.cross_entropy(found, ids[1:], reduction="sum"))
        tokens += len(ids) - 1
    for handle in handles:
        handle.remove()
    return losses / tokens


def test_wanda_is_size_times_norm_in_each_row() -> None:
    """A small case by hand: of each output the weights of which size times norm is smallest."""
    weight = torch.tensor([[1.0, -3.0, 2.0, 0.5], [4.0, 1.0, -1.0, 2.0]])
    inputs = torch.tensor([[3.0, 0.0, 1.0, 8.0], [4.0, 1.0, 0.0, 6.0]])
    norms = inputs.norm(dim=0)  # 5, 1, 1, 10
    assert norms.tolist() == [5, 1, 1, 10]
    scores = scores_of(weight, inputs.T @ inputs / 2)
    torch.testing.assert_close(scores * 2**0.5, weight.abs() * norms)
    # 5 3 2 5 and 20 1 1 20: the two in the middle go, though the smallest weight of the first row
    # is its last.
    assert smallest(scores, 0.5).tolist() == [[False, True, True, False]] * 2


def test_two_of_four_are_left_everywhere() -> None:
    scores = torch.rand(6, 32, generator=torch.Generator().manual_seed(0))
    marked = two_of_four(scores)
    fours = marked.reshape(-1, 4)
    assert (fours.sum(1) == 2).all()
    kept, gone = scores.reshape(-1, 4)[~fours], scores.reshape(-1, 4)[fours]
    assert (kept.reshape(-1, 2).amin(1) >= gone.reshape(-1, 2).amax(1)).all()


@pytest.mark.parametrize(
    ("how", "share"),
    [
        ({"name": "magnitude"}, 0.25),
        ({"name": "wanda"}, 0.25),
        ({"name": "wanda", "pattern": "2:4"}, 0.5),
        ({"name": "magnitude", "pattern": "2:4"}, 0.5),
    ],
)
def test_every_output_loses_its_share(how: dict[str, object], share: float) -> None:
    model = tiny("llama")
    embeddings = model.get_input_embeddings().weight.clone()
    told = pruner(**how).prune(loaded(model), ROWS, share)
    blocks = model.model.layers
    assert f"{share:.1%}" in told[0]
    for layer in blocks.modules():
        if isinstance(layer, torch.nn.Linear):
            zeros = (layer.weight == 0).sum(1)
            assert (zeros == round(share * layer.in_features)).all()
            if "pattern" in how:
                assert ((layer.weight.reshape(-1, 4) == 0).sum(1) == 2).all()
    assert torch.equal(model.get_input_embeddings().weight, embeddings)


def test_harm_is_the_change_of_the_outputs() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, inputs = (torch.randn(n, 12, generator=generator) for n in (5, 50))
    apart = inputs.reshape(50, 3, 4)
    found = harm(weight, torch.einsum("tgi,tgj->gij", apart, apart) / 50)
    for group in range(3):
        silenced = inputs.clone()
        silenced[:, group * 4 : group * 4 + 4] = 0
        change = (inputs - silenced) @ weight.T
        torch.testing.assert_close(found[group], change.pow(2).sum(1).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_cut_heads_are_silenced_heads(kind: str) -> None:
    """Against the same model in which the outputs of these heads are zero, and against transformers
    that builds the smaller model from the configuration.
    """
    masked, model = tiny(kind), tiny(kind)
    before = logits(model)
    assert pruner(name="heads").refused(model, 0.5) == []
    pruner(name="heads").prune(loaded(model), ROWS, 0.5)
    kept_of = []
    for whole, cut in zip(masked.model.layers, model.model.layers, strict=True):
        part, left = attention_of(whole, 2), attention_of(cut, 1)
        assert part is not None and left is not None
        groups = part.out.weight.reshape(part.out.out_features, 2, -1)
        kept = [n for n in (0, 1) if torch.equal(groups[:, n], left.out.weight)]
        assert len(kept) == 1
        kept_of += kept
        groups.data[:, 1 - kept[0]] = 0
    config = model.config.get_text_config()
    assert (config.num_attention_heads, config.num_key_value_heads) == (2, 1)
    after = logits(model)
    torch.testing.assert_close(after, logits(masked), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)
    rebuilt = type(model)(type(model.config)(**model.config.to_dict())).eval()
    rebuilt.load_state_dict(model.state_dict())
    torch.testing.assert_close(logits(rebuilt), after)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_channels_are_silenced_channels(kind: str) -> None:
    masked, model = tiny(kind), tiny(kind)
    way = pruner(name="channels", multiple=16)
    assert way.refused(model, 0.5) == []
    way.prune(loaded(model), ROWS, 0.5)
    for whole, cut in zip(masked.model.layers, model.model.layers, strict=True):
        columns = cut.mlp.down_proj.weight.T.tolist()
        gone = [
            n for n, one in enumerate(whole.mlp.down_proj.weight.T.tolist()) if one not in columns
        ]
        assert len(gone) == 48 == len(columns)
        whole.mlp.down_proj.weight.data[:, gone] = 0
    assert model.config.get_text_config().intermediate_size == 48
    torch.testing.assert_close(logits(model), logits(masked), rtol=1e-4, atol=1e-5)


def test_the_head_that_does_nothing_goes_first() -> None:
    model = tiny("llama")
    layers = list(model.model.layers)
    for number, layer in enumerate(layers):
        layer.self_attn.o_proj.weight.data[:, (1 - number) * 32 : (1 - number) * 32 + 32] *= 1e-6
    before = logits(model)
    pruner(name="heads").prune(loaded(model), ROWS, 0.5)
    torch.testing.assert_close(logits(model), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("by", ["loss", "loss_again"])
def test_the_layers_go_that_are_missed_least(by: str) -> None:
    """Against losses measured with layers that hand on what they are given."""
    model = five_layers()
    alone = {number: loss_without(model, {number}) for number in range(5)}
    first, second = sorted(alone, key=alone.__getitem__)[:2]
    if by == "loss_again":
        beside = {one: loss_without(model, {first, one}) for one in range(5) if one != first}
        second = min(beside, key=beside.__getitem__)
    told = pruner(name="layers", by=by).prune(loaded(model), ROWS, 0.4)
    assert f"gone: {min(first, second)}, {max(first, second)} (" in told[0]


def test_layers_that_do_nothing_are_not_missed() -> None:
    """Of five layers two add nothing: they turn nothing, the cache works without them, and what
    transformers rebuilds from the configuration is the same model.
    """
    model = five_layers()
    layers = list(model.model.layers)
    for number in (1, 2):
        for name in ("post_attention_layernorm", "post_feedforward_layernorm"):
            layers[number].get_submodule(name).weight.data.fill_(-1)  # Gemma's norms add one
    before = logits(model)
    told = pruner(name="layers", by="influence").prune(loaded(model), ROWS, 0.4)
    assert "1, 2" in told[0]
    torch.testing.assert_close(logits(model), before)
    assert len(model.config.layer_types) == model.config.num_hidden_layers == 3
    rebuilt = type(model)(type(model.config)(**model.config.to_dict())).eval()
    rebuilt.load_state_dict(model.state_dict())
    torch.testing.assert_close(logits(rebuilt), before)
    with torch.no_grad():
        first = model(input_ids=torch.arange(40, 59)[None], use_cache=True)
        more = {"past_key_values": first.past_key_values}
        last = model(input_ids=torch.tensor([[59]]), **more).logits
    torch.testing.assert_close(last[0, -1], before[0, -1], rtol=1e-4, atol=1e-5)


def test_layers_come_back() -> None:
    model = tiny("llama")
    before = logits(model)
    decoder = Layers(model)
    decoder.keep([1])
    assert not torch.allclose(logits(model), before, atol=1e-3)
    decoder.keep([0, 1])
    assert torch.equal(logits(model), before)


def test_influence_is_one_minus_the_cosine() -> None:
    model = tiny("llama")
    found = influences(model, list(model.model.layers), ROWS[:1])
    with torch.no_grad():
        ids = torch.as_tensor(ROWS[0].ids_T)[None]
        hidden = model(input_ids=ids, output_hidden_states=True).hidden_states
    wanted = 1 - torch.cosine_similarity(hidden[0], hidden[1], dim=-1).mean()
    assert found[0] == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "how", "share", "told"),
    [
        ("phi3", {"name": "heads"}, 0.5, "phi3 has weights that belong to no single head"),
        ("olmo2", {"name": "heads"}, 0.5, "norms over all heads"),
        ("gpt_oss", {"name": "heads"}, 0.5, "belong to no single head"),
        ("llama", {"name": "heads"}, 0.1, "2 groups of heads .*: 0.5"),
        ("qwen3_moe", {"name": "channels"}, 0.5, "experts"),
        ("llama", {"name": "channels", "multiple": 96}, 0.2, "96 would stay"),
        ("llama", {"name": "layers"}, 0.1, "less than one layer"),
        ("llama", {"name": "wanda", "pattern": "2:4"}, 0.6, "two of four is a half"),
    ],
)
def test_what_does_not_fit_is_told(kind: str, how: Any, share: float, told: str) -> None:
    problems = pruner(**how).refused(tiny(kind), share)
    assert len(problems) == 1
    assert re.search(told, problems[0].text)
