"""What stands in for personal data: of the same form, the same for the same value, and nobody's."""

from __future__ import annotations

import hashlib
import hmac
import re

from tunesmith.data.texts.births import another_day
from tunesmith.data.texts.people import COMPOUND
from tunesmith.data.texts.personal import WIDE, credit_check, identity_check, luhn_check

_FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗梁"
"""Twenty of the most frequent surnames."""
_GIVEN = "明华强军平文杰丽敏静芳娟涛辉鹏博宇欣怡琳雪梅刚勇斌超峰慧颖佳晨阳凯浩然雨晴思远"
_FIRST = ("Alex", "Sam", "Robin", "Kim", "Jamie", "Casey", "Taylor", "Morgan", "Drew", "Jordan")
_LAST = ("Miller", "Carter", "Hughes", "Foster", "Hayes", "Brooks", "Parker", "Reed", "Walsh")
_MASKS = {
    "secret": "密钥",
    "identity_card": "身份证号",
    "credit_code": "信用代码",
    "mail": "邮箱",
    "phone": "电话",
    "landline": "座机",
    "bank_card": "银行卡号",
    "ip": "IP",
    "plate": "车牌号",
    "passport": "护照号",
    "record": "病历号",
    "birth_date": "出生日期",
    "address": "地址",
    "name": "姓名",
}
_HAN = re.compile("[\u3400-\u9fff]")
_CHINA = re.compile(r"\+?86[ -]?(?=1[3-9]\d)")
_AREA = re.compile(r"(?:\+?86[ -]?)?(?:\(0\d{2,3}\) ?|0\d{2,3}[ -])")
_NUMBERS = ("phone", "landline", "identity_card", "bank_card")
"""Kinds whose numbers are the same with other marks between their digits."""


def mask(kind: str, text: str) -> str:
    """Returns the kind in brackets, in Chinese where the text around is: ``[电话]``,
    ``[PHONE]``.
    """
    return f"[{_MASKS[kind]}]" if _HAN.search(text) else f"[{kind.upper()}]"


