"""Documents become rows: each section with the headings above it, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import words
from tunesmith.api.rows import change_rows
from tunesmith.data.documents import Section, reader_of
from tunesmith.errors import DataError, SpecError

MARKDOWN = """---
title: x
---
# Guide

Read first.

## 安装 ##

一行。
二行。

```sh
# no heading
```

Usage
-----

* one
* two

### Empty
"""
HTML = """<!doctype html><html><head><title>no</title><style>p {}</style></head><body>
<nav>Home</nav><h1>Care <b>plan</b></h1>Before.<p>A&nbsp;<i>cold</i> day.</p><script>x()</script>
<h2>剂量</h2><div>每日<b>两次</b><br>饭后</div><table><tr><th>Drug</th><th>mg</th></tr>
<tr><td>A</td><td>5</td></tr></table>tail</body></html>"""


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


def sections(path: Path, content: str) -> list[Section]:
    path.write_text(content, encoding="utf-8")
    return list(reader_of(path)(path))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pdf(path: Path, pages: list[list[str]], bookmarks: list[tuple[str, int]] = ()) -> Path:  # type: ignore[assignment]
    """Writes a PDF of lines of Latin letters."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    named = {NameObject(key): NameObject(value) for key, value in font.items()}
    for lines in pages:
        page = writer.add_blank_page(300, 400)
        shown = "".join(f"({line}) Tj 0 -20 Td " for line in lines)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 380 Td {shown}ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(DictionaryObject(named))})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    for title, page_number in bookmarks:
        writer.add_outline_item(title=title, page_number=page_number)
    with path.open("wb") as file:
        writer.write(file)
    return path


def test_markdown_is_cut_at_its_headings(tmp_path: Path) -> None:
    assert sections(tmp_path / "a.md", MARKDOWN) == [
        Section(("Guide",), "Read first."),
        Section(("Guide", "安装"), "一行。\n二行。\n\n```sh\n# no heading\n```"),
        Section(("Guide", "Usage"), "* one\n* two"),
    ]


def test_a_page_in_another_encoding_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("# 标题\n\n这是一段用于测试的中文文字。".encode("gb18030"))
    (tmp_path / "b.html").write_bytes(
        "<h1>标题</h1><p>这是一段用于测试的中文文字。</p>".encode("gb18030")
    )
    for name in ("a.md", "b.html"):
        found = list(reader_of(tmp_path / name)(tmp_path / name))
        assert found == [Section(("标题",), "这是一段用于测试的中文文字。")]


def test_html_gives_what_is_read(tmp_path: Path) -> None:
    assert sections(tmp_path / "a.html", HTML) == [
        Section(("Care plan",), "Before.\n\nA cold day."),
        Section(("Care plan", "剂量"), "每日两次\n\n饭后\n\nDrug | mg\n\nA | 5\n\ntail"),
    ]


def test_a_word_document_is_cut_at_its_styles(tmp_path: Path) -> None:
    from docx import Document

    document = Document()
    document.add_paragraph("Before any heading.")
    document.add_heading("病历", 1)
    document.add_paragraph("主诉：头痛。")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "体温", "37.2"
    document.add_heading("Plan", 2)
    document.add_paragraph("Rest.")
    document.save(str(tmp_path / "a.docx"))
    assert list(reader_of(tmp_path / "a.docx")(tmp_path / "a.docx")) == [
        Section((), "Before any heading."),
        Section(("病历",), "主诉：头痛。\n\n体温 | 37.2"),
        Section(("病历", "Plan"), "Rest."),
    ]


