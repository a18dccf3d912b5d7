"""Texts with entities, English as columns and Chinese as places, in words that tiny encoders know."""

from __future__ import annotations

import json
import random
from pathlib import Path

ANIMALS, COLORS, OTHERS = (
    ("cat", "dog", "cow"),
    ("red", "blue", "green"),
    ("the", "of", "is", "xyz"),
)
Row = tuple[str, list[tuple[int, int, str]]]


def english(draw: random.Random) -> list[tuple[str, str]]:
    """Words with tags: an animal with the color before it, and numbers."""
    found: list[tuple[str, str]] = []
    for kind in draw.choices(("animal", "colored", "number", "other"), k=5):
        if kind == "number":
            found.append((draw.choice(("one", "two", "six")), "B-NUMBER"))
        elif kind == "other":
            found.append((draw.choice(OTHERS), "O"))
        else:
            color = [(draw.choice(COLORS), "B-ANIMAL")] if kind == "colored" else []
            mark = "I" if color else "B"
            found += [*color, (draw.choice(ANIMALS), f"{mark}-ANIMAL")]
    return found


def chinese(draw: random.Random) -> Row:
    """A text without spaces, and where its hotels and books are."""
    text, places = "", []
    for part in draw.choices(("酒店", "书", "的", "是", "不", "很好"), k=6):
        if part in ("酒店", "书"):
            places.append(
                (len(text), len(text) + len(part), "PLACE" if part == "酒店" else "THING")
            )
        text += part
    return text, places


def written(place: Path) -> list[dict[str, str]]:
    """The files of both languages, as sources."""
    draw = random.Random(3)
    sentences = ["\n".join(f"{w} X {tag}" for w, tag in english(draw)) for _ in range(220)]
    (place / "en.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    rows = [chinese(draw) for _ in range(220)]
    lines = [
        json.dumps(
            {"text": text, "entities": [{"start": s, "end": e, "label": kind} for s, e, kind in at]}
        )
        for text, at in rows
    ]
    (place / "zh.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return [{"path": str(place / "en.conll")}, {"path": str(place / "zh.jsonl")}]
