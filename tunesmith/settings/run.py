"""Run, what was asked, and Resolved, what is used and why: the only configuration there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BeforeValidator, ValidationError, model_validator

from tunesmith.errors import SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.curve import Curve
from tunesmith.settings.export import Export
from tunesmith.settings.families import own_settings_called
from tunesmith.settings.family import (
    METHODS,
    OBJECTIVES,
    OPTIMIZERS,
    SCHEDULES,
    SOURCES,
    TRACKERS,
    TRANSFORMS,
    choice,
    choices,
)
from tunesmith.settings.launch import Launch
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.peer_names import name_here
from tunesmith.settings.problems import paths_of, problems_of
from tunesmith.settings.prove import Prove
from tunesmith.settings.prune import Prune
from tunesmith.settings.search import Search
from tunesmith.settings.sources import First, Mix, Source
from tunesmith.settings.spec import Spec, Word
from tunesmith.settings.teacher import Teacher
from tunesmith.settings.tournament import SEVERAL, Tournament
from tunesmith.settings.yaml_file import read_settings
from tunesmith.words import say

SLOT = "[P]"
"""Where a virtual token of P-tuning stands in ``data.template``."""


def _short(key: str) -> BeforeValidator:
    """Lets a plain string stand for a mapping with this one key."""
    return BeforeValidator(
        lambda value: {key: value} if isinstance(value, str | list | Path) else value
    )


_ONE_OR_MORE = BeforeValidator(
    lambda value: (value,) if isinstance(value, str | Mapping) else value
)
_LISTED = BeforeValidator(lambda value: (value,) if isinstance(value, Mapping) else value)


class Model(Spec):
    """The pretrained model."""

    path: str
    """Hub id, ``ms:`` id of ModelScope, folder, .gguf file, a finished run's folder,
    ``package:minilm``, or ``starter``; for ``tunesmith generate`` also an endpoint's address,
    ``http://localhost:8000/v1``."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Type of the base's weights, with ``quantize`` of those that are not quantised; auto follows
    ``train.machine.precision``.
    """
    quantize: Literal["nf4", "int8"] | None = None
    """Rounds the linear layers' weights to 4 bits (nf4) or 8 (int8) as they load; an adapter is
    trained beside them.
    """
    add_tokens: Annotated[tuple[str, ...], _ONE_OR_MORE] = ()
    """Texts that become one token each (<think>); their rows of embeddings and head are trained and
    saved with the adapter.
    """
    trust_remote_code: bool = False
    """Whether Python code that comes with the model may run."""


class Data(Spec):
    """The rows, how they are read, rendered, split and cut."""

    path: str | list[Annotated[Source, _short("path")]]
    """A file, a part of one (``file.json#test``), a folder, a hub id, or a list of sources."""
    columns: dict[str, Word] | None = None
    """Our names to the file's: ``{question: Question, reasoning: Complex_CoT, answer: Response}``.
    """
    reader: str | None = None
    """The reader by name, where detection should not decide."""
    steps: choices(TRANSFORMS) = ()  # type: ignore[valid-type]
    """What is done to the rows before they are read, in order: clean, dedup, anonymise, balance,
    sample, augment; a name, or a mapping with settings.
    """
    template: str | None = None
    """Your own format over columns instead of the tokenizer's chat template; from the answer's
    place on it is trained.
    """
    system: str | None = None
    """A system prompt for rows that have none."""
    reasoning: Literal["think", "plain", "drop"] = "think"
    """How a reasoning column is rendered: in the model's own think form, as plain text before the
    answer, or not at all.
    """
    special_tokens: Literal["as_text", "as_tokens"] = "as_text"
    """How control tokens that stand in a row's text are read, such as ``<|im_end|>``: letter by
    letter, or as the tokens themselves (for files that write them on purpose).
    """
    unknown: Literal["stop", "accept"] = "stop"
    """What happens where the tokenizer does not know more than 30 % of the rows' text: the run
    stops, or goes on.
    """
    train_on: Literal["answers", "last", "everything"] = "answers"
    """Which turns are trained: all assistant turns, the last one, or every token."""
    limit: Annotated[int, Gt(0)] | First | None = None
    """Take this many rows: a number is drawn by chance, the same ones in every run, with each label
    in its share; ``{first: 1500}`` takes those at the beginning (rows).
    """
    held_out: Annotated[float, Ge(0)] | str = 0.1
    """What is kept from training: a share below 1, a number of rows from 1 on, or a file of its
    own.
    """
    split_by: Word | None = None
    """A column whose equal values stay on one side of the split (patient, document, customer)."""
    mix: Mix | None = None
    """How the files, or the values of a column, share an epoch: ``{by: source, temperature: 2}``.
    Held-out rows stay as they are.
    """
    curriculum: Word | None = None
    """The first epoch from easy to hard: by ``length``, or by the numbers of a column; the other
    epochs are shuffled. Shuffled from the start when not given.
    """
    max_length: Annotated[int, Gt(1)] | None = None
    """Longest sequence (tokens); the model's own limit, at most 2048, when not given."""
    too_long: Literal["stop", "drop", "truncate", "split"] | None = None
    """What happens to longer rows; by default they are dropped up to 1 % of the rows, and above
    that the run stops.
    """

    @property
    def sources(self) -> list[Source]:
        """The files that rows come from, also where ``path`` names only one."""
        return [Source(path=self.path)] if isinstance(self.path, str) else self.path


class Machine(Spec):
    """What the run uses of the machine."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Compute type; auto asks the machine and says why."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where it runs; a device asked for and absent is an error."""
    checkpointing: Literal["auto"] | bool = "auto"
    """Gradient checkpointing; auto turns it on only when the memory estimate asks for it."""
    memory: Annotated[float, Gt(0)] | None = None
    """Memory that may be used (GiB); what is free when not given."""
    threads: Annotated[int, Gt(0)] | None = None
    """CPU threads; the physical cores when not given."""
    shard: Literal["none", "fsdp", "tensor"] = "none"
    """How several processes hold the model: each the whole of it (``none``), or each a part of
    every weight: gathered block by block (``fsdp``), or computed with as it is (``tensor``), all
    processes on the same rows. Slower, for models that do not fit one GPU; ``tensor`` within one
    machine."""
    exact: bool = False
    """Deterministic kernels on a CUDA GPU, so that a run that was stopped ends with the same bits
    as one that was not; slower. A CPU always has them."""


class Keep(Spec):
    """What is measured and saved on the way."""

    evaluate: Annotated[float, Ge(0)] | Literal["epoch"] = 0.1
    """How often held-out rows are looked at: every this share of the run (below 1), every this many
    steps, or at the end of each ``epoch``; 0 never.
    """
    save: Annotated[float, Ge(0)] | Literal["epoch"] = 0.1
    """How often a checkpoint is saved: every this share of the run (below 1), every this many
    steps, or at the end of each ``epoch``; 0 only at the end.
    """
    keep: Annotated[int, Gt(0)] = 2
    """How many checkpoints stay on disk; the best is kept apart."""
    best_by: str = "loss"
    """Metric on the watched rows that decides which checkpoint is best: loss, or any metric of
    ``tunesmith explain metrics``; accuracy and macro_f1 where the answers come from a small set."""
    patience: Annotated[int, Ge(0)] = 0
    """Stop after this many evaluations without a better one; 0 never."""
    final: Literal["last", "best"] | None = None
    """Which weights the run leaves in ``model/`` and every verb then uses: the last, or the best by
    best_by; the best when not given, where best_by or patience is."""


class Train(Spec):
    """The optimisation."""

    epochs: Annotated[float, Gt(0)] = 3
    """Passes over the training rows."""
    steps: Annotated[int, Gt(0)] | None = None
    """Optimizer steps; overrides epochs."""
    batch: Annotated[int, Gt(0)] | None = None
    """Rows per optimizer step, however they are cut into micro-batches; 16 when not given, less for
    small sets.
    """
    micro_tokens: Annotated[int, Gt(0)] | None = None
    """Token budget of one micro-batch; chosen by the machine when not given. It never changes the
    result.
    """
    learning_rate: Annotated[float, Gt(0), Le(1000)] | None = None
    """Peak learning rate; the method's own default, times the optimizer's factor, when not given.
    """
    weight_decay: Annotated[float, Ge(0), Le(1000)] = 0.0
    """Decoupled weight decay, on matrices only."""
    optimizer: choice(OPTIMIZERS, "adamw") = "adamw"  # type: ignore[valid-type]
    """The optimizer: adamw, adafactor, sgd, muon, adamw_8bit or paged_adamw_8bit."""
    schedule: choice(SCHEDULES, "cosine") = "cosine"  # type: ignore[valid-type]
    """Shape of the learning rate over the run."""
    warmup: Annotated[float, Ge(0)] = 0.03
    """Linear warm-up: a share of the run below 1, steps from 1 on."""
    cycles: Annotated[int, Gt(0)] = 1
    """Number of cosines of cosine_with_restarts."""
    clip: Annotated[float, Ge(0)] = 1.0
    """Largest norm of the whole gradient; 0 does not clip."""
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0
    """Seed of the adapter's start, the order of the data and the dropout."""
    rows: Annotated[int, Gt(0)] | None = None
    """Train on this many of the training rows, each label in its share, and hold out the same ones
    as with all of them; drawn by ``seed``, a larger number holds the rows of a smaller one.
    """
    split_seed: Annotated[int, Ge(0), Lt(2**32)] | None = None
    """Seed of what is held out; ``seed`` when not given. With it, runs of other seeds are measured
    on the same rows.
    """
    machine: Machine = Machine()
    keep: Keep = Keep()

    model_config = Spec.model_config | {"validate_default": True}


class Generate(Spec):
    """How answers are written; stored with the model and used by every verb."""

    max_new_tokens: Annotated[int, Gt(0)] = 256
    """Longest answer (tokens)."""
    temperature: Annotated[float, Ge(0)] = 0.0
    """Temperature of the sampling; 0 takes the likeliest token each time (greedy)."""
    top_p: Annotated[float, Gt(0), Le(1)] = 1.0
    """Sample from the likeliest tokens that together have this probability."""
    no_repeat_ngram: Annotated[int, Ge(0)] = 0
    """No sequence of this many tokens occurs twice in prompt and answer together; 0 allows it."""
    repetition_penalty: Annotated[float, Gt(0)] = 1.0
    """Divides the scores of tokens that occurred; 1 leaves them."""
    stop: Annotated[tuple[str, ...], _ONE_OR_MORE] = ()
    """Texts that end an answer, beside the model's own stop token."""
    samples: Annotated[int, Gt(0)] = 1
    """Answers per prompt."""


class Run(Spec):
    """One run: model, data and out are required, the rest has reasoned defaults."""

    model: Annotated[Model, _short("path")]
    data: Annotated[Data, _short("path")]
    out: str
    """The run's folder."""
    objective: choice(OBJECTIVES, "sft") = "sft"  # type: ignore[valid-type]
    """What is learned: sft, pretrain, classify, embed, reward, preferences (dpo, kto, orpo, simpo,
    cpo), rewards (grpo, ppo), a teacher (distill, gkd), any that writes close to the base in what
    it says (distill_to_base) or in its weights (l2_to_start, ewc)."""
    method: Annotated[choice(METHODS, "lora"), SEVERAL] = "lora"  # type: ignore[valid-type]
    """Which weights are trained: lora, full, and what ``tunesmith explain method`` lists; a list
    uses several together.
    """
    source: choice(SOURCES, "rows") = "rows"  # type: ignore[valid-type]
    """Where a step's examples come from: rows, those of ``data`` alone; replay, which mixes old
    ones in; rollout, answers that the model samples to them, with their rewards (for grpo, ppo)."""
    train: Train = Train()
    processes: Annotated[int, Gt(0)] = 1
    """Processes on this machine that share each step's rows: as many as it has GPUs; the result is
    that of one, to rounding.
    """
    generate: Generate = Generate()
    prove: Prove = Prove()
    export: Export = Export()
    track: Annotated[tuple[choice(TRACKERS), ...], _ONE_OR_MORE] = ()  # type: ignore[valid-type]
    """Trackers by name: tensorboard, wandb, swanlab, mlflow."""
    questions: Annotated[str | tuple[str | JsonObject, ...], _LISTED] = ()
    """Own questions, in a file (one a line, or parted by lines of ``---``; or rows) or a list of
    texts and rows, ``{instruction: …, input: …}`` or ``{messages: […]}``; answered before step 1,
    at each evaluation and at the end.
    """
    lang: Literal["auto", "en", "zh"] = "auto"
    """Language of what a person reads; auto follows the locale."""
    tournament: Tournament | None = None
    """How methods are compared, for ``tunesmith tournament``."""
    prune: Prune | None = None
    """What makes the model lighter, for ``tunesmith prune`` and for a stage that prunes."""
    search: Search | None = None
    """Which settings are tried, for ``tunesmith search``."""
    curve: Curve | None = None
    """How many rows the points of a learning curve have, for ``tunesmith curve``."""
    launch: Launch | None = None
    """Which cluster trains the run, for ``tunesmith launch``."""
    teacher: Teacher | None = None
    """How ``tunesmith generate`` asks, and what it keeps."""

    model_config = Spec.model_config | {"validate_default": True}

    @property
    def split_seed(self) -> int:
        """The seed by which rows are held out."""
        given = self.train.split_seed
        return self.train.seed if given is None else given

    @model_validator(mode="before")
    @classmethod
    def _with_source(cls, values: Any) -> Any:
        """Gives an objective that learns from sampled answers its own source, whose settings need
        no name.
        """
        if not isinstance(values, Mapping):
            return values
        objective = values.get("objective")
        source = values.get("source", {})
        name = objective.get("name") if isinstance(objective, Mapping) else objective
        if not isinstance(source, Mapping) or "name" in source or not isinstance(name, str):
            return values
        try:
            samples = OBJECTIVES.get(name).samples
        except SpecError:  # what is wrong with it is told where it is read
            return values
        return {**values, "source": {"name": "rollout", **source}} if samples else values


def validate(settings: Mapping[str, object]) -> Run:
    """Validates plain settings into a Run; raises SpecError that lists every problem at its key
    path.
    """
    try:
        return Run.model_validate(settings)
    except ValidationError as error:
        raise SpecError(problems_of(error, Run, hint=_here)) from None


def _here(path: str) -> str | None:
    """Returns our name for the unknown key at ``path``, or where it belongs."""
    named = name_here(path)
    if named is not None:
        return named
    last = path.rpartition(".")[2]
    # Every plug-in has a name; what else is called so is meant by nobody.
    paths = [
        known_path
        for known_path in paths_of(Run)
        if known_path.rpartition(".")[2] == last != "name"
    ]
    paths += [
        known_path
        for known_path in own_settings_called(last)
        if last != "name" and known_path != path
    ]
    return say("spec.stands_at", names=say("spec.or").join(paths)) if paths else None


def read_run(path: str | Path | None, overrides: Sequence[str] | Mapping[str, object] = ()) -> Run:
    """Reads a Run from a YAML file and overrides; either may be missing."""
    settings = read_settings(path) if path is not None else {}
    return validate(with_overrides(settings, overrides))
