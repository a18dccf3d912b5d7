"""From training to an answer through OpenAI's client and through llama.cpp: the labels are those of
``predict``.
"""

from __future__ import annotations

import os
from pathlib import Path

import openai
import pytest

from material.served import serving
from tunesmith import api
from tunesmith.events.stream import Events
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.predicting.predictor import Predictor
from tunesmith.proving.contest import prepared_again
from tunesmith.proving.task import evenly
from tunesmith.storage.run_folder import RunFolder

RECIPE = Path(__file__).parents[2] / "recipes" / "demo_trec.yaml"
ASKED = 200


@pytest.mark.slow
def test_the_demo_says_the_same_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """TUNESMITH_DEMO may name a run of the recipe that is there already. llama.cpp gets the f16 file,
    and keeps keys and values in f16: a tie may fall to the other side.
    """
    xllamacpp = pytest.importorskip("xllamacpp")
    known = os.environ.get("TUNESMITH_DEMO")
    run = RunFolder(Path(known)) if known else api.train(str(RECIPE), [f"out={tmp_path / 'demo'}"])
    settings = run.resolved().run
    prepared = prepared_again(run, settings, load_tokenizer(run.model), Events())
    items = evenly(prepared.proof, ASKED)
    questions = [item.example.turns[-2].content for item in items]
    rows = [{"messages": [{"role": "user", "content": one}]} for one in questions]
    ours = [row["prediction"] for row in Predictor(run).predict(rows)]
    right = sum(
        said == item.example.turns[-1].content for said, item in zip(ours, items, strict=True)
    )
    with serving([f"demo={run.path}"], tmp_path / "log.txt") as server:
        client = openai.OpenAI(base_url=server.url, api_key=server.key)
        served = [
            client.chat.completions.create(model="demo", messages=row["messages"])
            .choices[0].message.content
            for row in rows
        ]  # fmt: skip
    api.export_run(run.path, tmp_path / "gguf", ["format=gguf", "format.type=f16", "items=0"])
    params = xllamacpp.CommonParams()
    params.model.path, params.use_jinja = str(tmp_path / "gguf" / "model.gguf"), True
    params.n_parallel, params.n_ctx, params.verbosity = 1, 2048, -1
    llama = xllamacpp.Server(params)
    written = [
        llama.handle_chat_completions(
            {"messages": row["messages"], "temperature": 0, "max_tokens": 16}
        )["choices"][0]["message"]["content"]
        for row in rows
    ]
    same = sum(a == b for a, b in zip(ours, written, strict=True))
    with capsys.disabled():
        print(
            f"\nright {right}, through the client {sum(a == b for a, b in zip(ours, served, strict=True))}"
            f", llama.cpp {same} of {len(items)} as predict"
        )
    assert len(items) == ASKED and right > ASKED / 2
    assert served == ours
    assert same >= ASKED - 2
