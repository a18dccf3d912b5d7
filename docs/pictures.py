"""Makes the pictures of the README: ``python docs/pictures.py alpaca_zh_demo.json``.

That file is LLaMA-Factory's demo set of 600 rows; no row's text is shown. The people of the other
picture are made up.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tunesmith import words
from tunesmith.api import change_rows, check
from tunesmith.words import say

HERE = Path(__file__).parent
WIDTH = 108
PEOPLE = {
    "en": [
        "Patient Maria Keller, born on 1984-03-12: (212) 867-5309, +44 20 7946 0958, 2128675310",
        "Dear Maria Keller, your card 4539 1488 0343 6467 was charged: maria.keller@gmail.com",
    ],
    "zh": [
        "我叫张伟明，手机13800138000，身份证11010519491231002X，住在杭州市西湖区文三路12号3楼。",
        "患者张伟明的卡号是4539 1488 0343 6467，邮箱zhang@mail.com，车牌浙A12345。",
    ],
}


def picture_of_check(source: Path, lang: str) -> None:
    """Draws what ``tunesmith check`` says of a file, up to the lengths of its rows."""
    words.use(lang)
    found = check({"data": {"path": source.name}})
    lines = found.head()
    end = lines.index(say("check.lengths"))
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ tunesmith check {source.name}", style="bold"))
    for line in lines[:end]:
        console.print(Text(line))
    save(console, f"check-{lang}.svg")


def picture_of_anonymise(lang: str) -> None:
    """Draws two rows before and after ``tunesmith data anonymise``, what is personal in red and
    what became of it in green.
    """
    words.use(lang)
    os.environ["PICTURE_KEY"] = "a picture"
    with tempfile.TemporaryDirectory() as place:
        source, out = Path(place) / "in.jsonl", Path(place) / "out.jsonl"
        rows = "".join(json.dumps({"text": text}) + "\n" for text in PEOPLE[lang])
        source.write_text(rows, encoding="utf-8")
        change_rows("anonymise", str(source), out, ["key=PICTURE_KEY"])
        after = [json.loads(line)["text"] for line in out.read_text("utf-8").splitlines()]
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text("$ tunesmith data anonymise rows.jsonl safe.jsonl", style="bold"))
    for before, changed in zip(PEOPLE[lang], after, strict=True):
        console.print(coloured(before, changed, "red"))
        console.print(coloured(changed, before, "green"))
        console.print()
    save(console, f"anonymise-{lang}.svg")


def coloured(text: str, other: str, colour: str) -> Text:
    """Colours the parts of a text that the other has not."""
    from difflib import SequenceMatcher

    pieces = re.compile(r"[A-Za-z0-9.@+-]+|.")
    own, theirs = pieces.findall(text), pieces.findall(other)
    shown = Text()
    for kind, start, end, _, _ in SequenceMatcher(None, own, theirs, False).get_opcodes():
        shown.append("".join(own[start:end]), style=None if kind == "equal" else colour)
    return shown


def save(console: Console, name: str) -> None:
    """Writes a picture that asks no server for its letters."""
    drawn = console.export_svg(title="tunesmith")
    drawn = re.sub(r"@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL)
    (HERE / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    given = Path(sys.argv[1]).resolve()
    os.chdir(given.parent)
    for language in ("en", "zh"):
        picture_of_check(given, language)
        picture_of_anonymise(language)
