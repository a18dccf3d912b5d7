"""The cheap rivals that answer "should you tune at all?": TF-IDF with logistic regression, and
examples in the prompt.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.render import Render
from tunesmith.examples import Chat
from tunesmith.metrics import words
from tunesmith.plain import JsonObject

MOST_OPTIONS = 50
LONGEST_OPTION = 60
"""Characters."""
EACH_AT_LEAST = 3
STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse regularisation that cross-validation on the training rows chooses from."""


def options_of(answers: Sequence[str]) -> tuple[str, ...]:
    """Returns the different answers, most frequent first, where they are a small set; else nothing.

    A small set is 2 to 50 different answers of at most 60 characters on one line, each given 3
    times on average.
    """
    counts = Counter(answers)
    fits = all(answer and len(answer) <= LONGEST_OPTION and "\n" not in answer for answer in counts)
    if (
        not fits
        or not 2 <= len(counts) <= MOST_OPTIONS
        or len(answers) < EACH_AT_LEAST * len(counts)
    ):
        return ()
    return tuple(sorted(counts, key=lambda answer: (-counts[answer], answer)))


def tfidf(
    questions: Sequence[str], answers: Sequence[str], asked: Sequence[str], *, seed: int
) -> list[str]:
    """Answers ``asked`` by logistic regression on words and word pairs of the training rows;
    Chinese by characters.
    """
    model = tfidf_model(questions, answers, seed=seed)
    if model is None:
        return [Counter(answers).most_common(1)[0][0]] * len(asked)
    return [str(answer) for answer in model.predict(list(asked))]


def vectors() -> Any:
    """Makes TF-IDF vectors of words and word pairs, by scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    settings: JsonObject = {"tokenizer": words, "token_pattern": None, "lowercase": False}
    return TfidfVectorizer(**settings, ngram_range=(1, 2), sublinear_tf=True)


def nearness(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Computes cosines [texts, others] of TF-IDF vectors; the weights are of these same texts,
    which do not tell which of them are partners.
    """
    fitted = vectors().fit([*texts, *others])
    return (fitted.transform(texts) @ fitted.transform(others).T).toarray()


