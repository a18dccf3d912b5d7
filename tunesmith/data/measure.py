"""``tunesmith data anonymise --measure``: how much of made-up personal data is found in the user's
own rows, which needs no labels.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import sqrt

from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.find import find_data
from tunesmith.data.texts.personal import Found
from tunesmith.data.texts.script import script_of
from tunesmith.data.texts.strings import strings
from tunesmith.data.transforms.anonymise import Anonymise
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.words import say, some

ROWS = 2000
"""Rows that are looked at, from the first."""
_ENDS = re.compile(r"[。！？；]\s*|[.!?;](?:\s+|$)|$")
"""Where a sentence ends; the dot of a number or of a mail address ends none.
"""
_Z = 1.959964
"""Of the 95 % interval."""


@dataclass(frozen=True)
class Recall:
    """How many of the planted values of a kind were found whole, in rows of one language."""

    kind: str
    """As it is planted: ``name without`` is a name that no word announces."""
    language: str
    planted: int
    found: int

    def line(self) -> str:
        """Returns the share with Wilson's interval, for a person."""
        kind, _, rest = self.kind.partition(" ")
        return say(
            "transforms.recall",
            kind=say(f"transforms.why_{kind}"),
            cue=say("transforms.without_cue") if rest else "",
            language=say(f"transforms.language_{self.language}"),
            **share_of(self.found, self.planted),
        )

    def to_json(self) -> JsonObject:
        """Returns the same for programs."""
        return {
            "kind": self.kind,
            "language": self.language,
            "planted": self.planted,
            "found": self.found,
            "interval": list(wilson(self.found, self.planted)),
        }


@dataclass(frozen=True)
class Measured:
    """How many of the planted values were found, and what was found beside them."""

    rows: int
    recalls: tuple[Recall, ...]
    others: dict[str, tuple[str, ...]]
    """Where each kind was found in rows as they are: a true one, or a false alarm."""
    caused: dict[str, tuple[str, ...]]
    """Where each kind was found beside a planted value, and not in the row as it is: a false alarm
    that the value called forth.
    """

    def lines(self) -> list[str]:
        """Returns the recall of each kind, and what else was found, as lines for a person."""
        lines = [say("transforms.measured", rows=self.rows)]
        lines += [recall.line() for recall in self.recalls]
        for name, places_of in (("caused", self.caused), ("others", self.others)):
            for kind, places in places_of.items():
                shown = {"kind": say(f"transforms.why_{kind}"), "places": some(places)}
                lines.append(say(f"transforms.{name}", number=len(places), rows=self.rows, **shown))
        return [*lines, say("transforms.precision_needs_labels"), say("transforms.not_all")]

    def to_json(self) -> JsonObject:
        """Returns the same for programs; shares between 0 and 1."""
        recall = [recall.to_json() for recall in self.recalls]
        return {"rows": self.rows, "recall": recall, "others": self.others, "caused": self.caused}


def share_of(hits: int, of: int) -> dict[str, str]:
    """Returns a share for a person: both counts, percent, and Wilson's interval."""
    low, high = wilson(hits, of)
    percents = {"percent": hits / of, "low": low, "high": high}
    shown = {name: f"{100 * percent:.1f}" for name, percent in percents.items()}
    return {"hits": str(hits), "of": str(of), **shown}


def language_of(text: str) -> str:
    """Tells in which language a text is for what is looked for in it: zh, en or other."""
    return {"zh": "zh", "latin": "en"}.get(script_of(text) or "", "other")


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Computes Wilson's 95 % interval of a share (1927): 150 of 150 is at least 0.975, not 1."""
    share = hits / of
    spread = _Z * _Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def measure(source: str, transform: Anonymise) -> Measured:
    """Puts one made-up value into each row and looks for it; SpecError where faker is missing."""
    makers = _makers()
    for kinds in makers.values():
        if not any(transform.wants(kind.partition(" ")[0]) for kind in kinds):
            allowed = ", ".join(dict.fromkeys(kind.partition(" ")[0] for kind in kinds))
            raise SpecError(Problem("kinds", say("transforms.not_measured", known=allowed)))
    given = list(islice(_texts(source), ROWS))
    planted: list[_Planted] = []
    for number, (_, text) in enumerate(given):
        language = "zh" if script_of(text) in ("zh", None) else "en"
        kinds = [kind for kind in makers[language] if transform.wants(kind.partition(" ")[0])]
        if kinds:
            kind = kinds[number % len(kinds)]
            planted.append(_plant(text, number, (kind, language), makers[language][kind]()))
    untouched = transform.find([text for _, text in given])
    looked = transform.find([copy.whole for copy in planted])
    counts = Counter((copy.kind, copy.language) for copy in planted)
    caught = Counter(
        (copy.kind, copy.language)
        for copy, parts in zip(planted, looked, strict=True)
        if copy.is_found(parts)
    )
    others: dict[str, list[str]] = {}
    caused: dict[str, list[str]] = {}
    wheres = [f"{located.file.name}:{located.number}" for located, _ in given]
    for where, parts in zip(wheres, untouched, strict=True):
        for kind in dict.fromkeys(part.kind for part in parts):
            others.setdefault(kind, []).append(where)
    for copy, parts in zip(planted, looked, strict=True):
        new = copy.called_forth(parts, untouched[copy.number])
        for kind in dict.fromkeys(part.kind for part in new):
            caused.setdefault(kind, []).append(wheres[copy.number])
    return Measured(
        len(given),
        tuple(Recall(*key, counts[key], caught[key]) for key in sorted(counts)),
        {kind: tuple(places) for kind, places in others.items()},
        {kind: tuple(places) for kind, places in caused.items()},
    )


