"""The cheap rival for entities: the dictionary of those in the training rows."""

from __future__ import annotations

from tunesmith.examples import Span, Tagged
from tunesmith.proving.dictionary import Dictionary


def tagged(text: str, **entities: str) -> Tagged:
    """A row in which each of these words is an entity of that kind, at its first place."""
    spans = [
        Span(text.index(word), text.index(word) + len(word), kind)
        for word, kind in entities.items()
    ]
    return Tagged(text, tuple(sorted(spans)))


def test_the_longest_entity_at_a_place_is_found_with_its_commonest_kind() -> None:
    york, new_york = Span(0, 4, "PER"), Span(8, 16, "LOC")
    rows = [
        Tagged("York in New York", (york, new_york)),
        tagged("York", York="LOC"),
        tagged("York", York="PER"),
    ]
    found = Dictionary.of(rows).find("from New York to York")
    assert found == [Span(5, 13, "LOC"), Span(17, 21, "PER")]


def test_a_word_that_is_mostly_no_entity_is_left_out() -> None:
    rows = [tagged("May came", May="PER"), Tagged("in May", ()), Tagged("until May", ())]
    assert Dictionary.of(rows).find("May") == []
    assert Dictionary.of(rows[:2]).find("May") == [Span(0, 3, "PER")], (
        "half of the places is enough"
    )


def test_chinese_has_no_blanks_between_words() -> None:
    rows = [tagged("张三在北京", 张三="PER", 北京="LOC")]
    assert Dictionary.of(rows).find("我在北京见张三") == [Span(2, 4, "LOC"), Span(5, 7, "PER")]


def test_without_entities_nothing_is_found() -> None:
    assert Dictionary.of([Tagged("no one", ())]).find("no one") == []