def test_what_word_shows_is_read_and_what_was_struck_out_is_not(tmp_path: Path) -> None:
    from docx import Document
    from docx.enum.style import WD_STYLE_TYPE
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    def run(text: str) -> str:
        return f"<w:r><w:t>{text}</w:t></w:r>"

    spaces = nsdecls("w")
    document = Document()
    document.add_heading("Handbook", 0)
    house = document.styles.add_style("公司一级标题", WD_STYLE_TYPE.PARAGRAPH)
    house.base_style = document.styles["Heading 1"]
    document.add_paragraph("Travel", style="公司一级标题")
    paid = document.add_paragraph("Paid ")
    for element in (
        f"<w:ins {spaces}>{run('within thirty days')}</w:ins>",
        f"<w:del {spaces}><w:r><w:delText>never</w:delText></w:r></w:del>",
        f"<w:sdt {spaces}><w:sdtContent>{run(' by bank')}</w:sdtContent></w:sdt>",
        f"<w:r {spaces}><w:txbxContent><w:p>{run('In a box.')}</w:p></w:txbxContent></w:r>",
    ):
        paid._p.append(parse_xml(element))
    control = (
        f"<w:sdt {spaces}><w:sdtContent><w:p>{run('In a control.')}</w:p></w:sdtContent></w:sdt>"
    )
    document.element.body.insert(len(document.element.body) - 1, parse_xml(control))
    table = document.add_table(1, 3)
    for cell, text in zip(table.rows[0].cells, "abc", strict=True):
        cell.text = text
    table.cell(0, 0).merge(table.cell(0, 1)).text = "both"
    bonus = document.add_paragraph("Bonus")
    bonus._p.get_or_add_pPr().append(parse_xml(f'<w:outlineLvl {spaces} w:val="1"/>'))
    document.add_paragraph("Once a year.")
    document.save(str(tmp_path / "a.docx"))
    assert list(reader_of(tmp_path / "a.docx")(tmp_path / "a.docx")) == [
        Section(
            ("Handbook", "Travel"),
            "Paid within thirty days by bank\n\nIn a box.\n\nIn a control.\n\nboth | c",
        ),
        Section(("Handbook", "Travel", "Bonus"), "Once a year."),
    ]


def test_code_of_a_page_keeps_its_lines(tmp_path: Path) -> None:
    page = "<h1>Use</h1>Type<pre>if x:\n  <b>go</b>()</pre>and wait."
    assert sections(tmp_path / "a.html", page) == [
        Section(("Use",), "Type\n\nif x:\n  go()\n\nand wait.")
    ]


def test_lines_of_a_pdf_that_a_sentence_runs_over_are_joined(tmp_path: Path) -> None:
    lines = [
        *(
            "The care of the large unit",
            "must be done by a trained per-",
            "son who writes it down.",
        ),
        *(
            "Then the unit is used again",
            "Unit 7 | every second week |",
            "Unit 8 | every third week |",
        ),
    ]
    several = [
        ["Handbook", "1", *lines],
        ["Handbook", "2", "A long", "heading", "It goes on"],
        ["Handbook", "3", "and ends."],
    ]
    file = pdf(tmp_path / "a.pdf", several, [("Start", 0), ("A long heading", 1)])
    text = "The care of the large unit must be done by a trained person who writes it down."
    assert list(reader_of(file)(file)) == [
        Section(("Start",), "\n".join([text, *lines[3:]]), 1),
        Section(("A long heading",), "It goes on and ends.", 2),
    ]


def test_a_damaged_page_and_one_that_needs_a_package_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pypdf import PageObject
    from pypdf.errors import DependencyError, PdfReadError

    file = pdf(tmp_path / "a.pdf", [["x"]])
    for error, told in (
        (PdfReadError("?"), "its page 1 is damaged"),
        (DependencyError("cryptography"), "pip install cryptography"),
    ):

        def fails(page: object, error: Exception = error) -> str:
            raise error

        monkeypatch.setattr(PageObject, "extract_text", fails)
        with pytest.raises(DataError, match=told):
            change_rows("documents", str(file), tmp_path / "out.jsonl")