class Surrogates:
    """The choice of surrogates by a keyed hash (HMAC-SHA256), so that a value has the same
    surrogate in every row and nobody without the key finds the value by trying all.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.given: dict[tuple[str, str], str] = {}
        """By kind and value."""
        self.taken: set[str] = set()

    def of(self, kind: str, value: str) -> str:
        """Returns the surrogate of a value in the form in which it stands there: a number is the
        same one with spaces, in full width, or behind +86. No two names have the same surrogate.
        """
        value = value.translate(WIDE)
        country = _CHINA.match(value) if kind == "phone" else None
        if country is not None:
            return country[0] + self.of(kind, value[country.end() :])
        earlier = self.given.get((kind, _normal(kind, value)))
        if earlier is not None:
            return _in_form(kind, earlier, value)
        tries = 0
        surrogate = self._made(kind, value, tries)
        while kind == "name" and (surrogate in self.taken or surrogate == value) and tries < 1000:
            tries += 1
            surrogate = self._made(kind, value, tries)
        self.taken.add(surrogate)
        self.given[kind, _normal(kind, value)] = surrogate
        return surrogate

    def avoid(self, names: set[str]) -> None:
        """Keeps the surrogates off the names that the rows hold."""
        self.taken |= names

    def _made(self, kind: str, value: str, tries: int) -> str:
        message = f"{kind}\0{_normal(kind, value)}\0{tries}".encode()
        number = int.from_bytes(hmac.new(self.key, message, hashlib.sha256).digest(), "big")
        maker = _MAKERS.get(kind)
        return maker(value, number) if maker is not None else _same_form(value, number)


def _normal(kind: str, value: str) -> str:
    return re.sub(r"\W" if kind in _NUMBERS else r"[\s-]", "", value).casefold()


def _in_form(kind: str, surrogate: str, value: str) -> str:
    """Puts the digits of a surrogate in the places of the value, where both have as many."""
    signs = "".join(filter(str.isalnum, surrogate))
    same = kind in _NUMBERS and len(signs) == sum(map(str.isalnum, value))
    return _in_places(value, signs) if same else surrogate


def _digits(number: int, count: int) -> str:
    return str(number % 10**count).zfill(count)


def _mail(value: str, number: int) -> str:
    return f"user{_digits(number, 6)}@example.com"  # RFC 2606


def _phone(value: str, number: int) -> str:
    digits = re.sub(r"\D", "", value)
    american = value.startswith("+1")
    if not american and re.fullmatch(r"(?:86)?1[3-9]\d{9}", digits):
        # No Chinese mobile number begins with 12.
        return _in_places(value, digits[:-11] + "12" + _digits(number, 9))
    if not american and value.startswith("+"):
        # 999 is the code of no country (E.164).
        return _in_places(value, "999" + _digits(number, len(digits) - 3))
    # 555-0100 to 555-0199 are kept for fiction in North America.
    return _in_places(value, f"{digits[:-7]}55501{_digits(number, 2)}")


def _identity(value: str, number: int) -> str:
    if len(value) == 11:
        # No social security number of the United States begins with 000.
        return f"000-{_digits(number, 2)}-{_digits(number // 100, 4)}"
    # No region has the code 99.
    born = f"{1950 + number % 50}{number // 50 % 12 + 1:02}{number // 600 % 28 + 1:02}"
    digits = f"99{_digits(number // 20000, 4)}{born}{_digits(number // 7, 3)}"
    return _in_places(value, digits + identity_check(digits))


def _card(value: str, number: int) -> str:
    # Numbers that begin with 999999 are given to no bank.
    length = len(re.sub(r"\D", "", value))
    digits = "999999" + _digits(number, length - 7)
    return _in_places(value, digits + luhn_check(digits))


def _landline(value: str, number: int) -> str:
    # No line number of a Chinese town begins with 0.
    area = _AREA.match(value)
    assert area is not None, "a landline was found by its area code"
    rest = value[area.end() :]
    count = sum(map(str.isdecimal, rest))
    return area[0] + _in_places(rest, "0" + _digits(number, count - 1))


def _address_of_machine(value: str, number: int) -> str:
    if ":" in value:
        return f"2001:db8::{number % 65535 + 1:x}:{number // 65535 % 65535 + 1:x}"  # RFC 3849
    return f"192.0.2.{number % 254 + 1}"  # RFC 5737


def _plate(value: str, number: int) -> str:
    if not _HAN.match(value):
        return _same_form(value, number)
    # Plates hold no I and no O, so that they are not read as 1 and 0.
    tail = len(re.sub("[·• -]", "", value)) - 2
    return f"{value[0]}{'IO'[number % 2]}{value[2] if value[2] in '·• -' else ''}" + _digits(
        number, tail
    )


def _credit_code(value: str, number: int) -> str:
    # No region has the code 99.
    code = f"{value[:2]}99{_digits(number, 4)}{_digits(number // 10000, 9)}"
    return code + credit_check(code)


def _passport(value: str, number: int) -> str:
    # I and O stand in no number of a Chinese passport, so that they are not read as 1 and 0.
    letters = len(value) - len(value.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    rest = _digits(number, len(value) - letters)
    return f"{value[: letters - 1]}{'IO'[number % 2]}{rest}" if letters else rest


def _address(value: str, number: int) -> str:
    if _HAN.search(value):
        return f"示例路{number % 300 + 1}号"
    return f"{number % 900 + 100} Example Street"


def _name(value: str, number: int) -> str:
    if not _HAN.search(value):
        first, last = _FIRST[number % len(_FIRST)], _LAST[number // 20 % len(_LAST)]
        return f"{first} {last}" if " " in value else last
    length = len(value) - (2 if value[:2] in COMPOUND else 1)
    signs = [_GIVEN[number // 20 // len(_GIVEN) ** n % len(_GIVEN)] for n in range(length)]
    return _FAMILY[number % len(_FAMILY)] + "".join(signs)


def _secret(value: str, number: int) -> str:
    return "REDACTED"


def _in_places(value: str, digits: str) -> str:
    """Puts the new digits in the places of the old, with the same marks between them."""
    signs = iter(digits)
    return "".join(next(signs, "") if sign.isalnum() else sign for sign in value)


def _same_form(value: str, number: int) -> str:
    """Puts other digits and letters in the same places; somebody may have the result."""
    signs_made: list[str] = []
    for sign in value:
        number, step = divmod(number, 36)
        if sign.isdecimal():
            signs_made.append(str(step % 10))
        else:
            signs_made.append(chr(65 + step % 26) if sign.isalpha() else sign)
    return "".join(signs_made)


_MAKERS = {
    "mail": _mail,
    "phone": _phone,
    "identity_card": _identity,
    "bank_card": _card,
    "landline": _landline,
    "ip": _address_of_machine,
    "credit_code": _credit_code,
    "passport": _passport,
    "plate": _plate,
    "birth_date": another_day,
    "address": _address,
    "name": _name,
    "secret": _secret,
}
