"""A text and the entities in it: as places (from, up to, what), or as a tag for each word."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from tunesmith.data.columns.scripts import HAN, KANA
from tunesmith.data.columns.spans import TAG, spans_of
from tunesmith.data.columns.turns import as_text, field_problem, json_list, shown, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Span, Tagged

TEXTS = ("text", "sentence", "Sentence", "content", "文本", "句子")
PLACES = ("entities", "spans", "entity", "ner", "label", "labels", "annotations", "实体")
WORDS = ("tokens", "words", "chars", "characters")
TAGS = ("ner_tags", "tags", "bio", "bio_tags", "labels", "label", "ner")
STARTS = ("start", "start_offset", "start_idx", "start_pos", "begin")
ENDS = ("end", "end_offset", "end_idx", "end_pos", "stop")
KINDS = ("label", "type", "entity", "entity_group", "entity_type", "tag", "category", "labels")
_UNSPACED = re.compile(f"[{HAN}{KANA}\u3000-\u303f\uff00-\uffef]")
MENTIONS = ("text", "word", "mention", "value", "surface", "name", "entity")
"""Keys of the text that lies in a place; an ``entity`` beside a type is such a text."""


@READERS.register
class Entities(Reader):
    """A text with its entities, or words with a tag each."""

    gives = Tagged
    fields: ClassVar[dict[str, str]] = {
        "text": "what entities are found in; also sentence, content",
        "entities": "a list of entities, each with start, end (characters) and label",
        "tokens": "the words of a text in order; also words, chars",
        "tags": (
            "a tag for each word, such as B-PER, I-PER, O, or its number in objective.labels; "
            "also ner_tags, labels"
        ),
        **dict.fromkeys(TEXTS[1:], "a text"),
        **dict.fromkeys((*WORDS[1:],), "the words of a text"),
        **dict.fromkeys(("ner_tags", "bio", "bio_tags"), "a tag for each word"),
        **dict.fromkeys(("spans", "annotations", "实体"), "a list of entities"),
    }
    answers: ClassVar[frozenset[str]] = frozenset({*PLACES, *TAGS})

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, the places and the tags under their other names."""
        return frozenset({*self.fields, *PLACES, *TAGS, *_TAGGED, "text_a"})

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with words and their tags, or a text and the places of entities in it."""
        words = _first(columns, WORDS)
        tags = _first(columns, TAGS)
        if words and tags and json_list(row.get(words)) is not None:
            return True
        if _in_cells(columns, row) is not None:
            return True
        text = _first(columns, TEXTS)
        places = _first(columns, PLACES)
        return text is not None and places is not None and _are_places(row.get(places))

    def read(self, row: Row) -> Tagged:
        """Reads the text and its entities; none where the row has no column for them, as when it is
        only asked.
        """
        columns = frozenset(row)
        cells = _in_cells(columns, row)
        if cells is not None:
            return _of_words({**row, cells[0]: cells[1], cells[2]: cells[3]}, cells[0], cells[2])
        words = _first(columns, WORDS)
        if words and json_list(row[words]) is not None:
            return _of_words(row, words, _first(columns - {words}, TAGS))
        name = _first(columns, PLACES)
        text = text_of(row, *TEXTS)
        spans = [] if name is None else _places(row[name], name)
        return Tagged(text, _checked(text, spans, name or ""), columns=dict(row))


def _first(columns: frozenset[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _in_cells(columns: frozenset[str], row: Row) -> tuple[str, list[str], str, list[str]] | None:
    """Returns the words that one cell holds and the tags that another holds, each with its column;
    None where the row is no such one: ``Ada came`` beside ``B-PER,O``, or as PaddleNLP writes it.
    """
    words_column = _first(columns, (*WORDS, *TEXTS, "text_a"))
    tags_column = _first(columns, (*TAGS, *_TAGGED))
    text, tags = (
        (row.get(words_column), row.get(tags_column))
        if words_column and tags_column
        else (None, None)
    )
    if not words_column or not tags_column or not (isinstance(text, str) and isinstance(tags, str)):
        return None
    printed = [_printed(text), _printed(tags)]
    tagged = printed[1] or [tag for tag in _BETWEEN.split(tags.strip()) if tag]
    if len(tagged) < 2 or not all(map(TAG.fullmatch, tagged)):
        return None
    spaced = printed[0] or (text.split("\x02") if "\x02" in text else text.split())
    letters = [letter for letter in text if not letter.isspace() and letter != "\x02"]
    words = letters if len(letters) == len(tagged) != len(spaced) else spaced
    return words_column, words, tags_column, tagged


def _printed(cell: str) -> list[str]:
    """Returns the texts of a list that Python printed into a cell; none where it holds no such."""
    if not cell.startswith("["):
        return []
    try:
        parsed = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    texts = [item for item in parsed if isinstance(item, str)] if isinstance(parsed, list) else []
    return texts if texts == parsed else []


_TAGGED = ("word_labels", "word_tags", "ner_labels", "Tag", "标签")
_BETWEEN = re.compile(r"[\x02,，\s]+")
"""What stands between the tags in one cell."""


def _are_places(value: object) -> bool:
    """Tells whether a cell holds places: a list of them, perhaps empty, or CLUENER's mapping."""
    listed = json_list(value)
    if listed is None:
        return isinstance(value, Mapping) and all(
            isinstance(mentions, Mapping) for mentions in value.values()
        )
    return all(
        (isinstance(item, Mapping) and any(key in item for key in STARTS))
        or (isinstance(item, list) and len(item) == 3)
        for item in listed
    )