def test_a_pdf_is_cut_at_its_bookmarks_without_running_titles(tmp_path: Path) -> None:
    pages = [["Annual report", f"page text {n}.", f"- {n} -"] for n in range(1, 5)]
    file = pdf(tmp_path / "a.pdf", pages, [("Start", 0), ("Results", 2)])
    assert list(reader_of(file)(file)) == [
        Section(("Start",), "page text 1.\n\npage text 2.", 1),
        Section(("Results",), "page text 3.\n\npage text 4.", 3),
    ]
    one_page = [["Start", "first.", "Mid dle", "second.", "End"], ["third."]]
    named = [("Start", 0), ("Middle", 0), ("End", 0)]
    file = pdf(tmp_path / "c.pdf", one_page, named)
    assert list(reader_of(file)(file)) == [
        Section(("Start",), "first.", 1),
        Section(("Middle",), "second.", 1),
        Section(("End",), "third.", 2),
    ]
    plain = pdf(tmp_path / "b.pdf", pages[:2])
    found = list(reader_of(plain)(plain))
    assert [(one.headings, one.page) for one in found] == [((), 1), ((), 2)]


def test_a_folder_becomes_rows_that_add_up(tmp_path: Path) -> None:
    place = tmp_path / "in"
    (place / "deep").mkdir(parents=True)
    (place / "a.md").write_text("# Long\n\n" + "句子很长。" * 100, encoding="utf-8")
    (place / "deep" / "b.html").write_text(HTML, encoding="utf-8")
    (place / "c.xyz").write_text("?", encoding="utf-8")
    pdf(place / "scan.pdf", [[]])
    account = change_rows("documents", str(place), tmp_path / "out.jsonl", ["longest=200"])
    made = rows(tmp_path / "out.jsonl")
    assert [one["text"].split("\n\n")[0] for one in made] == ["Long"] * 3 + [
        "Care plan",
        "Care plan › 剂量",
    ]
    pieces = [one["text"].removeprefix("Long\n\n") for one in made[:3]]
    assert "".join(pieces) == "句子很长。" * 100 and all(len(one) <= 200 for one in pieces)
    assert all(one.endswith("。") for one in pieces)
    assert made[3]["document"] == "b.html" and made[3]["tunesmith_from"]["row"] == 1
    told = "\n".join(account.lines())
    assert "1 document holds no text" in told and "scan.pdf" in told
    assert "1 file of other kinds not read: .xyz" in told
    assert account.read + account.added == account.written + 1


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.pdf", b"%PDF-1.4 broken", "cannot be read"),
        ("a.docx", b"PK no zip", "it is no Word document"),
        (
            "a.docx",
            b"\xd0\xcf\x11\xe0 an old or locked one",
            "Word before 2007 .*locked with a password",
        ),
        ("a.md", b"\x81\x00\xff\xfe\xff", "binary file"),
        ("a.html", b"", "cannot be read"),
        ("a.md", b"# only a heading", "no document holds text"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_written(
    name: str, content: bytes, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told) as raised:
        change_rows("documents", str(tmp_path / name), tmp_path / "out.jsonl")
    assert not caplog.records, "a library's own lines stood before ours"
    assert name in str(raised.value) and not (tmp_path / "out.jsonl").exists()


def test_a_pdf_that_is_given_as_rows_is_led_to_the_verb_for_documents(tmp_path: Path) -> None:
    file = pdf(tmp_path / "a.pdf", [["A line."]])
    with pytest.raises(DataError, match=f"is a PDF.*: tunesmith data documents {file} OUT.jsonl"):
        change_rows("convert", str(file), tmp_path / "out.jsonl")


def test_a_locked_pdf_and_a_folder_without_documents(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(pdf(tmp_path / "a.pdf", [["x"]])))
    writer.encrypt("secret", algorithm="RC4-128")
    (tmp_path / "a.pdf").unlink()
    writer.write(tmp_path / "b.pdf")
    with pytest.raises(DataError, match="password"):
        change_rows("documents", str(tmp_path), tmp_path / "out.jsonl")
    (tmp_path / "b.pdf").unlink()
    with pytest.raises(SpecError, match="there is no document here"):
        change_rows("documents", str(tmp_path), tmp_path / "out.jsonl")
