"""What a line of ``check`` says to do takes that line away: each fault put among real rows is found
in its rows and no others, and its command mends it; without it nothing is said.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from material.fast import slow_but
from tunesmith import api
from tunesmith.data.detectors import Detectors
from tunesmith.data.doubted_labels import DOUBTED
from tunesmith.data.odd_rows import EMPTY
from tunesmith.data.texts.repair import evenly_spaced
from tunesmith.data.transforms.leave_out import Oddity
from tunesmith.diagnosis.under_base import UnderBase
from tunesmith.words import texts

Row = dict[str, Any]
COMMAND = re.compile(
    r"tunesmith data (\w+) FILE OUT((?: (?:'\w+=[^'\n]*'|\w+=(?:\[[^\]\n]*\]|[\w.\-]+)))*)"
)
PLACES = range(7, 10)
"""The rows that become faulty, counted from 0."""


@dataclass(frozen=True)
class Fault:
    """A fault, the rows in which it is put, and the line that must tell it."""

    key: str
    """The line's key among the words."""
    break_row: Callable[[Row, int], Row]
    file: str = "alpaca_en/alpaca_en_demo.json"
    objective: str = "sft"
    keeps_rows: bool = False
    """Whether the mend changes rows and leaves none out."""
    stays: bool = False
    """Whether the first of the faulty rows is right to stay: the others contradict it."""


def answer(text: str) -> Callable[[Row, int], Row]:
    return lambda row, n: {**row, "output": text.replace("#", str(n))}


def longer(row: Row, end: str) -> Row:
    return {**row, "output": f"{row['output'].rstrip()}{end}"}


LONG = "This is an answer that is long enough to be looked at, and it goes on until the point where it sudd"
CHINESE = "这一行是用中文回答的，其他的都是英文回答，所以它的长度也要足够，编号是#。"
ASKED = "What is the capital of the country that lies between Spain and the North Sea?"
FAULTS = {
    "lost": Fault("detect.lost", lambda row, n: longer(row, f" caf\ufffd {n}")),
    "encoding": Fault(
        "detect.encoding",
        lambda row, n: longer(row, " naïve café à la carte".encode().decode("latin-1")),
        keeps_rows=True,
    ),
    "marks": Fault("detect.marks", lambda row, n: longer(row, "<|im_end|>"), keeps_rows=True),
    "turns": Fault("detect.turns", lambda row, n: longer(row, f"\nHuman: and {n}?\nAssistant: no")),
    "cut": Fault("detect.cut", answer(f"{LONG} # times over and ov")),
    "hollow": Fault("detect.hollow", answer("N/A")),
    "terse": Fault(
        "detect.terse",
        lambda row, n: {
            **row,
            "instruction": f"Explain why day {n} was long.",
            "input": "",
            "output": "Maybe later.",
        },
    ),
    "empty": Fault("ledger.empty_rows", answer("")),
    "answers": Fault(
        "detect.answers",
        lambda row, n: {**row, "instruction": ASKED, "input": "", "output": f"It is number {n}."},
        stays=True,
    ),
    "script": Fault(
        "detect.script",
        lambda row, n: {
            **row,
            "instruction": f"Go {n}",
            "input": "",
            "output": CHINESE.replace("#", str(n)),
        },
    ),
    "crossed": Fault(
        "detect.crossed",
        lambda row, n: {
            **row,
            "instruction": f"{ASKED} ({n})",
            "input": "",
            "output": CHINESE.replace("#", str(n)),
        },
    ),
    "private": Fault(
        "private.note",
        lambda row, n: longer(
            row,
            f" Write to ada{n}@mail.com, call 1380013800{n}, pay with 4539 1488 0343 6467 or call (212) 555-2368; "
            "her card is 11010519491231002X.",
        ),
        keeps_rows=True,
    ),
    "near": Fault(
        "ledger.near",
        lambda row, n: {
            **row,
            "instruction": f"{ASKED} Say it in {'a' * (n + 1)} way.",
            "input": "",
            "output": LONG + "en.",
        },
        stays=True,
    ),
}


def messages(*turns: Row) -> Callable[[Row, int], Row]:
    def changed(row: Row, n: int) -> Row:
        first = {"role": "user", "content": f"Is {n} a number?"}
        return {"messages": [first, *turns]}

    return changed


def said(role: str, content: str, **more: Any) -> Row:
    return {"role": role, "content": content, **more}


CALL = said(
    "assistant",
    "",
    tool_calls=[{"type": "function", "function": {"name": "look", "arguments": {}}}],
)
YES = said("assistant", "Yes.")
FAULTS |= {
    kind: Fault(f"detect.{kind}", change, file="messages")
    for kind, change in {
        "order_system": messages(said("system", "Be kind."), YES),
        "order_result": messages(said("tool", "7"), YES),
        "order_call": messages(CALL, said("user", "And now?"), YES),
        "order_twice": messages(said("assistant", "Hm.", train=False), said("assistant", "Yes.")),
    }.items()
}


