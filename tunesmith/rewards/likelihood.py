"""How likely a frozen model finds the row's own answer after what the policy wrote: a reward for
reasoning where no rule can check the answer (reference probability: Yu et al. 2025, RLPR, eq. 3,
here the geometric mean over the answer's tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Gt
from pydantic import BeforeValidator

from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.rewards import REWARDS, AnswerReward, Asked
from tunesmith.rewards.model import whole
from tunesmith.settings.spec import Spec, Word
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.batches.batch import Tokens
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.loading.load import Loaded


@REWARDS.register
class Likelihood(AnswerReward):
    """The probability, of each token on average, of the row's answer after the one that was
    sampled.
    """

    class Config(Spec):
        """Which model is asked, and for what."""

        run: Annotated[str, BeforeValidator(whole)]
        """A run that learned to write, or any language model with a chat template: a folder, a hub
        id or ``starter``. Its weights stay as they are.
        """
        column: Word = "answer"
        """The column with the right answer."""
        ask: str = "So the answer is:"
        """What it is asked after the sampled answer."""
        batch: Annotated[int, Gt(0)] = 16
        """Answers that it reads together."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._loaded: tuple[Loaded, Render] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the right answer."""
        return (self.config.column,)

    @property
    def at_once(self) -> int:
        """The size of its batch."""
        return self.config.batch

    def folder(self) -> Path:
        """Returns the folder of the weights that are loaded; of a run that of its base."""
        from tunesmith.models.finding.hub import find_model, folder_of

        run = RunFolder(Path(self.config.run))
        return folder_of(run.resolved().run.model) if self._is_run else find_model(self.config.run)

    def check(self) -> None:
        """Raises SpecError where the model does not write, or knows no turns."""
        from tunesmith.models.finding.hub import find_model
        from tunesmith.models.loading.tokenizer import load_tokenizer

        folder = (
            RunFolder(Path(self.config.run)).model if self._is_run else find_model(self.config.run)
        )
        if load_tokenizer(folder).chat_template is None:
            raise SpecError(Problem("run", say("rewards.no_turns", run=self.config.run)))

    def load(self) -> None:
        """Loads its weights."""
        import torch

        from tunesmith.data.rendering.render import Render
        from tunesmith.models.finding.hub import find_model
        from tunesmith.models.loading.load import load_model
        from tunesmith.models.saved import load_run
        from tunesmith.settings.run import Data

        if self._is_run:
            loaded = load_run(RunFolder(Path(self.config.run)))
        else:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            dtype = torch.bfloat16 if device == "cuda" else torch.float32
            loaded = load_model(find_model(self.config.run), dtype=dtype, device=device)
        render = Render(loaded.tokenizer, Data(path="", train_on="last"))
        self._loaded = loaded, render

    @property
    def _is_run(self) -> bool:
        return RunFolder(Path(self.config.run)).run_yaml.is_file()

    def rewards(self, answers: Sequence[Asked]) -> list[float | None]:
        """Returns a probability for each answer; None where what is read is too long for the model.
        Raises KeyError where a row lacks the column.
        """
        from tunesmith.predicting.likelihoods import likelihoods

        if self._loaded is None:
            self.load()
        assert self._loaded is not None, "it was loaded above"
        loaded, render = self._loaded
        read = [self._read(answer, render) for answer in answers]
        fits = [loaded.limit is None or len(tokens) <= loaded.limit for tokens in read]
        kept = [[tokens] for tokens, fit in zip(read, fits, strict=True) if fit]
        sums = iter(likelihoods(loaded, kept) if kept else ())
        return [_mean_probability(next(sums)) if fit else None for fit in fits]

    def _read(self, one: Asked, render: Render) -> Tokens:
        """Returns the conversation that ends with the right answer, which alone is scored."""
        asked = tuple(Turn(turn["role"], turn["content"]) for turn in one.turns)
        said = (Turn("assistant", one.completion), Turn("user", self.config.ask))
        right = Turn("assistant", str(one.row[self.config.column]).strip())
        return render.chat(Chat((*(asked or (Turn("user", one.prompt),)), *said, right)))[-1]


def _mean_probability(sums_12: np.ndarray) -> float:
    nll, tokens = sums_12[0]
    return float(np.exp(-nll / tokens))
