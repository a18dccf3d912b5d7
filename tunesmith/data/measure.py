"""``tunesmith data anonymise --measure``: how much of made-up personal data is found in the user's
own rows, which needs no labels.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import sqrt

from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.find import find_data
from tunesmith.data.texts.script import script_of
from tunesmith.data.texts.strings import strings
from tunesmith.data.transforms.anonymise import Anonymise
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.words import say, some

ROWS = 2000
"""Rows that are looked at, from the first."""
_ENDS = re.compile(r"[。！？；.!?;]\s*|$")
_Z = 1.959964
"""Of the 95 % interval."""


@dataclass(frozen=True)
class Measured:
    """How many of the planted values were found whole, by kind, and what was found beside them."""

    rows: int
    planted: dict[str, int]
    found: dict[str, int]
    others: dict[str, tuple[str, ...]]
    """Where each kind was found in rows as they are: a true one, or a false alarm."""

    def lines(self) -> list[str]:
        """Returns the recall of each kind with Wilson's interval, and what else was found, as lines
        for a person.
        """
        lines = [say("transforms.measured", rows=self.rows)]
        for kind, planted in self.planted.items():
            caught = self.found.get(kind, 0)
            low, high = wilson(caught, planted)
            shares = {"percent": caught / planted, "low": low, "high": high}
            lines.append(
                say(
                    "transforms.recall",
                    kind=say(f"transforms.why_{kind.partition(' ')[0]}")
                    + (say("transforms.without_cue") if " " in kind else ""),
                    found=caught,
                    planted=planted,
                    **{name: f"{100 * share:.1f}" for name, share in shares.items()},
                )
            )
        for kind, places in self.others.items():
            values = {"kind": say(f"transforms.why_{kind}"), "places": some(places)}
            lines.append(say("transforms.others", number=len(places), rows=self.rows, **values))
        return lines

    def to_json(self) -> JsonObject:
        """Returns the same for programs; shares between 0 and 1."""
        recall = {}
        for kind, planted in self.planted.items():
            caught = self.found.get(kind, 0)
            interval = list(wilson(caught, planted))
            recall[kind] = {"planted": planted, "found": caught, "interval": interval}
        return {"rows": self.rows, "recall": recall, "others": self.others}


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
    planted: list[tuple[str, str, int, int]] = []
    for number, (_, text) in enumerate(given):
        language = "zh" if script_of(text) in ("zh", None) else "en"
        kinds = [kind for kind in makers[language] if transform.wants(kind.partition(" ")[0])]
        kind = kinds[number % len(kinds)]
        before, value, after = makers[language][kind]()
        at = _place(text, number)
        whole = text[:at] + before + value + after + text[at:]
        start = at + len(before)
        planted.append((kind, whole, start, start + len(value)))
    caught = _covered(planted, transform)
    others: dict[str, list[str]] = {}
    untouched = transform.find([text for _, text in given])
    for (located, _), parts in zip(given, untouched, strict=True):
        for kind in dict.fromkeys(part.kind for part in parts):
            others.setdefault(kind, []).append(f"{located.file.name}:{located.number}")
    counts = Counter(kind for kind, *_ in planted)
    return Measured(
        len(given),
        {kind: counts[kind] for kind in sorted(counts)},
        caught,
        {kind: tuple(places) for kind, places in others.items()},
    )


def _covered(planted: list[tuple[str, str, int, int]], transform: Anonymise) -> dict[str, int]:
    """Counts the planted values that lie whole within one finding of their kind."""
    caught: Counter[str] = Counter()
    looked = transform.find([text for _, text, _, _ in planted])
    for (kind, _, start, end), parts in zip(planted, looked, strict=True):
        right = kind.partition(" ")[0]
        caught[kind] += any(
            part.start <= start and end <= part.end and part.kind == right for part in parts
        )
    return dict(caught)


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
