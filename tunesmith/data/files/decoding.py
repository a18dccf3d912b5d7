"""Bytes to text: gzip, and the encoding, found by strict trial decoding of the whole file.

UTF-8, UTF-16 and GB18030 are read; any other encoding is named in the error and never guessed.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from tunesmith.data.files.paths import on_disk
from tunesmith.errors import DataError, Problem
from tunesmith.words import say

_CHUNK = 1 << 20
_WESTERN = frozenset(
    "‘’“”‚„–—…•€™©®°§«»·\xa0¿¡£ºª²³½¼±×µ"
    "àâäáãåæçèéêëìíîïñòóôöõøœùúûüýÿßÀÂÄÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÕØŒÙÚÛÜÝšŠžŽ"
)
"""What windows-1252 writes with bytes above 127 in the languages of Western Europe."""
_MARKS = frozenset(b"\x82\x84\x85\x91\x92\x93\x94\x96\x97")
"""Its quotes, dashes and ellipsis, which several code pages write so."""
_SCRIPTS = (
    ("cp932", "ぁ", "ん", 0.2),
    ("cp949", "가", "힣", 0.9),
    ("windows-1251", "а", "я", 0.8),
    ("koi8-r", "а", "я", 0.8),
)
"""Encodings, the first and last of their usual letters, and the least share of these among all that
is not ASCII. Five Chinese files had 0.40 to 0.51 for cp949, 0.14 for windows-1251, 0.45 for koi8-r.
"""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def compressed(path: Path) -> bool:
    """Tells whether the file is gzip, whatever its name."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Opens the file's bytes, unpacked; raises DataError when they cannot be read to the end."""
    path, _ = on_disk(path)
    try:
        with cast(
            BinaryIO, gzip.open(path, "rb") if compressed(path) else open(path, "rb")
        ) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(Problem(str(path), say("source.gzip", error=error))) from None
    except OSError as error:
        raise DataError(
            Problem(str(path), say("source.unreadable", error=error.strerror or error))
        ) from None


@contextmanager
def open_text(path: Path, encoding: str, *, newline: str | None = None) -> Iterator[TextIO]:
    """Opens the file as text. ``newline=""`` keeps line ends as they are, which quoted
    fields need.
    """
    with open_bytes(path) as stream:
        text = io.TextIOWrapper(stream, encoding=encoding, errors="strict", newline=newline)
        try:
            yield text
        finally:
            text.detach()


def encoding_of(path: Path) -> str:
    """Finds the encoding in which every byte of the file is valid; raises DataError with the byte's
    offset if there is none.
    """
    with open_bytes(path) as stream:
        head = stream.read(_CHUNK)
    if head.startswith(b"%PDF-"):  # a small one can pass for text in some encoding
        raise DataError(Problem(str(path), say("source.pdf", path=path)))
    for mark, name in _BOMS:
        if head.startswith(mark):
            failure = _failure(path, name)
            if failure:
                raise DataError(
                    Problem(
                        f"{path}:{failure.line}",
                        say("source.mark", encoding=name, offset=failure.offset),
                    )
                )
            return name
    wide = _wide(head)
    if wide and _failure(path, wide) is None:
        return wide
    failure = _failure(path, "utf-8", binary=True)
    if failure is None:
        return "utf-8"
    if failure.zero:
        raise DataError(
            Problem(f"{path}:{failure.line}", say("source.zero", offset=failure.offset))
        )
    good, bad = _lines_in(path, "utf-8")
    if good >= 2 and good > bad:
        values = {
            "good": good,
            "bad": bad,
            "lines": good + bad,
            "offset": failure.offset,
            "byte": f"0x{failure.byte:02X}",
        }
        raise DataError(Problem(f"{path}:{failure.line}", say("source.mixed", **values)))
    # A few valid wide characters before the fault mean UTF-8 that is damaged; GBK text fails at
    # once.
    if failure.wide < 8 and _chinese(head) and _failure(path, "gb18030") is None:
        return "gb18030"
    looks = _looks_like(path, failure.offset)
    if looks is None and failure.wide < 8 and _chinese(head):
        good, bad = _lines_in(path, "gb18030")
        damaged = _failure(path, "gb18030")
        if damaged is not None and good >= 2 and good > 4 * bad:
            fields = {"offset": damaged.offset, "byte": f"0x{damaged.byte:02X}", "bad": bad}
            raise DataError(Problem(f"{path}:{damaged.line}", say("source.damaged", **fields)))
    hint = say("source.convert", encoding=looks) if looks else say("source.repair")
    text = say("source.encoding", offset=failure.offset, byte=f"0x{failure.byte:02X}", hint=hint)
    raise DataError(Problem(f"{path}:{failure.line}", text))


