"""Answers of a model: batched, sorted by length, left-padded, with every generation setting given
by us.

A model folder's own sampling defaults are reported, never used. Streaming runs the same path one
row at a time.
"""

from __future__ import annotations

import queue
import threading
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import (
    DynamicCache,
    GenerationConfig,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.cache_utils import DynamicLayer
from transformers.generation.streamers import BaseStreamer

from tunesmith.batches.batch import right_padded
from tunesmith.data.rendering.encoder_decoder import beginning
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.models.calling.padding import left_padded
from tunesmith.models.calling.room import Room
from tunesmith.models.calling.stopping import Closed, StopTexts, Written
from tunesmith.models.calling.wording import decoded, first_of
from tunesmith.models.calling.wording import pieces as worded
from tunesmith.settings.run import Generate

BUDGET = 8192
"""Tokens of prompts and answers whose keys and values are in memory at once."""
WORTH_SHARING = 16
"""A beginning common to a batch is computed once from this many tokens on."""

WITHOUT_EFFECT = (
    "use_cache",
    "max_length",
    "max_new_tokens",
    "output_attentions",
    "output_hidden_states",
)
ABOUT_THE_FILE = (
    "bos_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "pad_token_id",
    "transformers_version",
    "_from_model_config",
    "_commit_hash",
)
USUAL = {
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What a model wrote, without the token or text that ended it; ``stopped`` unless only the
    length limit ended it.
    """

    text: str
    ids: tuple[int, ...]
    stopped: bool


def generate(
    model: torch.nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[np.ndarray],
    settings: Generate,
    *,
    stop_ids: Sequence[int],
    progress: Progress | None = None,
    share: bool = False,
    seed: int = 0,
    budget: int = BUDGET,
) -> list[Answer]:
    """Generates the answers to ``prompts`` (token ids), in their order; the ``settings.samples``
    answers of a prompt follow each other. ``progress`` hears after each token how many answers are
    written; those under way count by the share of their longest that is there.

    ``share`` computes what all prompts of a batch begin with once; it needs a model whose attention
    follows the mask alone.
    """
    rows = [prompt for prompt in prompts for _ in range(settings.samples)]
    room = Room.of(model, tokenizer, settings)
    room.refuse(prompts)
    answers: dict[int, Answer] = {}
    if progress:
        progress(0, len(rows))
    with as_given(model, seed if settings.temperature > 0 else None):
        for batch in room.batches([len(row) for row in rows], budget):
            fitted = room.within(settings, len(rows[batch[0]]))
            rules: list[StoppingCriteria] = []
            if progress:
                onward = partial(_onward, progress, len(answers), len(rows))
                rules.append(Written(onward, len(batch), fitted.max_new_tokens))
            some = [rows[index] for index in batch]
            written = _written(
                model, tokenizer, some, fitted, stop_ids=stop_ids, share=share, rules=rules
            )
            for index, ids in zip(batch, written, strict=True):
                answers[index] = finished(tokenizer, ids, settings, stop_ids)
            if progress:
                progress(len(answers), len(rows))
    return [answers[index] for index in range(len(rows))]


def stream(
    model: torch.nn.Module,
    tokenizer: Tokenizer,
    prompt: np.ndarray,
    settings: Generate,
    *,
    stop_ids: Sequence[int],
    seed: int = 0,
) -> Iterator[str]:
    """Yields the answer in pieces as it is generated; a character of several tokens comes whole.
    Closing the iterator stops the model.
    """
    with closing(
        stream_ids(model, tokenizer, prompt, settings, stop_ids=stop_ids, seed=seed)
    ) as ids:
        yield from worded(tokenizer, ids, settings.stop, stop_ids)


def stream_ids(
    model: torch.nn.Module,
    tokenizer: Tokenizer,
    prompt: np.ndarray,
    settings: Generate,
    *,
    stop_ids: Sequence[int],
    seed: int = 0,
) -> Generator[int, None, None]:
    """Yields the answer's tokens as they are generated, with the one that ends it. Closing the
    iterator stops the model.
    """
    room = Room.of(model, tokenizer, settings)
    room.refuse([prompt])
    given: queue.Queue[int | None] = queue.Queue()
    closed = threading.Event()

    def work() -> None:
        try:
            with as_given(model, seed if settings.temperature > 0 else None):
                _written(
                    model,
                    tokenizer,
                    [prompt],
                    room.within(settings, len(prompt)),
                    stop_ids=stop_ids,
                    share=False,
                    streamer=_Pieces(given),
                    rules=[Closed(closed)],
                )
        finally:
            given.put(None)

    # transformers hands tokens over from within ``generate``, which returns at the end alone.
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(work)
        try:
            yield from iter(given.get, None)
        finally:
            closed.set()
        task.result()


def own_defaults(model: PreTrainedModel) -> dict[str, object]:
    """Returns the settings in the model's folder that would have changed an answer and are not used
    here.
    """
    given = model.generation_config.to_diff_dict().items()
    heard = {name: value for name, value in given if name not in (*WITHOUT_EFFECT, *ABOUT_THE_FILE)}
    return {
        name: value
        for name, value in heard.items()
        if value is not None and value != USUAL.get(name)
    }


def explicit(
    settings: Generate, *, stop_ids: Sequence[int], pad_id: int, start: Sequence[int] = ()
) -> GenerationConfig:
    """Returns the whole configuration of a call; transformers would take what is left open from the
    model's folder.
    """
    sampling = (
        {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
        if settings.temperature > 0
        else {}
    )
    return GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        do_sample=settings.temperature > 0,
        num_beams=1,
        repetition_penalty=settings.repetition_penalty,
        no_repeat_ngram_size=settings.no_repeat_ngram,
        eos_token_id=list(stop_ids) or None,
        pad_token_id=pad_id,
        decoder_start_token_id=start[0] if start else None,
        use_cache=True,
        **sampling,
    )


@contextmanager
def as_given(model: Any, seed: int | None = None) -> Iterator[None]:
    """Puts the model in evaluation mode, without the defaults of its folder (transformers fills in
    what a config leaves open), and with its own seed.
    """
    inner = [
        module
        for module in model.modules()
        if isinstance(module, PreTrainedModel) and module.can_generate()
    ]
    kept = [module.generation_config for module in inner]
    training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    model.eval()
    for module in inner:
        module.generation_config = GenerationConfig()
    try:
        with torch.random.fork_rng(devices=devices, enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            yield
    finally:
        for module, config in zip(inner, kept, strict=True):
            module.generation_config = config
        model.train(training)


@torch.no_grad()
def _written(
    model: Any,
    tokenizer: Tokenizer,
    rows: list[np.ndarray],
    settings: Generate,
    *,
    stop_ids: Sequence[int],
    share: bool,
    streamer: BaseStreamer | None = None,
    rules: Sequence[StoppingCriteria] = (),
) -> list[list[int]]:
    """Generates the new token ids of each row, which may go on after the row's end."""
    pad_id = tokenizer.pad_token_id
    if pad_id is None:
        pad_id = stop_ids[0] if stop_ids else 0
    common = _common(rows) if share and len(rows) > 1 else 0
    cache = _prefix(model, rows[0][:common], len(rows)) if common >= WORTH_SHARING else None
    common = common if cache is not None else 0
    start = beginning(tokenizer)
    ids, mask = right_padded(rows, pad_id) if start else left_padded(rows, common, pad_id)
    given = len(start) or ids.shape[1]
    stops = [*rules]
    if settings.stop:
        stops.append(StopTexts(tokenizer, settings.stop, given))
    more: dict[str, Any] = {"past_key_values": cache} if cache is not None else {}
    if start:
        more["decoder_input_ids"] = torch.tensor([start] * len(rows), device=model.device)
    output = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=explicit(settings, stop_ids=stop_ids, pad_id=pad_id, start=start),
        stopping_criteria=StoppingCriteriaList(stops),
        streamer=streamer,
        **more,
    )
    return output[:, given:].tolist()


def _common(rows: list[np.ndarray]) -> int:
    """Counts the tokens that all rows begin with in common, leaving at least one to each row."""
    length = min(map(len, rows)) - 1
    block = np.stack([row[:length] for row in rows])
    different = np.flatnonzero((block != block[0]).any(0))
    return int(different[0]) if len(different) else length


def _prefix(model: PreTrainedModel, ids: np.ndarray, rows: int) -> DynamicCache | None:
    """Computes the keys and values of a shared beginning for every row; None where a layer keeps
    something else (windows, recurrent states).
    """
    device = model.device
    shared = torch.from_numpy(np.asarray(ids, dtype=np.int64)).to(device).unsqueeze(0)
    base = DynamicCache(config=model.config)
    model(
        input_ids=shared,
        attention_mask=torch.ones_like(shared),
        past_key_values=base,
        use_cache=True,
        logits_to_keep=1,
    )
    if not all(type(layer) is DynamicLayer for layer in base.layers):
        return None
    base.batch_repeat_interleave(rows)
    return base


def finished(
    tokenizer: Tokenizer, ids: list[int], settings: Generate, stop_ids: Sequence[int]
) -> Answer:
    """Returns new tokens as an answer, cut before the token or text that ends it."""
    end = next((index for index, token in enumerate(ids) if token in stop_ids), None)
    kept_ids = ids if end is None else ids[:end]
    text = decoded(tokenizer, kept_ids)
    at = first_of(text, settings.stop)
    if at is None:
        return Answer(text, tuple(kept_ids), end is not None)
    # The fewest tokens that hold the stop text: what follows them is padding.
    size = bisect_left(
        range(len(kept_ids)),
        True,
        key=lambda n: first_of(decoded(tokenizer, kept_ids[:n]), settings.stop) is not None,
    )
    return Answer(text[:at], tuple(kept_ids[:size]), True)


def _onward(progress: Progress, before: int, of: int, now: int) -> None:
    progress(before + now, of)


class _Pieces(BaseStreamer):
    """A queue of new tokens; the first that transformers gives are the prompt's."""

    def __init__(self, tokens: queue.Queue[int | None]) -> None:
        self.tokens, self.prompted = tokens, False

    def put(self, value: torch.Tensor) -> None:
        if self.prompted:
            for token in value.flatten().tolist():
                self.tokens.put(token)
        self.prompted = True

    def end(self) -> None:
        """Does nothing: the end is reported when the model's call returns."""
