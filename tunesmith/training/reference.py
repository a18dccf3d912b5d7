"""The reference's log-probabilities: taken once from the base as it was loaded, before the method
touches it, and kept on disk.

Whatever the method does to the model later, the reference cannot drift, and it costs no memory. The
file says of which base, template and data it is; a checkpoint holds its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tunesmith.batches.batch import Tokens
from tunesmith.data.prepare import Item, Prepared
from tunesmith.errors import CheckpointError
from tunesmith.events.stream import Events
from tunesmith.machine.device import Device
from tunesmith.models.loading.load import Loaded
from tunesmith.objectives import Objective
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.storage.atomic import write_whole
from tunesmith.words import say

COLUMN, MATE = "reference", "mismatched"


@dataclass
class Reference:
    """``values`` are log-probabilities (nats) of the sequences, in their order; ``key`` says whose
    they are.
    """

    values: np.ndarray
    key: dict[str, str]

    def write(self, path: Path) -> None:
        """Writes the file, whole."""
        write_whole(path, save({"logprobs": self.values}, metadata={"key": json.dumps(self.key)}))

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"sha256": hashlib.sha256(self.values.tobytes()).hexdigest()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError where the checkpoint was trained with other values."""
        if state != self.state():
            raise CheckpointError(say("train.other_reference"))


def with_others(objective: Objective, prepared: Prepared) -> Prepared:
    """Adds to the rows of ``prepared`` what they need from each other."""

    def across(items: list[Item]) -> list[Item]:
        rows = objective.across([item.tokens for item in items])
        return [replace(item, tokens=row) for item, row in zip(items, rows, strict=True)]

    return replace(
        prepared,
        train=across(prepared.train),
        replayed=across(prepared.replayed),
        watch=across(prepared.watch),
        proof=across(prepared.proof),
    )


def find(
    model: Loaded,
    prepared: Prepared,
    device: Device,
    *,
    path: Path,
    key: dict[str, str],
    events: Events,
) -> Reference:
    """Reads the values from the file at ``path`` where they are of this ``key``, and computes them
    otherwise.

    Each process asks the model about its share of the rows, so that several take no longer than
    their number says.
    """
    sequences = list(_sequences(prepared))
    kept, fault = _read(path, key)
    usable = kept is not None and len(kept) == len(sequences)
    # A process that does not see the file must not wait for others that do.
    everywhere = all(device.processes.everyones(usable))
    if kept is not None and everywhere:
        events.tell(say("train.reference_read", path=path))
        return Reference(kept, key)
    if fault:
        events.tell(fault)
    # Rows and mates hold other columns, and none is needed here.
    parts = [[replace(tokens, columns={}) for tokens in item.tokens] for item in _items(prepared)]
    parts += [[replace(mate, columns={})] for mate in _mates(prepared)]
    phase = say("train.reference")
    with device.autocast():
        values = _asked(
            model, parts, device, progress=lambda done, of: events.phase(phase, done, of)
        )
    events.tell(say("train.reference_computed", count=f"{len(sequences):,}"))
    return Reference(values, key)


def _asked(
    model: Loaded,
    parts: list[list[Tokens]],
    device: Device,
    *,
    progress: Callable[[int, int], None],
) -> np.ndarray:
    """Computes the log-probability of each sequence, on every process; each process computes those
    of its own parts. Where the weights are divided all compute all of them, because a block is
    gathered by all together.
    """
    if device.divided:
        return np.concatenate([-row[:, 0] for row in likelihoods(model, parts, progress=progress)])
    own_parts = range(device.processes.rank, len(parts), device.processes.world)
    rows = likelihoods(model, [parts[index] for index in own_parts], progress=progress)
    starts = np.cumsum([0, *map(len, parts)])
    values = np.zeros(starts[-1])
    for index, row in zip(own_parts, rows, strict=True):
        values[starts[index] : starts[index + 1]] = -row[:, 0]
    return np.array(device.processes.sum(*values))


def attached(prepared: Prepared, values: np.ndarray) -> Prepared:
    """Adds a value to each sequence of ``prepared``, and to each that a row took from another, as a
    column.
    """
    own_sequences = sum(len(item.tokens) for item in _items(prepared))
    first, mates = iter(values[:own_sequences].tolist()), iter(values[own_sequences:].tolist())

    def with_value(tokens: Tokens) -> Tokens:
        columns = {**tokens.columns, COLUMN: next(first)}
        if MATE in columns:
            columns[MATE] = replace(columns[MATE], columns={COLUMN: next(mates)})
        return replace(tokens, columns=columns)

    def part(items: list[Item]) -> list[Item]:
        return [replace(item, tokens=tuple(map(with_value, item.tokens))) for item in items]

    return replace(
        prepared,
        train=part(prepared.train),
        watch=part(prepared.watch),
        proof=part(prepared.proof),
        replayed=part(prepared.replayed),
    )


def _items(prepared: Prepared) -> Iterator[Item]:
    yield from (*prepared.train, *prepared.watch, *prepared.proof, *prepared.replayed)


def _mates(prepared: Prepared) -> Iterator[Tokens]:
    return (
        tokens.columns[MATE]
        for item in _items(prepared)
        for tokens in item.tokens
        if MATE in tokens.columns
    )


def _sequences(prepared: Prepared) -> Iterator[Tokens]:
    yield from (tokens for item in _items(prepared) for tokens in item.tokens)
    yield from _mates(prepared)


def _read(path: Path, key: dict[str, str]) -> tuple[np.ndarray | None, str | None]:
    """Reads the values of the file, or returns why it cannot be used."""
    if not path.is_file():
        return None, None
    try:
        with safe_open(path, "np") as file:
            saved_key = json.loads(file.metadata()["key"])
            values = file.get_tensor("logprobs")
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None, say("train.reference_damaged", path=path)
    changed = [name for name in key if saved_key.get(name) != key[name]]
    return (
        (None, say("train.reference_changed", what=", ".join(changed)))
        if changed
        else (values, None)
    )


def blank(objective: Objective, items: Sequence[Item]) -> list[Item]:
    """Returns ``items`` with empty reference values, for a trial without the reference."""
    rows = objective.across([item.tokens for item in items])
    return [
        replace(item, tokens=tuple(_blank(tokens) for tokens in row))
        for item, row in zip(items, rows, strict=True)
    ]


def _blank(tokens: Tokens) -> Tokens:
    mate = (
        {MATE: replace(tokens.columns[MATE], columns={COLUMN: 0.0})}
        if MATE in tokens.columns
        else {}
    )
    return replace(tokens, columns={**tokens.columns, COLUMN: 0.0, **mate})
