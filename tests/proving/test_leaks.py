"""Held-out text that a longer training row quotes is found; what rows have in common is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.items import Item
from tunesmith.proving import leaks as module
from tunesmith.proving.leaks import LEAST, RUN, Leak

DRAW = np.random.default_rng(0)
TEMPLATE = DRAW.integers(0, 5000, 40)


def leaks(held: Sequence[Item], train: Sequence[Item]) -> list[Leak]:
    return module.leaks(held, train, told)


def told(item: Item) -> list[str]:
    """Each token a word."""
    sides = [side for tokens in item.tokens for side in (tokens.ids_T, tokens.source_ids_T)]
    return [" ".join(f"w{token}" for token in side) for side in sides if side is not None]


def item(name: str, ids: Sequence[int] | np.ndarray) -> Item:
    ids_T = np.asarray(ids, np.int32)
    return Item(name, (Tokens(ids_T, np.ones(len(ids_T), np.float32)),))


def fresh(count: int) -> np.ndarray:
    return DRAW.integers(0, 5000, count)


def rows(count: int, length: int = 60) -> list[Item]:
    return [item(f"t:{n}", [*TEMPLATE, *fresh(length)]) for n in range(count)]


def test_an_item_that_a_longer_row_quotes_is_found_with_that_row():
    quoted = fresh(60)
    train = [*rows(40), item("t:long", [*fresh(500), *quoted, *fresh(500)])]
    held = [item("h:0", [*TEMPLATE, *fresh(60)]), item("h:1", [*TEMPLATE, *quoted])]
    held += [item(f"h:{n}", [*TEMPLATE, *fresh(60)]) for n in range(2, 9)]
    (found,) = leaks(held, train)
    assert (found.id, found.beside) == ("h:1", "t:long")
    # Runs that reach from the template into the quotation are its own, and stand nowhere else.
    inside, across = len(quoted) - RUN + 1, RUN - 1
    assert found.share == round(inside / (inside + across), 3)


def test_half_of_the_runs_is_the_border():
    for quoted, leaked in ((30, False), (90, True)):
        part = fresh(quoted)
        held = [item("h:0", [*part, *fresh(120 - quoted)]), item("h:1", fresh(120))]
        found = leaks(held, [item("t:long", [*fresh(50), *part, *fresh(50)]), *rows(20)])
        assert [one.id for one in found] == (["h:0"] if leaked else [])


def test_what_many_rows_say_is_form():
    common = fresh(80)
    train = [item(f"t:{n}", [*fresh(20), *common]) for n in range(11)]
    held = [item("h:0", [*common, *fresh(20)]), item("h:1", fresh(90))]
    assert leaks(held, train) == []
    assert [one.id for one in leaks(held, train[:10])] == ["h:0"], "ten rows are not many"
    weighted = [Item(f"t:0#{n}", train[0].tokens) for n in range(2, 40)]
    assert [one.id for one in leaks(held, [train[0], *weighted])] == ["h:0"]


def test_rows_that_each_hold_a_part_are_no_leak():
    """Rows made from one template by filling it in share parts with many others."""
    parts = [fresh(20) for _ in range(5)]
    held = [item("h:0", np.concatenate(parts)), item("h:1", fresh(100))]
    train = [item(f"t:{n}", [*fresh(30), *part, *fresh(30)]) for n, part in enumerate(parts)]
    assert leaks(held, train) == []


def test_chinese_runs_are_of_characters():
    quoted = "患者连续三天高烧不退伴有咳嗽痰多胸闷气短请问应当如何用药和护理"
    held, train = item("h:0", [0]), item("t:0", [0])
    texts = {"h:0": [quoted], "t:0": ["病历摘要：" + quoted + "。以上。"]}
    (found,) = module.leaks([held], [train], lambda one: texts[one.id])
    assert found.share == 1


def test_short_items_are_not_judged():
    text = fresh(RUN + LEAST - 2)
    assert leaks([item("h:0", text)], [item("t:0", [*fresh(9), *text])]) == []
    text = fresh(RUN + LEAST - 1)
    assert leaks([item("h:0", text)], [item("t:0", [*fresh(9), *text])]) == [
        Leak("h:0", "t:0", 1.0)
    ]
    assert leaks([], rows(3)) == [] and leaks([item("h:0", text)], []) == []


def test_both_sides_of_an_encoder_and_decoder_count():
    source, target = fresh(50), fresh(10)
    held = Item(
        "h:0",
        (
            Tokens(
                target.astype(np.int32),
                np.ones(10, np.float32),
                source_ids_T=source.astype(np.int32),
            ),
        ),
    )
    assert [one.id for one in leaks([held], [item("t:0", [*source, *fresh(30)])])] == ["h:0"]