@dataclass(frozen=True)
class _Planted:
    """A copy of a row with a made-up value in it."""

    number: int
    """Its place among the rows."""
    kind: str
    language: str
    whole: str
    begin: int
    """Where what was put in begins, with the words before the value."""
    start: int
    end: int
    length: int
    """Of all that was put in."""

    def is_found(self, parts: Sequence[Found]) -> bool:
        """Tells whether the value lies whole within one finding of its kind."""
        right = self.kind.partition(" ")[0]
        return any(
            part.start <= self.start and self.end <= part.end and part.kind == right
            for part in parts
        )

    def called_forth(self, parts: Sequence[Found], before: Sequence[Found]) -> list[Found]:
        """Returns the findings beside the value that the row as it is does not hold."""
        shift = [0 if part.end <= self.begin else self.length for part in before]
        there = {
            Found(part.start + by, part.end + by, part.kind)
            for part, by in zip(before, shift, strict=True)
        }
        beside = [part for part in parts if part.end <= self.start or self.end <= part.start]
        return [part for part in beside if part not in there]


def _plant(text: str, number: int, kind: tuple[str, str], made: tuple[str, str, str]) -> _Planted:
    before, value, after = made
    at = _place(text, number)
    start = at + len(before)
    return _Planted(
        number,
        *kind,
        whole=text[:at] + before + value + after + text[at:],
        begin=at,
        start=start,
        end=start + len(value),
        length=len(before + value + after),
    )


def _texts(source: str) -> Iterator[tuple[Located, str]]:
    """Yields the longest text of each row."""
    for file in find_data(source):
        for located in rows_of(file, faults=Faults()):
            texts = list(strings(located.row))
            if texts:
                yield located, max(texts, key=len)


def _place(text: str, number: int) -> int:
    """Chooses the end of a sentence, a different one for each row."""
    ends = [match.end() for match in _ENDS.finditer(text)]
    digest = hashlib.blake2b(number.to_bytes(8, "little"), digest_size=8).digest()
    return ends[int.from_bytes(digest, "little") % len(ends)]


Maker = Callable[[], tuple[str, str, str]]
"""Gives what stands before a value, a new value, and what stands behind."""


def _makers() -> dict[str, dict[str, Maker]]:
    """Returns makers of values by language and kind; ``name without`` is a name that no word
    announces.
    """
    try:
        from faker import Faker
    except ImportError:
        text = say("transforms.no_package", package="faker", command="pip install faker")
        raise SpecError(Problem("--measure", text)) from None
    zh = Faker("zh_CN")
    en = Faker("en_US")
    zh.seed_instance(0)
    en.seed_instance(0)

    def of(make: Callable[[], str], before: str, after: str) -> Maker:
        return lambda: (before, make(), after)

    chinese = {
        "name": of(zh.name, "患者", "，男。"),
        "name without": of(zh.name, "昨天", "来过。"),
        "phone": of(zh.phone_number, "电话", "。"),
        "mail": of(zh.email, "请写信到", "。"),
        "identity_card": of(zh.ssn, "身份证号", "。"),
        "bank_card": of(zh.credit_card_number, "卡号", "。"),
        "address": of(zh.street_address, "他住在", "。"),
        "plate": of(zh.license_plate, "车牌", "。"),
        "ip": of(zh.ipv4_public, "地址是", "。"),
    }
    english = {
        "name": of(en.name, "Patient: ", ". "),
        "name without": of(en.name, "Yesterday ", " called. "),
        "phone": of(en.basic_phone_number, "Call ", ". "),
        "mail": of(en.email, "Write to ", ". "),
        "bank_card": of(en.credit_card_number, "Card ", ". "),
        "address": of(en.street_address, "They live at ", ". "),
        "ip": of(en.ipv4_public, "From ", ". "),
    }
    return {"zh": chinese, "en": english}
