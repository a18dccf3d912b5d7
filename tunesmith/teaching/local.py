"""A teacher on this machine: a folder, a hub id, the starter, or a finished run, which answers as
it was trained to.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.finding.parent import Parent, parent_of
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.teaching.questions import Question, blocks
from tunesmith.teaching.written import Written, written
from tunesmith.training.keeping.state import base_fingerprint
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.loading.load import Loaded

LOADED_AS = ("quantize", "dtype", "add_tokens")
"""Settings of the model that change its answers."""
OF_THE_RUN = ("template", "system", "reasoning")
"""Settings of the data that a finished run was trained with, and is asked with."""


class Local:
    """A model that is loaded here; ``name`` is what the rows call it, ``loading`` how long that
    took (seconds).
    """

    loading = 0.0

    def __init__(self, run: Run) -> None:
        self.run, self.name = run, run.model.path
        self.parent: Parent | None = parent_of(run.model.path)
        if self.parent is None:
            self.folder, self.system = folder_of(run.model), run.data.system
            return
        self.folder, self.system = (
            self.parent.folder.model,
            self.parent.folder.resolved().run.data.system,
        )
        given = [name for name in OF_THE_RUN if name in run.data.model_fields_set]
        problems = [
            Problem(f"data.{name}", say("generate.run_has_own", run=self.name)) for name in given
        ]
        if not self.parent.writes:
            problems.append(
                Problem(
                    "model",
                    say("generate.run_writes_nothing", objective=self.parent.facts["objective"]),
                )
            )
        if problems:
            raise SpecError(problems)

    def identity(self) -> dict[str, str]:
        """Returns what distinguishes this teacher from another."""
        loaded_as = {
            f"model.{name}": repr(value)
            for name, value in self.run.model.values(*LOADED_AS).items()
        }
        if (self.folder / "config.json").is_file():
            return {"model": base_fingerprint(self.folder), **loaded_as}
        digest = hashlib.sha256()
        for path in [self.folder / "tunesmith.json", *sorted(self.folder.glob("*.safetensors"))]:
            digest.update(path.read_bytes())
        return {"model": digest.hexdigest(), **loaded_as}

    def answers(
        self, questions: Iterator[Question], done: Collection[int], stopped: Callable[[], bool]
    ) -> Iterator[tuple[int, Written]]:
        """Yields the answers that are not ``done``, by their number: question by question, each
        ``generate.samples`` times.
        """
        from tunesmith.models.calling.generate import generate

        loaded: Loaded | None = None
        each = self.run.generate.samples
        for numbers, some in blocks(questions, each, done):
            if stopped():
                return
            if loaded is None:
                began = time.monotonic()
                loaded = self._loaded()
                self.loading = time.monotonic() - began
            render = _render(loaded)
            prompts = [render.prompt(question.chat) for question in some]
            room = (loaded.limit or 10**9) - self.run.generate.max_new_tokens
            fitting = [index for index, prompt in enumerate(prompts) if len(prompt) <= room]
            # Drawn by the place of the rows, and all of them again: what was killed ends as what
            # was not.
            written_answers = iter(
                generate(
                    loaded.model,
                    loaded.tokenizer,
                    [prompts[index] for index in fitting],
                    self.run.generate,
                    stop_ids=render.stop_ids,
                    share=loaded.layout == "forest",
                    seed=self.run.train.seed + numbers.start,
                )
            )
            for number in numbers:
                fits = (number - numbers.start) // each in fitting
                answer = next(written_answers) if fits else None
                if number in done:
                    continue
                if answer is None:
                    yield number, Written("", "too long", 0)
                else:
                    yield (
                        number,
                        written(answer.text, cut=not answer.stopped, tokens=len(answer.ids)),
                    )

    def _loaded(self) -> Loaded:
        """Loads the model with its renderer: that of the run, or of the settings."""
        from tunesmith.data.rendering.render import Render
        from tunesmith.machine import device as devices
        from tunesmith.models.saved import load_run
        from tunesmith.training.preparing import load_base

        if self.parent is not None:
            return load_run(self.parent.folder)
        device = devices.choose(self.run.train.machine)
        devices.prepare(device)
        loaded = load_base(self.folder, self.run, device, OBJECTIVES.make(OBJECTIVES.config("sft")))
        loaded.render = Render(loaded.tokenizer, self.run.data)
        return loaded


def _render(loaded: Loaded) -> Render:
    assert loaded.render is not None, "a teacher comes with its renderer"
    return loaded.render
