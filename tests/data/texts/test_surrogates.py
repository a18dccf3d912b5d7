"""What stands in for personal data."""

from __future__ import annotations

import re

import pytest

from tunesmith.data.texts.personal import identity_check, kinds_in, luhn_check
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
