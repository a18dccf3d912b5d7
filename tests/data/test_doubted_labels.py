"""Wrong labels are found, and right ones mostly left alone."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tunesmith import api
from tunesmith.data.doubted_labels import doubted

WORDS = {
    "refund": ["money", "back", "refund", "return", "charge", "paid", "twice"],
    "delivery": ["parcel", "late", "courier", "address", "tracking", "arrived"],
    "account": ["password", "login", "email", "username", "locked", "profile"],
}


def rows(number: int = 300) -> tuple[list[str], list[str]]:
    draw = random.Random(0)
    labels = [list(WORDS)[n % 3] for n in range(number)]
    texts = [
        " ".join(["please", *draw.sample(WORDS[label], 3), str(n)])
        for n, label in enumerate(labels)
    ]
    return texts, labels


def test_right_labels_are_not_doubted() -> None:
    assert doubted(*rows()) == []


def test_wrong_labels_come_first() -> None:
    texts, labels = rows()
    wrong = {10: "account", 55: "refund", 200: "refund"}
    truth = {place: labels[place] for place in wrong}
    for place, label in wrong.items():
        labels[place] = label
    found = doubted(texts, labels)
    assert {one.place: one.better for one in found[:3]} == truth
    assert [one.sure for one in found] == sorted((one.sure for one in found), reverse=True)


def test_few_rows_say_nothing() -> None:
    texts, labels = rows(60)
    labels[3] = "account"
    assert doubted(texts, labels) == []


def test_check_names_them(tmp_path: Path) -> None:
    texts, labels = rows()
    labels[10] = "account" if labels[10] != "account" else "refund"
    path = tmp_path / "rows.jsonl"
    lines = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), "utf-8")
    found = api.check({"data": str(path), "objective": "classify"}).ledger.notes
    (note,) = [one for one in found if "doubts the labels" in one]
    assert f"rows.jsonl:11 ({labels[10]}, or " in note
