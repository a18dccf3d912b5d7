"""What a run needs on so many cards of a size, and the cheapest layout that fits, without a card
at hand (``plan run.yaml cards=4x24``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.display.table import readable, table_lines
from tunesmith.errors import Problem, SpecError
from tunesmith.machine.memory import GIB
from tunesmith.plain import JsonObject
from tunesmith.planning.memory import Memory, Parts, beside, memory, weights_of
from tunesmith.planning.plan import Plan
from tunesmith.planning.rules import shard_fits
from tunesmith.planning.shape import Shape, shape, with_classes
from tunesmith.settings.family import METHODS
from tunesmith.settings.open_values import with_value
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

MOST_CARDS = 1024
"""Above this the fewest cards are not searched for."""
WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Cards:
    """So many cards of so much memory (GiB) each."""

    count: int
    gib: float

    @classmethod
    def read(cls, text: str) -> Cards:
        """Reads ``4x24``, or ``24`` for one; raises SpecError for anything else."""
        match = re.fullmatch(r"(?:(\d{1,5})\s*[x×*]\s*)?(\d{1,5}(?:\.\d+)?)\s*(?:GiB|GB|G)?", text)
        count = int(match[1] or 1) if match else 0
        if not match or not count or not float(match[2]):
            raise SpecError(Problem("cards", say("cards.bad", value=text)))
        return cls(count, float(match[2]))


@dataclass(frozen=True)
class Layout:
    """One way to lay a run out over cards. ``sent`` are the bytes that each card sends in a step;
    ``refused`` is why the run cannot be laid out so.
    """

    processes: int
    shard: str
    checkpointing: bool
    micro_tokens: int
    needed: Memory
    sent: float
    refused: str = ""

    def fits(self, gib: float) -> bool:
        """Tells whether each card holds it."""
        return not self.refused and self.needed.high <= gib * GIB

    def words(self) -> list[str]:
        """Returns the settings that ask for it."""
        machine = "train.machine"
        return [
            f"processes={self.processes}",
            *([f"{machine}.shard={self.shard}"] if self.shard != "none" else []),
            f"{machine}.checkpointing={str(self.checkpointing).lower()}",
            f"train.micro_tokens={self.micro_tokens}",
        ]

    def to_json(self) -> JsonObject:
        """Returns all of it, for programs."""
        terms = {name: round(value / GIB, 4) for name, value in vars(self.needed).items()}
        return {
            "processes": self.processes,
            "shard": self.shard,
            "checkpointing": self.checkpointing,
            "micro_tokens": self.micro_tokens,
            "memory_gib": {
                "low": round(self.needed.low / GIB, 3),
                "high": round(self.needed.high / GIB, 3),
            },
            "memory_terms_gib": terms,
            "sent_bytes": round(self.sent),
            "refused": self.refused,
        }


@dataclass(frozen=True)
class Inner:
    """What processes send each other that compute together: so many blocks, and their width.
    ``heads`` are the key-value heads that they share; None where transformers has no plan for the
    model.
    """

    blocks: int
    width: int
    heads: int | None

    @classmethod
    def of(cls, config: PreTrainedConfig) -> Inner:
        """Reads them from a model's config."""
        from tunesmith.models.structure.kinds import blocks_and_width, heads_of_plan

        blocks, width = blocks_and_width(config)
        return cls(blocks, width, heads_of_plan(config))


