"""P-tuning with its virtual tokens inside a template: trained, resumed, asked, and left out of the
base.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from material import runs
from tunesmith import api
from tunesmith.data.prepare import prepare
from tunesmith.errors import SpecError
from tunesmith.export.make import export
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.saved import load_run
from tunesmith.planning.rules import broken
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.predicting.predictor import Predictor
from tunesmith.settings.family import METHODS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

TEMPLATE = "[P][P] Q: {instruction} [P]\nA: {output}"
METHOD = {"name": "p_tuning", "place": "template", "tokens": 3, "hidden": 16}


def resolved(out: Path, model: Path, **more: Any) -> Any:
    return runs.resolved(out, model, **{"method": METHOD, "data.template": TEMPLATE, **more})


@pytest.fixture(scope="module")
def trained(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    torch.set_num_threads(1)
    one = resolved(tmp_path_factory.mktemp("slots") / "run", tiny_llama, **{"data.held_out": 8})
    assert runs.in_child(lambda: train(one)) == 0
    return RunFolder(one.out)


def test_the_template_has_a_place_for_each_and_no_target(tiny_llama: Path, tmp_path: Path) -> None:
    for train_on in ("answers", "everything"):
        run = resolved(tmp_path, tiny_llama, **{"data.train_on": train_on}).run
        tokenizer = load_tokenizer(tiny_llama)
        size = len(tokenizer)
        tokens = prepare(run, tokenizer).train[0].tokens[0]
        slots = np.flatnonzero(tokens.ids_T >= size)
        assert tokens.ids_T[slots].tolist() == [size, size + 1, size + 2] and slots[
            :2
        ].tolist() == [0, 1]
        assert not tokens.weights_T[slots].any() and tokens.weights_T[-1]


def test_it_computes_the_row_with_its_vectors_and_the_base_the_row_without(
    trained: RunFolder, tiny_llama: Path
) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    table = load_file(trained.model / "adapter_model.safetensors")["prompt_embeddings"]
    tuned, base = load_run(trained), load_run(trained, tuned=False)
    rows = [[Predictor(trained).render.chat(item.example)[0]] for item in _held_out(trained)]
    ours = {name: likelihoods(loaded, rows) for name, loaded in (("tuned", tuned), ("base", base))}
    with tuned.model.disable_adapter():
        ours["off"] = likelihoods(tuned, rows)
    first = len(load_tokenizer(tiny_llama))
    for index, (tokens,) in enumerate(rows):
        ids = torch.from_numpy(tokens.ids_T.astype(np.int64))
        words = plain.get_input_embeddings()(ids.clamp(max=first - 1))
        words[ids >= first] = table[ids[ids >= first] - first]
        kept = ids < first
        scored = int(np.count_nonzero(tokens.weights_T))
        with torch.no_grad():
            tuned_logits = plain(inputs_embeds=words[None], use_cache=False).logits[0]
            base_logits = plain(input_ids=ids[kept][None], use_cache=False).logits[0]
        for name, logits in (("tuned", tuned_logits), ("base", base_logits), ("off", base_logits)):
            wanted = -logits.log_softmax(-1)[-scored - 1 : -1].gather(1, ids[-scored:, None]).sum()
            assert ours[name][index][0, 0] == pytest.approx(float(wanted), rel=1e-5), name


def _held_out(run: RunFolder) -> list[Any]:
    one = run.resolved().run
    prepared = prepare(one, load_tokenizer(Path(one.model.path)))
    return [*prepared.watch, *prepared.proof]


def test_it_answers_and_is_proved_in_batches_as_alone(trained: RunFolder) -> None:
    predictor = Predictor(trained)
    asked = [
        {"instruction": text}
        for text in ("How far is Rome?", "How far is it from Oslo to Lima? Please.", "Why?")
    ]
    together = [row["prediction"] for row in predictor.predict(asked)]
    assert together == [predictor.predict([row])[0]["prediction"] for row in asked]
    found = api.prove(trained, items=4, shots=0).to_json()
    assert {"base", "tuned"} <= set(found["contenders"])


@pytest.mark.slow  # 2 s
def test_stopped_and_resumed_it_ends_alike(tiny_llama: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole, broken_ = (resolved(tmp_path / name, tiny_llama) for name in ("whole", "broken"))

    def killed(line: Any) -> None:
        if line["step"] == 5 and "loss" in line:
            os._exit(9)

    assert runs.in_child(lambda: train(whole)) == 0
    assert runs.in_child(lambda: train(broken_, events=runs.on_step(killed))) == 9
    assert runs.in_child(lambda: train(broken_, resume=True)) == 0
    assert runs.weights(tmp_path / "broken" / "model") == runs.weights(tmp_path / "whole" / "model")


def test_what_does_not_fit_is_told(trained: RunFolder, tiny_llama: Path, tmp_path: Path) -> None:
    def told(**more: Any) -> str:
        return "\n".join(
            problem.text for problem in broken(resolved(tmp_path / "new", tiny_llama, **more).run)
        )

    assert told() == ""
    counted = resolved(
        tmp_path / "new", tiny_llama, method={"name": "p_tuning", "place": "template"}
    )
    assert METHODS.make(counted.run.method).slots == 3 and not broken(counted.run)
    assert counted.origins["method.tokens"].kind == "derived"
    placed = resolved(tmp_path / "new", tiny_llama, method="p_tuning")
    assert METHODS.make(placed.run.method).slots == 3 and not broken(placed.run)
    assert placed.origins["method.place"].kind == "derived"
    assert "there are 4 virtual tokens, but data.template has 3 [P]" in told(
        method={**METHOD, "tokens": 4}
    )
    assert "has 3 [P], which are places for the virtual tokens of p_tuning" in told(method="lora")
    with pytest.raises(SpecError, match="has a \\[P\\] after the answer begins"):
        prepare(
            resolved(tmp_path, tiny_llama, **{"data.template": "{instruction} {output} [P]"}).run,
            load_tokenizer(tiny_llama),
        )
    with pytest.raises(SpecError, match="first_slot"):
        export(trained, tmp_path / "merged")
