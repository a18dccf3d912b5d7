"""What is planted is what is looked for, an interval tells how sure a share is, and labels tell what
is right, false and missed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.utils import check_random_state

from tunesmith.api import measure_anonymising
from tunesmith.data.measure import Measured, Recall, wilson
from tunesmith.data.measure_labelled import MeasuredOnLabels
from tunesmith.errors import DataError, SpecError

Label = tuple[str, str]


def source(tmp_path: Path) -> str:
    draw = check_random_state(0)
    words = ["今天", "天气", "很好", "我们", "去", "公园", "散步", "看见", "许多", "花"]
    rows = [{"text": "".join(draw.choice(words, 12)) + "。"} for _ in range(90)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def labelled(text: str, *labels: Label) -> dict[str, object]:
    places = [(text.index(part), len(part), label) for part, label in labels]
    spans = [{"start": at, "end": at + length, "label": label} for at, length, label in places]
    return {"text": text, "entities": spans}


ROWS = [
    labelled("患者王小明，电话13800138000。", ("王小明", "PER"), ("13800138000", "phone")),
    labelled("打13800138001给张三哥哥", ("张三哥哥", "PER")),
    labelled("座机010-62345678，住西湖区文三路12号", ("010-62345678", "phone"), ("西湖区", "LOC")),
    labelled("Mr. Bell works at Acme.", ("Mr. Bell", "PER"), ("Acme", "ORG")),
    labelled("Name: Ada Bell, Name: Pine Tea", ("Ada Bell", "PER")),
]


def on_labels(tmp_path: Path, rows: list[dict[str, object]], *settings: str) -> MeasuredOnLabels:
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    measured = measure_anonymising("anonymise", str(path), settings)
    assert isinstance(measured, MeasuredOnLabels)
    return measured


def test_each_kind_is_planted_and_found(tmp_path: Path) -> None:
    pytest.importorskip("faker")
    found = measure_anonymising("anonymise", source(tmp_path))
    assert isinstance(found, Measured)
    assert sum(recall.planted for recall in found.recalls) == found.rows == 90
    caught = {recall.kind: recall.found for recall in found.recalls}
    for kind in ("phone", "mail", "identity_card", "bank_card", "ip", "address"):
        assert caught[kind] == 10, kind
    assert found.others == found.caused == {}


def test_what_is_not_looked_for_is_not_found(tmp_path: Path) -> None:
    pytest.importorskip("faker")
    found = measure_anonymising("anonymise", source(tmp_path), ["kinds=[mail]"])
    assert isinstance(found, Measured)
    assert found.recalls == (Recall("mail", "zh", 90, 90),)
    with pytest.raises(SpecError, match="kinds: of these kinds none is measured"):
        measure_anonymising("anonymise", source(tmp_path), ["kinds=[record]"])
    with pytest.raises(SpecError, match="--measure goes with anonymise, not with clean"):
        measure_anonymising("clean", source(tmp_path))


def test_wilsons_interval() -> None:
    # Brown, Cai & DasGupta 2001: for all hits the lower end is n / (n + z²).
    assert wilson(150, 150) == pytest.approx((150 / (150 + 1.959964**2), 1.0))
    low, high = wilson(50, 100)
    assert low + high == pytest.approx(1.0) and low == pytest.approx(0.40383, abs=1e-5)


def test_labels_tell_what_is_right_false_and_missed(tmp_path: Path) -> None:
    measured = on_labels(tmp_path, ROWS)
    tallies = {(tally.kind, tally.language): tally for tally in measured.tallies}
    names = tallies["name", "en"]
    # "Mr. Bell" is found without its title: touched, and the finding is right.
    assert (names.labelled, names.covered, names.exact, names.touched) == (2, 1, 1, 1)
    assert (names.found, names.right) == (3, 2)
    assert names.precision == pytest.approx(2 / 3) and names.recall == 0.5
    assert names.f1 == pytest.approx(4 / 7)  # 2pr / (p + r)
    assert names.false_alarms == ["labelled.jsonl:5 , Name: [Pine Tea]"]
    assert names.missed == ["labelled.jsonl:4 [Mr. Bell] works a"]
    phones = tallies["phone", "zh"]
    # A landline that is labelled as a telephone is found, as another kind.
    assert (phones.labelled, phones.covered, phones.otherwise) == (2, 1, 1)
    assert phones.false_alarms == ["labelled.jsonl:2 打[13800138001]给张三哥哥"]
    # What no label means is neither right nor false.
    assert {*measured.unlabelled} == {"landline", "address"}
    assert measured.not_looked_for == {
        "LOC": ("labelled.jsonl:3 345678，住[西湖区]文三路12号",),
        "ORG": ("labelled.jsonl:4 orks at [Acme].",),
    }


def test_labels_of_others_are_given_a_kind_and_kinds_are_left_out(tmp_path: Path) -> None:
    measured = on_labels(tmp_path, ROWS, "labels={LOC: address}", "kinds=[address]")
    (tally,) = measured.tallies
    assert (tally.kind, tally.language) == ("address", "zh")
    assert tally.labelled == tally.covered == tally.right == 1 and tally.exact == 0
    assert {*measured.not_looked_for} == {"PER", "phone", "ORG"} and not measured.unlabelled


def test_a_kind_that_labels_may_mean_and_none_has_makes_each_finding_false(tmp_path: Path) -> None:
    rows = [labelled("卡号 4539 1488 0343 6467。"), labelled("Pay at once.")]
    assert on_labels(tmp_path, rows).unlabelled.keys() == {"bank_card"}
    (tally,) = on_labels(tmp_path, rows, "labels={CARD: bank_card}").tallies
    assert (tally.found, tally.right, tally.recall, tally.f1) == (1, 0, None, None)


def test_what_is_told_of_labels_names_rows_and_what_was_not_looked_for(tmp_path: Path) -> None:
    lines = "\n".join(on_labels(tmp_path, ROWS).lines())
    assert "names of persons, English: F1 0.571\n  precision 2 of 3, 66.7 % (95 %" in lines
    assert "recall 1 of 2, 50.0 % (95 % interval 9.5–90.5 %); 1 to the letter. Of the others 1" in (
        lines
    )
    assert "1 missed: labelled.jsonl:4 [Mr. Bell] works a" in lines
    assert "not looked for, though labelled: LOC (1), ORG (1)" in lines
    assert "no label means it: landline numbers 1 time" in lines
    assert lines.endswith("Look through the rows before you give them away")  # never a full recall


def test_the_language_is_that_of_what_stands_around_the_labels(tmp_path: Path) -> None:
    address = "zhang.wei2003@mail.example.org"
    rows = [labelled(f"抄送 {address}", (address, "mail")), labelled(address, (address, "mail"))]
    assert [tally.language for tally in on_labels(tmp_path, rows).tallies] == ["en", "zh"]


def test_tags_of_words_are_labels_and_numbers_for_tags_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.conll"
    path.write_text("患 O\n者 O\n王 B-PER\n小 I-PER\n明 I-PER\n来 O\n了 O\n", "utf-8")
    measured = measure_anonymising("anonymise", str(path))
    assert isinstance(measured, MeasuredOnLabels)
    (tally,) = measured.tallies
    assert (tally.kind, tally.covered, tally.labelled, tally.right) == ("name", 1, 1, 1)
    with pytest.raises(DataError, match=r"labelled.jsonl:1:ner_tags: this tag is the number 1"):
        on_labels(tmp_path, [{"tokens": ["Ada", "came"], "ner_tags": [1, 0]}])


def test_a_finding_that_a_planted_value_calls_forth_is_told(tmp_path: Path) -> None:
    pytest.importorskip("faker")
    path = tmp_path / "rows.jsonl"
    # What was put in behind the word becomes its name: "Dear Call 555-…".
    rows = [{"text": "Dear "}, {"text": "Dear Ada "}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = measure_anonymising("anonymise", str(path), ["kinds=[name, mail]"])
    assert isinstance(found, Measured)
    assert found.caused == {"name": ("rows.jsonl:1",)} and found.others == {
        "name": ("rows.jsonl:2",)
    }
