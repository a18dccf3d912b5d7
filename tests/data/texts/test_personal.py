"""Private data is found by form and check digit, and texts without any are left in peace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import SHARED_DATA
from tunesmith.api import check
from tunesmith.data.texts.people import names_in
from tunesmith.data.texts.personal import bank_card, found_in, identity_card, kinds_in


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("电话13800138000。", ["phone"]),
        ("打 +86 138-0013-8000 找我", ["phone"]),
        ("手机１３８００１３８０００", ["phone"]),
        ("call (555) 123-4567 now", ["phone"]),
        ("call +1 415 555 0232 or +44 20 7946 0958", ["phone"]),
        ("香港 +852 2345 6789，柏林 +49 (30) 901820，+442079460958", ["phone"]),
        ("a gain of +12345678, +3.14159265, 2+1234 5678, +10 20 30", []),
        ("身份证11010519491231002X", ["identity_card"]),
        ("write to li.lei+x@mail.example.com.", ["mail"]),
        ("卡号 6222 0212 3456 7895", []),
        ("card 4111 1111 1111 1111", []),
        ("card 4539 1488 0343 6467", ["bank_card"]),
        ("order 113542617735902, 3.14159265358979, 2020-01-02 10:20:30", []),
        ("11010519491231002X a@b.cn 13800138000", ["identity_card", "mail", "phone"]),
        ("110105194912310021 is no number of a card", []),
        ("@user said 12345678901 and x@y", []),
    ],
)
def test_each_kind_is_found_and_nothing_else(text: str, kinds: list[str]) -> None:
    assert list(kinds_in(text)) == kinds


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("https://a.com/x?token=abcd1234efgh&y=1", ["abcd1234efgh"]),
        ("https://a.com/?X-Amz-Signature=deadbeef01", ["deadbeef01"]),
        ("https://bob:hunter@host.com/x", ["bob:hunter"]),
        ('{"password": "hunter22"} 密码：Abc12345', ["hunter22", "Abc12345"]),
        ('api_key = "a8f5f167f44f4964"; Bearer abcdef123456', ["a8f5f167f44f4964", "abcdef123456"]),
        (
            f"github_pat_{'a1' * 20} sk_live_{'b2' * 10}",
            [f"github_pat_{'a1' * 20}", f"sk_live_{'b2' * 10}"],
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", None),
        ("f(password=EMAIL_PASSWORD, token=ACCESS_TOKEN, api_key=os.environ2)", []),
        ("password=password token: str, token=token2, secret: 3, my password: 8 characters", []),
    ],
)
def test_secrets_are_values_and_no_names_of_values(text: str, values: list[str] | None) -> None:
    parts = found_in(text, ("secret",))
    assert [text[part.start : part.end] for part in parts] == ([text] if values is None else values)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("银行卡号6222 0212 3456 7890 128", ["bank_card"]),
        ("the sum 355909190063-746 = -16666579378", []),
        ("座机(021)6234 5678", ["landline"]),
        ("卡号 6222 0212 3456 7895", []),
        ("1990年5月3日出生，1990-05-03生。", ["birth_date", "birth_date"]),
        ('"date_of_birth": "1990-01-02", born May 3, 1990', ["birth_date", "birth_date"]),
        ("medical record number 12345678, patient ID 1234567", ["record", "record"]),
        ("a record 50000 tickets, patient 123456", []),
        ("passport number 123456789", ["passport"]),
        ("license plate: ABC-1234, plate tectonics", ["plate"]),
        ("fe80::1ff:fe23:4567:890a", ["ip"]),
        ("std::vector a::b::c 12:30:45 00:1A:2B:3C:4D:5E", []),
        ("221B Baker Street", ["address"]),
        ("the 1929 Wall Street crash", []),
        ("SSN 123-45-6789, part 000-45-6789", ["identity_card"]),
        ("电话是01056279088，或05718654321。", ["landline", "landline"]),
        ("order 00004587345, 01234567890, 0.01056279088", []),
        ("登录IP：2001:db8:12::34a，服务器fe80::1ff:fe23:4567:890a连不上", ["ip", "ip"]),
        ("版本号 3.2.1.2 已发布，version 10.1.22.33, v1.2.3.4", []),
        ("passport no. 123456789", ["passport"]),
    ],
)
def test_forms_that_people_write(text: str, kinds: list[str]) -> None:
    assert [part.kind for part in found_in(text)] == kinds


def test_check_digits_are_those_of_the_standards() -> None:
    assert identity_card("11010519491231002X") and not identity_card("110105194912310029")
    assert not identity_card("11010519491331002X")
    assert bank_card("4539148803436467") and not bank_card("4539148803436468")


def test_check_names_the_rows(tmp_path: Path) -> None:
    rows = [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(30)]
    rows[4]["output"] = "13800138000"
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (told,) = [note for note in check({"data": str(path)}).ledger.notes if "personal" in note]
    assert "telephone numbers in 1 row (rows.jsonl:5)" in told
    rows[4]["output"] = "none"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert not any("personal" in note for note in check({"data": str(path)}).ledger.notes)


def test_the_case_is_told_with_its_three_kinds() -> None:
    case = SHARED_DATA.parent / "cases" / "private_rows.jsonl"
    if not case.exists():
        pytest.skip(f"there is no {case}")
    (told,) = [note for note in check({"data": str(case)}).ledger.notes if "personal" in note]
    for kind in ("telephone", "identity card", "mail"):
        assert f"{kind} " in told


def test_drugs_that_begin_with_a_surname_are_no_persons() -> None:
    pytest.importorskip("jieba")
    for drug in ("陈皮", "桂枝", "石斛", "黄柏", "车前子"):
        for text in ("{}有什么功效？", "{}归哪些经？", "请说明{}的性味。", "方中{}为君药。"):
            assert not list(names_in(text.format(drug))), text.format(drug)
    assert not list(names_in("利水渗湿，健脾宁心。"))
    assert list(names_in("患者陈皮，头痛三日。")) and list(names_in("昨天李建国来过。"))


def test_a_phrase_of_four_signs_is_no_person() -> None:
    pytest.importorskip("jieba")
    assert not list(names_in("蓝天白云下，两名高中学生在图书馆争吵。"))
    assert list(names_in("患者欧阳建国，男。"))


@pytest.mark.parametrize(
    "text",
    [
        "据情节追究施暴者的刑事责任，停止施暴。",
        "两杯苏打水，一茶匙苏打粉，少许黑胡椒粉。",
        "请进行详细的检查和咨询，注意药物的选择和使用。",
        "父母、子女和其他近亲；您的儿子和其女朋友；需要和专业医生沟通。",
        "请向专业医生咨询，应向医生说明，应由律师承担，有助于心理健康。",
        "D选项中的说法不对，高危因素有谷丙转氨酶。",
        "高血压病人的白细胞，肌张力，孕妇不宜艾灸，戴帽子和口罩。",
        "岳父母与我们同住，请了一个钟点工，与质量成正比。",
        "鲁棒性、严谨性、舒适感、高端化，芦荟汁和胡桃肉。",
        "安硕科技、王力集团、金茂大厦、唐氏综合征、梅克尔憩室。",
        "患者王某，男；患者李女士，女。",
        "Game Name: Shape Explorers. Product name: Ada Lamp.",
    ],
)
def test_words_that_look_like_names_are_none(text: str) -> None:
    pytest.importorskip("jieba")
    assert [text[part.start : part.end] for part in names_in(text)] == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("昨天王国强来过。", "王国强"),
        ("于小龙说他不去。", "于小龙"),
        ("患者于海洋，男。", "于海洋"),
        ("原告应小红，住址不详。", "应小红"),
        ("患者向丽华，头痛三日。", "向丽华"),
        ("患者何光明，女。", "何光明"),
        ("请转告李伟，明天开会。", "李伟"),
        ("请转告陈继化，明天开会。", "陈继化"),
        ("美国财长鲁宾在多个场合均表示", "鲁宾"),
        ("First Name: Ada Bell", "Ada Bell"),
        ("Patient name: Ada Bell", "Ada Bell"),
    ],
)
def test_names_that_look_like_words_are_found(text: str, name: str) -> None:
    pytest.importorskip("jieba")
    assert name in {text[part.start : part.end] for part in names_in(text)}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("the 2002 Salt Lake City & Park City games", []),
        ("In 2014 Winter Park opened its gates", []),
        ("They live at 2002 Salt Lake Road, Utah", ["2002 Salt Lake Road"]),
        ("They live at 1923 Cedar Springs, Texas", ["1923 Cedar Springs"]),
        ("Send it to 1987 Oak Park Avenue", ["1987 Oak Park Avenue"]),
        ("5 Simple Ways to win, in 1969 Boston Common was full", []),
        ("at 6821 1st Ave, or PO Box 77", ["6821 1st Ave", "PO Box 77"]),
        (
            "to 12 Maple Drive, Springfield, IL 62704 today",
            ["12 Maple Drive, Springfield, IL 62704"],
        ),
        ("寄到中山大道西12号之一，谢谢", ["中山大道西12号之一"]),
        ("地址在昌平镇南环路26-3底商，电话", ["昌平镇南环路26-3底商"]),
        ("电话；北京市东城区景山前街4号。", ["北京市东城区景山前街4号"]),
        ("地址是北京市西城区广安门外大街277号，门票5元", ["北京市西城区广安门外大街277号"]),
    ],
)
def test_a_year_is_no_house_number_and_regions_belong_to_a_street(
    text: str, values: list[str]
) -> None:
    parts = found_in(text, ("address",))
    assert [text[part.start : part.end] for part in parts] == values
