"""Keys, passwords and signed addresses: by the prefix of who gives them out, or by a name before
them, such as ``token=``.
"""

from __future__ import annotations

import re

_GIVEN_OUT = (
    r"(?<![\w-])(?:sk-(?:[a-z]+-)*[A-Za-z0-9_-]{20,}|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|npm_[A-Za-z0-9]{30,}"
    r"|hf_[A-Za-z0-9]{30,}|A(?:KI|SI)A[0-9A-Z]{16}|AIza[\w-]{35}|xox[abprs]-[\w-]{10,}"
    r"|SG\.[\w-]{20,}\.[\w-]{20,}|LTAI[A-Za-z0-9]{12,20}|AKID[A-Za-z0-9]{28,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
)
_PRIVATE = r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----"
_IN_ADDRESS = r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"
_SIGN = r"[^\s\"'&，。；、,;()\[\]{}<>]"
_CODE = r"(?:token\d*|[a-z]\w*(?:\.[a-z]\w*)+|(?:[a-z]+_)+[a-z]+\d{0,2})"
_NAMED = (
    r"(?:(?:token|api[_-]?key|secret|passw(?:or)?d|pwd)[\"']?\s?[=:]\s?[\"']?"
    r"|sig(?:nature)?=|bearer\s|(?:密码|口令|密钥)\s?[是为:=]\s?)"
    rf"(?!{_CODE}(?!{_SIGN}))(?=[^a-z\s]*[a-z])(?=[^\d\s]*\d)(?P<value>{_SIGN}{{6,}})"
)
"""A value has letters and digits, and is not the name of another one, as in
``token=ACCESS_TOKEN`` or ``password=self.password2``.
"""
SECRET = re.compile(f"{_GIVEN_OUT}|{_PRIVATE}|{_IN_ADDRESS}|(?i:{_NAMED})")
PREFIXES = {
    "_": ("_live_", "_test_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "_pat_", "npm_", "hf_"),
    "-": ("sk-", "glpat-", "xox", "PRIVATE KEY"),
    "A": ("AKIA", "ASIA", "AIza", "LTAI", "AKID"),
    ".": ("SG.", "eyJ"),
    "@": ("://",),
}
"""The marks of given-out keys, by a sign that all of them hold, or that stands with them."""
NAMES = ("token", "api_key", "api-key", "apikey", "secret", "password", "passwd", "pwd", "sig=")
NAMES += ("signature=", "bearer ")
CHINESE_NAMES = ("密码", "口令", "密钥")