@dataclass(frozen=True)
class Asked:
    """What the memory of a run follows from beside the layout: its model and its rows (tokens)."""

    run: Run
    form: Shape
    longest: int
    mean: float
    batch: int
    beside: float
    inner: Inner

    @property
    def width(self) -> int:
        """The bytes of a frozen weight."""
        if METHODS.make(self.run.method).full_precision:
            return 4
        return WIDTHS[self.run.model.dtype]

    def layout(self, processes: int, shard: str, checkpointing: bool, gib: float) -> Layout:
        """Returns the layout with the largest micro-batch that fits, or with the least one."""
        from tunesmith.machine.micro_batch import LEAST_TOKENS, MOST_TOKENS

        run = with_value(self.run, ["train", "machine", "shard"], shard)
        given = self.run.train.micro_tokens
        tokens = LEAST_TOKENS if given is None else given
        needed = self._needed(run, processes, checkpointing, tokens)
        while given is None and tokens * 2 <= MOST_TOKENS:
            more = self._needed(run, processes, checkpointing, tokens * 2)
            if more.high > gib * GIB:
                break
            tokens, needed = tokens * 2, more
        notes = [one.text for one in shard_fits(run)] if processes > 1 else []
        if shard == "tensor":
            notes += self._no_plan(processes)
            sent = self._sent_within(run, processes, checkpointing)
        else:
            passes = math.ceil(self.batch * self.mean / processes / max(tokens, self.mean))
            sent = sent_by_one(self.form, run, self.width, processes=processes, passes=passes)
        return Layout(processes, shard, checkpointing, tokens, needed, sent, " ".join(notes))

    def _no_plan(self, processes: int) -> list[str]:
        """Says why the model cannot be divided into so many parts."""
        heads = self.inner.heads
        if heads is None:
            return [say("plan.parts_model", kind=self.form.kind)]
        if heads % processes:
            return [say("plan.parts_heads", heads=heads, processes=processes)]
        return []

    def _sent_within(self, run: Run, processes: int, checkpointing: bool) -> float:
        """Counts the bytes that each process sends in a step where all compute with their parts, by
        rings: in each block two sums of its width in the forward, as many where it is made again,
        and five in the backward (seen on two processes), for every token; and the logits, at most.
        """
        others = (processes - 1) / processes
        tokens = self.batch * self.mean
        sums = self.inner.blocks * (9 if checkpointing else 7) + 1
        wide = 2 * sums * self.inner.width + self.form.vocabulary
        return others * tokens * wide * WIDTHS[run.train.machine.precision]

    def _needed(self, run: Run, processes: int, checkpointing: bool, tokens: int) -> Memory:
        used = self.form.kept[checkpointing] * WIDTHS[run.train.machine.precision]
        shares = 1 if run.train.machine.shard == "tensor" else processes
        most = self.longest * math.ceil(self.batch / shares)  # all that one has of a step
        needs = memory(
            self.form,
            run,
            width=self.width,
            tokens=max(min(tokens, most), self.longest),
            activation_bytes=used,
            parts=Parts.of(run, processes),
        )
        return Memory(**{**vars(needs), "beside": self.beside})


def sent_by_one(form: Shape, run: Run, width: int, *, processes: int, passes: int) -> float:
    """Counts the bytes that each process sends in a step of ``passes`` micro-batches, by rings.

    - whole weights: 2 (n-1)/n of the gradients, once a step
    - divided ones: (n-1)/n of them before the forward and before the backward of every micro-batch,
      and where they are trained (n-1)/n of their gradients after it
    """
    others = (processes - 1) / processes
    parts = Parts.of(run, processes)
    trained = form.trainable * 4.0
    if parts.frozen == 1:
        return 2 * others * trained
    frozen = form.bytes(width, run.model.quantize) - trained
    if parts.trained == 1:
        return others * (2 * frozen * passes + 2 * trained)
    return others * passes * (2 * frozen + 3 * trained)


ORDER = tuple((shard, again) for shard in ("none", "fsdp", "tensor") for again in (False, True))
"""From the cheapest: computing activations again costs a third more, at any speed of the links
between cards; dividing weights costs what is sent, for every micro-batch, and computing with parts
what is sent for every token, while nothing else can be done.
"""


