"""An encoder's side and a decoder's: how rows are rendered, cut, shown and counted on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material.two_sided import tiny_pair
from tunesmith.data.check import check
from tunesmith.data.lengths import truncate
from tunesmith.data.readers import READERS
from tunesmith.data.rendering.encoder_decoder import Sides
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DataError, ModelError, SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.proving import rivals
from tunesmith.proving.task import answer_of
from tunesmith.settings.run import Data

PAIR = Chat((Turn("user", "How far?"), Turn("assistant", "3 km")))
TALK = Chat((*PAIR.turns, Turn("user", "And back?"), Turn("assistant", "the same")))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tokenizer(tiny_pair(tmp_path_factory.mktemp("t5")))


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tokenizer(tiny_pair(tmp_path_factory.mktemp("bart"), "bart"))


def read(render: Render, tokens: Any) -> tuple[str, str, str]:
    """What is read, what is given to the decoder, and what it learns to write."""
    learned = tokens.weights_T > 0
    parts = (tokens.source_ids_T, tokens.ids_T[~learned], tokens.ids_T[learned])
    return tuple(render.pieces.text(part) for part in parts)  # type: ignore[return-value]


def test_a_row_is_what_its_tokenizer_and_config_make_of_it(t5: Any, bart: Any) -> None:
    for tokenizer, expected in (
        (t5, ("How far?</s>", "<pad>", "3 km</s>")),
        (bart, ("<s>How far?</s>", "</s><s>", "3 km</s>")),
    ):
        render = Render(tokenizer, Data(path="x"))
        (tokens,) = render.chat(PAIR)
        assert read(render, tokens) == expected
        assert (
            tokens.source_ids_T.tolist()
            == tokenizer("How far?")["input_ids"]
            == render.prompt(PAIR).tolist()
        )
        assert tokenizer.chat_template is None, "a chat template is not what is trained"
        prompt, answer, text = answer_of(render, PAIR)
        assert (text, answer) == (
            "3 km",
            tuple(tokens.ids_T[len(render.start) :].tolist()),
        ) and len(prompt)
        assert render.coloured(tokens).plain == f"{expected[0]}\n→ {expected[1]}{expected[2]}"


def test_what_was_said_before_and_the_system_prompt_stand_in_the_source(t5: Any) -> None:
    render = Render(t5, Data(path="x", system="answer:"))
    first, second = render.chat(TALK)
    assert read(render, first)[0] == "answer:\nHow far?</s>"
    assert read(render, second) == (
        "answer:\nHow far?\n3 km\nAnd back?</s>",
        "<pad>",
        "the same</s>",
    )
    (last,) = Render(t5, Data(path="x", train_on="last")).chat(TALK)
    assert read(render, last)[2] == "the same</s>"
    own = Render(t5, Data(path="x", template="Q: {question} A: {answer}"))
    assert read(own, own.chat(PAIR)[0]) == ("Q: How far? A: </s>", "<pad>", "3 km</s>")


@pytest.mark.parametrize("template", [None, "Q: {question} A: {answer}"])
def test_examples_stand_in_the_source_and_score_nothing(bart: Any, template: str | None) -> None:
    render = Render(bart, Data(path="x", template=template))
    shots = [Chat((Turn("user", "Far?"), Turn("assistant", "no")))]
    (tokens,) = rivals.tokens_with_shots(render, PAIR, render.chat(PAIR), shots)
    shown = "Q: Far? A: no\n\nQ: How far? A: " if template else "Far?\nno\nHow far?"
    assert read(render, tokens) == (f"<s>{shown}</s>", "</s><s>", "3 km</s>")
    assert np.array_equal(tokens.source_ids_T, rivals.prompt_with_shots(render, PAIR, shots))


def test_each_side_is_cut_to_the_limit_and_still_ends(bart: Any) -> None:
    render = Render(bart, Data(path="x"))
    (tokens,) = render.chat(
        Chat((Turn("user", "How far is it " * 9), Turn("assistant", "the answer " * 9)))
    )
    cut = truncate(tokens, 8, bos=render.pieces.bos, ends=len(render.sides.after))  # type: ignore[union-attr]
    assert cut.longest == 8 and len(cut) == 16 and len(tokens) > 16
    source, given, learned = read(render, cut)
    assert source.startswith("<s>How far is it") and source.endswith("</s>")
    assert given == "</s><s>" and learned.startswith("the answer") and "</s>" not in learned


def test_a_tokenizer_that_ends_nothing_is_helped_by_the_config(t5: Any) -> None:
    from copy import deepcopy

    from tokenizers.processors import TemplateProcessing

    bare = deepcopy(t5)
    bare.backend_tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    sides = Sides.of(bare)
    assert sides is not None and sides.after == (1,) and sides.source("a").tolist()[-1] == 1


def test_prompts_are_read_and_not_predicted_so_everything_is_refused(t5: Any) -> None:
    with pytest.raises(SpecError, match="reads it in its encoder and predicts only the answer"):
        Render(t5, Data(path="x", train_on="everything"))


def test_the_check_shows_and_counts_both_sides(t5: Any, tmp_path: Path) -> None:
    rows = [f"{'far ' * n}{n}\tanswer {n}" for n in range(1, 61)]
    (tmp_path / "rows.tsv").write_text("\n".join(rows), encoding="utf-8")
    data = {
        "path": str(tmp_path / "rows.tsv"),
        "columns": {"source": "0", "target": "1"},
        "max_length": 80,
    }
    found = check(Data(**data), t5).to_json()
    shown = found["samples"][0]
    assert "</s>\n→ <pad>answer" in shown["text"] and [
        shown["text"][a:b] for a, b in shown["trained"]
    ] == ["answer 1</s>"]
    assert any("The encoder reads up to" in note for note in found["notes"])
    longest = max(len(t5(row.split("\t")[0])["input_ids"]) for row in rows)
    assert found["lengths"]["longest"] == longest
    with pytest.raises(DataError, match="cut the end of the question or of the answer"):
        check(Data(**{**data, "max_length": 20}), t5)
    cut = check(Data(**{**data, "max_length": 20, "too_long": "truncate"}), t5)
    assert cut.ledger.tokens["lost"] > 0 and not cut.ledger.dropped
    assert all("</s>\n→ <pad>" in text.plain for _, text in cut.samples), (
        "a source that was cut still ends"
    )


@pytest.mark.parametrize(
    ("row", "asked", "answered"),
    [
        ({"source": "a", "target": "b"}, "a", "b"),
        ({"translation": {"en": "a", "zh": "b"}}, "a", "b"),
        ({"id": 3, "article": "a", "highlights": "b"}, "a", "b"),
        ({"dialogue": "A: hi\nB: hi", "summary": "b", "system": "sum up:"}, "A: hi\nB: hi", "b"),
    ],
)
def test_translations_and_summaries_are_read(
    row: dict[str, Any], asked: str, answered: str
) -> None:
    matching = [name for name in READERS.names() if READERS.get(name).matches(frozenset(row), row)]
    assert matching == ["source_target"]
    chat = READERS.get("source_target")().read(row)
    assert (chat.turns[-2].content, chat.answer) == (asked, answered)
    assert [turn.content for turn in chat.turns if turn.role == "system"] == (
        [row["system"]] if "system" in row else []
    )


def test_one_language_alone_is_told() -> None:
    with pytest.raises(DataError, match="must be an object of two languages"):
        READERS.get("source_target")().read({"translation": {"en": "a"}})


def test_a_config_without_a_start_token_is_told(tmp_path: Path) -> None:
    folder = tiny_pair(tmp_path, "t5")
    config = json.loads((folder / "config.json").read_text()) | {
        "decoder_start_token_id": None,
        "bos_token_id": None,
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="set decoder_start_token_id in its config"):
        load_tokenizer(folder)
