"""Bytes are text in one encoding or in none: the name that is given decodes every byte."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tunesmith.data.files.decoding import _CHUNK, compressed, encoding_of, open_bytes, open_text
from tunesmith.errors import DataError

CHINESE = "微调一个语言模型，再证明它学会了。\n"


def held(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def told(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        encoding_of(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written_in", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-32", "utf-32"),
        ("gbk", "gb18030"),
        ("gb18030", "gb18030"),
    ],
)
def test_the_name_that_is_found_gives_the_text_back(
    written_in: str, found: str, tmp_path: Path
) -> None:
    text = CHINESE * 40
    path = held(tmp_path / "rows.txt", text.encode(written_in))
    assert encoding_of(path) == found
    with open_text(path, found, newline="") as stream:
        assert stream.read() == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_mark_is_known_by_its_zeros(encoding: str, tmp_path: Path) -> None:
    path = held(tmp_path / "rows.csv", ("question,answer\n" * 20 + CHINESE).encode(encoding))
    assert encoding_of(path) == encoding


@pytest.mark.parametrize("before", range(4))
def test_a_character_on_the_border_of_two_chunks_is_whole(before: int, tmp_path: Path) -> None:
    path = held(tmp_path / "rows.txt", b"a" * (_CHUNK - before) + CHINESE.encode())
    assert encoding_of(path) == "utf-8"


def test_a_fault_after_the_first_chunk_is_at_its_byte_and_line(tmp_path: Path) -> None:
    lines = (CHINESE * (_CHUNK // len(CHINESE.encode()) + 2)).encode()
    path = held(tmp_path / "rows.txt", lines + b"ok\n\xff\n")
    # Line counts go over the chunk's border; so does the offset.
    assert f"rows.txt:{lines.count(10) + 2}: " in told(path)
    assert str(len(lines) + 3) in told(path)


def test_a_zero_byte_is_no_text(tmp_path: Path) -> None:
    assert "rows.txt:3: " in told(held(tmp_path / "rows.txt", b"one\ntwo\nth\0ree and more\n"))


def test_lines_in_two_encodings_are_told_as_mixed(tmp_path: Path) -> None:
    lines = CHINESE.encode() * 5 + CHINESE.encode("gb18030") * 2
    message = told(held(tmp_path / "rows.txt", lines))
    assert "rows.txt:6: " in message and "5 of 7 lines" in message


def test_gzip_is_known_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    packed = held(tmp_path / "rows.txt", gzip.compress(CHINESE.encode("gb18030")))
    plain = held(tmp_path / "rows.gz", CHINESE.encode("gb18030"))
    assert compressed(packed) and not compressed(plain)
    assert encoding_of(packed) == encoding_of(plain) == "gb18030"
    with open_bytes(packed) as one, open_bytes(plain) as other:
        assert one.read() == other.read()


def test_line_ends_inside_quotes_stay_where_they_are_asked_for(tmp_path: Path) -> None:
    path = held(tmp_path / "rows.csv", b'a,b\r\n"x\r\ny",z\r\n')
    with open_text(path, "utf-8", newline="") as stream:
        assert stream.read() == 'a,b\r\n"x\r\ny",z\r\n'
    with open_text(path, "utf-8") as stream:
        assert stream.read() == 'a,b\n"x\ny",z\n'


def test_plain_letters_with_stray_zeros_are_not_taken_for_wide_ones(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": "x\0yz"}\n' * 40)
    with pytest.raises(DataError, match=r"rows.jsonl:1.*zero byte"):
        encoding_of(file)
    for name in ("utf-16-le", "utf-16-be"):
        file.write_bytes('{"a": "x yz"}\n{"a": "药"}\n'.encode(name))
        assert encoding_of(file) == name


def test_a_line_that_is_damaged_in_gbk_is_named(tmp_path: Path) -> None:
    lines = [CHINESE.encode("gbk")] * 9
    lines[6] = lines[6][:8] + b"\xff" + lines[6][8:]
    said = told(held(tmp_path / "damaged.txt", b"".join(lines)))
    assert "damaged.txt:7: the file is GB18030 (or GBK), but byte" in said
    assert "(0xFF) is not valid in it (1 line in all); correct or remove that line" in said
