"""The running batch: every answer is the one that the model gives alone, whatever comes, goes and
stands beside it.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from material.proved import trained
from tunesmith.errors import DataError
from tunesmith.models.calling.generate import generate, stream_ids
from tunesmith.models.loading.load import load_model
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.serving.alone import Alone
from tunesmith.serving.engine import Engine, Full, Sizes
from tunesmith.serving.grammar import Grammars
from tunesmith.serving.loading import agrees, plain_cache
from tunesmith.serving.reader import Reader
from tunesmith.serving.rows import Row, Told
from tunesmith.settings.run import Generate

STOPS = (2,)


@pytest.fixture(scope="module")
def loaded(tiny_llama):
    return load_model(tiny_llama, dtype=torch.float32, device=torch.device("cpu"))


def engine(loaded, **sizes: int) -> Engine:
    return Engine(loaded, loaded.tokenizer, Sizes(**sizes))


def prompts(count: int, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.integers(4, 400, int(draw.integers(3, 40))).astype(np.int32) for _ in range(count)]


def row(prompt: np.ndarray, told: list[Told] | None = None, **how: Any) -> Row:
    settings = {name: how.pop(name) for name in [*how] if name in Generate.model_fields}
    hear = (told if told is not None else []).append
    return Row(prompt, Generate(**{"max_new_tokens": 20, **settings}), STOPS, hear, **how)


def alone(loaded, row: Row) -> list[int]:
    """The tokens that ``generate`` gives."""
    how = {"stop_ids": STOPS}
    return [*stream_ids(loaded.model, loaded.tokenizer, row.prompt, row.settings, **how)]


def run(engine: Engine) -> None:
    for _ in range(500):
        if not engine.busy:
            return
        engine.step()
    raise AssertionError("the rows do not end")


def test_rows_that_come_and_go_are_written_as_alone(loaded):
    one, draw = engine(loaded, at_once=4, waiting=99), random.Random(0)
    rows = [row(prompt, max_new_tokens=draw.randint(1, 30)) for prompt in prompts(24)]
    waiting = [*rows]
    while waiting or one.busy:  # they arrive by chance, and more than fit wait
        for _ in range(min(draw.randint(0, 3), len(waiting))):
            one.submit([waiting.pop(0)])
        one.step()
    for each in rows:
        assert each.ids == alone(loaded, each)
        assert each.finish == ("stop" if each.ids[-1] in STOPS else "length")


def test_long_prompts_are_computed_in_parts_beside_short_ones(loaded, monkeypatch):
    monkeypatch.setattr("tunesmith.serving.engine.CHUNK", 16)
    one = engine(loaded, at_once=8)
    lengths = (100, 3, 15, 16, 17, 33)
    rows = [row(np.arange(n, dtype=np.int32) % 390 + 4) for n in lengths]
    one.submit(rows)
    run(one)
    assert [each.ids for each in rows] == [alone(loaded, each) for each in rows]


def test_a_prompt_that_was_computed_is_not_computed_again(loaded):
    one = engine(loaded)
    prompt = prompts(1)[0][:3].tolist() * 20
    first, longer = np.array(prompt, np.int32), np.array([*prompt, 7, 8, 9], np.int32)
    for ids in (first, longer):
        one.submit([row(ids)])
        run(one)
    again = row(longer)
    one.submit([again])
    run(one)
    assert again.cached == len(longer) - 1
    assert one.computed == len(first) + 3 + 1
    assert again.ids == alone(loaded, again)


def test_kept_prompts_have_a_limit(loaded):
    one = engine(loaded, kept=100)
    for number in range(8):
        one.submit([row(np.full(40, number + 4, np.int32), max_new_tokens=2)])
        run(one)
        assert one.kept.tokens <= 100


def test_further_answers_to_a_prompt_take_it_over(loaded):
    one, prompt = engine(loaded), np.arange(4, 44, dtype=np.int32)
    first = row(prompt, temperature=1.0, seed=(5,))
    others = [row(prompt, temperature=1.0, seed=(5, n), after=first) for n in (1, 2)]
    one.submit([first, *others])
    run(one)
    assert [each.cached for each in (first, *others)] == [0, 39, 39]
    assert first.ids != others[0].ids != others[1].ids


def test_a_seed_gives_the_same_answer_whatever_stands_beside_it(loaded):
    prompt, found = prompts(1)[0], []
    for beside in (0, 5):
        one = engine(loaded)
        drawn = row(prompt, temperature=0.9, top_p=0.8, seed=(11,))
        one.submit([*(row(each, temperature=1.0) for each in prompts(beside, 3)), drawn])
        run(one)
        found.append(drawn.ids)
    assert found[0] == found[1]


@pytest.mark.parametrize("how", [{"repetition_penalty": 1.3}, {"no_repeat_ngram": 2}])
def test_what_shapes_an_answer_is_that_of_generate(loaded, how):
    one = engine(loaded)
    rows = [row(prompt, **how) for prompt in prompts(4)]
    one.submit(rows)
    run(one)
    assert [each.ids for each in rows] == [alone(loaded, each) for each in rows]


def test_a_stop_text_ends_an_answer_and_is_not_in_it(loaded):
    prompt = prompts(1)[0]
    whole = generate(
        loaded.model, loaded.tokenizer, [prompt], Generate(max_new_tokens=20), stop_ids=STOPS
    )[0].text
    stop = whole[5:7]
    told: list[Told] = []
    one = engine(loaded)
    one.submit([row(prompt, told, stop=(stop,))])
    run(one)
    assert "".join(each.text for each in told) == whole[: whole.index(stop)]
    assert told[-1].finish == "stop"


def test_likelihoods_are_those_of_the_model(loaded):
    told: list[Told] = []
    one, prompt = engine(loaded), prompts(1)[0]
    asked = row(prompt, told, likely=3, temperature=0.7, repetition_penalty=1.2, max_new_tokens=5)
    one.submit([asked])
    run(one)
    ids = torch.from_numpy(asked.tokens()).long()[None]
    with torch.no_grad():
        wanted = loaded.model(input_ids=ids).logits[0].log_softmax(-1)
    for place, each in enumerate(told):
        at = wanted[len(prompt) - 1 + place]
        assert each.likely.logprob == pytest.approx(float(at[asked.ids[place]]), abs=1e-4)
        assert [token for token, _ in each.likely.top] == at.topk(3).indices.tolist()


def test_who_is_gone_is_written_no_further(loaded):
    one = engine(loaded, at_once=2)
    rows = [row(prompt, max_new_tokens=30) for prompt in prompts(3)]
    one.submit(rows)
    one.step()
    rows[0].gone = rows[2].gone = True
    written = len(rows[0].ids)
    one.step()
    assert len(rows[0].ids) == written and rows[2].slot == -1
    run(one)
    assert rows[1].ids == alone(loaded, rows[1])


def test_more_than_may_wait_are_refused(loaded):
    one = engine(loaded, at_once=2, waiting=1)
    one.submit([row(prompt) for prompt in prompts(3)])
    with pytest.raises(Full):
        one.submit([row(prompts(1)[0])])


def test_rows_whose_longest_answers_do_not_fit_wait(loaded):
    one = engine(loaded, at_once=8, tokens=100)
    rows = [row(np.full(20, 9, np.int32), max_new_tokens=20) for _ in range(4)]
    one.submit(rows)
    one.step()
    assert len(one.live) == 2
    run(one)
    assert all(each.finish for each in rows)


def test_no_row_is_overtaken_for_long_while_more_come(loaded):
    """Ten prompts of a step's tokens wait at any time, and each new one comes behind them."""
    ended: list[int] = []
    one = engine(loaded, at_once=8, waiting=100)

    def made(number: int) -> Row:
        ids = np.random.default_rng(number).integers(4, 400, 200).astype(np.int32)

        def hear(told: Told) -> None:
            if told.finish:
                ended.append(number)

        return Row(ids, Generate(max_new_tokens=2), (), hear)

    one.submit([made(number) for number in range(12)])
    for number in range(12, 60):
        one.submit([made(number)])
        one.step()
    run(one)
    assert sorted(ended) == [*range(60)]
    assert max(abs(place - number) for place, number in enumerate(ended)) < 4


