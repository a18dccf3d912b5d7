"""Each of the small faulty files that once went wrong, with what is right for it; those of one kind
are tested further in ``test_cases.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import SHARED_DATA
from material.prepared_rows import prepared
from tunesmith.api import check
from tunesmith.data.asked_rows import AskedRows
from tunesmith.data.files.sources import rows
from tunesmith.data.prepare import Prepared
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat
from tunesmith.predicting.fitting import Fitting
from tunesmith.settings.import_peers import peer_command, peer_of, shell_words, translate
from tunesmith.settings.run import validate

CASES = SHARED_DATA.parent / "cases"


def texts(found: Prepared) -> list[str]:
    """Each training row as the model reads it."""
    return [found.render.pieces.text(one.ids_T) for item in found.train for one in item.tokens]


def answers(found: Prepared) -> list[str]:
    """What is learned of each training row."""
    return [
        found.render.pieces.text(one.ids_T[one.weights_T > 0]).removesuffix("<|im_end|>")
        for item in found.train
        for one in item.tokens
    ]


def notes(found: Prepared) -> str:
    return "\n".join(found.ledger.notes)


def refused(path: Path, objective: str, text: str, **data: Any) -> None:
    with pytest.raises((DataError, SpecError), match=text):
        prepared(path, objective, **data)


def turn_loss_words(path: Path) -> None:
    assert not any("one" in answer for answer in answers(prepared(path)))


def empty_turns(path: Path) -> None:
    found = prepared(path)
    assert "" not in answers(found) and not any("system" in text for text in texts(found))
    assert "earlier answer is empty" in notes(found) and "empty system turn" in notes(found)


def special_tokens_in_text(path: Path) -> None:
    found = prepared(path)
    stop = found.render.tokenizer.convert_tokens_to_ids("<|im_end|>")
    for item, text in zip(found.train, texts(found), strict=True):
        marks = item.tokens[0].ids_T.tolist().count(stop)
        assert marks == 2 and text.count("<|im_end|>") >= marks
    assert sum(text.count("<|im_end|>") > 2 for text in texts(found)) > 0
    assert "2 rows hold a control token" in notes(found)


def inline_think(path: Path) -> None:
    assert not any("hm" in text for text in texts(prepared(path, reasoning="drop")))
    for text in texts(prepared(path)):
        assert "</think>\n\n<think>" not in text


def labels_comma(path: Path) -> None:
    assert "objective.split_labels=','" in notes(prepared(path, "classify"))
    split = prepared(path, {"name": "classify", "split_labels": ","})
    assert split.objective.classes.names == ("a", "b", "c")


def labels_yesno(path: Path) -> None:
    assert prepared(path, "classify").objective.classes.names == ("no", "yes")
    asked = {"model": "m", "out": "o", "data": str(path)}
    with pytest.raises(SpecError, match='write it in quotes, "no"'):
        validate({**asked, **yaml.safe_load("objective: {name: classify, labels: [no, yes]}")})


def kto_one_kind(path: Path) -> None:
    assert "All 8 rows are judged good" in notes(prepared(path, "kto"))


def pairs_swapped(path: Path) -> None:
    assert "1 pair says the opposite of another" in notes(prepared(path, "dpo"))


def pairs_with_prompt(path: Path) -> None:
    assert "6 rows repeat the question" in notes(prepared(path, "dpo"))


def margin_nan(path: Path) -> None:
    refused(path, "dpo", r"margin_nan.jsonl:8:margin.*nan")


def windows1252_quotes(path: Path) -> None:
    refused(path, "sft", "iconv -f windows-1252 -t UTF-8")
    assert "’" in path.read_bytes().decode("windows-1252")


def dates(path: Path) -> None:
    found = {one.row["instruction"]: str(one.row["output"]) for one in rows(path)}
    assert found["c?"] == "2020-01-02" and found["b?"] == "00123" and found["d?"] == "5"
    assert answers(prepared(path))[1:] == ["00123", "2020-01-02", "5"]


def long_question(path: Path) -> None:
    """Asked of a model with 128 places, it is cut and counted, or named."""
    trained = path.parent / "nested_split.json"
    asked = json.loads(path.read_text("utf-8").splitlines()[0])
    for policy in ("truncate", "drop"):
        found = prepared(trained, too_long=policy)
        run = validate({"model": "m", "out": "o", "data": {"path": "d", "too_long": policy}})
        fitting = Fitting(128, found.render, run)
        row = AskedRows(found.render.data, found.ledger.files, found.objective).asks(
            {**asked, "instruction": asked["instruction"] * 20}
        )
        assert isinstance(row, Chat)
        if policy == "truncate":
            assert len(fitting.asked(row)) <= 128 - 16 and fitting.cut == 1
        else:
            with pytest.raises(DataError):
                fitting.asked(row)


def nested_split(path: Path) -> None:
    whole = json.loads(path.read_text("utf-8"))
    told = check({"data": str(path)}).ledger
    assert (told.trained, told.watch + told.proof) == (len(whole["train"]), len(whole["test"]))


def private_rows(path: Path) -> None:
    told = notes(prepared(path))
    for kind in ("identity card numbers", "mail addresses", "telephone numbers"):
        assert kind in told


def swift_command(path: Path) -> None:
    told = peer_command(shell_words(path.read_text("utf-8")))
    assert told is not None and "method: lora" in told and "data: data/train.jsonl" in told


def lf_ppo(path: Path) -> None:
    settings = yaml.safe_load(path.read_text("utf-8"))
    found = translate(settings, str(peer_of(settings)))
    assert not found.other and found.pairs["objective"] == "ppo"
    assert found.left["resize_vocab"].startswith("not needed: the embeddings grow")


def four_rows(path: Path) -> None:
    found = prepared(path, "classify")
    assert found.ledger.trained == len(json.loads(path.read_text("utf-8")))


def typed_parts(path: Path) -> None:
    found = prepared(path)
    assert len(found.train) == 30 and all("Answer shortly." in text for text in texts(found)[:1])


def typed_pairs(path: Path) -> None:
    found = prepared(path, "dpo")
    assert found.ledger.files[0]["read_as"] == {
        "chosen": "chosen_messages",
        "rejected": "rejected_messages",
    }
    assert answers(found)[:2] == ["number 0", "no"]


def array_in_array(path: Path) -> None:
    found = prepared(path)
    assert answers(found) == [f"回答{n}" for n in range(30)] and "unfolded" in notes(found)


def wrapped_rows(path: Path) -> None:
    found = prepared(path)
    assert answers(found) == [f"a{n}" for n in range(30)] and "'data.rows'" in notes(found)


def instances(path: Path) -> None:
    found = prepared(path)
    assert len(found.train) == 40 and not {"name", "Do"} & {one[:4] for one in answers(found)}
    assert "x0" in texts(found)[0] and answers(found)[0] == "y0"


def chinese_header_utf16(path: Path) -> None:
    found = prepared(path)
    assert found.ledger.files[0]["read_as"] == {
        "instruction": "指令",
        "input": "输入",
        "output": "输出",
    }
    assert "翻译第0句\n\nsentence 0" in texts(found)[0] and answers(found)[0] == "句子0"


def empty_last_reply(path: Path) -> None:
    found = prepared(path)
    assert found.ledger.trained == 30 and all(answers(found))


def alternating_labels(path: Path) -> None:
    for limit in (200, {"first": 200}):
        found = prepared(path, "classify", limit=limit)
        labels = [int(item.tokens[0].columns["label"]) for item in found.train]
        assert sorted(labels) == [0] * 100 + [1] * 100
    drawn = [prepared(path, "classify", limit=200).fingerprint for _ in range(2)]
    assert drawn[0] == drawn[1] != found.fingerprint


def choices(path: Path) -> None:
    found = prepared(path)
    assert found.ledger.files[0]["reader"] == "choices" and set(answers(found)) <= set("ABCD")
    assert "A. 0\nB. 1\nC. 2\nD. 3" in texts(found)[0]


RIGHT: list[Callable[[Path], None]] = [
    *(turn_loss_words, empty_turns, special_tokens_in_text, inline_think, labels_comma),
    *(labels_yesno, kto_one_kind, pairs_swapped, pairs_with_prompt, margin_nan),
    *(windows1252_quotes, dates, long_question, nested_split, private_rows, swift_command),
    *(lf_ppo, four_rows, typed_parts, typed_pairs, array_in_array, wrapped_rows, instances),
    *(chinese_header_utf16, empty_last_reply, alternating_labels, choices),
]


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.__name__)
def test_each_file_is_right(shared_cases: Path, right: Callable[[Path], None]) -> None:
    (path,) = shared_cases.glob(f"{right.__name__}.*")
    right(path)


def test_every_file_is_in_the_table(shared_cases: Path) -> None:
    files = {path.stem for path in shared_cases.iterdir()} - {"README"}
    assert files == {right.__name__ for right in RIGHT}
