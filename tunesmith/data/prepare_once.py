"""Rows are prepared once: the next plan, training, proof or process with the same files, settings
and tokenizer finds the tokens in the cache folder and maps them into memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np

import tunesmith
from tunesmith.batches.batch import Tokens
from tunesmith.data.files.paths import every_file, on_disk
from tunesmith.data.find import find_data
from tunesmith.data.items import Item, fingerprint
from tunesmith.data.ledger import Ledger
from tunesmith.data.lengths import limits
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.data.readers import READERS
from tunesmith.data.reading import sized
from tunesmith.data.rendering.encoder_decoder import KEY
from tunesmith.data.rendering.render import Render
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.data.rows import Progress
from tunesmith.errors import DataError
from tunesmith.events.stream import notice
from tunesmith.examples import Example
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.cache import digest, drafted, prepared_folder, size_of
from tunesmith.words import language, say

LEAST = 1 << 20
"""Smaller files are read anew (bytes): it takes two seconds, and a look into the cache half of one.
"""
DAYS, MOST = 30, 10 << 30
"""What was not used for so long goes, then the oldest while all take more than this (bytes)."""
WAIT = 600
"""How long another process may prepare the same rows before this one does so itself (seconds)."""
_DAMAGED = (pickle.PickleError, EOFError, LookupError, ValueError, TypeError, AttributeError)
_DAMAGED += (ImportError, ArithmeticError, MemoryError)
"""What a damaged pickle raises when it is read."""
_LIBRARIES = ("transformers", "tokenizers", "numpy", "jinja2", "ftfy")


def prepare_once(
    run: Run,
    tokenizer: Tokenizer,
    *,
    limit: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Returns what ``prepare`` does; from the cache folder where it has been made before.

    Neither a full disk nor a folder that cannot be written stops a run: nothing is kept then.
    """

    def made() -> Prepared:
        return prepare(run, tokenizer, limit=limit, seed=seed, progress=progress)

    seed = run.split_seed if seed is None else seed
    longest, _ = limits(run, tokenizer, limit)
    key = _key(run, tokenizer, longest, seed)
    if key is None:
        return made()
    folder = prepared_folder() / key[:24]
    asked = _Asked(run, tokenizer, longest, seed)
    with _alone(folder) as alone:
        kept = _load(folder, asked)
        if kept is not None:
            if progress:
                progress(say("ledger.phase_kept"), kept.ledger.rows, kept.ledger.rows)
            return kept
        prepared = made()
        if not alone:
            return prepared
        try:
            with drafted(folder) as draft:
                _store(draft, prepared, run)
            _tidy(folder)
        except OSError:
            return prepared
        return _load(folder, asked) or prepared


@dataclass(frozen=True)
class _Asked:
    """What is asked for; ``longest`` is the longest sequence that is kept whole (tokens)."""

    run: Run
    tokenizer: Tokenizer
    longest: int
    seed: int


def _key(run: Run, tokenizer: Tokenizer, longest: int, seed: int) -> str | None:
    """Hashes all that a preparation follows from; None where it cannot be kept: small files, a
    tokenizer or plug-ins of somebody's own, steps that may read further files.
    """
    if run.data.steps or not tokenizer.is_fast or not _all_ours(run):
        return None
    files = _files(run)
    if files is None:
        return None
    below = tokenizer.backend_tokenizer
    below.no_truncation()  # what a call sets is for that call
    below.no_padding()
    settings = run.data.model_dump(mode="json") | {"max_length": longest}
    drawn = (run.train.rows, run.train.seed) if run.train.rows else None
    parts = (
        *(drawn, settings, run.objective.model_dump(mode="json"), seed, language(), files, _code()),
        *(type(tokenizer).__name__, below.to_str(), str(tokenizer.chat_template)),
        *(tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token),
        *(tokenizer.mask_token, tokenizer.all_special_tokens, tokenizer.split_special_tokens),
        *(tokenizer.clean_up_tokenization_spaces, tokenizer.init_kwargs.get(KEY)),
        *(version(name) for name in _LIBRARIES),
    )
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _all_ours(run: Run) -> bool:
    """Tells whether objective and readers are of this package, whose code is part of the key."""
    objective = OBJECTIVES.make(run.objective)
    within = map(type, vars(objective).values())
    used = [type(objective), *within, *map(READERS.get, READERS.names())]
    return {plug_in.__module__.partition(".")[0] for plug_in in used} <= {"tunesmith", "builtins"}


def _files(run: Run) -> list[object] | None:
    """Returns the files of a run by place and content; None where they are small, or not there."""
    paths = [source.path for source in run.data.sources]
    paths += [run.data.held_out] if isinstance(run.data.held_out, str) else []
    files: list[object] = []
    size = 0
    try:
        for path in paths:
            name, _ = sized(path)
            folder = Path(name).expanduser()
            beside = sorted(map(str, every_file(folder))) if folder.is_dir() else []
            places = find_data(name)
            wholes = [on_disk(file)[0] for file in places]
            size += sum(whole.stat().st_size for whole in wholes)
            contents = list(map(digest, wholes)) if size >= LEAST else []
            files.append((path, list(map(str, places)), contents, beside))
    except (DataError, OSError):
        return None  # what is wrong with them is said where they are read
    return files if size >= LEAST else None


