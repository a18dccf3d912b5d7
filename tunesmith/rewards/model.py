"""A reward model: it reads an answer in a form and with a tokenizer of its own, and gives a number.

Text goes over, never ids, so its vocabulary may be another than the policy's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Gt
from pydantic import BeforeValidator

from tunesmith.errors import ModelError, Problem, SpecError
from tunesmith.examples import Chat, Outputs, Turn, final
from tunesmith.rewards import REWARDS, AnswerReward, Asked
from tunesmith.settings.spec import Spec
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.batches.batch import Tokens
    from tunesmith.models.loading.load import Loaded


def whole(path: Any) -> Any:
    """Writes the folder as a whole path, so that it is found from anywhere."""
    return os.path.abspath(path) if isinstance(path, str) and os.path.isdir(path) else path


@REWARDS.register
class RewardModel(AnswerReward):
    """The number that a reward model, or a classifier, gives an answer."""

    class Config(Spec):
        """Which model, what it reads, and which of its numbers counts."""

        run: Annotated[str, BeforeValidator(whole)]
        """A run that learned to score answers (objective=reward) or to tell classes (classify), or
        any sequence classifier: a folder, a hub id or package:NAME.
        """
        label: str | None = None
        """Of several classes the one whose probability is the reward; a reward model has none."""
        logit: bool = False
        """Whether the reward of a label is the model's raw output instead of the probability."""
        reads: Literal["conversation", "answer"] | None = None
        """What it reads: the question with the answer, or the answer alone. When not given, a model
        with classes reads the answer, a reward model both.
        """
        calibrate: bool | None = None
        """Whether its numbers are shifted and scaled so that the answers before training have mean
        0 and standard deviation 1; when not given, those of a reward model are, whose scale is its
        own, and probabilities are not.
        """
        batch: Annotated[int, Gt(0)] = 32
        """Answers that it reads together."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._loaded: Loaded | None = None

    @property
    def at_once(self) -> int:
        """The size of its batch."""
        return self.config.batch

    @property
    def calibrated(self) -> bool:
        """Whether it is calibrated, as the setting says."""
        chosen = self.config.calibrate
        return self.config.label is None if chosen is None else chosen

    def folder(self) -> Path:
        """Returns the folder of the weights that are loaded; for an adapter that of its base."""
        from tunesmith.models.finding.hub import find_model, folder_of

        run = RunFolder(Path(self.config.run))
        if (run.model / "adapter_config.json").is_file():
            return folder_of(run.resolved().run.model)
        return find_model(self.config.run)

    def check(self) -> None:
        """Raises SpecError where the model's config says that it does not give one number."""
        self._outputs()

    def load(self) -> None:
        """Loads its weights."""
        self._loaded = self._found()

    def rewards(self, answers: Sequence[Asked]) -> list[float | None]:
        """Returns a number for each answer."""
        from tunesmith.predicting.classes import Meaning, outputs_of

        if self._loaded is None:
            self.load()
        assert self._loaded is not None, "it was loaded above"
        found_nC = outputs_of(
            self._loaded, [self._read(answer, self._loaded) for answer in answers]
        )
        outputs, label = self._outputs(), self.config.label
        if label is not None and not self.config.logit:
            found_nC = Meaning(outputs).probabilities(found_nC)
        return found_nC[:, outputs.names.index(label) if label else 0].tolist()

    def _outputs(self) -> Outputs:
        """Returns what the head gives; raises SpecError where that is not the number that was asked
        for.
        """
        run = RunFolder(Path(self.config.run))
        outputs = self._of_run(run) if run.run_yaml.is_file() else self._of_config()
        label, names = self.config.label, outputs.names
        fields = {"run": self.config.run, "count": len(names), "names": ", ".join(names[:8])}
        if label is None and len(names) != 1:
            raise SpecError(Problem("", say("rewards.several_outputs", **fields)))
        if label is not None and (len(names) == 1 or label not in names):
            key = "rewards.one_output" if len(names) == 1 else "rewards.no_label"
            raise SpecError(Problem("", say(key, label=repr(label), **fields)))
        return outputs

    def _of_run(self, run: RunFolder) -> Outputs:
        from tunesmith.models.saved import FACTS
        from tunesmith.models.structure.heads import head_in

        if not (run.model / FACTS).is_file():
            key = "load.still_training" if run.busy else "load.no_run_model"
            raise ModelError(Problem("", say(key, folder=str(run.path))))
        head = head_in(run.read(run.model / FACTS))
        if head["head"] != "classes":
            objective = run.resolved().run.objective.name
            fields = {"run": run.path, "objective": objective}
            raise SpecError(Problem("", say("rewards.run_gives_no_number", **fields)))
        return head["outputs"]

    def _of_config(self) -> Outputs:
        from tunesmith.models.finding.hub import find_model
        from tunesmith.models.structure.kinds import load_config

        config = load_config(find_model(self.config.run)).to_dict()
        classes = config.get("architectures") or ["–"]
        if not classes[0].endswith("ForSequenceClassification"):
            fields = {"run": self.config.run, "kind": classes[0]}
            raise SpecError(Problem("", say("rewards.not_a_classifier", **fields)))
        names = tuple(config["id2label"].values())
        plain = "regression" if len(names) == 1 else "single_label_classification"
        return Outputs(names, config.get("problem_type") or plain)

    def _found(self) -> Loaded:
        """Loads the model with its renderer."""
        import torch

        from tunesmith.data.rendering.render import Render
        from tunesmith.models.loading.load import load_model
        from tunesmith.models.saved import load_run
        from tunesmith.settings.run import Data

        run = RunFolder(Path(self.config.run))
        if run.run_yaml.is_file():
            return load_run(run)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        options: Any = {"head": "classes", "outputs": self._of_config()}
        loaded = load_model(self.folder(), dtype=dtype, device=device, **options)
        data = Data(path="")
        loaded.render = Render(loaded.tokenizer, data, head="classes")
        return loaded

    def _read(self, one: Asked, loaded: Loaded) -> Tokens:
        """Returns what the model reads of an answer, within its limit."""
        from tunesmith.data.lengths import truncate
        from tunesmith.objectives.reward import answered

        render, limit = loaded.render, loaded.limit
        assert render is not None, "a reward model comes with its renderer"
        reads = self.config.reads or ("answer" if self.config.label else "conversation")
        if reads == "answer":
            return render.sequence(final(one.completion), limit=limit)
        if not render.converses:
            return render.sequence(one.prompt, one.completion, limit=limit)
        turns = tuple(Turn(turn["role"], turn["content"]) for turn in one.turns)
        columns = {**one.row, "question": one.prompt, "answer": one.completion}
        chat = Chat((*turns, Turn("assistant", one.completion)), columns=columns)
        tokens = answered(chat, render, len(turns))
        if limit is None or len(tokens) <= limit:
            return tokens
        return truncate(tokens, limit, bos=render.pieces.bos)
