"""What stands in for personal data."""

from __future__ import annotations

import re

import pytest

from tunesmith.data.texts.personal import (
    credit_code,
    found_in,
    identity_check,
    kinds_in,
    luhn_check,
)
from tunesmith.data.texts.surrogates import Surrogates, mask


def test_a_value_has_one_surrogate_with_one_key_and_another_with_another() -> None:
    one, again, other = Surrogates(b"key"), Surrogates(b"key"), Surrogates(b"other")
    for kind, value in (("name", "张三"), ("phone", "13812345678"), ("mail", "a@b.org")):
        made = one.of(kind, value)
        assert made == one.of(kind, value) == again.of(kind, value) != value, kind
        assert made != other.of(kind, value), kind


def test_no_two_names_share_a_surrogate_nor_take_one_that_the_rows_hold() -> None:
    names = [
        f"{family}{given}" for family in "赵钱孙李周吴郑王" for given in "一二三四五六七八九十"
    ]
    first = Surrogates(b"key")
    made = [first.of("name", name) for name in names]
    assert len(set(made)) == len(names) and not set(made) & set(names)
    second = Surrogates(b"key")
    second.avoid(set(made))
    assert not {second.of("name", name) for name in names} & set(made)


def test_the_form_and_its_check_digit_stay() -> None:
    surrogates = Surrogates(b"key")
    identity = surrogates.of("identity_card", "11010519491231002X")
    assert len(identity) == 18 and identity[-1] == identity_check(identity[:17])
    card = surrogates.of("bank_card", "6222021234567890128")
    assert len(card) == 19 and card.isdecimal() and card[-1] == luhn_check(card[:-1])
    assert len(surrogates.of("phone", "13812345678")) == 11


@pytest.mark.parametrize(
    ("real", "form"),
    [
        ("+86 138-0013-8000", r"\+86 12\d-\d{4}-\d{4}"),
        ("(555) 123-4567", r"\(555\) 555-01\d\d"),
        ("+1 415 555 0232", r"\+1 415 555 01\d\d"),
        ("+44 20 7946 0958", r"\+99 9\d \d{4} \d{4}"),
        ("+852 2345 6789", r"\+999 \d{4} \d{4}"),
    ],
)
def test_a_telephone_keeps_its_form_and_is_nobodys(real: str, form: str) -> None:
    made = Surrogates(b"key").of("phone", real)
    assert re.fullmatch(form, made)
    assert list(kinds_in(f"call {real}")) == ["phone"] and not list(kinds_in(f"call {made}"))


def test_the_kind_is_named_in_the_language_around() -> None:
    assert mask("phone", "请拨打电话") == "[电话]" and mask("phone", "call me") == "[PHONE]"


def test_a_number_written_otherwise_has_the_same_surrogate_in_its_own_form() -> None:
    surrogates = Surrogates(b"key")
    plain = surrogates.of("phone", "13812345678")
    assert surrogates.of("phone", "138 1234 5678") == f"{plain[:3]} {plain[3:7]} {plain[7:]}"
    assert surrogates.of("phone", "１３８１２３４５６７８") == plain
    assert surrogates.of("phone", "+86 13812345678") == f"+86 {plain}"
    line = surrogates.of("landline", "(021)6234 5678")
    assert re.fullmatch(r"\(021\)0\d{3} \d{4}", line)
    card = surrogates.of("bank_card", "6222 0212 3456 7890 128")
    assert surrogates.of("bank_card", "6222021234567890128") == card.replace(" ", "")


@pytest.mark.parametrize(
    ("kind", "real", "form"),
    [
        ("identity_card", "123-45-6789", r"000-\d\d-\d{4}"),
        ("credit_code", "91110108551385082Q", r"9199\d{13}[0-9A-Z]"),
        ("passport", "E12345678", r"[IO]\d{8}"),
        ("passport", "EA1234567", r"E[IO]\d{7}"),
        ("ip", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", r"2001:db8::[0-9a-f]+:[0-9a-f]+"),
        ("birth_date", "March 3, 1990", r"[A-Z][a-z]{2,8} \d{1,2}, 1990"),
        ("birth_date", "3rd of Mar 1990", r"\d{1,2} of [A-Z][a-z]{2} 1990"),
        ("birth_date", "1990年5月3日", r"1990年\d{1,2}月\d{1,2}日"),
        ("birth_date", "03/04/1990", r"\d\d/\d\d/1990"),
    ],
)
def test_other_kinds_keep_their_form_too(kind: str, real: str, form: str) -> None:
    assert [part.kind for part in found_in(SAID[kind].format(real))] == [kind]
    made = Surrogates(b"key").of(kind, real)
    assert re.fullmatch(form, made) and made != real
    assert kind != "credit_code" or credit_code(made)


SAID = {
    "identity_card": "SSN {}",
    "credit_code": "代码{}",
    "passport": "护照号 {}。",
    "ip": "from {}",
    "birth_date": "born {}",
}
