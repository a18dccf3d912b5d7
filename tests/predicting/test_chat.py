"""A session: several turns, streamed, the oldest rounds forgotten where the context ends."""

from __future__ import annotations

import pytest

from tunesmith import api, words
from tunesmith.errors import DataError
from tunesmith.examples import Turn
from tunesmith.predicting.chat import Session
from tunesmith.predicting.predictor import Predictor


@pytest.fixture
def session(label_run):
    return Session(label_run)


def test_a_first_answer_is_that_of_predict(session, label_run):
    pieces = list(session.say("xyz red uvw zzz"))
    assert (
        "".join(pieces)
        == api.predict(label_run, [{"instruction": "xyz red uvw zzz"}])[0]["prediction"]
    )
    assert session.turns == (
        Turn("user", "xyz red uvw zzz"),
        Turn("assistant", "".join(pieces).strip()),
    )


def test_later_turns_see_the_earlier_ones(session):
    list(session.say("red"))
    first = session.turns[-1].content
    asked = []
    prompt = session.render.prompt
    session.render.prompt = lambda chat: asked.append(prompt(chat)) or asked[-1]
    list(session.say("two"))
    text = session.loaded.tokenizer.decode(asked[-1])
    assert text == (
        f"<|im_start|>user\nred<|im_end|>\n<|im_start|>assistant\n{first}<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n"
    )
    assert len(session.turns) == 4
    session.reset()
    assert session.turns == () and session.forgotten == 0


def test_a_system_prompt_stays(label_run):
    session = Session(label_run, system="be brief")
    list(session.say("red"))
    session.reset()
    session.turns = (Turn("user", "two"),)
    text = session.loaded.tokenizer.decode(session._fitting())
    assert text.startswith("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\ntwo")


def test_the_oldest_rounds_are_forgotten_where_the_context_ends(session):
    session.limit = 120
    for _ in range(4):
        list(session.say("red xyz uvw red xyz uvw"))
    assert session.forgotten > 0
    assert session.turns[0].role == "user" and session.turns[-1].role == "assistant"


def test_a_question_that_cannot_fit_is_refused_and_the_session_goes_on(session):
    words.use("en")
    session.limit = 40
    with pytest.raises(
        DataError,
        match=r"the question has \d+ tokens; with an answer of up to 5 it is longer than",
    ):
        list(session.say("red " * 60))
    session.limit = 512
    assert "".join(session.say("red"))


def test_what_was_said_before_an_interruption_is_kept(session):
    talk = session.say("xyz red uvw zzz")
    piece = next(talk)
    talk.close()
    assert session.turns[-1] == Turn("assistant", piece.strip())


def test_the_base_can_be_asked(label_run):
    assert list(Session(label_run, tuned=False).say("red")) != list(Session(label_run).say("red"))


def test_a_question_that_cannot_fit_leaves_the_conversation_as_it_was(session):
    list(session.say("red"))
    before = session.turns
    session.limit = 60
    with pytest.raises(DataError):
        list(session.say("red " * 60))
    assert session.turns == before and session.forgotten == 0


@pytest.fixture
def typed(session, monkeypatch):
    """A conversation of these lines, at a terminal or through a pipe."""
    from tunesmith.cli import terminal_input

    def converse(lines: list[str], *, terminal: bool) -> None:
        left = iter([*lines, None])
        monkeypatch.setattr(terminal_input, "at_terminal", lambda: terminal)
        monkeypatch.setattr(terminal_input, "asked_line", lambda: next(left))
        terminal_input.converse(session)

    return converse


def test_at_a_terminal_a_question_that_cannot_fit_is_told_and_another_is_asked(
    typed, session, label_run, capsys
):
    words.use("en")
    typed(["red " * 300, "xyz red uvw zzz"], terminal=True)
    told = capsys.readouterr()
    answer = api.predict(label_run, [{"instruction": "xyz red uvw zzz"}])[0]["prediction"]
    assert told.out == f"{answer}\n" and "it is longer than the 512" in told.err
    with pytest.raises(DataError, match="is longer than"):
        typed(["red " * 300], terminal=False)


def test_at_a_terminal_rounds_that_were_left_out_are_told(typed, session, capsys):
    words.use("en")
    session.limit = 120
    typed(["red xyz uvw red xyz uvw"] * 4, terminal=True)
    assert "(2 earlier rounds did not fit and were left out)" in capsys.readouterr().err
    session.reset()
    typed(["red xyz uvw red xyz uvw"] * 4, terminal=False)
    assert capsys.readouterr().err == "", "a pipe gets the answers alone"


def test_a_run_that_cuts_its_rows_cuts_a_question_as_predict_does(
    typed, session, label_run, capsys
):
    words.use("en")
    cuts = {"data": session.run.data.model_copy(update={"too_long": "truncate"})}
    predictor = Predictor(label_run)
    session.run = predictor.fitting.run = session.run.model_copy(update=cuts)
    session.limit = predictor.fitting.limit = 60
    question = "red uvw " * 60
    heard: list[str] = []
    [row] = predictor.predict([{"instruction": question}], tell=heard.append)
    typed([question, "red"], terminal=False)
    told = capsys.readouterr()
    assert told.out.startswith(f"{row['prediction']}\n") and len(heard) == 1
    assert (
        told.err
        == "(the question was longer than the 60 tokens that the model reads, and was cut)\n"
    )
    assert session.cut == 1 and session.forgotten == 1, "the long one does not fit beside another"
