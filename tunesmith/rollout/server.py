"""Answers that a vLLM server samples from the current adapter: it is written as a folder, loaded by
the server under a new name at each step, and token ids are asked for, never text.

A name that is loaded already may be answered from the cache of the adapter before (vLLM issue
42125), so no name is used twice. The server reads the folder itself: it runs on this machine, or
sees the run's disk under the same path.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.rollout import Sampled
from tunesmith.errors import Problem, SamplerLost, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run
from tunesmith.settings.teacher import has_host
from tunesmith.words import say

if TYPE_CHECKING:
    import httpx

    from tunesmith.models.loading.load import Loaded
    from tunesmith.rollout.sampling import Sampling

WHERE = "source.server"
KEY_ENV = "VLLM_API_KEY"
"""The environment variable that holds the server's key, as vLLM itself has it."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds between the attempts to reach a server that does not answer; then the run stops."""
TOGETHER = 32
"""Prompts that are asked at a time; the server makes its own batches of them."""
ANSWERS_WITHIN = 600.0
"""Seconds in which a prompt's answers must have come."""

PLAIN = {"variant": ("plain", "rslora"), "init": ("plain", "gaussian"), "bias": ("none",)}
"""Settings of LoRA whose adapter stands on the untouched base as vLLM adds it."""


def without_server(run: Run, server: str | None) -> Iterator[Problem]:
    """Yields what keeps a server from sampling for this run; nothing without a server."""
    if server is None:
        return
    where = "source.server"
    if not has_host(server):
        yield Problem(where, say("rewards.no_address", url=repr(server)))
    method = run.method
    if method.name != "lora":
        yield Problem(where, say("rollout.server_lora", method=method.name))
        return
    settings = method.model_dump()
    for name, able in PLAIN.items():
        if settings[name] not in able:
            fields = {"name": f"method.{name}", "value": settings[name], "known": ", ".join(able)}
            yield Problem(where, say("rollout.server_plain", **fields))