def tfidf_model(questions: Sequence[str], answers: Sequence[str], *, seed: int) -> Any | None:
    """Fits a logistic regression; None where there is only one answer, or no word."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    if len(set(answers)) < 2 or not any(words(question) for question in questions):
        return None
    model: object = make_pipeline(
        vectors(), LogisticRegression(C=STRENGTHS[1], max_iter=1000, random_state=seed)
    )
    # Each fold needs every answer once.
    folds = min(3, min(Counter(answers).values()))
    if folds > 1:
        model = GridSearchCV(model, {"logisticregression__C": STRENGTHS}, cv=folds)
    return model.fit(list(questions), list(answers))


def choose_shots(answers: Sequence[str], shots: int, *, seed: int, labelled: bool) -> list[int]:
    """Chooses the indices of the training rows shown: at random, but where answers are labels one
    of each in turn, in random order.
    """
    order: list[int] = [
        int(index) for index in np.random.default_rng(seed).permutation(len(answers))
    ]
    if not labelled:
        return order[:shots]
    piles: defaultdict[str, list[int]] = defaultdict(list)
    for index in order:
        piles[answers[index]].append(index)
    rounds: list[int] = []
    for depth in range(max(map(len, piles.values()), default=0)):
        rounds += [pile[depth] for pile in piles.values() if depth < len(pile)]
    return np.random.default_rng(seed).permutation(rounds[:shots]).tolist()


def with_shots(chat: Chat, shots: Sequence[Chat]) -> Chat:
    """Puts the examples into ``chat`` as earlier turns after its own system turn; they are context,
    never trained.
    """
    shown = tuple(
        replace(turn, train=False) for shot in shots for turn in shot.turns if turn.role != "system"
    )
    system = tuple(turn for turn in chat.turns if turn.role == "system")
    return replace(
        chat, turns=(*system, *shown, *(turn for turn in chat.turns if turn.role != "system"))
    )


NOTHING = np.zeros(0, np.int32)


def prompt_with_shots(
    render: Render, chat: Chat, shots: Sequence[Chat], header: np.ndarray = NOTHING
) -> np.ndarray:
    """Returns the prompt with the examples before it; with ``data.template``, ``header``, then
    filled templates.
    """
    if render.template is None:
        return render.prompt(with_shots(chat, shots))
    if render.sides is not None:
        return _source_after(render, shots, render.prompt(chat), header)
    return np.concatenate([_shown(render, shots, header), bare(render, render.prompt(chat))])


def tokens_with_shots(
    render: Render,
    chat: Chat,
    plain: Sequence[Tokens],
    shots: Sequence[Chat],
    header: np.ndarray = NOTHING,
) -> list[Tokens]:
    """Returns the sequences ``plain`` of ``chat`` after the examples; exactly the tokens that are
    scored there are scored here.
    """
    if render.template is None:
        longer = render.chat(with_shots(chat, shots))[-len(plain) :]
    elif render.sides is not None:
        return [
            replace(tokens, source_ids_T=_source_after(render, shots, tokens.source_ids_T, header))
            for tokens in plain
        ]
    else:
        shown = _shown(render, shots, header)
        longer = [
            after(shown, tokens, len(tokens) - len(bare(render, tokens.ids_T))) for tokens in plain
        ]
    return [_same_scored(after, before) for after, before in zip(longer, plain, strict=True)]


def _shown(render: Render, shots: Sequence[Chat], header: np.ndarray) -> np.ndarray:
    gap = render.pieces.more("\n\n")
    parts = [
        np.array([*bare(render, render.chat(shot)[-1].ids_T), *gap], np.int32) for shot in shots
    ]
    return np.concatenate(
        [header if len(header) else np.array(render.pieces.bos, np.int32), *parts]
    )


def _source_after(
    render: Render, shots: Sequence[Chat], source: np.ndarray | None, header: np.ndarray
) -> np.ndarray:
    """Puts the examples, question and answer, before the question on the encoder's side."""
    assert render.sides is not None and source is not None
    before = len(render.sides.before)
    after = len(render.sides.after)
    gap = render.pieces.start("\n\n")
    shown: list[int] = []
    for shot in shots:
        tokens = render.chat(shot)[-1]
        assert tokens.source_ids_T is not None
        asked = tokens.source_ids_T[before : len(tokens.source_ids_T) - after]
        shown += [*asked, *tokens.ids_T[len(render.start) : -1], *gap]
    return np.concatenate([source[:before], header, np.array(shown, np.int32), source[before:]])


def bare(render: Render, ids: np.ndarray) -> np.ndarray:
    """Removes the tokens that begin a text."""
    bos = np.array(render.pieces.bos, np.int32)
    return ids[len(bos) :] if len(bos) and np.array_equal(ids[: len(bos)], bos) else ids


def after(header: np.ndarray, tokens: Tokens, skip: int) -> Tokens:
    """Removes the first ``skip`` of ``tokens`` and puts the rest after a header that is not
    scored.
    """
    weights = np.concatenate([np.zeros(len(header), np.float32), tokens.weights_T[skip:]])
    return Tokens(np.concatenate([header, tokens.ids_T[skip:]]), weights)


def _same_scored(longer: Tokens, plain: Tokens) -> Tokens:
    """Gives ``longer`` the weights of ``plain`` at its last tokens, so that the examples do not
    count.
    """
    scored = np.flatnonzero(longer.weights_T)
    kept = scored[max(0, len(scored) - plain.scored) :]
    weights = np.zeros(len(longer.ids_T), np.float32)
    if len(kept):
        predicted = plain.weights_T[1:]
        scored_weights = predicted[predicted != 0]
        weights[kept] = scored_weights[-len(kept) :]
    return replace(longer, weights_T=weights)