def _lines_in(path: Path, encoding: str) -> tuple[int, int]:
    """Counts the lines with non-ASCII letters that are valid in this encoding, and those that are
    not; hardly any are valid UTF-8 by chance.
    """
    good = bad = 0
    with open_bytes(path) as stream:
        for line in stream:
            if not line.isascii():
                try:
                    line.decode(encoding)
                    good += 1
                except UnicodeDecodeError:
                    bad += 1
    return good, bad


class _Failure:
    """Where strict decoding stopped: byte offset and line, and how many wide characters were valid
    before.
    """

    def __init__(self, offset: int, byte: int, line: int, wide: int) -> None:
        self.offset, self.byte, self.line, self.wide = offset, byte, line, wide
        self.zero = byte == 0


def _failure(path: Path, encoding: str, *, binary: bool = False) -> _Failure | None:
    """Finds the first byte that is not valid in ``encoding``; with ``binary`` a zero byte is not
    valid either.
    """
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    offset, line, wide = 0, 1, 0
    with open_bytes(path) as stream:
        while True:
            chunk = stream.read(_CHUNK)
            if binary and (zero := chunk.find(b"\0")) >= 0:
                return _Failure(offset + zero, 0, line + chunk.count(b"\n", 0, zero), wide)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                before = bytes(error.object[: error.start])
                at = offset - (len(error.object) - len(chunk)) + error.start
                wide += _beyond_ascii(before.decode(encoding, "ignore"))
                return _Failure(at, error.object[error.start], line + before.count(b"\n"), wide)
            if not chunk:
                return None
            offset += len(chunk)
            line += chunk.count(b"\n")
            wide += 0 if text.isascii() or wide > 8 else _beyond_ascii(text)


def _beyond_ascii(text: str) -> int:
    """Counts the letters beyond ASCII; letter by letter it takes a third of a second a megabyte."""
    return len(text) - len(text.encode("ascii", "ignore"))


def _wide(head: bytes) -> str | None:
    """Recognises UTF-16 without its mark: ASCII characters leave zeros in every other byte."""
    even = head[0::2].count(0)
    odd = head[1::2].count(0)
    if even + odd < max(2, len(head) // 50):
        return None
    if head.isascii() and even + odd < 0.4 * len(head):
        return None  # plain letters with stray zeros: half the bytes of English UTF-16 are zeros
    if odd > 20 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 20 * odd else None


def _chinese(head: bytes) -> bool:
    """Tells whether these bytes make sense as GB18030: Big5 and Latin bytes are often valid in it,
    but give rare characters.
    """
    if _of_script(head) is not None:
        return False  # hangul in cp949 are common Chinese characters in GB18030
    letters = [letter for letter in head.decode("gb18030", "ignore") if ord(letter) > 127]
    common = sum(bool(letter.encode("gb2312", "ignore")) for letter in letters)
    if not letters or common >= 0.8 * len(letters):
        return True
    return (_guess(head[: 1 << 16]) or "") in ("gb18030", "gbk", "gb2312")


def _looks_like(path: Path, offset: int) -> str | None:
    """Guesses the encoding to convert from: common encodings first, then the one that fits the wide
    bytes.
    """
    with open_bytes(path) as stream:
        stream.seek(max(0, offset - (1 << 15)))
        sample = stream.read(1 << 16)
    if _western(sample) and _failure(path, "cp1252") is None:
        return "windows-1252"
    script = _of_script(sample)
    if script and _failure(path, script) is None:
        return script
    guess = _guess(sample)
    return guess if guess and _failure(path, guess) is None else None


def _western(sample: bytes) -> bool:
    """Tells whether the wide bytes are few among plain letters and belong to Western text: quotes,
    dashes, accented letters; or are nothing but quotes and dashes.
    """
    wide = [byte for byte in sample if byte > 127]
    if wide and {*wide} <= _MARKS:
        return True
    text = bytes(wide).decode("cp1252", "replace")
    usual = sum(letter in _WESTERN for letter in text)
    return 4 * len(wide) < len(sample) and usual >= 0.9 * len(text)


def _of_script(sample: bytes) -> str | None:
    """Recognises the encodings of scripts by the letters that make up most of a text in them; None
    for all others. Guessed as a whole, short files are taken for one another.
    """
    for encoding, first, last, least in _SCRIPTS:
        wide = [letter for letter in sample.decode(encoding, "ignore") if ord(letter) > 127]
        usual = sum(first <= letter <= last for letter in wide)
        if len(wide) >= 16 and usual >= least * len(wide):
            return encoding
    return None


def _guess(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else None