def _code() -> list[tuple[str, int, int]]:
    """Returns the size and time of every file of this package: other code may prepare otherwise."""
    folder = Path(tunesmith.__file__).parent
    stats = [(path, path.stat()) for path in sorted(folder.rglob("*.py"))]
    return [(str(path.relative_to(folder)), at.st_size, at.st_mtime_ns) for path, at in stats]


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[bool]:
    """Waits until no other process prepares the same rows; gives False where that cannot be made
    sure, or took longer than ``WAIT``.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(place.with_name(f".{place.name}.lock"))
    alone = True
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            notice(say("hub.waiting", what=say("ledger.phase_kept")))
            lock.acquire(timeout=WAIT)
    except (OSError, Timeout):
        alone = False
    try:
        yield alone
    finally:
        lock.release()


def _store(folder: Path, prepared: Prepared, run: Run) -> None:
    """Writes tokens and weights one after the other, and all else as a pickle."""
    parts = (prepared.train, prepared.watch, prepared.proof)
    with open(folder / "ids", "wb") as ids, open(folder / "weights", "wb") as weights:
        for tokens in (tokens for item in chain(*parts) for tokens in item.tokens):
            ids.write(tokens.ids_T.astype(np.int32, copy=False).tobytes())
            weights.write(tokens.weights_T.astype(np.float32, copy=False).tobytes())
    facts = {
        "parts": [
            [
                (
                    item.id,
                    item.group,
                    item.example,
                    [_beside_ids(sequence) for sequence in item.tokens],
                )
                for item in part
            ]
            for part in parts
        ],
        "ledger": prepared.ledger,
        "fingerprint": prepared.fingerprint,
        "learned": prepared.objective.learned(),
        "data": {
            name: value
            for name, value in prepared.render.data.model_dump().items()
            if value != run.data.model_dump()[name]
        },
    }
    with open(folder / "rows", "wb") as out:
        pickle.dump(facts, out, protocol=5)


_Beside = tuple[int, JsonObject, np.ndarray | None, int]


def _beside_ids(tokens: Tokens) -> _Beside:
    return len(tokens.ids_T), tokens.columns, tokens.source_ids_T, tokens.lost


def _load(place: Path, asked: _Asked) -> Prepared | None:
    """Maps what was kept; None where nothing was, or it is damaged."""
    try:
        with open(place / "rows", "rb") as file:
            facts = _Rows(file).load()
        # Copied on write: torch warns of arrays that may not be written.
        ids = np.memmap(place / "ids", np.int32, mode="c").view(np.ndarray)
        weights = np.memmap(place / "weights", np.float32, mode="c").view(np.ndarray)
        # When it was last used, which ``_tidy`` goes by.
        os.utime(place)
    except (OSError, *_DAMAGED):
        return None
    ends = iter(_ends(facts["parts"]))
    parts: list[list[Item]] = []
    for part in facts["parts"]:
        items: list[Item] = []
        for name, group, example, sequences in part:
            tokens = tuple(_tokens(ids, weights, next(ends), sequence) for sequence in sequences)
            items.append(Item(name, tokens, example, group))
        parts.append(items)
    if fingerprint(*parts) != facts["fingerprint"]:
        return None
    objective = OBJECTIVES.make(asked.run.objective)
    objective.take(facts["learned"])
    data = asked.run.data.model_copy(update=facts["data"])
    options = {"max_length": asked.longest, "head": objective.head, "chats": objective.chats}
    render = Render(asked.tokenizer, data, **options)
    ledger: Ledger = facts["ledger"]
    train, watch, proof = parts
    return Prepared(
        train, watch, proof, ledger, facts["fingerprint"], render, objective, asked.seed
    )


def _ends(parts: list[list[tuple[str, str | None, Example | None, list[_Beside]]]]) -> list[int]:
    """Returns where each sequence ends among all tokens."""
    rows = (row for part in parts for row in part)
    return np.cumsum([length for *_, sequences in rows for length, *_ in sequences]).tolist()


def _tokens(ids: np.ndarray, weights: np.ndarray, end: int, beside: _Beside) -> Tokens:
    length, columns, source, lost = beside
    return Tokens(ids[end - length : end], weights[end - length : end], columns, source, lost)


class _Rows(pickle.Unpickler):
    """A reader of rows, and of nothing that could run code: a pickle names what it makes, here
    types of plain values alone.
    """

    plain = frozenset(
        {
            *(("numpy", "ndarray"), ("numpy", "dtype"), ("collections", "Counter")),
            *(("numpy._core.numeric", "_frombuffer"), ("numpy._core.multiarray", "_reconstruct")),
            *(("numpy.core.numeric", "_frombuffer"), ("numpy.core.multiarray", "_reconstruct")),
            *(("numpy._core.multiarray", "scalar"), ("numpy.core.multiarray", "scalar")),
            *(("datetime", "date"), ("datetime", "datetime"), ("decimal", "Decimal")),
            *(("builtins", "frozenset"), ("builtins", "set"), ("builtins", "bytearray")),
        }
    )

    def find_class(self, module: str, name: str, /) -> object:
        """Returns a type of plain values; raises UnpicklingError for any other name."""
        if (module, name) in self.plain:
            return super().find_class(module, name)
        if module.startswith("tunesmith."):
            named = super().find_class(module, name)
            if isinstance(named, type) and (is_dataclass(named) or issubclass(named, float | str)):
                return named
        raise pickle.UnpicklingError(f"{module}.{name}")


def _tidy(newest: Path) -> None:
    """Removes what was not used for long, and the oldest of what takes too much."""
    places = [
        folder_kept
        for folder_kept in newest.parent.iterdir()
        if folder_kept.is_dir() and folder_kept != newest
    ]
    taken = size_of(newest)
    for folder in sorted(places, key=lambda kept: kept.stat().st_mtime, reverse=True):
        taken += size_of(folder)
        if taken > MOST or time.time() - folder.stat().st_mtime > DAYS * 86400:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f".{folder.name}.lock").unlink(missing_ok=True)
