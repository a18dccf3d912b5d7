"""classify: closed forms, transformers' own loss, one gradient however a step is cut and laid
out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import tiny_model
from material.headed import THREE, encoder
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.micro_batches import cut
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Labelled, Outputs
from tunesmith.models.loading.load import load_model
from tunesmith.settings.family import OBJECTIVES

MULTI = Outputs(THREE.names, "multi_label_classification")
NUMBER = Outputs(("value",), "regression")
LABELS = {
    "single_label_classification": [0, 2, 1, 1, 0, 1, 1, 2],
    "multi_label_classification": [
        np.array([n % 2, n % 3 == 0, n > 4], np.float32) for n in range(8)
    ],
    "regression": [0.5, -1.0, 2.0, 0.25, 3.0, 1.5, -0.5, 0.0],
}


def objective(examples: list[Labelled] | None = None, **settings: Any) -> Any:
    one = OBJECTIVES.make(OBJECTIVES.config({"name": "classify", **settings}))
    one.learn(
        examples
        or [
            Labelled("a", None, (name,))
            for name in ("animal", "color", "color", "color", "color", "number")
        ]
    )
    return one


def of_kind(outputs: Outputs, **settings: Any) -> Any:
    rows = {
        "single_label_classification": [Labelled("a", None, (name,)) for name in THREE.names],
        "multi_label_classification": [
            Labelled("a", None, THREE.names),
            Labelled("b", None, THREE.names[:1]),
        ],
        "regression": [Labelled("a", None, 0.5), Labelled("b", None, 3.25)],
    }
    return objective(rows[outputs.problem], **settings)


def loss_of(one: Any, outputs_BC: torch.Tensor, labels: Any) -> float:
    return float(one._terms(outputs_BC, torch.as_tensor(labels)).sum())


def test_closed_forms() -> None:
    outputs_BC = torch.tensor([[0.0, np.log(2.0), 0.0], [0.0, 0.0, 0.0]], dtype=torch.float32)
    # p = (1, 2, 1) / 4 and (1, 1, 1) / 3
    assert loss_of(objective(), outputs_BC, [1, 0]) == pytest.approx(np.log(2) + np.log(3))
    # 6 rows in 3 classes of 1, 4, 1: weights 2, 1/2, 2, whose mean over rows is 1
    assert loss_of(objective(class_weights="balanced"), outputs_BC, [1, 0]) == pytest.approx(
        np.log(2) / 2 + 2 * np.log(3)
    )
    given = objective(class_weights={"animal": 3.0})
    assert loss_of(given, outputs_BC, [1, 0]) == pytest.approx(np.log(2) + 3 * np.log(3))
    smooth = objective(
        label_smoothing=0.3
    )  # 0.8 of the target, 0.1 for each other: eq. of Szegedy et al. with u = 1/3
    assert loss_of(smooth, outputs_BC, [1, 0]) == pytest.approx(
        0.8 * np.log(2) + 0.2 * np.log(4) + np.log(3), rel=1e-5
    )
    several = of_kind(MULTI)
    assert loss_of(
        several, torch.tensor([[0.0, np.log(3.0), 0.0]]), [[1.0, 1.0, 0.0]]
    ) == pytest.approx((np.log(2) + np.log(4 / 3) + np.log(2)) / 3, rel=1e-5)
    assert loss_of(of_kind(NUMBER), torch.tensor([[1.5], [2.0]]), [1.0, 4.0]) == pytest.approx(
        0.25 + 4
    )


def rows_of(outputs: Outputs, shared: int = 0) -> list[tuple[Tokens]]:
    draw = np.random.default_rng(0)
    start = draw.integers(5, 150, shared)
    found = []
    for label in LABELS[outputs.problem]:
        ids = np.concatenate([start, draw.integers(5, 150, int(draw.integers(3, 12)))]).astype(
            np.int32
        )
        found.append((Tokens(ids, np.zeros(len(ids), np.float32), {"label": label}),))
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {"bert": encoder(place / "bert"), "llama": tiny_model(place / "llama")}


def model_of(folder: Path, outputs: Outputs) -> Any:
    torch.manual_seed(0)
    loaded = load_model(folder, dtype=torch.float32, device="cpu", head="classes", outputs=outputs)
    loaded.model.requires_grad_(True)
    return loaded


def step(
    one: Any, loaded: Any, cuts: list[list[int]], rows: list[tuple[Tokens]], layout: str
) -> tuple[float, torch.Tensor]:
    """Loss and gradient of a step as the loop makes them, dropout off."""
    loaded.model.zero_grad()
    loaded.model.eval()
    batches = [Batch.grow([rows[index] for index in chosen], unit=one.unit) for chosen in cuts]
    units, total = sum(batch.units for batch in batches), 0.0
    for batch in batches:
        loss = one.loss({"policy": loaded.model}, batch.padded() if layout == "padded" else batch)
        (loss.total / units).backward()
        total += float(loss.metrics["loss"].sum)
    grads = [
        weight.grad.flatten() for weight in loaded.model.parameters() if weight.grad is not None
    ]
    return total / units, torch.cat(grads)


@pytest.mark.parametrize("outputs", [THREE, MULTI, NUMBER], ids=lambda one: one.problem)
@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_loss_and_gradient_are_transformers_own_and_do_not_depend_on_the_cut(
    outputs: Outputs, kind: str, folders: dict[str, Path]
) -> None:
    loaded, one, rows = (
        model_of(folders[kind], outputs),
        of_kind(outputs),
        rows_of(outputs, shared=9),
    )
    layouts = ["padded"] if kind == "bert" else ["padded", "forest"]
    assert loaded.layout == layouts[-1]
    whole = step(one, loaded, [list(range(8))], rows, "padded")
    ways = [[[n] for n in range(8)], [[0, 1, 2, 3], [4, 5, 6, 7]], cut(rows, 40)]
    for layout in layouts:
        for cuts in [[list(range(8))], *ways]:
            loss, gradient = step(one, loaded, cuts, rows, layout)
            assert loss == pytest.approx(whole[0], rel=1e-5)
            assert float((gradient - whole[1]).norm() / whole[1].norm()) < 1e-4, (layout, cuts)
    batch = Batch.grow(rows, unit="sequence").padded(loaded.model.config.pad_token_id)
    labels = batch.columns["label_B"]
    labels = labels if isinstance(labels, torch.Tensor) else torch.from_numpy(np.stack(labels))
    mask = batch.mask_T.view(8, -1)
    theirs = loaded.model(input_ids=batch.input_ids, attention_mask=mask, labels=labels).loss
    assert float(theirs) == pytest.approx(whole[0], rel=1e-5)


def found(given: list[Any], **settings: Any) -> Any:
    return objective(
        [Labelled(f"text {n}", None, label) for n, label in enumerate(given)], **settings
    )


def test_labels_are_found_in_an_order_that_no_file_decides() -> None:
    assert found([("b",), ("a",), ("b",)]).outputs == Outputs(
        ("a", "b"), "single_label_classification"
    )
    assert found([("10",), ("9",), ("9",)]).outputs.names == ("9", "10")
    assert found([("b",), ("a",)], labels=("b", "a")).outputs.names == ("b", "a")
    assert found([("a", "b"), (), ("c",)]).outputs == Outputs(
        ("a", "b", "c"), "multi_label_classification"
    )
    assert found([0.5, ("3",), 1.0]).outputs == Outputs(("value",), "regression")
    assert found([1.0, 0.0, 1.0]).outputs == Outputs(
        ("0", "1"), "single_label_classification"
    )  # 0/1 as pandas writes them
    assert (
        found([("1",), ("5",)], problem="regression").classes.target(Labelled("a", None, ("5",)))
        == 5.0
    )
    assert found([("a",), ("b",)], problem="multi").outputs.problem == "multi_label_classification"


REFUSED = [
    ([("a",)] * 3, {}, DataError, "all 3 rows have the label 'a'"),
    (
        [("a",), ("b",)],
        {"problem": "regression"},
        DataError,
        "needs numbers, and these labels are not: a, b",
    ),
    ([("a", "b"), ("b",)], {"problem": "single"}, DataError, "1 row has several labels or none"),
    (
        [("a",), 0.5],
        {},
        SpecError,
        "some labels are numbers with a decimal point and others are names",
    ),
    # A model that learns from a number that is none gives none.
    ([("nan",), 0.5, 1.5, ("NULL",)], {}, DataError, "of 2 rows the label is nan, NULL, a missing"),
    ([("nan",), ("1",)], {"problem": "regression"}, DataError, "of 1 row the label is nan"),
    ([("inf",), 0.5], {"problem": "regression"}, DataError, "these labels are not: inf"),
    (
        [(str(n),) for n in range(30)] * 2,
        {},
        SpecError,
        "the labels are 30 different whole numbers",
    ),
    ([(f"text {n}",) for n in range(30)], {}, DataError, "30 rows have 30 different labels"),
    (
        [("a",), ("b",)],
        {"labels": ("a", "c")},
        SpecError,
        "the rows have the label 'b', which is not in objective.labels",
    ),
    (
        [("a",), ("b",)],
        {"class_weights": {"x": 2.0}},
        SpecError,
        "there is no class 'x'; the classes are a, b",
    ),
    (
        [0.5, 1.5],
        {"class_weights": "balanced"},
        SpecError,
        "has no effect where a number is learned",
    ),
    ([("a", "b"), ()], {"balanced_sampling": True}, SpecError, "repeats rows of rare classes"),
    (
        [("a",), ("b",), ("c",)],
        {"threshold": "fitted"},
        SpecError,
        "is only for two classes, or for several labels",
    ),
    (
        [0.5, 1.5],
        {"threshold": "half"},
        SpecError,
        "is only for two classes, or for several labels",
    ),
]


@pytest.mark.parametrize(
    ("labels", "settings", "error", "text"), REFUSED, ids=lambda value: str(value)[:30]
)
def test_labels_that_leave_it_open_are_asked_about(
    labels: Any, settings: Any, error: Any, text: str
) -> None:
    with pytest.raises(error, match=text):
        found(labels, **settings)


def test_rare_classes_are_repeated_until_all_are_seen_as_often() -> None:
    one = objective(balanced_sampling=True)
    tokens = [
        (Tokens(np.zeros(1, np.int32), np.zeros(1, np.float32), {"label": label}),)
        for label in (0, 1, 2)
    ]
    assert [one.repeats(row) for row in tokens] == [4.0, 1.0, 4.0]
    assert [objective().repeats(row) for row in tokens] == [1.0, 1.0, 1.0]