PAIR = {"prompt": "Which is larger, one or two?", "chosen": "Two is larger.", "rejected": "One is."}
TURNED = {**PAIR, "chosen": PAIR["rejected"], "rejected": PAIR["chosen"]}
FAULTS |= {
    "contradiction": Fault(
        "judged.contradiction", lambda row, n: TURNED if n else PAIR, "pairs", "dpo", stays=True
    ),
    "alike": Fault(
        "judged.alike",
        lambda row, n: {**row, "rejected": row["chosen"].replace(" ", "  ", 1)},
        "pairs",
        "dpo",
    ),
    "margin": Fault("judged.margin", lambda row, n: {**row, "margin": -1.0}, "pairs", "dpo"),
    "order": Fault(
        "judged.order",
        lambda row, n: {**row, "score_chosen": 1, "score_rejected": 5},
        "pairs",
        "dpo",
    ),
    "tie": Fault(
        "judged.tie", lambda row, n: {**row, "score_chosen": 5, "score_rejected": 5}, "pairs", "dpo"
    ),
    "prompt_inside": Fault(
        "judged.prompt_inside",
        lambda row, n: {
            **row,
            "chosen": row["prompt"] + row["chosen"],
            "rejected": row["prompt"] + row["rejected"],
        },
        "pairs",
        "dpo",
    ),
    "both_kinds": Fault(
        "judged.both_kinds",
        lambda row, n: {"prompt": ASKED, "completion": "It is Paris.", "label": not n},
        "judgements",
        "kto",
        stays=True,
    ),
}


def real(shared: Path, fault: Fault) -> list[Row]:
    """Sixty real rows in which nothing is odd, in the form that the fault is about."""
    found = json.loads((shared / "alpaca_en" / "alpaca_en_demo.json").read_text("utf-8"))
    plain = [
        {name: evenly_spaced(text) for name, text in row.items()}
        for row in found
        if row["output"].isascii()
        and row["output"].rstrip().endswith(".")
        and 80 < len(row["output"]) < 400
        and len(row["instruction"]) > 20
        and ":" not in row["output"]
        and "translat" not in row["instruction"].lower()
    ][:60]
    assert len(plain) == 60
    if fault.file == "messages":
        return [
            {"messages": [said("user", row["instruction"]), said("assistant", row["output"])]}
            for row in plain
        ]
    if fault.file == "pairs":
        return [
            {
                "prompt": row["instruction"],
                "chosen": row["output"],
                "rejected": f"I do not know {n}.",
                "score_chosen": 4,
                "score_rejected": 2,
                "margin": 2.0,
            }
            for n, row in enumerate(plain)
        ]
    if fault.file == "judgements":
        return [
            {"prompt": row["instruction"], "completion": row["output"], "label": n % 2 == 0}
            for n, row in enumerate(plain)
        ]
    return plain


def notes(path: Path, objective: str) -> list[str]:
    ledger = api.check(
        {"data": {"path": str(path), "max_length": 4000}, "objective": objective}
    ).ledger
    return ledger.lines()


def line_of(key: str, lines: list[str]) -> str | None:
    """The line that the words ``key`` make, by its longest part that is the same in all."""
    topic, _, name = key.partition(".")
    parts = re.split(r"\{[^}]*\}", texts("en", topic)[name])
    longest = max((part for part in parts if "tunesmith" not in part), key=len)
    found = [line for line in lines if longest.strip() in line]
    return found[0] if found else None


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def mend(line: str, source: Path, out: Path) -> Any:
    step, settings = COMMAND.findall(line)[-1]
    return api.change_rows(step, str(source), out, shlex.split(settings))


SHOWN = ("encoding", "near", "order_call", "contradiction", "margin")
"""Faults that differ in the form of the rows, in what the command does with them, or in whether a
row stays; all 23 took 93 s, and each detector has tests of its own.
"""


