"""embed: closed forms, sentence-transformers' losses and gradients, one gradient however a step is
cut, dropout or not.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from conftest import tiny_model
from material.headed import WORDS, encoder
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.data.rendering.render import Render
from tunesmith.errors import SpecError
from tunesmith.examples import TextPair
from tunesmith.machine.parallel import Processes
from tunesmith.models.loading.load import load_model
from tunesmith.objectives._contrast import Facts, Terms, cosent, infonce, triplet
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data

ALONE = Processes()


def objective(examples: list[TextPair], **settings: Any) -> Any:
    one = OBJECTIVES.make(OBJECTIVES.config({"name": "embed", **settings}))
    one.learn(examples)
    return one


def pairs(count: int = 8, negatives: int = 0, graded: bool = False) -> list[TextPair]:
    """Different texts of different lengths."""
    draw = np.random.default_rng(0)

    def text() -> str:
        return " ".join(draw.choice(WORDS, int(draw.integers(2, 9))))

    grades = [0.0, 3.0, 1.0, 5.0, 3.0, 2.0, 4.0, 0.0]
    return [
        TextPair(
            text(), text(), grades[n] if graded else None, tuple(text() for _ in range(negatives))
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def bert(folder: Path) -> Any:
    loaded = load_model(folder, dtype=torch.float32, device="cpu", head="embedding")
    loaded.model.requires_grad_(True)
    return loaded


def encoded(one: Any, loaded: Any, examples: list[TextPair]) -> list[list[Tokens]]:
    render = Render(loaded.tokenizer, Data(path="none"), head="embedding", chats=False)
    return [one.encode(example, render) for example in examples]


def stepped(
    one: Any, loaded: Any, rows: list[Any], cut: list[int], **lay: Any
) -> tuple[float, torch.Tensor, dict[str, float]]:
    """Loss per pair of a step, its gradient, and the metrics, as the loop forms them."""
    model = loaded.model
    model.zero_grad()
    parts = [
        rows[start:stop]
        for start, stop in zip([0, *np.cumsum(cut)[:-1]], np.cumsum(cut), strict=True)
    ]
    batches = [Batch.grow(part, unit="example") for part in parts]
    batches = [batch if lay.get("forest") else batch.padded() for batch in batches]
    one.prepare({"policy": model}, batches, ALONE)
    units, metrics = sum(batch.units for batch in batches), {}
    for batch in batches:
        loss = one.loss({"policy": model}, batch)
        (loss.total / units).backward()
        for name, ratio in loss.metrics.items():
            metrics[name] = metrics[name] + ratio if name in metrics else ratio
    gradient = torch.cat(
        [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    )
    values = {name: ratio.value for name, ratio in metrics.items()}
    return values["loss"], gradient, values


def facts(
    roles: list[int], grades: list[float] | None = None, keys: list[int] | None = None
) -> Facts:
    grades, keys = grades or [0.0] * len(roles), keys or list(range(len(roles)))
    return Facts(torch.tensor([roles, grades, keys], dtype=torch.float64).T)


def losses(terms: Terms) -> list[float]:
    return terms.losses_P.tolist()


def test_closed_forms() -> None:
    east, north = [1.0, 0.0], [0.0, 1.0]
    config = SimpleNamespace(
        temperature=1 / np.log(3), symmetric=False, margin=0.5, distance="euclidean"
    )
    # Cosines with partners and one negative: (1, 0, 0) and (0, 1, 1), times log 3.
    vectors_SD = torch.tensor([east, east, north, north, north])
    found = infonce(vectors_SD, facts([0, 1, 0, 1, 2]), config)
    assert losses(found) == pytest.approx([np.log(5 / 3), np.log(7 / 3)], rel=1e-5)
    assert found.watched["recall_at_1"].tolist() == [1, 0] and found.watched[
        "recall_at_10"
    ].tolist() == [1, 1]
    # The negative is the same text as the second partner: it is none to that pair.
    found = infonce(vectors_SD, facts([0, 1, 0, 1, 2], keys=[1, 2, 3, 4, 4]), config)
    assert losses(found) == pytest.approx([np.log(5 / 3), np.log(4 / 3)], rel=1e-5)
    both = infonce(
        vectors_SD, facts([0, 1, 0, 1, 2]), SimpleNamespace(**vars(config) | {"symmetric": True})
    )
    assert losses(both) == pytest.approx(
        [np.log(4 / 3) / 2 + np.log(5 / 3) / 2, np.log(4 / 3) / 2 + np.log(7 / 3) / 2], rel=1e-5
    )
    # Distances 0 and sqrt 2; then sqrt 2 and 0.
    found = triplet(
        torch.tensor([east, east, north, east, north, east]), facts([0, 1, 2, 0, 1, 2]), config
    )
    assert losses(found) == pytest.approx([0, np.sqrt(2) + 0.5], abs=1e-5)
    # Pair 0 has cosine 1 and the lower grade, pair 1 has cosine 0: log(1 + 3).
    found = cosent(
        torch.tensor([east, east, east, north]), facts([0, 1, 0, 1], [1, 1, 2, 2]), config
    )
    assert losses(found) == pytest.approx([np.log(4)] * 2, rel=1e-5) and found.watched[
        "spearman"
    ].tolist() == [-1, -1]
    equal = infonce(torch.ones(6, 2), facts([0, 1] * 3), config)
    assert equal.watched["recall_at_1"].tolist() == [0, 0, 0], "equal vectors find nothing"


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("MultipleNegativesRankingLoss", {}, {}),
    ("MultipleNegativesRankingLoss", {}, {"negatives": 2}),
    ("MultipleNegativesRankingLoss", {"symmetric": True, "pooling": "cls", "temperature": 0.1}, {}),
    ("CachedMultipleNegativesRankingLoss", {}, {"negatives": 1}),
    ("CoSENTLoss", {}, {"graded": True}),
    ("CoSENTLoss", {"pooling": "last", "temperature": 0.2}, {"graded": True}),
    ("TripletLoss", {"loss": "triplet", "normalize": False, "margin": 5.0}, {"negatives": 1}),
    ("TripletLoss", {"loss": "triplet", "distance": "cosine"}, {"negatives": 1}),
]


@pytest.mark.parametrize(("name", "settings", "rows"), CASES, ids=str)
def test_losses_and_gradients_are_sentence_transformers(
    name: str, settings: dict[str, Any], rows: dict[str, Any], bert: Any, folder: Path
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from sentence_transformers.sentence_transformer import losses as theirs

    examples = pairs(**rows)
    one = objective(examples, **settings)
    ours = stepped(one, bert, encoded(one, bert, examples), [8])
    pooling = {"mean": "mean", "cls": "cls", "last": "lasttoken"}[one.config.pooling]
    model = SentenceTransformer(
        modules=[Transformer(str(folder)), Pooling(32, pooling)], device="cpu"
    ).eval()
    how: dict[str, Any] = {"scale": 1 / one.config.temperature}
    if one.config.symmetric:
        how |= {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    if name == "TripletLoss":
        metric = theirs.TripletDistanceMetric
        distance = metric.EUCLIDEAN if one.config.distance == "euclidean" else metric.COSINE
        how = {"distance_metric": distance, "triplet_margin": one.config.margin}
    if name.startswith("Cached"):
        how["mini_batch_size"] = 3
    columns = [
        [e.text for e in examples],
        [e.second for e in examples],
        *zip(*(e.negatives for e in examples), strict=True),
    ]
    features = [model.preprocess(list(column)) for column in columns]
    loss = getattr(theirs, name)(model, **how)(
        features, torch.tensor([e.similarity or 0.0 for e in examples])
    )
    loss.backward()
    named = dict(model[0].auto_model.named_parameters())
    gradient = torch.cat(
        [named[n].grad.flatten() for n, w in bert.model.named_parameters() if w.grad is not None]
    )
    assert ours[0] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert (
        float((ours[1] - gradient).norm() / gradient.norm()) < 1e-4 and float(gradient.norm()) > 0
    )


@pytest.mark.parametrize(
    ("settings", "rows"), [case[1:] for case in CASES[1:6:2]] + [CASES[6][1:]], ids=str
)
def test_one_gradient_however_a_step_is_cut(
    settings: dict[str, Any], rows: dict[str, Any], bert: Any
) -> None:
    examples = pairs(**rows)
    one = objective(examples, **settings)
    encodings = encoded(one, bert, examples)
    whole = stepped(one, bert, encodings, [8])
    for cut in ([1] * 8, [4, 4], [3, 5]):
        found = stepped(one, bert, encodings, cut)
        assert found[0] == pytest.approx(whole[0], rel=1e-5) and found[2] == pytest.approx(
            whole[2], rel=1e-5
        )
        assert float((found[1] - whole[1]).norm() / whole[1].norm()) < 1e-5


def test_with_dropout_the_gradient_goes_through_the_vectors_that_it_was_cached_for(
    bert: Any,
) -> None:
    one = objective(pairs())
    rows = encoded(one, bert, pairs())
    batches = [Batch.grow(part, unit="example").padded() for part in (rows[:3], rows[3:])]
    model = bert.model.train()
    state = torch.get_rng_state()
    _, found, _ = stepped(one, bert, rows, [3, 5])
    torch.set_rng_state(state)
    model.zero_grad()
    vectors_SD = torch.cat([one._vectors(model, batch) for batch in batches])
    known = Facts(torch.cat([Facts.of(batch).values_SF for batch in batches]))
    (infonce(vectors_SD, known, one.config).losses_P.sum() / 8).backward()
    direct = torch.cat(
        [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    )
    other = one._vectors(model, batches[0])
    model.eval()
    assert float((found - direct).norm() / direct.norm()) < 1e-5
    assert float((other - vectors_SD[: len(other)]).detach().norm()) > 0.1, "dropout was on"


def test_a_decoder_gives_the_same_as_a_forest(tmp_path: Path) -> None:
    loaded = load_model(
        tiny_model(tmp_path / "llama"), dtype=torch.float32, device="cpu", head="embedding"
    )
    loaded.model.requires_grad_(True)
    assert loaded.layout == "forest"
    examples = [TextPair(f"the question of a person: {one.text}", one.second) for one in pairs()]
    for pooling in ("last", "mean"):
        one = objective(examples, pooling=pooling)
        rows = encoded(one, loaded, examples)
        padded = stepped(one, loaded, rows, [8])
        for cut in ([8], [2] * 4):
            found = stepped(one, loaded, rows, cut, forest=True)
            assert found[0] == pytest.approx(padded[0], rel=1e-5)
            assert float((found[1] - padded[1]).norm() / padded[1].norm()) < 2e-5


@pytest.mark.parametrize(
    ("settings", "rows", "told"),
    [
        ({"loss": "cosent"}, {}, "8 of 8 rows have none"),
        ({"loss": "infonce"}, {"graded": True}, "8 of 8 rows have a similarity"),
        ({"loss": "triplet"}, {}, "8 of 8 rows have none"),
        ({"margin": 1.0}, {}, "has no effect with objective.loss=infonce; it is used by triplet"),
        (
            {"loss": "triplet", "temperature": 0.1},
            {"negatives": 1},
            "it is used by infonce, cosent",
        ),
        ({}, {"graded": True, "negatives": 1}, "the rows have negatives"),
    ],
)
def test_rows_that_do_not_fit_the_loss_are_told(
    settings: dict[str, Any], rows: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError, match=told):
        objective(pairs(**rows), **settings)
