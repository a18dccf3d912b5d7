"""Translation models in folders: Marian, whose folder names its pair of languages, and models of
many languages (NLLB, M2M100), which are told them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError, Problem, SpecError, first_line
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.finding.parent import parent_of
from tunesmith.settings.run import Run
from tunesmith.settings.teacher import is_endpoint
from tunesmith.teaching.questions import Question, blocks
from tunesmith.teaching.written import Written, written
from tunesmith.training.keeping.state import base_fingerprint
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

MARIAN, MANY = "marian", "m2m_100"
"""The types of model that are known; NLLB is of the second."""
CHINESE = ("zh", "zho", "cmn", "chi")


def translates(run: Run) -> bool:
    """Tells whether a run's model is a translation model in a folder."""
    path = run.model.path
    if is_endpoint(path) or parent_of(path) is not None:
        return False
    return _json(folder_of(run.model) / "config.json").get("model_type") in (MARIAN, MANY)


class Translator:
    """A translation model that is asked as a teacher is; loaded with the first question."""

    def __init__(self, run: Run, source: str | None, target: str | None) -> None:
        self.run, self.folder = run, folder_of(run.model)
        self.many = _json(self.folder / "config.json").get("model_type") == MANY
        settings = {} if self.many else _json(self.folder / "tokenizer_config.json")
        self.own = settings.get("source_lang"), settings.get("target_lang")
        """The pair that the folder names; None where it does not."""
        self.asked = source, target
        self.source = source if self.own[0] is None else str(self.own[0])
        self.target = target if self.own[1] is None else str(self.own[1])

    @property
    def pair(self) -> str:
        """The two languages, ``en-zh``."""
        return f"{self.source or '?'}-{self.target or '?'}"

    @property
    def from_chinese(self) -> bool:
        """Whether it translates from Chinese."""
        return str(self.source).lower().replace("-", "_").split("_")[0] in CHINESE

    def problems(self) -> list[Problem]:
        """Returns what is wrong with the languages that were asked for."""
        path = self.run.model.path
        if self.many:
            codes = _codes(self.folder)
            if not all(self.asked):
                return [Problem("language", say("augment.needs_codes", path=path))]
            return [
                Problem(
                    "language", say("augment.no_code", path=path, code=code, known=_some(codes))
                )
                for code in self.asked
                if codes and code not in codes
            ]
        other = [
            code
            for code, named in zip(self.asked, self.own, strict=True)
            if code and named not in (None, code)
        ]
        if other:
            fields = {
                "path": path,
                "pair": self.pair,
                "asked": "-".join(code or "?" for code in self.asked),
            }
            return [Problem("language", say("augment.other_pair", **fields))]
        return []

    def identity(self) -> dict[str, str]:
        """Returns what distinguishes this translator from another."""
        return {"model": base_fingerprint(self.folder), "languages": self.pair}

    def answers(
        self, questions: Iterator[Question], done: Collection[int], stopped: Callable[[], bool]
    ) -> Iterator[tuple[int, Written]]:
        """Yields the translations that are not ``done``, by their number: text by text, each
        ``generate.samples`` times.
        """
        model: Any = None
        tokenizer: Any = None
        for numbers, some in blocks(questions, self.run.generate.samples, done):
            if stopped():
                return
            if model is None:
                model, tokenizer = self._loaded()
            texts = [str(question.chat.turns[-1].content) for question in some]
            answers = self._block(model, tokenizer, texts, self.run.train.seed + numbers.start)
            for number, answer in zip(numbers, answers, strict=True):
                if number not in done:
                    yield number, answer

    def _block(self, model: Any, tokenizer: Any, texts: list[str], seed: int) -> list[Written]:
        import torch

        settings = self.run.generate
        limit = model.config.max_position_embeddings
        given = tokenizer(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=limit
        )
        lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        drawn: dict[str, object] = {"do_sample": False}
        if settings.temperature > 0:
            drawn = {"do_sample": True, "temperature": settings.temperature}
        if self.many:
            drawn["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(self.target)
        places = [model.device] if model.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(places):
            torch.manual_seed(seed)
            ids = model.generate(
                input_ids=given["input_ids"].to(model.device),
                attention_mask=given["attention_mask"].to(model.device),
                max_new_tokens=min(settings.max_new_tokens, limit - 1),
                max_length=None,
                num_beams=1,
                num_return_sequences=settings.samples,
                **drawn,
            )
        return [
            Written("", "too long", 0)
            if lengths[index // settings.samples] > limit
            else self._written(tokenizer, row)
            for index, row in enumerate(ids)
        ]

    def _written(self, tokenizer: Any, ids: torch.Tensor) -> Written:
        written_ids = ids[1:].tolist()
        ended = tokenizer.eos_token_id in written_ids
        text = tokenizer.decode(written_ids, skip_special_tokens=True)
        return written(text, cut=not ended, tokens=len(written_ids))

    def _loaded(self) -> tuple[Any, Any]:
        """Loads the model and its tokenizer; raises ModelError for a folder that holds none."""
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from tunesmith.machine import device as devices

        device = devices.choose(self.run.train.machine)
        devices.prepare(device)
        languages = {"src_lang": self.source, "tgt_lang": self.target} if self.many else {}
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                self.folder, local_files_only=True, **languages
            )
            model = AutoModelForSeq2SeqLM.from_pretrained(
                self.folder, local_files_only=True, dtype=torch.float32
            )
        except ImportError:
            command = "pip install sentencepiece"
            text = say("transforms.no_package", package="sentencepiece", command=command)
            raise SpecError(Problem("model", text)) from None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            text = say("augment.no_translator", error=first_line(error))
            raise ModelError(Problem(self.run.model.path, text)) from None
        return model.to(device.place).eval(), tokenizer


def _codes(folder: Path) -> list[str]:
    """Returns the languages that a model of many names in its tokenizer's settings."""
    settings = _json(folder / "tokenizer_config.json")
    codes = settings.get("additional_special_tokens") or settings.get("extra_special_tokens") or []
    return [str(code).strip("_") for code in codes] if isinstance(codes, list) else []


def _some(known: list[str]) -> str:
    return ", ".join(known[:20])


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
