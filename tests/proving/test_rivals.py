"""The cheap rivals: when answers are options, what TF-IDF learns, and which examples stand in the
prompt.
"""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.render import Render
from tunesmith.examples import Chat, Turn, final
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.proving import rivals
from tunesmith.proving.task import answer_of
from tunesmith.settings.run import Data


def chat(question: str, answer: str, *before: Turn) -> Chat:
    return Chat(
        (*before, Turn("user", question), Turn("assistant", answer)),
        columns={"question": question, "answer": answer},
    )


@pytest.fixture
def render(tiny_llama):
    return Render(load_tokenizer(tiny_llama), Data(path="x"))


def decoded(render: Render, ids) -> str:
    return render.tokenizer.decode(ids)


@pytest.mark.parametrize(
    "answers, options",
    [
        (["a", "b", "a"] * 2, ("a", "b")),
        (["a", "b", "a"], ()),  # each has to come three times on average
        (["a"] * 9, ()),
        (["好", "坏"] * 3, ("坏", "好")),
        ([str(n) for n in range(51)] * 3, ()),
        (["x" * 61, "y"] * 3, ()),
        (["two\nlines", "y"] * 3, ()),
        (["", "y"] * 3, ()),
    ],
)
def test_options_are_a_small_set_of_short_answers(answers, options):
    assert sorted(rivals.options_of(answers)) == sorted(options)


def test_options_come_most_frequent_first():
    assert rivals.options_of(["b"] * 3 + ["c"] * 5 + ["a"] * 3) == ("c", "a", "b")


def test_tfidf_reads_english_words_and_chinese_characters():
    questions = [f"the {kind} of number {n}" for n in range(20) for kind in ("colour", "city")]
    answers = ["red", "Rome"] * 20
    assert rivals.tfidf(questions, answers, ["which city", "which colour"], seed=0) == [
        "Rome",
        "red",
    ]
    chinese = [f"{text}第{n}条" for n in range(20) for text in ("房间很脏", "服务热情")]
    assert rivals.tfidf(chinese, ["差评", "好评"] * 20, ["热情的前台", "床单脏"], seed=0) == [
        "好评",
        "差评",
    ]


def test_tfidf_without_any_word_or_with_a_single_rare_label_still_answers():
    assert rivals.tfidf(["?!", "…", "。"], ["a", "a", "b"], ["?"], seed=0) == ["a"]
    assert rivals.tfidf(["red", "blue"], ["a", "a"], ["red"], seed=0) == ["a"]
    assert rivals.tfidf(["red one", "blue one", "red two"], ["r", "b", "r"], ["red"], seed=0) == [
        "r"
    ]


def test_shots_take_labels_in_turn_and_free_answers_at_random():
    labels = ["a"] * 50 + ["b"] * 5 + ["c"]
    chosen = rivals.choose_shots(labels, 6, seed=0, labelled=True)
    assert sorted(labels[index] for index in chosen) == ["a", "a", "a", "b", "b", "c"]
    assert chosen == rivals.choose_shots(labels, 6, seed=0, labelled=True)
    assert chosen != rivals.choose_shots(labels, 6, seed=1, labelled=True)
    assert len(set(rivals.choose_shots(labels, 6, seed=0, labelled=False))) == 6
    assert rivals.choose_shots(labels, 0, seed=0, labelled=True) == []


def test_shots_are_earlier_turns_after_the_items_own_system_turn(render):
    item = chat("q", "a", Turn("system", "be kind"))
    shots = [chat("one", "1", Turn("system", "other")), chat("two", "2")]
    text = decoded(render, rivals.prompt_with_shots(render, item, shots))
    expected = [
        ("system", "be kind"),
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "q"),
    ]
    assert (
        text
        == "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in expected)
        + "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("train_on", ["answers", "last", "everything"])
def test_only_the_items_own_tokens_are_scored_after_shots(tiny_llama, train_on):
    render = Render(load_tokenizer(tiny_llama), Data(path="x", train_on=train_on))
    item = chat("q two", "an answer", Turn("user", "q one"), Turn("assistant", "first"))
    plain = render.chat(item)
    longer = rivals.tokens_with_shots(render, item, plain, [chat("s", "t"), chat("u", "v")])
    assert len(longer) == len(plain) == 1
    assert (
        longer[0].ids_T[longer[0].weights_T > 0].tolist()
        == plain[0].ids_T[plain[0].weights_T > 0].tolist()
    )
    assert longer[0].weights_T.sum() == plain[0].weights_T[1:].sum()
    assert decoded(render, longer[0].ids_T).startswith(
        "<|im_start|>user\ns<|im_end|>\n<|im_start|>assistant\nt<|im_end|>"
    )


def test_shots_of_an_own_template_are_filled_templates_one_after_another(tiny_llama):
    render = Render(
        load_tokenizer(tiny_llama), Data(path="x", template="Q: {question}\nA: {answer}")
    )
    item, shots = chat("q", "a"), [chat("one", "1"), chat("two", "2")]
    prompt = rivals.prompt_with_shots(render, item, shots)
    assert (
        decoded(render, prompt) == "Q: one\nA: 1<|im_end|>\n\nQ: two\nA: 2<|im_end|>\n\nQ: q\nA: "
    )
    longer = rivals.tokens_with_shots(render, item, render.chat(item), shots)[0]
    assert longer.ids_T[: len(prompt)].tolist() == prompt.tolist()
    assert decoded(render, longer.ids_T[longer.weights_T > 0]) == "a<|im_end|>"


def test_the_answer_of_a_row_is_what_the_model_has_to_write(render):
    prompt, ids, text = answer_of(render, chat("q", " Paris "))
    assert (
        decoded(render, [*prompt, *ids])
        == "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n Paris <|im_end|>"
    )
    assert text == "Paris" and ids[-1] in render.stop_ids
    thought = Chat((Turn("user", "q"), Turn("assistant", "Paris", reasoning="France, so …")))
    assert answer_of(render, thought)[2] == "Paris"
    assert final("<think>\nno end") == "<think>\nno end" and final("<think>a</think>\n\nb ") == "b"


def test_an_untrained_answer_is_still_what_is_asked_for(render):
    untrained = Chat((Turn("user", "q"), Turn("assistant", "Paris", train=False)))
    assert answer_of(render, untrained)[2] == "Paris"


def test_equal_tokens_mean_equal_weights():
    plain = Tokens(np.arange(4, dtype=np.int32), np.array([0, 0, 1, 0.5], np.float32))
    longer = Tokens(np.array([9, 9, 0, 1, 2, 3], np.int32), np.ones(6, np.float32))
    assert rivals._same_scored(longer, plain).weights_T.tolist() == [0, 0, 0, 0, 1, 0.5]