@dataclass(frozen=True)
class Found:
    """The layouts of a run on cards, from the cheapest; ``fewest`` are the fewest cards of the size
    that hold it in any layout, None where no number does.
    """

    cards: Cards
    layouts: list[Layout]
    fewest: int | None
    whole: float
    """Bytes that each card holds however many there are."""
    idle: int
    """Cards for which a step has no row."""

    @property
    def chosen(self) -> Layout | None:
        """The cheapest layout that fits."""
        return next((layout for layout in self.layouts if layout.fits(self.cards.gib)), None)

    def to_json(self) -> JsonObject:
        """Returns all of it, for programs."""
        return {
            "cards": {"count": self.cards.count, "gib": self.cards.gib},
            "chosen": self.chosen.to_json() if self.chosen else None,
            "layouts": [
                layout.to_json() | {"fits": layout.fits(self.cards.gib)} for layout in self.layouts
            ],
            "fewest": self.fewest,
            "idle": self.idle,
        }

    def lines(self) -> list[str]:
        """Returns the layouts as a table, and which one to take, for a person."""
        gib, count = self.cards.gib, self.cards.count
        head = [say(f"cards.col_{name}") for name in ("shard", "again", "tokens", "memory")]
        rows = [[*head, say("cards.col_sent"), say("cards.col_fits")]]
        for layout in self.layouts:
            low = layout.needed.low / GIB
            high = layout.needed.high / GIB
            again = say("cards.yes" if layout.checkpointing else "cards.no")
            fits = layout.refused or say("cards.yes" if layout.fits(gib) else "cards.no")
            size = f"{low:.1f}–{high:.1f}"
            sent = readable(layout.sent)
            rows.append([layout.shard, again, str(layout.micro_tokens), size, sent, fits])
        lines = [say("cards.head", count=count, gib=gib), *table_lines(rows, numbers=4), ""]
        if self.idle:
            lines.append(say("cards.idle", idle=self.idle, used=count - self.idle))
        chosen = self.chosen
        if chosen is not None:
            lines.append(say("cards.take", words=" ".join(chosen.words())))
        elif self.fewest is not None:
            lines.append(say("cards.more", count=self.fewest, gib=gib))
        else:
            lines.append(say("cards.never", whole=self.whole / GIB, gib=gib))
        if chosen is not None and self.fewest is not None and self.fewest < chosen.processes:
            lines.append(say("cards.fewer", count=self.fewest))
        return [*lines, say("cards.estimated")]


def without_machine(run: Run) -> Run:
    """Returns the run as one process of this machine can plan it."""
    for name, value in (("shard", "none"), ("device", "cpu"), ("precision", "auto")):
        run = with_value(run, ["train", "machine", name], value)
    return with_value(run, ["processes"], 1)


def layouts_on(cards: Cards, asked: Run, made: Plan, folder: Path) -> Found:
    """Lays the planned run ``made``, as it was asked for, out over ``cards``.

    A card computes in bf16 and holds frozen weights so, unless the run says otherwise.
    """
    planned = made.resolved.run
    outputs = made.prepared.objective.outputs if made.prepared is not None else None
    form = with_classes(shape(folder, planned), folder, planned, outputs)
    assert form is not None and made.prepared is not None, "the plan had no problem"
    machine = asked.train.machine
    precision = "bf16" if machine.precision == "auto" else machine.precision
    kind = "cuda" if machine.device == "auto" else machine.device
    run = with_value(planned, ["train", "machine", "precision"], precision)
    run = with_value(run, ["train", "machine", "device"], kind)
    run = with_value(run, ["train", "machine", "memory"], cards.gib)
    dtype = precision if asked.model.dtype == "auto" else asked.model.dtype
    run = with_value(run, ["model", "dtype"], dtype)
    run = with_value(run, ["train", "micro_tokens"], asked.train.micro_tokens)
    from tunesmith.models.structure.kinds import load_config

    facts = made.facts
    batch = run.train.batch or 1
    mean = facts["tokens"] / max(facts["rows"]["train"], 1)
    wide = WIDTHS[dtype]
    config = load_config(folder, trust_remote_code=run.model.trust_remote_code)
    more = (beside(run, wide), Inner.of(config))
    this = Asked(run, form, facts["longest"], mean, batch, *more)
    ways = [
        (shard, again)
        for shard, again in ORDER
        if machine.checkpointing == "auto" or machine.checkpointing is again
    ]
    used = min(cards.count, batch)
    fewest = next(
        (
            number
            for number in range(1, min(batch, MOST_CARDS) + 1)
            if any(
                this.layout(number, shard, again, cards.gib).fits(cards.gib)
                for shard, again in ways
                if number > 1 or shard == "none"
            )
        ),
        None,
    )
    divided = [way for way in ways if used > 1 or way[0] == "none"]
    endless = with_value(run, ["train", "machine", "shard"], "fsdp")
    whole = weights_of(form, endless, this.width, Parts.of(endless, 10**9)) + this.beside
    layouts = [this.layout(used, shard, again, cards.gib) for shard, again in divided]
    whole += layouts[0].needed.overhead
    return Found(cards, layouts, fewest, whole, cards.count - used)
