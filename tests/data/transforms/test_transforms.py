"""Each step changes what it says, leaves the rest alone, and accounts for every row."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import SHARED_DATA
from tunesmith import api
from tunesmith.cli import looking
from tunesmith.data.files.file_facts import Faults
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.reading import examples
from tunesmith.data.texts.personal import bank_card, found_in, identity_card
from tunesmith.data.transforms import Account
from tunesmith.errors import DataError, SpecError
from tunesmith.settings.run import Data, validate

Row = dict[str, Any]


def write(path: Path, rows: list[Row]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


def read(path: Path) -> list[Row]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        {name: value for name, value in row.items() if name != "tunesmith_from"} for row in rows
    ]


def change_rows(step: str, source: str, out: Path, settings: Sequence[str] = ()) -> Account:
    """Writes ``out`` anew; the step itself refuses a file that stands."""
    if str(out) != source:
        out.unlink(missing_ok=True)
    return api.change_rows(step, source, out, settings)


def questions(*texts: str) -> list[Row]:
    return [{"id": n, "question": text, "answer": f"answer {n}"} for n, text in enumerate(texts)]


def test_clean_mends_what_it_is_asked_to_and_tells_why(tmp_path: Path) -> None:
    rows = questions("a\u200bb  \n\n\n\nc", "<b>bold</b>", "ＡＢ１２", "fine")
    source = write(tmp_path / "in.jsonl", rows)
    account = change_rows("clean", source, tmp_path / "out.jsonl", ["html=true"])
    assert [row["question"] for row in read(tmp_path / "out.jsonl")] == [
        "ab\n\nc",
        "bold",
        "ＡＢ１２",
        "fine",
    ]
    assert account.counts("changed") == {
        ("clean", "unseen"): 1,
        ("clean", "spaces"): 1,
        ("clean", "html"): 1,
    }
    change_rows("clean", source, tmp_path / "out.jsonl", ["width=true", "spaces=false"])
    assert [row["question"] for row in read(tmp_path / "out.jsonl")][2] == "AB12"
    assert read(tmp_path / "out.jsonl")[0]["question"] == "ab  \n\n\n\nc"


@pytest.mark.parametrize(
    ("setting", "kept"),
    [
        ("shortest=12", [1, 2]),
        ("longest=20", [0, 3]),
        ("scripts=[zh]", [2]),
        ("repeated=0.5", [0, 1, 3]),
    ],
)
def test_clean_leaves_out_by_form(tmp_path: Path, setting: str, kept: list[int]) -> None:
    texts = ("short", "a longer text than others", "我很好你也好" * 6, "tiny")
    rows = [{"id": n, "text": text} for n, text in enumerate(texts)]
    account = change_rows(
        "clean", write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", [setting]
    )
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == kept
    assert (
        account.read == 4
        and account.written == len(kept)
        and len([*account.left_out()]) == 4 - len(kept)
    )


def test_traditional_becomes_simplified_only_on_request(tmp_path: Path) -> None:
    pytest.importorskip("opencc")
    source = write(tmp_path / "in.jsonl", questions("這個軟體"))
    change_rows("clean", source, tmp_path / "out.jsonl")
    assert read(tmp_path / "out.jsonl")[0]["question"] == "這個軟體"
    change_rows("clean", source, tmp_path / "out.jsonl", ["chinese=simplified"])
    assert read(tmp_path / "out.jsonl")[0]["question"] == "这个软体"


def test_dedup_keeps_the_first_of_its_kind(tmp_path: Path) -> None:
    long = "The quick brown fox jumps over the lazy dog while the cat looks on from the window sill above"
    rows = [
        {"id": n, "text": text, "label": label}
        for n, (text, label) in enumerate(
            [(long, 1), (long, 1), (long + ".", 1), (long, 0), ("another", 1)]
        )
    ]
    source = write(tmp_path / "in.jsonl", rows)
    account = change_rows("dedup", source, tmp_path / "out.jsonl", ["near=false"])
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [0, 2, 3, 4]
    account = change_rows("dedup", source, tmp_path / "out.jsonl")
    assert account.counts("dropped")[("dedup", "duplicate")] == 1
    assert account.counts("dropped")[("dedup", "near_duplicate")] == 2
    assert [(one.row, one.of) for one in account.left_out()] == [
        (row, f"{source}:1") for row in (2, 3, 4)
    ]
    told = read(tmp_path / "out.jsonl.account.jsonl")
    assert [row["of"] for row in told if "of" in row] == [f"{source}:1"] * 3
    change_rows("dedup", source, tmp_path / "out.jsonl", ["columns=[label]", "near=false"])
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [0, 3]


def test_a_sample_of_fewer_rows_takes_all_and_says_so(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", questions("a", "b"))
    account = change_rows("sample", source, tmp_path / "out.jsonl", ["rows=5"])
    assert account.written == 2 and "no more than 2 rows" in str(account.lines())
    enough = change_rows("sample", source, tmp_path / "out.jsonl", ["rows=2"])
    assert enough.written == 2 and "no more" not in str(enough.lines())


def test_lines_that_hold_no_row_are_accounted_for(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in questions(*(f"question {n}" for n in range(40)))]
    lines.insert(7, "......")
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    source = str(tmp_path / "in.jsonl")
    for step, out in (("clean", "out.jsonl"), ("split", "divided")):
        account = api.change_rows(step, source, tmp_path / out)
        assert account.read == 41 and account.written == 40
        assert [(one.row, one.why) for one in account.left_out()] == [(8, ("not_a_row",))]
    mixed = api.change_rows("mix", [source], tmp_path / "mixed.jsonl")
    assert mixed.read == 41 == mixed.written + 1


def test_sample_draws_the_same_rows_again_and_few_others_beside_more(tmp_path: Path) -> None:
    rows = questions(*(f"question {n}" for n in range(200)))
    drawn = []
    for name, part in (("a", rows), ("b", rows), ("c", rows[:-10])):
        source = write(tmp_path / f"{name}.jsonl", part)
        change_rows("sample", source, tmp_path / f"{name}.out.jsonl", ["rows=50"])
        drawn.append([row["id"] for row in read(tmp_path / f"{name}.out.jsonl")])
    assert drawn[0] == drawn[1] == sorted(drawn[0]) and len(drawn[0]) == 50
    assert len({*drawn[0]} & {*drawn[2]}) >= 45
    change_rows("sample", str(tmp_path / "a.jsonl"), tmp_path / "d.jsonl", ["rows=50", "seed=1"])
    assert [row["id"] for row in read(tmp_path / "d.jsonl")] != drawn[0]


def test_balance_levels_a_column(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": "a" if n % 5 else "b"} for n in range(50)]
    source = write(tmp_path / "in.jsonl", rows)
    change_rows("balance", source, tmp_path / "out.jsonl", ["by=label"])
    labels = [row["label"] for row in read(tmp_path / "out.jsonl")]
    assert labels.count("a") == labels.count("b") == 10
    with pytest.raises(SpecError, match=r"^by: .*lable.*label"):
        change_rows("balance", source, tmp_path / "out.jsonl", ["by=lable"])


@pytest.mark.parametrize(
    ("step", "settings", "left"),
    [
        ("balance", ["by=1"], 20),
        ("dedup", ["columns=[1]", "near=false"], 2),
        ("clean", ["columns=[1]"], 50),
        ("leave_out", ["found=[cut]", "columns={question: 2.5, answer: 1}"], 50),
        ("convert", ["columns={question: 2.5, answer: 1}"], 50),
    ],
)
def test_a_number_may_be_the_name_of_a_column(
    step: str, settings: list[str], left: int, tmp_path: Path
) -> None:
    rows = [{"2.5": f"What is the number {n}?", "1": "a" if n % 5 else "b"} for n in range(50)]
    source = write(tmp_path / "in.jsonl", rows)
    change_rows(step, source, tmp_path / "out.jsonl", settings)
    assert len(read(tmp_path / "out.jsonl")) == left


def test_rows_are_split_by_columns_whose_names_are_numbers(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "1": n // 5, "2": n % 2} for n in range(100)]
    source = write(tmp_path / "in.jsonl", rows)
    change_rows("split", source, tmp_path / "out", ["by=1", "held_out=0.3", "stratify=2"])
    parts = [{row["1"] for row in read(file)} for file in (tmp_path / "out").glob("*.jsonl")]
    assert len(parts) == 2 and not parts[0] & parts[1]


PEOPLE = questions(
    "我叫张伟明，手机13800138000，身份证11010519491231002X。",
    "患者张伟明的电话是138-0013-8000，邮箱zhang@mail.com，卡号4539 1488 0343 6467。",
    "王医生说没事，服务器是8.8.8.8，住在杭州市西湖区文三路12号3楼，车牌浙A12345。",
    "什么都没有的一行。",
)


@pytest.mark.slow  # 2 s
def test_one_person_has_one_surrogate_in_all_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", PEOPLE)
    change_rows("anonymise", source, tmp_path / "out.jsonl")
    first, second, third, fourth = (row["question"] for row in read(tmp_path / "out.jsonl"))
    name = first[2:5]
    assert name != "张伟明" and second.startswith(f"患者{name}的电话")
    phone = first.partition("手机")[2][:11]
    assert phone.startswith("12") and phone in second.replace("-", "")
    assert fourth == PEOPLE[3]["question"]
    whole = "".join((first, second, third))
    for gone in (
        "张伟明",
        "13800138000",
        "11010519491231002X",
        "zhang@",
        "6467",
        "8.8.8.8",
        "文三路",
        "A12345",
    ):
        assert gone not in whole
    for kept in ("医生说没事", "我叫", "电话是", "服务器是192.0.2.", "邮箱user"):
        assert kept in whole


def test_surrogates_keep_the_form_and_belong_to_nobody(tmp_path: Path) -> None:
    change_rows("anonymise", write(tmp_path / "in.jsonl", PEOPLE), tmp_path / "out.jsonl")
    first, second, *_ = (row["question"] for row in read(tmp_path / "out.jsonl"))
    number = first.partition("身份证")[2][:18]
    assert identity_card(number) and number.startswith("99")
    card = second.partition("卡号")[2][:19]
    assert card.replace(" ", "").startswith("999999") and card.count(" ") == 3 and bank_card(card)
    assert found_in(first, ("phone",)) == []


def test_the_same_key_gives_the_same_surrogates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", PEOPLE)
    made = []
    for key in ("one", "one", "two"):
        monkeypatch.setenv("MY_KEY", key)
        change_rows("anonymise", source, tmp_path / "out.jsonl", ["key=MY_KEY"])
        made.append(read(tmp_path / "out.jsonl"))
    assert made[0] == made[1] != made[2]


def test_masks_and_left_out_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [*PEOPLE, *questions("Mail me at a@b.com")])
    change_rows("anonymise", source, tmp_path / "out.jsonl", ["how=mask", "kinds=[mail, phone]"])
    texts = [row["question"] for row in read(tmp_path / "out.jsonl")]
    assert texts[0].startswith("我叫张伟明，手机[电话]") and texts[4] == "Mail me at [MAIL]"
    account = change_rows("anonymise", source, tmp_path / "out.jsonl", ["how=drop"])
    assert [row["question"] for row in read(tmp_path / "out.jsonl")] == ["什么都没有的一行。"]
    assert len([*account.left_out()]) == 4


def test_a_mapping_is_for_its_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    source, mapping = write(tmp_path / "in.jsonl", PEOPLE), tmp_path / "map.jsonl"
    change_rows("anonymise", source, tmp_path / "out.jsonl", [f"mapping={mapping}"])
    assert stat.S_IMODE(mapping.stat().st_mode) == 0o600
    became = {
        row["value"]: row["became"]
        for row in map(json.loads, mapping.read_text("utf-8").splitlines())
    }
    assert became["张伟明"] in read(tmp_path / "out.jsonl")[0]["question"]
    with pytest.raises(SpecError, match="is there already"):
        change_rows("anonymise", source, tmp_path / "again.jsonl", [f"mapping={mapping}"])
    assert not (tmp_path / "again.jsonl").exists()


def test_a_mapping_does_not_stay_without_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, mapping = write(tmp_path / "in.jsonl", PEOPLE), tmp_path / "map.jsonl"
    out, replace = tmp_path / "out.jsonl", os.replace

    def stopped(draft: Path, place: Path) -> None:
        if place == out:
            assert mapping.exists(), "where the file stands, its mapping does"
            raise KeyboardInterrupt
        replace(draft, place)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        change_rows("anonymise", source, out, [f"mapping={mapping}"])
    assert not out.exists() and not mapping.exists()
    monkeypatch.setattr(os, "replace", replace)
    change_rows("anonymise", source, out, [f"mapping={mapping}"])
    assert out.exists() and mapping.exists()


def test_nothing_is_half_written(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", questions("one", "two"))
    with pytest.raises(DataError, match="no row is left"):
        change_rows("clean", source, tmp_path / "out.jsonl", ["shortest=1000"])
    (tmp_path / "broken.jsonl").write_text(
        '{"question": "a", "answer": "b"}\n{"question": \n', "utf-8"
    )
    with pytest.raises(DataError, match=r"broken\.jsonl:2"):
        change_rows("clean", str(tmp_path / "broken.jsonl"), tmp_path / "out.jsonl")
    with pytest.raises(SpecError, match="a file that is read"):
        change_rows("clean", source, Path(source))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jsonl", "in.jsonl"]


def test_every_problem_of_the_settings_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        change_rows("clean", "in.jsonl", tmp_path / "out.jsonl", ["shortst=3", "rules=c5"])
    told = str(caught.value)
    assert "did you mean 'shortest'" in told and "rules: " in told and "gopher" in told
    with pytest.raises(
        SpecError, match="anonymise, augment, balance, clean, dedup, leave_out, sample, convert"
    ):
        change_rows("wash", "in.jsonl", tmp_path / "out.jsonl")
    with pytest.raises(SpecError, match=r"^dedupe: .*did you mean 'dedup'\?"):
        looking.data("dedupe", [])


@pytest.mark.parametrize("name", ["rows.json", "rows.csv", "rows.tsv", "rows.parquet"])
def test_every_format_is_read_back(tmp_path: Path, name: str) -> None:
    rows = [
        {"question": 'a "quoted"\nline, 你好', "answer": "b\tc"},
        {"question": "x", "answer": "y"},
    ]
    change_rows("dedup", write(tmp_path / "in.jsonl", rows), tmp_path / name)
    change_rows("dedup", str(tmp_path / name), tmp_path / "back.jsonl")
    assert read(tmp_path / "back.jsonl") == rows
    came = [
        json.loads(line)["tunesmith_from"]
        for line in (tmp_path / "back.jsonl").read_text("utf-8").splitlines()
    ]
    assert came[1] == {"file": "in.jsonl", "row": 2, "steps": ["dedup", "dedup"]}


def test_the_account_beside_the_file_names_every_row(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", questions("same", "a\u200bb") + questions("same"))
    change_rows("dedup", source, tmp_path / "out.jsonl", ["columns=[question]"])
    (line,) = (tmp_path / "out.jsonl.account.jsonl").read_text("utf-8").splitlines()
    told = json.loads(line)
    assert (told["row"], told["step"], told["did"], told["why"]) == (
        3,
        "dedup",
        "dropped",
        ["duplicate"],
    )


def test_steps_in_a_run_are_in_its_ledger(tmp_path: Path) -> None:
    rows = questions(
        *(f"What is the number {n}?" for n in range(20)), "What is the number 3?", "a\u200bb"
    )
    source = write(tmp_path / "in.jsonl", rows)
    steps = ["clean", {"name": "dedup", "columns": ["question"], "near": False}]
    ledger = api.check({"data": {"path": source, "steps": steps}}).ledger
    assert ledger.rows == 22 and ledger.reasons() == {"left out by a step": 1}
    (dropped,) = ledger.dropped
    assert dropped["row"] == 21 and dropped.get("seen") == "dedup: a copy of an earlier row"
    assert any(
        note == "clean changed 1 row: invisible characters taken out" for note in ledger.notes
    )


@pytest.mark.slow  # 4 s
def test_variants_are_trained_and_never_held_out(tmp_path: Path) -> None:
    rows = questions(*(f"Why is the big river number {n} so cold?" for n in range(60)))
    source, words = write(tmp_path / "in.jsonl", rows), tmp_path / "words.txt"
    words.write_text("big large huge\ncold chilly icy\n")
    step = {"name": "augment", "words": str(words), "times": 2, "share": 0.3}
    asked = {"data": {"path": source, "steps": ["clean", step], "held_out": 20}}
    checked = api.check(asked)
    ledger = checked.ledger
    added = ledger.rows - 60
    assert 60 < added <= 120, "two variants of a row at most, and few that could not be made"
    assert any(note.startswith(f"{added} rows were made from 60") for note in ledger.notes)
    of_held = ledger.reasons()["made from a held-out row"]
    assert ledger.trained + ledger.watch + ledger.proof + of_held == ledger.rows
    assert ledger.watch + ledger.proof == 20
    assert api.check(asked).ledger == ledger, "the same seed gives the same rows"
    # A run's own file names every setting, also those that nobody gave.
    whole = validate({"model": "starter", "out": "run", "objective": "sft"} | asked).model_dump()
    assert api.check({"data": whole["data"]}).ledger == ledger


def test_a_step_behind_one_that_makes_rows_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", questions("one", "two"))
    steps = [{"name": "augment", "how": "noise"}, "dedup"]
    with pytest.raises(DataError, match=r"^data\.steps\.0: augment makes rows of its own"):
        api.check({"data": {"path": source, "steps": steps}})


def test_a_run_needs_steps_that_give_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", PEOPLE * 5)
    with pytest.raises(DataError, match=r"data\.steps\.0: this step gives other rows each time"):
        api.check({"data": {"path": source, "steps": "anonymise"}})
    monkeypatch.setenv("MY_KEY", "secret")
    steps = [{"name": "anonymise", "key": "MY_KEY"}]
    checked = api.check({"data": {"path": source, "steps": steps}})
    assert not any("personal data: telephone" in note for note in checked.ledger.notes)


def files() -> Iterator[str]:
    if SHARED_DATA.exists():
        for path in sorted(SHARED_DATA.glob("*/*")):
            if (
                path.suffix in (".json", ".jsonl", ".csv", ".parquet")
                and path.stat().st_size < 300_000
            ):
                yield str(path.relative_to(SHARED_DATA))


@pytest.mark.parametrize("name", files())
def test_real_files_add_up(tmp_path: Path, name: str) -> None:
    faults = Faults()
    found = sum(1 for _ in rows_of(SHARED_DATA / name, faults=faults)) + len(faults.skipped)
    account = change_rows("clean", str(SHARED_DATA / name), tmp_path / "out.jsonl")
    assert account.read == found == account.written + len([*account.left_out()]) and account.written
    again = change_rows("clean", str(tmp_path / "out.jsonl"), tmp_path / "again.jsonl")
    assert not [*again.changes()], "what is clean stays as it is"


@pytest.mark.parametrize("step", ["clean", "dedup"])
def test_a_column_that_no_row_has_is_told(tmp_path: Path, step: str) -> None:
    source = write(tmp_path / "in.jsonl", questions("one", "two"))
    with pytest.raises(SpecError, match=r"columns: no row has a column 'quesion'.*question"):
        change_rows(step, source, tmp_path / "out.jsonl", ["columns=[quesion]"])
    assert not (tmp_path / "out.jsonl").exists()


def test_a_step_of_a_run_tells_where_it_stands(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", questions("one", "two"))
    steps = ["clean", {"name": "dedup", "columns": ["quesion"]}, "clean"]
    with pytest.raises(SpecError, match=r"^data\.steps\.1\.columns: no row has a column 'quesion'"):
        api.check({"data": {"path": source, "steps": steps}})


def test_pages_are_kept_by_the_rules_of_c4(tmp_path: Path) -> None:
    page = "This line is a whole sentence. So is this one here! And here is another one?"
    chinese = "这是完整的一句话。这里还有另外一句话！最后再来一句话？"
    bad = ["Lorem ipsum. " + page, page + " {x}.", "Turn JavaScript on. " + page, "Home\nAbout us"]
    rows = [{"id": n, "text": text} for n, text in enumerate([page, chinese, *bad])]
    source = write(tmp_path / "in.jsonl", rows)
    account = change_rows("clean", source, tmp_path / "out.jsonl", ["rules=c4"])
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [0, 1]
    told = {why for _, why in account.counts("dropped")}
    assert told == {"rule_placeholder", "rule_braces", "rule_script", "rule_sentences"}


def test_rows_without_the_compared_column_are_no_copies(tmp_path: Path) -> None:
    rows = [{"question": "a", "id": 0}, {"other": "x", "id": 1}, {"other": "y", "id": 2}]
    source = write(tmp_path / "in.jsonl", rows)
    change_rows("dedup", source, tmp_path / "out.jsonl", ["columns=[question]"])
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [0, 1, 2]


def test_numbers_and_senders_hold_personal_data_too(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "hello"}]
    row = {"phone": 13800138000, "year": 2026, "mail": {"from": "li@mail.com"}, "turns": turns}
    source = write(tmp_path / "in.jsonl", [row])
    change_rows("anonymise", source, tmp_path / "out.jsonl", ["how=mask"])
    masked = {**row, "phone": "[PHONE]", "mail": {"from": "[MAIL]"}}
    assert read(tmp_path / "out.jsonl") == [masked]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_mapping_is_written_once_beside_a_table(tmp_path: Path, name: str) -> None:
    source, mapping = write(tmp_path / "in.jsonl", PEOPLE), tmp_path / "map.jsonl"
    change_rows("anonymise", source, tmp_path / name, [f"mapping={mapping}"])
    values = [json.loads(line)["value"] for line in mapping.read_text("utf-8").splitlines()]
    assert len(values) == len(set(values)) and "张伟明" in values
    with pytest.raises(SpecError, match="mapping: goes with how=surrogate"):
        change_rows("anonymise", source, tmp_path / name, ["mapping=x", "how=mask"])


def test_a_large_number_survives_parquet(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"question": "a", "n": 2**70}])
    change_rows("clean", source, tmp_path / "out.parquet")
    change_rows("clean", str(tmp_path / "out.parquet"), tmp_path / "back.jsonl")
    assert read(tmp_path / "back.jsonl")[0]["n"] == str(2**70)


def test_clean_leaves_out_what_a_base_finds_too_easy_or_too_hard(
    tmp_path: Path, tiny_llama: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = ["a quick answer", "x", "今天天气很好", "zqzqzqzq zq", "the long road home, and back"]
    source, out = write(tmp_path / "in.jsonl", [{"text": one} for one in texts]), tmp_path / "o.csv"
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    known = {}
    for number, text in enumerate(texts, 1):
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        if ids.shape[1] > 1:
            known[number] = float(model(input_ids=ids, labels=ids).loss.detach().exp())
    order = sorted(known, key=lambda number: known[number])
    how = [f"perplexity.model={tiny_llama}"]
    account = change_rows("clean", source, out, [*how, "perplexity.lowest=0.3"])
    # Of four values that are known the quantile 0.3 lies just under the second: one is left out.
    (left,) = (json.loads(one) for one in Path(f"{out}.account.jsonl").read_text().splitlines())
    assert (left["row"], left["why"]) == (order[0], ["perplexity_low"])
    assert left["value"] == pytest.approx(known[order[0]], rel=1e-4)
    assert account.written == 4 and "median" in account.notes[0]
    most = (known[order[-1]] + known[order[-2]]) / 2
    account = change_rows("clean", source, out, [*how, f"perplexity.most={most}"])
    assert [one.row for one in account.left_out()] == [order[-1]]


def test_a_perplexity_that_is_known_is_not_asked_for_again(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.diagnosis import perplexity

    monkeypatch.setattr(perplexity, "BLOCK", 4)
    source = write(tmp_path / "in.jsonl", questions(*(f"{'so ' * n}it is {n}" for n in range(18))))
    how = [f"perplexity.model={tiny_llama}", "perplexity.highest=0.2"]
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    change_rows("clean", source, whole, how)
    asked: list[int] = []
    score = perplexity._Scorer.__call__

    def seen(self: Any, texts: list[str]) -> list[float]:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(len(texts))
        return score(self, texts)

    kept = tmp_path / "out.jsonl.perplexities"
    monkeypatch.setattr(perplexity._Scorer, "__call__", seen)
    with pytest.raises(KeyboardInterrupt):
        change_rows("clean", source, out, how)
    assert not out.exists() and len(kept.read_text().splitlines()) == 1 + 3
    with open(kept, "a") as file:
        file.write('{"texts": "half of a li')
    asked = []
    change_rows("clean", source, out, how)
    assert asked == [4, 2] and not kept.exists()
    assert out.read_bytes() == whole.read_bytes()
    accounts = (Path(f"{one}.account.jsonl").read_bytes() for one in (out, whole))
    assert len({*accounts}) == 1
    first, *rest = json.dumps({"base": "another"}), *["{}"] * 3
    kept.write_text("\n".join([first, *rest, ""]))
    asked = []
    with pytest.raises(KeyboardInterrupt):
        change_rows("clean", source, out, how)
    assert asked == [4, 4, 4], "another base's are no use"


def test_what_a_perplexity_lacks_is_told(tmp_path: Path, tiny_llama: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", questions("a b", "c d")), tmp_path / "out.jsonl"
    how = [f"perplexity.model={tiny_llama}"]
    with pytest.raises(SpecError, match="gives no bound"):
        change_rows("clean", source, out, how)
    with pytest.raises(SpecError, match="no row is left between"):
        change_rows("clean", source, out, [*how, "perplexity.least=9", "perplexity.most=8"])
    step = {"name": "clean", "perplexity": {"model": str(tiny_llama), "highest": 0.1}}
    with pytest.raises(SpecError, match=r"data\.steps\.0\.perplexity: needs a model"):
        list(examples(Data.model_validate({"path": source, "steps": [step]})))
    assert [*tmp_path.iterdir()] == [tmp_path / "in.jsonl"]


def test_rows_are_left_out_by_their_numbers(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", questions("one", "two", "three", "four"))
    out = tmp_path / "out.jsonl"
    account = change_rows("leave_out", source, out, ["rows=[2,in.jsonl:4]"])
    assert [row["id"] for row in read(out)] == [0, 2]
    assert account.counts("dropped") == {("leave_out", "named"): 2}
    with pytest.raises(SpecError, match=r"^rows: these rows are not there: 9, other\.jsonl:1$"):
        change_rows("leave_out", source, out, ["rows=[2,9,other.jsonl:1]"])
    with pytest.raises(SpecError, match=r"^found: says nothing of which rows go"):
        change_rows("leave_out", source, out)
    step = {"name": "leave_out", "found": ["cut"], "objective": "sft"}
    with pytest.raises(DataError, match=r"^data\.steps\.0\.objective: is for the verb"):
        api.check({"data": {"path": source, "steps": [step]}})
    columns = json.dumps({"question": "ask", "answer": "tell"})
    other = write(
        tmp_path / "other.jsonl", [{"ask": "Why?", "tell": ""}, {"ask": "How?", "tell": "So."}]
    )
    change_rows("leave_out", other, out, ["found=[empty]", f"columns={columns}"])
    assert read(out) == [{"ask": "How?", "tell": "So."}]


def test_a_name_that_is_a_word_too_is_replaced_where_it_is_announced_alone(tmp_path: Path) -> None:
    texts = [
        "We met Miss Little and Mr. Gatsby.",
        "Her album is called Jagged Little Pill; Gatsby liked it a little.",
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    api.change_rows("anonymise", str(source), tmp_path / "out.jsonl", ["how=mask"])
    made = [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").open(encoding="utf-8")]
    assert made == [
        "We met Miss [NAME] and Mr. [NAME].",
        "Her album is called Jagged Little Pill; [NAME] liked it a little.",
    ]
