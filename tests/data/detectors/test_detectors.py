"""Each detector speaks where it must and is quiet where nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from tunesmith.data.detectors import Detectors
from tunesmith.examples import Chat, Example, Feedback, Labelled, Preference, Turn

LONG = "This answer is long enough to be looked at, because it holds more than eighty characters"


def chat(question: str, answer: str) -> Chat:
    return Chat((Turn("user", question), Turn("assistant", answer)))


def notes(rows: Iterable[Example]) -> list[str]:
    detectors = Detectors()
    for number, row in enumerate(rows, 1):
        detectors.add(f"rows.jsonl:{number}", detectors.look(row))
    return detectors.notes()


def sound(count: int = 40) -> list[Example]:
    return [chat(f"What is the number {n}?", f"{LONG}, number {n}.") for n in range(count)]


def turns(*parts: tuple[str, str] | Turn) -> Chat:
    return Chat(
        tuple(part if isinstance(part, Turn) else Turn(part[0], part[1]) for part in parts)  # type: ignore[arg-type]
    )


CALL = Turn("assistant", "", tool_calls=({"type": "function", "function": {"name": "look"}},))


def labelled(*labels: str) -> list[Example]:
    return [Labelled(f"text {n}", labels=(label,)) for n, label in enumerate(labels)]


def test_sound_rows_are_not_spoken_of() -> None:
    assert notes(sound()) == []
    assert notes(labelled(*("a", "b") * 20)) == []
    code = "```python\nprint('Human: hi')\n```"
    assert (
        notes(
            [
                *sound(),
                chat("a", "1. one\n2. two"),
                chat("b", code),
                chat("c", "Ünïcödé à la carte."),
                turns(("system", "s"), ("user", "q1"), CALL, ("tool", "7"), ("assistant", "7.")),
                chat(
                    "Translate this sentence to Chinese, please.",
                    "这一行是译文，不是换了语言。" * 2,
                ),
            ]
        )
        == []
    )


def test_values_that_are_not_there_are_told_however_many_they_are() -> None:
    rows = [chat(f"How many are {n}?", ("nan", "NULL", str(n), str(n))[n % 4]) for n in range(12)]
    (told,) = notes(rows)
    assert told.startswith("6 answers say nothing, such as N/A, nan or ... (rows.jsonl:1, rows.jso")
    words = [chat(f"Is {n} a fruit?", ("none", "null pointer", "Nan")[n % 3]) for n in range(12)]
    assert notes(words) == [], "words that may be answers"


def test_labels_that_stand_for_a_missing_value_are_told() -> None:
    labels = ("good", "nan", "none", "null")
    rows = [Labelled(f"film {n}", labels=(labels[n % 4],)) for n in range(8)]
    (told,) = notes(rows)
    assert told.startswith("2 labels say nothing, such as nan or NULL")
    assert "(rows.jsonl:2, rows.jsonl:6)" in told and "found=[hollow]" in told
    assert notes([*rows[::2], Labelled("film 8", labels=3.5)]) == [], "names of classes, a number"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            [chat("q", "请问怎么退货".encode("gbk").decode("latin-1"))],
            "1 row seems to have been read in a wrong encoding (rows.jsonl:41)",
        ),
        ([chat("q", "naïve café".encode().decode("latin-1"))], "wrong encoding"),
        (
            [chat("q", "caf\ufffd"), chat("r", "锟斤拷")],
            "2 rows hold characters that were lost earlier",
        ),
        ([chat("q", "Yes.<|im_end|>")], "marks of a chat template"),
        ([chat("### Instruction:\nAdd.", "2")], "marks of a chat template"),
        (
            [chat("q", "Yes.\nHuman: and now?\nAssistant: no")],
            "1 answer seems to go on with further turns",
        ),
        ([chat("q", "好的。\n用户：那呢？")], "further turns"),
        ([chat("q", f"{LONG} and then it sto")], "1 of 41 long answers ends in the middle"),
        (
            [chat("What is the number 3?", "It is another answer.")],
            "1 question has another answer in another row (rows.jsonl:41 ↔ rows.jsonl:4)",
        ),
        (
            [turns(("user", "q"), ("system", "late"), ("assistant", "a"))],
            "1 row has a system prompt after the first turn (rows.jsonl:41)",
        ),
        (
            [turns(("user", "q"), ("tool", "7"), ("assistant", "a"))],
            "result that no call asked for",
        ),
        (
            [turns(("user", "q"), CALL, ("user", "r"), ("assistant", "a"))],
            "call without its result",
        ),
        (
            [turns(("user", "q"), Turn("assistant", "a", train=False), ("assistant", "b"))],
            "two consecutive turns of one speaker",
        ),
        (
            [chat("请用一句话说明什么是退货政策，谢谢你了。", f"{LONG}.")],
            "1 answer leaves the language of the question",
        ),
        (
            [chat("q", "这一行是用中文回答的，其他的都是英文回答，长度也足够。")],
            "1 row answers in the script zh, nearly all others in latin",
        ),
    ],
)
def test_one_fault_is_told_once(wrong: Sequence[Example], told: str) -> None:
    found = notes([*sound(), *wrong])
    assert len(found) == 1 and told in found[0], found


def test_a_class_with_nearly_all_rows_is_told() -> None:
    (note,) = notes(labelled(*("spam",) * 38, *("ham",) * 2))
    assert "95 % of the rows have the label spam" in note


def test_an_answer_that_nearly_all_rows_have_is_told_once_it_outweighs() -> None:
    often = [chat(f"Is {n} one?", "no") for n in range(36)]
    (note,) = notes([*often, *(chat(f"Is 1 one, {n}?", "yes") for n in range(4))])
    assert "90 % of the rows have the answer “no”" in note
    assert notes([*often, *(chat(f"Is 1 one, {n}?", "yes") for n in range(5))]) == []
    assert notes([*often]) == [], "of one answer alone nothing can be levelled"


def test_a_source_that_nearly_all_rows_have_is_told_once_it_outweighs() -> None:
    def rows(*sources: str) -> list[Example]:
        told = zip(sound(len(sources)), sources, strict=True)
        return [replace(row, columns={"Source": one, "id": "7"}) for row, one in told]  # type: ignore[type-var]

    (note,) = notes(rows(*["forum"] * 38, "manual", "mail"))
    assert "95 % of the rows have Source = forum; 2 other sources are hardly seen" in note
    assert "data.mix={by: Source, temperature: 2}" in note
    assert notes(rows(*["forum"] * 35, *["manual"] * 5)) == []
    assert notes(rows(*["forum"] * 40)) == []
    assert notes(labelled(*("spam",) * 34, *("ham",) * 6)) == []


def test_what_most_rows_do_is_meant() -> None:
    dialogues = [chat(f"q{n}", f"Ana: hello {n}\nUser: hi\nBo: bye.") for n in range(30)]
    assert notes(dialogues) == []
    unended = [chat(f"q{n}", f"{LONG} number {n} without a mark") for n in range(30)]
    assert notes(unended) == []
    samples = [chat(f"q{n // 3}", f"answer {n}") for n in range(30)]
    assert notes(samples) == []


def test_the_same_words_with_other_tools_are_another_question() -> None:
    tool = ({"type": "function", "function": {"name": "look"}},)
    asked = chat("What is the number 3?", "It is another answer.")
    assert notes([*sound(), Chat(asked.turns, tool)]) == []


def explained(count: int = 60) -> list[Example]:
    return [chat(f"Explain why {n} is odd.", f"{LONG}, number {n}.") for n in range(count)]


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        (explained(), chat("Describe a day at sea.", "Sure.")),
        (explained(), chat("请解释什么是区块链。", "好的。")),
        (explained(), chat("写一篇关于秋天的作文", "秋天")),
        (sound(), chat("What is the number 7?", "Paris")),
        ([chat(f"退货{n}怎么办？", LONG) for n in range(60)], chat("退货怎么办？", "苹果")),
        (
            [Preference(Chat((Turn("user", "Why is 8 odd?"),)), (Turn("assistant", LONG),), ())]
            * 30,
            Preference(
                Chat((Turn("user", "Why is 7 odd?"),)),
                (Turn("assistant", "Hm."),),
                (Turn("assistant", LONG),),
            ),
        ),
    ],
)
def test_a_word_where_a_text_is_asked_for_is_told(rows: list[Example], wrong: Example) -> None:
    found = Detectors()
    for number, row in enumerate([*rows, wrong], 1):
        found.add(f"rows.jsonl:{number}", found.look(row))
    assert found.rows().get("terse") == [f"rows.jsonl:{len(rows) + 1}"]
    (told,) = [note for note in found.notes() if "a word or two" in note]
    assert told.endswith("To leave it out: tunesmith data leave_out FILE OUT found=[terse]")


@pytest.mark.parametrize(
    "row",
    [
        chat("Is 7 odd?", "Yes."),
        chat("7是奇数吗？", "是的"),
        chat("Explain in one word why 7 is odd.", "Remainder"),
        chat("Which of these is odd? A. 6 B. 7", "B"),
        chat("How many legs has a spider?", "8"),
        chat("Classify the review and explain: a fine film", "Positive"),
        chat("Translate to Chinese: apple", "苹果"),
        chat("apple", "苹果"),
        chat("Explain why 7 is odd.", "N/A"),
        chat("Explain why 7 is odd.", ""),
        Chat((Turn("user", "Why is 7 odd?"), Turn("assistant", "It is.", reasoning=LONG))),
        Feedback(chat("Why is 7 odd?", "Hm."), desirable=False),
        Preference(
            Chat((Turn("user", "Why is 7 odd?"),)),
            (Turn("assistant", LONG),),
            (Turn("assistant", "Hm."),),
        ),
    ],
)
def test_a_word_that_is_asked_for_is_not_short(row: Example) -> None:
    asked_for_words = [chat(f"Which is odd, {n} or 8?", "The first") for n in range(20)]
    found = Detectors()
    for number, one in enumerate([*explained(), *sound(), *asked_for_words, row]):
        found.add(f"rows.jsonl:{number}", found.look(one))
    assert "terse" not in found.rows()


def test_where_words_are_usual_none_is_short() -> None:
    words = [chat(f"Explain number {n}.", "odd" if n % 2 else "even") for n in range(60)]
    mixed = [*explained(30), *(chat(f"Describe {n}.", "fine") for n in range(10))]
    for rows in (words, mixed, [*explained(10), chat("Describe a day.", "Sure.")]):
        found = Detectors()
        for number, row in enumerate(rows):
            found.add(str(number), found.look(row))
        assert "terse" not in found.rows()
