"""OpenAI's client for Node.js against a real server process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from material.proved import labelled
from material.served import serving
from tunesmith.predicting.predictor import Predictor
from tunesmith.storage.run_folder import RunFolder

SCRIPT = """
const OpenAI = require("openai");
const [url, key, question] = process.argv.slice(1);
const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const asked = { model: "labels", messages: [{ role: "user", content: question }] };
(async () => {
  const told = {};
  told.models = (await client.models.list()).data.map((one) => one.id);
  const whole = await client.chat.completions.create({ ...asked, logprobs: true });
  told.answer = whole.choices[0].message.content;
  told.tokens = [whole.usage.completion_tokens, whole.choices[0].logprobs.content.length];
  told.pieces = [];
  const stream = await client.chat.completions.create(
    { ...asked, stream: true, stream_options: { include_usage: true } });
  for await (const piece of stream) {
    if (piece.choices.length) told.pieces.push(piece.choices[0].delta.content ?? "");
    else told.usage = piece.usage.completion_tokens;
  }
  try {
    await client.chat.completions.create({ ...asked, model: "none" });
  } catch (error) { told.unknown = [error.status, error.constructor.name]; }
  try {
    await new OpenAI({ baseURL: url, apiKey: "wrong", maxRetries: 0 }).models.list();
  } catch (error) { told.wrong = [error.status, error.constructor.name]; }
  console.log(JSON.stringify(told));
})();
"""


@pytest.mark.slow
def test_it_gets_what_predict_says(label_run: RunFolder, tmp_path: Path) -> None:
    """``npm install openai`` where NODE_PATH points, or in the folder of the tests."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if subprocess.run([node, "-e", "require('openai')"], capture_output=True).returncode:
        pytest.skip("the package openai is not there for node (npm install openai, NODE_PATH)")
    question = labelled(5)[4]["instruction"]
    [row] = Predictor(label_run).predict([{"instruction": question, "input": ""}])
    with serving([f"labels={label_run.path}"], tmp_path / "log.txt") as server:
        done = subprocess.run(
            [node, "-e", SCRIPT, server.url, server.key, question],
            capture_output=True, text=True, timeout=600, env=dict(os.environ),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["answer"] == "".join(told["pieces"]) == row["prediction"]
    assert told["models"][0] == "labels" and told["tokens"][0] == told["usage"] > 0
    assert told["unknown"] == [404, "NotFoundError"]
    assert told["wrong"] == [401, "AuthenticationError"]
