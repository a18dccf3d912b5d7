"""How many faults that were put into real rows are found, and what is named that was not put there:
copies, rows of a benchmark, answers of a word, wrong labels, personal data.

    python benchmarks/faults.py DIR

DIR holds the sets that the tables name, a folder each. Draws are of seed 0, so that the same tables
come out; they are the ones in docs/en/data.md and docs/zh/data.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tunesmith.api import change_rows, measure_anonymising, overlap
from tunesmith.data.doubted_labels import doubted

Row = dict[str, Any]
COPIES = 60
BENCHMARK = 300
SHARES = (0.01, 0.1)
WRONG = 0.05
CUT_TO_A_WORD, LONG = 0.01, 60
WORDS = {"en": ("Sure.", "Sleep", "Nothing much"), "zh": ("可以。", "休息", "不太清楚")}


def of_json(file: Path, count: int) -> list[Row]:
    """The first rows of a file that is a JSON array, or has an object a line."""
    text = file.read_text(encoding="utf-8")
    rows = json.loads(text) if text.lstrip().startswith("[") else map(json.loads, text.splitlines())
    return list(rows)[:count]


def written(file: Path, rows: Iterable[Row]) -> str:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    file.write_text("".join(lines), encoding="utf-8")
    return str(file)


def left_out(file: str, work: Path) -> dict[int, str]:
    """The rows that ``tunesmith data dedup`` leaves out, with the reason, by their numbers."""
    out = work / "distinct.jsonl"
    account = work / "distinct.jsonl.account.jsonl"
    for place in (out, account):
        place.unlink(missing_ok=True)
    change_rows("dedup", file, out)
    rows = map(json.loads, account.read_text(encoding="utf-8").splitlines())
    return {row["row"]: row["why"][0] for row in rows if row["did"] == "dropped"}


def middle(text: str) -> int:
    """Where the word in the middle of a text begins; in Chinese its middle character."""
    place = text.find(" ", len(text) // 2)
    return len(text) // 2 if place < 0 else place + 1


def one_word_other(text: str) -> str:
    place = middle(text)
    end = text.find(" ", place)
    rest = text[place + 1 :] if end < 0 else text[end:]
    return f"{text[:place]}{'某' if end < 0 else 'something'}{rest}"


COPIED: dict[str, Callable[[str], str]] = {
    "word for word": lambda text: text,
    "with other spaces and line breaks": lambda text: f" {text.replace(' ', '  ')}\n\n",
    "in capitals, in full width": lambda text: text.upper().translate(
        {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
    ),
    "with one word of the answer another": one_word_other,
    "with a sentence behind the answer": lambda text: (
        text + (" I hope this helps!" if text.isascii() else "希望对您有所帮助！")
    ),
    "with the second half of the answer missing": lambda text: text[: middle(text)],
}


def copies(file: Path, work: Path) -> list[tuple[str, int, int]]:
    """For each way of copying: how many of the copies are left out, and of how many."""
    rows = [row for row in of_json(file, 600) if len(row["output"]) >= 40]
    first = left_out(written(work / "rows.jsonl", rows), work)
    drawn = random.Random(0).sample([n for n in range(len(rows)) if n + 1 not in first], COPIES)
    table = list[tuple[str, int, int]]()
    for name, change in COPIED.items():
        again = [rows[n] | {"output": change(rows[n]["output"])} for n in drawn]
        seen = left_out(written(work / "rows.jsonl", [*rows, *again]), work)
        assert {n: why for n, why in seen.items() if n <= len(rows)} == first
        table.append((name, len(seen) - len(first), len(again)))
    return table


LEAKED: dict[str, Callable[[str, str], str]] = {
    "word for word": lambda text, other: text,
    "with a mark behind": lambda text, other: f"{text}!",
    "with one word another": lambda text, other: one_word_other(text),
    "quoted between two sentences": lambda text, other: (
        f"{other[: middle(other)]}\n{text}\n{other[middle(other) :]}"
    ),
}


def leaks(file: Path, asked: list[str], share: float, work: Path) -> tuple[dict[str, int], int]:
    """Questions of a benchmark put into rows: how many are named, by how they were put there, and
    how many are named that were not.
    """
    rows = of_json(file, 500)
    each = round(share * len(asked))
    leaked = iter(random.Random(0).sample(range(len(asked)), each * len(LEAKED)))
    put: dict[int, str] = {}
    for _ in range(each):
        for name, change in LEAKED.items():
            question = next(leaked)
            other = rows[(len(put) + 1) % len(rows)]["output"]
            rows[len(put)]["instruction"] = change(asked[question], other)
            put[question] = name
    bench = [{"question": text, "answer": "A"} for text in asked]
    data = written(work / "rows.jsonl", rows)
    (result,) = overlap({"data": data}, against=[written(work / "bench.jsonl", bench)])
    pairs = (*result.exact, *result.near, *result.quoted)
    named = {int(place.rpartition(":")[2]) - 1 for place, _ in pairs}
    counts = {name: sum(put[n] == name for n in named if n in put) for name in LEAKED}
    return counts, len(named - {*put})


ANSWERED = (
    ("alpaca_en/alpaca_en_demo.json", "en"),
    ("gsm8k_en/train.jsonl", "en"),
    ("alpaca_zh/alpaca_zh_demo.json", "zh"),
    ("law_consult_zh/zixun_gpt4.json", "zh"),
    ("medical_llama_zh/llama_data.json", "zh"),
)


def words(file: Path, language: str, work: Path) -> tuple[int, int, int]:
    """Long answers made a word, in five draws: how many, how many of them are named, and how many
    others.
    """
    rows = of_json(file, 2000)
    name = next(name for name in ("output", "answer", "response") if name in rows[0])
    long = [n for n, row in enumerate(rows) if len(row[name]) >= LONG]
    counts = [0, 0, 0]
    for seed in range(5):
        cut = random.Random(seed).sample(long, round(CUT_TO_A_WORD * len(long)))
        put = dict(zip(cut, WORDS[language] * len(cut), strict=False))
        changed = [row | ({name: put[n]} if n in put else {}) for n, row in enumerate(rows)]
        out = work / "told.jsonl"
        file_of_draw = written(work / "rows.jsonl", changed)
        account = change_rows("leave_out", file_of_draw, out, ["found=[terse]"])
        out.unlink()
        named = {change.row - 1 for change in account.left_out()}
        for place, number in enumerate((len(cut), len(named & {*cut}), len(named - {*cut}))):
            counts[place] += number
    return counts[0], counts[1], counts[2]


def with_labels(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Real rows with a label each."""
    with (folder / "customer_service_en/bitext_customer_support.csv").open(encoding="utf-8") as io:
        intents = [(row["instruction"], row["intent"]) for row in csv.DictReader(io)]
    lines = (folder / "sst2_en/train.tsv").read_text(encoding="utf-8").splitlines()
    films: list[tuple[str, str]] = []
    for line in lines:
        text, _, label = line.rpartition("\t")
        films.append((text, label))
    reviews: list[tuple[str, str]] = []
    for label in ("pos", "neg"):
        text = (folder / f"chinese_reviews/{label}.txt").read_text(encoding="utf-8")
        reviews += [(line, label) for line in dict.fromkeys(text.splitlines()) if line.strip()]
    draw = random.Random(0)
    return {
        "customer questions": intents,
        "Chinese reviews": draw.sample(reviews, 2000),
        "film reviews (SST-2)": draw.sample(films, 2000),
    }


