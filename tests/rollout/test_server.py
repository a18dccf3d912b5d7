"""A server that samples: what is trained is what it sampled, with the adapter of that step; what
cannot be trained on is refused, and a server that goes away stops a run that goes on later.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from material import runs
from material.sampling_server import serving
from tunesmith.errors import SpecError, Stopped
from tunesmith.planning.make import make
from tunesmith.rollout import server as client
from tunesmith.settings.run import validate, with_overrides
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

SAMPLED: dict[str, Any] = {
    "objective": {"name": "ppo", "kl_weight": 0},
    "source": {"rewards": {"name": "language", "language": "zh"}, "samples": 4},
    "method": {"name": "lora", "rank": 4},
    "train.batch": 4,
    "train.steps": 3,
    "train.learning_rate": 3e-2,
    "train.keep": {"evaluate": 0, "save": 0},
    "train.warmup": 0,
}


def settings(url: str, **more: Any) -> dict[str, Any]:
    source = {**SAMPLED["source"], "max_new_tokens": 12, "temperature": 1.5, "server": url}
    return {**SAMPLED, "source": source, **more}


def trained(out: Path, model: Path, url: str, *, resume: bool = False, **more: Any) -> RunFolder:
    one = runs.resolved(out, model, **settings(url, **more))
    return train(one, runs.data_of(one), resume=resume)


def steps(folder: RunFolder) -> list[dict[str, Any]]:
    return [line for line in folder.steps() if "stopped" in line]


def test_what_is_trained_is_what_the_server_sampled(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter moves far at this rate: with that of the step before, or at another temperature,
    the probabilities of the same tokens would be others.
    """
    with suppress(ImportError):
        # At its first import it logs an error, which holds the frames of whoever imports it, and
        # pytest holds what was logged: the run would not go.
        import bitsandbytes  # noqa: F401
    monkeypatch.setattr(client, "PAUSES", (0.0, 0.0))
    out = tmp_path / "run"
    with serving(tiny_llama) as server:
        client.Server(server.url, out).check()
        server.down = 1
        told = steps(trained(out, tiny_llama, server.url))
        assert len(told) == 3 and all(line["sampler_gap"] < 1e-5 for line in told)
        assert all("entropy" not in line for line in told), "it does not say"
        assert len(server.loaded) > 3, "some for the answers before step 1, one a step"
        assert len(server.adapters) == 1, "only the last is kept"
    gc.collect()
    assert not [*tmp_path.glob("*.adapters")], "the folders of the adapters are gone with the run"


@pytest.mark.slow
def test_a_server_that_goes_away_stops_a_run_that_goes_on(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAUSES", (0.0, 0.0))
    two = {"train.steps": 2}
    with serving(tiny_llama) as server:
        whole = steps(trained(tmp_path / "whole", tiny_llama, server.url, **two))
    out, inner = tmp_path / "run", client.Server.sample
    with serving(tiny_llama) as server:

        def sample(self: Any, *args: Any, step: int) -> Any:
            if step == 1:
                server.down = 99
            return inner(self, *args, step=step)

        monkeypatch.setattr(client.Server, "sample", sample)
        with pytest.raises(Stopped, match=r"no answers in 3 tries .*503.*after step 1, saved"):
            trained(out, tiny_llama, server.url, **two)
    monkeypatch.setattr(client.Server, "sample", inner)
    with serving(tiny_llama) as server:
        told = steps(trained(out, tiny_llama, server.url, resume=True, **two))
    assert [line["reward"] for line in told] == [line["reward"] for line in whole]
    assert [line["loss"] for line in told] == pytest.approx([line["loss"] for line in whole])


@pytest.mark.parametrize(
    ("without", "wanted"),
    [
        ("token_ids", "gives text and no token ids"),
        ("logprobs", "gives no log-probability for each"),
        pytest.param(
            *("stop", "left the stop token out|gives text and no token ids"), marks=pytest.mark.slow
        ),
        ("adapters", "does not load adapters .status 404"),
    ],
)
def test_a_server_that_gives_too_little_is_refused(
    without: str, wanted: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with serving(tiny_llama, without) as server, pytest.raises(SpecError, match=wanted):
        trained(tmp_path / "run", tiny_llama, server.url)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, "does not answer as a vLLM server does"),
        ({"method": "full"}, "source.server: a server samples from a LoRA adapter, which full"),
        (
            {"method": {"name": "lora", "variant": "dora"}},
            "source.server: a server adds the adapter to the base as it is, and method.variant=dora",
        ),
    ],
)
def test_what_a_server_cannot_do_is_told_by_the_plan(
    more: dict[str, Any], wanted: str, tiny_llama: Path, tmp_path: Path
) -> None:
    plain = runs.asked(tmp_path / "run", tiny_llama).model_dump(mode="json", exclude_unset=True)
    run = validate(with_overrides(plain, settings("http://127.0.0.1:9", **more)))
    assert wanted in "\n".join(map(str, make(run).problems))