@pytest.mark.parametrize("kind", slow_but(SHOWN, FAULTS))
def test_the_command_of_a_line_takes_the_line_away(
    kind: str, tmp_path: Path, shared_data: Path
) -> None:
    fault = FAULTS[kind]
    sound = real(shared_data, fault)
    quiet = notes(write(tmp_path / "sound.jsonl", sound), fault.objective)
    assert line_of(fault.key, quiet) is None
    wrong = [
        fault.break_row(row, n - PLACES.start) if n in PLACES else row
        for n, row in enumerate(sound)
    ]
    source = write(tmp_path / "in.jsonl", wrong)
    line = line_of(fault.key, notes(source, fault.objective))
    assert line is not None
    bad = {n + 1 for n in PLACES} - ({PLACES.start + 1} if fault.stays else set())
    if kind != "near":  # it counts rows and names none
        assert {
            int(n) for n in re.findall(r"in\.jsonl:(\d+)(?! ↔| \()", line.split(" ↔ ")[0])
        } & bad
    account = mend(line, source, tmp_path / "out.jsonl")
    assert {one.row for one in account.changes()} == bad
    assert bool([*account.left_out()]) != fault.keeps_rows
    after = notes(tmp_path / "out.jsonl", fault.objective)
    assert line_of(fault.key, after) is None
    if kind in get_args(Oddity):
        asked = {"data": {"path": str(source), "steps": [{"name": "leave_out", "found": [kind]}]}}
        ledger = api.check({**asked, "objective": fault.objective}).ledger
        assert line_of(fault.key, ledger.lines()) is None
        assert {one["row"] for one in ledger.dropped} == {n + 1 for n in PLACES} - (
            {PLACES.start + 1} if fault.stays else set()
        )


def test_what_leave_out_knows_is_what_check_says() -> None:
    said_of_rows = {
        *(key for key in texts("en", "detect") if not key.startswith("one_")),
        *(key for key in texts("en", "judged") if not key.startswith("only_")),
        DOUBTED,
        EMPTY,
    }
    assert {*get_args(Oddity)} == said_of_rows
    assert said_of_rows - {DOUBTED} <= {*FAULTS}
    assert {*Detectors().rows()} <= said_of_rows


@pytest.mark.parametrize(
    ("column", "rows", "key"),
    [
        (
            "label",
            [
                {"text": f"text {n} of many", "label": "ham" if n % 20 else "spam"}
                for n in range(60)
            ],
            "detect.one_sided",
        ),
        (
            "output",
            [
                {"instruction": f"Is {n} a prime?", "output": "no" if n % 20 else "yes"}
                for n in range(60)
            ],
            "detect.one_answer",
        ),
        (
            "source",
            [
                {
                    "instruction": f"What is {n} and {n * n}?",
                    "output": f"Number {n}.",
                    "source": "web" if n % 20 else "book",
                }
                for n in range(60)
            ],
            "detect.one_source",
        ),
    ],
)
@pytest.mark.slow  # each 3 s
def test_what_outweighs_is_balanced_by_its_line(
    column: str, rows: list[Row], key: str, tmp_path: Path
) -> None:
    objective = "classify" if column == "label" else "sft"
    source = write(tmp_path / "in.jsonl", rows)
    line = line_of(key, notes(source, objective))
    assert line is not None and f"by={column}" in line
    account = mend(line, source, tmp_path / "out.jsonl")
    assert account.written == 6
    assert line_of(key, notes(tmp_path / "out.jsonl", objective)) is None
    evened = {"path": str(source), "mix": {"by": column, "temperature": 2}}
    ledger = api.check({"data": evened, "objective": objective}).ledger
    assert line_of(key, ledger.lines()) is None, "an epoch that is shared among the values"


@pytest.mark.slow  # 3 s
def test_doubted_labels_are_left_out(tmp_path: Path, shared_data: Path) -> None:
    topics = {"rivers": "The river runs to the sea past", "bread": "Bake the bread in an oven with"}
    rows = [
        {"text": f"{topics[label]} {n} more, and the {label} of day {n % 9}", "label": label}
        for n in range(60)
        for label in topics
    ]
    quiet = notes(write(tmp_path / "sound.jsonl", rows), "classify")
    assert line_of("check.doubted", quiet) is None
    rows[10]["label"] = "bread"
    rows[31]["label"] = "rivers"
    source = write(tmp_path / "in.jsonl", rows)
    line = line_of("check.doubted", notes(source, "classify"))
    assert line is not None and {"in.jsonl:11", "in.jsonl:32"} <= set(
        re.findall(r"in\.jsonl:\d+", line)
    )
    account = mend(line, source, tmp_path / "out.jsonl")
    assert sorted(one.row for one in account.left_out()) == [11, 32]
    assert line_of("check.doubted", notes(tmp_path / "out.jsonl", "classify")) is None


def test_what_a_base_says_of_rows_names_them_as_leave_out_takes_them(tmp_path: Path) -> None:
    rows = [{"question": f"Why {n}?", "answer": f"So {n}."} for n in range(1, 6)]
    source = write(tmp_path / "in.jsonl", rows)
    said_by_base = UnderBase(
        5, 5, ("in.jsonl:2",), (("in.jsonl:4/1", 9.0), ("in.jsonl:4/2", 8.0)), 1.0
    )
    _, known, hard = said_by_base.lines()
    for line, left_out in ((known, [2]), (hard, [4])):
        account = mend(line, source, tmp_path / f"{left_out[0]}.jsonl")
        assert [one.row for one in account.left_out()] == left_out