def test_a_fault_ends_the_rows_that_are_there_and_not_the_engine(loaded, monkeypatch, capfd):
    told: list[Told] = []
    one = engine(loaded)
    one.submit([row(prompts(1)[0], told)])

    def failing(**_: Any) -> None:
        raise ValueError(" ".join(["what", "was", "asked"]))  # the line itself is logged

    monkeypatch.setattr(loaded.model, "forward", failing)
    one.step()
    monkeypatch.undo()
    assert [each.finish for each in told] == ["error"]
    logged = capfd.readouterr().err
    assert "engine.py" in logged and "ValueError" in logged and "what was" not in logged
    after = row(prompts(1)[0])
    one.submit([after])
    run(one)
    assert after.ids == alone(loaded, after)


def test_a_grammar_is_kept_to(loaded):
    import json

    grammars = Grammars(loaded.tokenizer, STOPS)
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "maximum": 99}, "k": {"enum": ["药", "b"]}},
        "required": ["n", "k"],
        "additionalProperties": False,
    }
    told: list[Told] = []
    one = engine(loaded)
    asked = row(prompts(1)[0], told, max_new_tokens=60, temperature=1.0)
    asked.grammar = grammars.of(schema)
    one.submit([asked])
    run(one)
    found = json.loads("".join(each.text for each in told))
    assert found["k"] in ("药", "b") and found["n"] <= 99
    with pytest.raises(DataError, match="schema"):
        grammars.of({"type": "no such type"})


def test_a_model_that_sees_more_than_the_mask_is_told_apart(loaded, tmp_path):
    from transformers import MistralConfig, MistralForCausalLM

    assert plain_cache(loaded) and agrees(engine(loaded))
    config = MistralConfig(
        vocab_size=404, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=4,
    )  # fmt: skip
    windows = type(loaded)(MistralForCausalLM(config).eval(), loaded.tokenizer, "forest")
    assert not plain_cache(windows)