class Server:
    """A server that samples. ``beside`` is the folder next to which adapters are written."""

    def __init__(self, url: str, beside: Path) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        name = f"{beside.name}-{uuid.uuid4().hex[:8]}"
        self._folder, self._name = beside.with_name(f"{name}.adapters"), name
        self._loads, self._loaded = 0, ""
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def check(self) -> None:
        """Raises SpecError where nothing answers there, or gives text alone."""
        import httpx

        try:
            with self._client() as client:
                listed = self._sent(client, "GET", "/v1/models")["data"]
                base = [model["id"] for model in listed if not model.get("parent")]
                prompt, sampling = np.array([1, 2], np.int32), {"n": 1, "max_tokens": 1}
                self._asked(client, prompt, {"model": base[0], **sampling}, ())
        except (httpx.HTTPError, _Failed, LookupError, TypeError, ValueError) as error:
            text = say("rollout.no_server", url=self.url, reason=_reason(error))
            raise SpecError(Problem(WHERE, text)) from None

    def sample(
        self, policy: Loaded, prompts: Mapping[int, np.ndarray], settings: Sampling, *, step: int
    ) -> dict[int, list[Sampled]]:
        """Samples the answers of each prompt, by its place in the step. A server that does not
        answer is asked again after growing pauses, then raises SamplerLost; one that was started
        again is given the adapter again. SpecError where it cannot do what is asked.
        """
        return self._patiently(
            lambda client: self._sampled(client, policy, prompts, settings, step)
        )

    def _sampled(
        self,
        client: httpx.Client,
        policy: Loaded,
        prompts: Mapping[int, np.ndarray],
        how: Sampling,
        step: int,
    ) -> dict[int, list[Sampled]]:
        name = self._load(client, policy)
        plain = {"model": name, "n": how.samples, "max_tokens": how.most}
        plain |= {"temperature": how.temperature, "stop_token_ids": list(how.stop_ids)}

        def ask(place: int) -> list[Sampled]:
            seed = np.random.PCG64([how.seed, step, place]).random_raw() % 2**31
            return self._asked(client, prompts[place], {**plain, "seed": int(seed)}, how.stop_ids)

        with ThreadPoolExecutor(TOGETHER) as pool:
            return dict(zip(prompts, pool.map(ask, prompts), strict=True))

    def _load(self, client: httpx.Client, policy: Loaded) -> str:
        """Gives the server the adapter as it is now, under a new name, which is returned, and lets
        it forget the one before.
        """
        self._loads += 1
        name = f"{self._name}-{self._loads}"
        folder, before = self._folder / name, self._loaded
        policy.model.save_pretrained(folder)
        body = {"lora_name": name, "lora_path": str(folder.resolve())}
        response = client.post("/v1/load_lora_adapter", json=body)
        if 400 <= response.status_code < 500:
            fields = {"url": self.url, "status": response.status_code, "said": _said(response)}
            raise SpecError(Problem(WHERE, say("rollout.no_adapters", **fields)))
        response.raise_for_status()
        self._loaded = name
        if before:
            # One that was started again no longer has it.
            client.post("/v1/unload_lora_adapter", json={"lora_name": before})
            shutil.rmtree(self._folder / before, ignore_errors=True)
        return name

    def _asked(
        self,
        client: httpx.Client,
        prompt_T: np.ndarray,
        settings: JsonObject,
        stop_ids: tuple[int, ...],
    ) -> list[Sampled]:
        """Asks for the answers to one prompt: by its ids, from the whole distribution, whatever the
        model's own settings are.
        """
        body = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        body |= {"presence_penalty": 0.0, "frequency_penalty": 0.0, "logprobs": 1}
        body |= {"return_token_ids": True, "skip_special_tokens": False}
        body |= {"prompt": prompt_T.tolist(), **settings}
        choices = self._sent(client, "POST", "/v1/completions", body)["choices"]
        if len(choices) != settings["n"]:
            raise _Failed(say("rollout.other_count", wanted=settings["n"], count=len(choices)))
        return [_answer(choice, prompt_T, stop_ids) for choice in choices]

    def _sent(self, client: httpx.Client, how: str, path: str, body: Any = None) -> Any:
        response = client.request(how, path, json=body)
        if response.status_code == 400:
            fields = {"url": self.url, "status": 400, "said": _said(response)}
            raise SpecError(Problem(WHERE, say("rollout.refused", **fields)))
        response.raise_for_status()
        return response.json()

    def _client(self) -> httpx.Client:
        import httpx

        key = os.environ.get(KEY_ENV, "").strip()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Timeout(ANSWERS_WITHIN, connect=10.0)
        return httpx.Client(base_url=self.url, headers=headers, timeout=limits)

    def _patiently(
        self, ask: Callable[[httpx.Client], dict[int, list[Sampled]]]
    ) -> dict[int, list[Sampled]]:
        import httpx

        reason = ""
        for pause in (0.0, *PAUSES):
            time.sleep(pause)
            try:
                with self._client() as client:
                    return ask(client)
            except _Failed as error:
                raise SpecError(Problem(WHERE, str(error))) from None
            except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
                reason = _reason(error)
        tries = 1 + len(PAUSES)
        raise SamplerLost(say("rollout.server_lost", url=self.url, tries=tries, reason=reason))


class _Failed(Exception):
    """The server answers, and not what is needed."""


def _answer(choice: JsonObject, prompt_T: np.ndarray, stop_ids: tuple[int, ...]) -> Sampled:
    """Returns one answer as it was sampled; raises _Failed where it is text alone."""
    ids, logprobs = choice.get("token_ids"), (choice.get("logprobs") or {}).get("token_logprobs")
    if not isinstance(ids, list) or not ids:
        raise _Failed(say("rollout.text_alone"))
    if not isinstance(logprobs, list) or len(logprobs) != len(ids) or None in logprobs:
        raise _Failed(say("rollout.no_logprobs"))
    if (choice.get("prompt_token_ids") or prompt_T.tolist()) != prompt_T.tolist():
        raise _Failed(say("rollout.other_prompt"))
    ended = choice.get("finish_reason") == "stop"
    if ended and stop_ids and ids[-1] not in stop_ids:
        raise _Failed(say("rollout.without_stop", token=ids[-1]))
    return Sampled(
        np.array(ids, np.int32),
        np.array(logprobs, np.float32),
        np.full(len(ids), np.nan, np.float32),
        ids[-1] in stop_ids,
    )


def _said(response: httpx.Response) -> str:
    return " ".join(response.text.split())[:200]


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
