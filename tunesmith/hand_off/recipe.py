"""What is handed over: a run, settled, in the words that targets translate."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunesmith.objectives.grpo import CAPS, KL_WEIGHTS
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run


@dataclass(frozen=True)
class Recipe:
    """A settled run. ``prompt`` is the longest prompt (tokens), ``epochs`` how often the rows are
    seen, in ``steps`` steps, ``tokens`` those of all ``rows``; ``watched`` says whether there are
    rows to watch.
    """

    run: Run
    model: str
    prompt: int
    epochs: int
    steps: int
    rows: int
    tokens: int
    watched: bool

    @property
    def objective(self) -> JsonObject:
        """The settings of grpo or ppo."""
        return self.run.objective.model_dump()

    @property
    def kl_weight(self) -> float:
        """The price of the KL term that training would use; 0 where there is none."""
        return self.objective["kl_weight"] or KL_WEIGHTS.get(self.objective["kl"], 0.0)

    @property
    def cap(self) -> float | None:
        """The largest ratio of worse answers that training would use; None where it has no end."""
        objective = self.objective
        two_sided = objective.get("clip") == "two_sided"
        return objective["cap"] or (CAPS["two_sided"] if two_sided else None)

    @property
    def warmup(self) -> float:
        """The share of the run in which the learning rate rises."""
        warmup = self.run.train.warmup
        return warmup if warmup < 1 else min(1.0, warmup / self.steps)

    @property
    def source(self) -> JsonObject:
        """The settings of the sampled answers."""
        return self.run.source.model_dump()

    @property
    def lora(self) -> JsonObject | None:
        """The settings of a LoRA, with its alpha as a whole number where it is one; None where
        another method trains.
        """
        method = self.run.method
        if method.name != "lora":
            return None
        settings = method.model_dump()
        return settings | {"alpha": f"{settings['alpha'] or 2 * settings['rank']:g}"}


@dataclass
class Translated:
    """The options of another toolkit, and our settings that it has no counterpart for."""

    options: dict[str, object] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """As ``objective.clip=sapo``."""
    notes: list[str] = field(default_factory=list)
    """Keys of what is there but differs (``hand_off.NAME``)."""

    def choose(self, path: str, value: object, known: dict[str, dict[str, object]]) -> None:
        """Takes the options of ``value``; notes that it is missing where there are none."""
        options = known.get(str(value))
        if options is None:
            self.missing.append(f"{path}={value}")
        else:
            self.options |= options

    def leave(self, path: str, value: object, usual: object) -> None:
        """Notes a setting that has no counterpart, unless it has its usual value."""
        if value != usual:
            self.missing.append(f"{path}={value}")

    def leave_common(self, recipe: Recipe) -> None:
        """Notes what of optimizer, prompt and LoRA none of the targets has."""
        run = recipe.run
        self.leave("train.optimizer", run.train.optimizer.name, "adamw")
        self.leave("data.template", run.data.template, None)
        if recipe.lora is not None:
            usual = {"variant": "plain", "init": "plain", "targets": ("all-linear",)}
            for name, value in usual.items():
                self.leave(f"method.{name}", recipe.lora[name], value)