def test_rows_with_different_adapters_stand_in_one_batch(adapter_run, tiny_llama, tmp_path):
    from tunesmith.serving.loading import load
    from tunesmith.serving.served import asked_runs

    rows = [{"instruction": f"say {n}", "output": "yes" if n % 2 else "no"} for n in range(40)]
    other = trained(tmp_path, tiny_llama, rows, method={"name": "lora", "rank": 4})
    words = [f"one={adapter_run.path}", f"two={other.path}"]
    from tunesmith.storage.run_folder import RunFolder

    served = load(asked_runs(words, lambda path: RunFolder(path)), Sizes(), lambda told: None)
    writer = served[0].engine
    assert [one.name for one in served] == ["one", "two", tiny_llama.name]
    assert isinstance(writer, Engine) and all(one.engine is writer for one in served)
    writer.close()
    asked = [row(ids, adapter=one.adapter) for ids in prompts(3) for one in served]
    writer.submit(asked)
    run(writer)
    for each in asked:
        tuner = writer.loaded.model.base_model
        tuner.enable_adapter_layers()
        writer.loaded.model.set_adapter(each.adapter or "default")
        if not each.adapter:
            tuner.disable_adapter_layers()
        assert each.ids == alone(writer.loaded, each)
    assert asked[0].ids != asked[2].ids  # or the adapters would make no difference


def test_a_base_is_served_beside_its_runs_once_and_as_it_was(label_run, adapter_run, tiny_llama):
    from tunesmith.serving.loading import load
    from tunesmith.serving.served import asked_runs, with_bases
    from tunesmith.storage.run_folder import RunFolder

    def served_with(*words: str):
        asked = with_bases(asked_runs(words, RunFolder))
        served = {one.name: one for one in load(asked, Sizes(), lambda told: None)}
        for one in served.values():
            one.engine.close()
        return served

    names = [f"one={label_run.path}", f"two={label_run.path}"]
    found = served_with(*names)
    assert list(found) == ["one", "two", tiny_llama.name]
    base, tuned = (found[one].engine.loaded.model.state_dict() for one in (tiny_llama.name, "one"))
    from safetensors.torch import load_file

    for name, weights in load_file(tiny_llama / "model.safetensors").items():
        assert torch.equal(base[name], weights), name
    assert any(not torch.equal(base[name], tuned[name]) for name in base)
    shared = served_with(f"one={adapter_run.path}")
    assert list(shared) == ["one", tiny_llama.name] and shared[tiny_llama.name].adapter == ""
    assert shared["one"].engine is shared[tiny_llama.name].engine  # it is loaded once


def test_alone_an_answer_is_the_same(loaded):
    told: list[Told] = []
    one = Alone(loaded, load_tokenizer(Path(loaded.model.config.name_or_path)), Sizes())
    one.start()
    rows = [row(prompt, told) for prompt in prompts(2)]
    rows[1].gone = True
    one.submit(rows)
    for _ in range(1000):
        if not one.busy:
            break
        time.sleep(0.01)
    one.close()
    assert rows[0].ids == alone(loaded, rows[0]) and not rows[1].ids


def test_alone_several_answers_to_a_prompt_differ_and_come_again_with_the_seed(loaded):
    one = Alone(loaded, load_tokenizer(Path(loaded.model.config.name_or_path)), Sizes())
    one.start()
    how = Generate(max_new_tokens=12, temperature=2.0)
    rows = [
        Row(prompts(1)[0], how, (2,), lambda _: None, seed=seed)
        for seed in [(4,), (4, 1), (4, 2), (4,), (4, 1)]
    ]
    one.submit(rows)
    for _ in range(3000):
        if not one.busy:
            break
        time.sleep(0.01)
    one.close()
    first, second, third, *again = [tuple(row.ids) for row in rows]
    assert len({first, second, third}) == 3 and again == [first, second]


class _Meanwhile(list[Any]):
    """Rows during whose counting one other row is finished in the other thread."""

    def __init__(self, worker: Any, rows: list[Any]) -> None:
        super().__init__(rows)
        self.worker, self.finished = worker, 0

    def __len__(self) -> int:
        self.finished += 1
        self.worker.busy -= 1
        return super().__len__()


def test_no_row_is_counted_twice_or_forgotten_where_two_threads_count(loaded):
    """A server for months would refuse all, or nothing, by a count that drifted."""
    tokenizer = load_tokenizer(Path(loaded.model.config.name_or_path))
    predictor: Any = None  # they are not started
    workers: list[Any] = [Alone(loaded, tokenizer, Sizes()), Reader(predictor, 64)]
    for worker in workers:
        worker.busy = 10
        rows = _Meanwhile(worker, [row(prompts(1)[0])] * 3)
        worker.submit(rows)
        assert worker.busy == 10 - rows.finished + 3
