"""vLLM as the server of runs: started with the flags that they need, and ended with us."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.export.folders.lora import is_plain, largest_rank, read_lora, write_lora
from tunesmith.export.folders.vllm import TEMPLATE, asking_template, room_for, vllm_command
from tunesmith.machine.signals import StopSignal
from tunesmith.models.saved import renderer
from tunesmith.serving.served import Asked, asked_runs
from tunesmith.serving.service import Address, Service
from tunesmith.serving.start import Tell, bound, read_keys, ready
from tunesmith.settings.family import OBJECTIVES
from tunesmith.words import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunesmith.storage.run_folder import RunFolder

ROUTES = frozenset({"chat/completions", "completions"})
LOOK_EVERY = 0.2
LEAVES_WITHIN = 10.0
"""Seconds beyond what answers have to be finished, before it is killed."""


def refuse_ours(given: Mapping[str, object]) -> None:
    """Raises SpecError for options that only our own server has."""
    text = say("serve.not_in_vllm")
    problems = [Problem(name, text) for name, value in given.items() if value is not None]
    if problems:
        raise SpecError(problems)


def serve_by_vllm(
    runs: Sequence[str],
    service: Service,
    *,
    which: Callable[[Path], RunFolder],
    tell: Tell,
) -> None:
    """Serves the runs by vLLM until SIGTERM or Ctrl-C; raises SpecError before it starts for what
    it could not serve, TunesmithError where it ends by itself.
    """
    program = shutil.which("vllm")
    if program is None:
        raise SpecError(Problem("--engine", say("serve.no_vllm")))
    asked = asked_runs(runs, which)
    refuse_for_vllm(asked)
    keys, new = read_keys(service.address.keys)
    if len(keys) > 1:
        raise SpecError(Problem("--keys", say("serve.one_key")))
    with bound(service.address) as listener:
        address = replace(service.address, port=listener.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="tunesmith-vllm-") as folder:
        words = command_for(asked, Path(folder))
        words += ["--host", address.host, "--port", str(address.port)]
        words += ["--max-num-seqs", str(service.at_once)]
        tell([say("serve.loading_vllm", line=" ".join(words))])
        # A key on the command line could be read by everyone on the machine.
        env = {**os.environ, "VLLM_API_KEY": keys[0]}
        with StopSignal() as stop, _running([program, *words[1:]], env, service) as process:
            if _answers(process, address, stop):
                served = dict.fromkeys(_names(asked), ROUTES)
                tell(ready(served, address, keys[0] if new else None))
                while process.poll() is None and not stop.received:
                    time.sleep(LOOK_EVERY)
            if not stop.received:
                raise TunesmithError(say("serve.vllm_ended", code=process.returncode))
    tell([say("serve.ended")])


def refuse_for_vllm(asked: Sequence[Asked]) -> None:
    """Raises SpecError with all that vLLM could not serve as it is."""
    problems: list[Problem] = []
    for run in asked:
        if not OBJECTIVES.make(run.run.objective).output.writes:
            text = say("serve.vllm_writes", objective=run.run.objective.name)
            problems.append(Problem(run.name, text))
        elif not _is_whole(run) and not _is_lora(run):
            text = say("serve.vllm_export", method=run.run.method.name, run=run.folder.path)
            problems.append(Problem(run.name, text))
    models = {run.base if _is_lora(run) else run.folder.path for run in asked}
    if len(models) > 1 and not problems:
        names = ", ".join(run.name for run in asked)
        problems.append(Problem(names, say("serve.vllm_one_base")))
    if problems:
        raise SpecError(problems)


def command_for(asked: Sequence[Asked], place: Path) -> list[str]:
    """Returns the words of vLLM's command, and writes into ``place`` what it reads beside the
    models.
    """
    from tunesmith.export.folders.files import copy_beside
    from tunesmith.models.loading.tokenizer import load_tokenizer

    first, templates = asked[0], []
    for run in asked:
        code = run.run.model.trust_remote_code
        words = load_tokenizer(run.folder.model, trust_remote_code=code)
        templates.append(asking_template(renderer(run.folder.model, words, run.run)))
        (place / run.name).mkdir()
        if _is_lora(run):
            write_lora(read_lora(run.folder.model), place / run.name)
            copy_beside(run.folder.model, place / run.name)
        if templates[-1] is not None:
            (place / run.name / TEMPLATE).write_text(templates[-1], encoding="utf-8")
    if len(set(templates)) > 1:
        names = ", ".join(run.name for run in asked)
        raise SpecError(Problem(names, say("serve.vllm_one_template")))
    options = {"template": templates[0] is not None, "code": first.run.model.trust_remote_code}
    if _is_whole(first):
        line = vllm_command(first.folder.model.resolve(), [first.name], {}, **options)
        templated = ["--chat-template", str(place / first.name / TEMPLATE)]
        return line + (templated if templates[0] is not None else [])
    rank = max(largest_rank(place / run.name) for run in asked)
    adapters = {run.name: place / run.name for run in asked}
    return vllm_command(first.base[0], _names(asked)[len(asked) :], adapters, rank=rank, **options)


def _names(asked: Sequence[Asked]) -> list[str]:
    """Returns what requests may ask for: the runs, and the base that adapters stand on."""
    names = [run.name for run in asked]
    return names if _is_whole(asked[0]) else [*names, Path(asked[0].base[0]).name]


def _is_whole(one: Asked) -> bool:
    return not (one.folder.model / "adapter_config.json").is_file()


def _is_lora(one: Asked) -> bool:
    changed = one.run.model.quantize or one.run.model.add_tokens
    model = one.folder.model
    return not changed and is_plain(model) and room_for(largest_rank(model)) is not None


@contextmanager
def _running(
    command: Sequence[str], env: Mapping[str, str], service: Service
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command in a session of its own, which ends with the block."""
    process = subprocess.Popen(command, env=env, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(service.limits.drain_seconds + LEAVES_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answers(process: subprocess.Popen[bytes], address: Address, stop: StopSignal) -> bool:
    """Waits until it answers; tells whether it does, or else has ended or shall end."""
    url = address.url.removesuffix("/v1") + "/health"
    while process.poll() is None and not stop.received:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except (URLError, OSError):
            time.sleep(LOOK_EVERY)
    return False