Place = tuple[int, int, str, str | None]
"""From, up to, label and, where the row tells it, the text that lies there."""


def _places(value: object, field: str) -> list[Place]:
    if isinstance(value, Mapping):  # CLUENER: {label: {mention: [[from, to]]}}
        return [place for label in value for place in _mentioned(label, value[label], field)]
    listed = json_list(value)
    if listed is None:
        if value in (None, ""):
            return []
        raise field_problem(field, "tagged.no_places", seen=shown(value))
    return [_place(item, field) for item in listed]


def _mentioned(label: Any, mentions: Any, field: str) -> list[Place]:
    """Reads the places of one label as CLUENER writes them."""
    if not isinstance(mentions, Mapping):
        raise field_problem(field, "tagged.no_places", seen=shown({label: mentions}))
    places_read: list[Place] = []
    for mention, places in mentions.items():
        if not isinstance(places, list) or not all(
            isinstance(pair, list) and len(pair) == 2 for pair in places
        ):
            raise field_problem(field, "tagged.no_places", seen=shown({mention: places}))
        places_read += [
            (_whole(start, field), _whole(end, field), str(label), str(mention))
            for start, end in places
        ]
    return places_read


def _place(one: Any, field: str) -> Place:
    if isinstance(one, list) and len(one) == 3:
        return _whole(one[0], field), _whole(one[1], field), str(one[2]), None
    if not isinstance(one, Mapping):
        raise field_problem(field, "tagged.no_places", seen=shown(one))
    keys = [_first(frozenset(one), names) for names in (STARTS, ENDS, KINDS)]
    if None in keys:
        raise field_problem(field, "tagged.no_places", seen=shown(dict(one)))
    start, end, label = (one[key] for key in keys if key is not None)
    if isinstance(label, list) and len(label) == 1:  # as Label Studio writes it
        label = label[0]
    mention = _first(frozenset(one) - {*keys}, MENTIONS)
    mentioned = None if mention is None else str(one[mention])
    return _whole(start, field), _whole(end, field), as_text(label, field), mentioned


def _whole(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise field_problem(field, "tagged.no_places", seen=shown(value))
    return value


def _checked(text: str, places: list[Place], field: str) -> tuple[Span, ...]:
    """Returns the places as spans in order; raises DataError where they do not fit the text.

    An end may be the last character instead of the one behind it; the mentions tell which.
    """
    mentioned = [(start, end, mention) for start, end, _, mention in places if mention is not None]
    last = bool(mentioned) and all(
        text[start : end + 1] == mention for start, end, mention in mentioned
    )
    spans = sorted(Span(start, end + last, label) for start, end, label, _ in places)
    for span in spans:
        if not 0 <= span.start < span.end <= len(text) or not span.label:
            raise field_problem(field, "tagged.outside", seen=_seen(span), characters=len(text))
    for start, end, mention in mentioned:
        if text[start : end + last] != mention:
            there = repr(text[start : end + last])
            raise field_problem(field, "tagged.other", mention=repr(mention), there=there)
    for before, after in pairwise(spans):
        if after.start < before.end:
            raise field_problem(field, "tagged.overlap", one=_seen(before), other=_seen(after))
    return tuple(spans)


def _seen(span: Span) -> str:
    return f"[{span.start}, {span.end}, {span.label}]"


def _of_words(row: Row, words: str, tags: str | None) -> Tagged:
    """Joins the words, with a space between those that are not Chinese or Japanese."""
    tokens = [as_text(word, words) for word in json_list(row[words]) or ()]
    text, places = "", []
    for token in tokens:
        text += " " if text and token and not (_spaceless(text[-1]) or _spaceless(token[0])) else ""
        places.append((len(text), len(text) + len(token)))
        text += token
    spans = [span for span in places if span[0] < span[1]]
    if tags is None:
        return Tagged(text, (), tuple(spans), dict(row))
    given = json_list(row[tags]) or []
    if len(given) != len(tokens):
        raise field_problem(tags, "tagged.not_as_many", tags=len(given), tokens=len(tokens))
    kept = [tag for tag, (start, end) in zip(given, places, strict=True) if start < end]
    if given and all(type(tag) is int for tag in given):
        return Tagged(text, (), tuple(spans), dict(row), (tags, tuple(kept)))
    wrong = next((tag for tag in given if not (isinstance(tag, str) and TAG.fullmatch(tag))), None)
    if wrong is not None:
        raise field_problem(tags, "tagged.not_a_tag", tag=shown(wrong))
    return Tagged(text, spans_of(kept, spans), tuple(spans), dict(row))


def _spaceless(character: str) -> bool:
    return _UNSPACED.match(character) is not None