def wrong_labels(rows: list[tuple[str, str]]) -> tuple[int, int, int, int, int]:
    """Labels made wrong by chance: classes, wrong ones, doubted ones, and of the first as many as
    are wrong, how many are looked at and truly wrong.
    """
    draw = random.Random(0)
    labels = [label for _, label in rows]
    names = sorted({*labels})
    wrong = {*draw.sample(range(len(rows)), round(WRONG * len(rows)))}
    for n in sorted(wrong):
        labels[n] = draw.choice([name for name in names if name != labels[n]])
    doubts = [doubt.place for doubt in doubted([text for text, _ in rows], labels)]
    first = doubts[: len(wrong)]
    return len(names), len(wrong), len(doubts), len(first), len({*first} & wrong)


def tables(folder: Path, work: Path) -> list[str]:
    """All tables, as lines of Markdown."""
    sets = {name: folder / f"alpaca_{name}/alpaca_{name}_demo.json" for name in ("en", "zh")}
    both = zip(*(copies(file, work) for file in sets.values()), strict=True)
    lines = ["", "| copied | English | Chinese |", "|---|---|---|"]
    for (name, *english), (_, *chinese) in both:
        lines.append(f"| {name} | {english[0]} of {english[1]} | {chinese[0]} of {chinese[1]} |")
    lines += ["", "| benchmark | rows | " + " | ".join(LEAKED) + " | not put there |"]
    lines.append("|" + "---|" * (len(LEAKED) + 3))
    for name, path, column in (
        ("en", "gsm8k_en/train.jsonl", "question"),
        ("zh", "cmath_zh/cmath_dev.jsonl", "input"),
    ):
        asked = [row[column] for row in of_json(folder / path, BENCHMARK)]
        for share in SHARES:
            counts, beside = leaks(sets[name], asked, share, work)
            of = [f"{count} of {round(share * BENCHMARK)}" for count in counts.values()]
            start = f"| {path.partition('/')[0]} | {share:.0%} each way | "
            lines.append(f"{start}{' | '.join(of)} | {beside} |")
    lines += ["", "| set | answers made a word, named | others named |", "|---|---|---|"]
    for path, language in ANSWERED:
        cut, named, others = words(folder / path, language, work)
        lines.append(f"| {path.partition('/')[0]} | {named} of {cut} | {others} |")
    lines += [
        "",
        "| rows | classes | wrong | named | of the first, truly wrong |",
        "|" + "---|" * 5,
    ]
    for name, rows in with_labels(folder).items():
        classes, wrong, named, first, truly = wrong_labels(rows)
        lines.append(f"| {len(rows)} {name} | {classes} | {wrong} | {named} | {truly} of {first} |")
    for path in ("medical_llama_zh/llama_data.json", "alpaca_en/alpaca_en_demo.json"):
        lines += ["", path, "", *measure_anonymising("anonymise", str(folder / path)).lines()]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    with tempfile.TemporaryDirectory() as work:
        print("\n".join(tables(parser.parse_args().folder, Path(work))))


if __name__ == "__main__":
    main()
