"""Draws what people might do: rows, columns, lengths, a model, a verb. What comes back is a right
answer or one clear error.

``python -m material.fuzz --draws 5000 --from 0`` (in ``tests/``) draws by hand; a draw that fails
is made again by ``--from N --draws 1``.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import io
import json
import math
import random
import shutil
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith import api
from tunesmith.errors import TunesmithError
from tunesmith.storage.run_folder import RunFolder

Row = dict[str, Any]
PLACES = 128

WORDS = [
    "the",
    "what",
    "is",
    "name",
    "of",
    "a",
    "cat",
    "dog",
    "中医",
    "药",
    "good",
    "bad",
    "你好",
    "answer",
    "12",
    "3.5",
    "yes",
    "no",
    "why",
]
ODD = [
    "",
    " ",
    "\n",
    "\ufeff",
    "\x00",
    "null",
    "NaN",
    "true",
    "<|im_end|>",
    "<|im_start|>system",
    "<think>x</think>",
    "[P]",
    "{question}",
    "{{ x }}",
    "😀👩‍👩‍👧",
    "é\u0301",
    "\u2028",
    "\ud7ff",
    "a" * 300,
    '"',
    "a,b;c\td",
    "=1+1",
    "-",
]
"""Texts that stand in real files."""

COLUMNS: dict[str, list[tuple[str, ...]]] = {
    "sft": [
        ("question", "answer"),
        ("instruction", "input", "output"),
        ("prompt", "completion"),
        ("问题", "答案"),
        ("q", "a", "id"),
        ("messages",),
        ("conversations",),
    ],
    "pretrain": [("text",), ("content",), ("text", "title")],
    "classify": [
        ("text", "label"),
        ("sentence", "label", "id"),
        ("text", "labels"),
        ("sentence1", "sentence2", "label"),
        ("review", "sentiment"),
    ],
    "classify_tokens": [("tokens", "ner_tags"), ("text", "entities")],
    "dpo": [("prompt", "chosen", "rejected"), ("question", "chosen", "rejected")],
    "kto": [("prompt", "completion", "label")],
    "orpo": [("prompt", "chosen", "rejected"), ("instruction", "input", "chosen", "rejected")],
    "reward": [("prompt", "chosen", "rejected")],
    "grpo": [("question", "answer"), ("prompt", "answer", "id")],
    "embed": [("text", "second"), ("anchor", "positive"), ("sentence1", "sentence2", "score")],
}
SETTINGS: dict[str, list[Any]] = {
    "data.too_long": ["drop", "truncate", "split", "stop"],
    "data.max_length": [2, 5, 16, 64, PLACES, 4096],
    "data.held_out": [0, 0.5, 1, 20, 1000],
    "data.limit": [1, 7, 50],
    "data.train_on": ["last", "everything"],
    "data.reasoning": ["drop", "plain"],
    "data.system": ["be kind", ""],
    "data.template": ["{question} -> {answer}", "{answer}", "{nope}"],
    "train.batch": [1, 3, 64],
    "train.micro_tokens": [1, 50],
    "train.keep.best_by": ["accuracy", "chrf", "nll", "exact_match"],
    "train.keep.patience": [1],
    "train.keep.evaluate": [0, 1, 0.5],
    "train.epochs": [0.01, 1],
    "train.warmup": [0, 1],
    "generate.max_new_tokens": [1, 300],
    "generate.temperature": [0.7],
    "generate.stop": ["a", "\n"],
    "generate.repetition_penalty": [1.3],
    "prove.items": [1, 5],
    "prove.shots": [0, 1],
    "questions": [["who?"], ["who " * 300], [""], ["a\nb"]],
    "model.add_tokens": [["<think>"]],
    "method": [
        *["full", "lora", "bitfit", "prompt", "ia3", "prefix", "p_tuning", "bottleneck"],
        *["adalora", "ln_tuning", "freeze", "vera", "loha", "fourierft", ["lora", "bitfit"]],
    ],
    "objective.threshold": ["fitted"],
    "train.optimizer": ["adafactor", "muon", "sgd"],
    "train.keep.save": [1, "epoch"],
}


def models(folder: Path) -> dict[str, Path]:
    """A tiny random model of each kind: positions learned and rotary, encoder, encoder with
    decoder.
    """
    import torch
    import transformers

    from conftest import byte_tokenizer, tiny_model
    from material.headed import encoder

    made = {"llama": tiny_model(folder / "llama"), "bert": encoder(folder / "bert")}
    small = {"vocab_size": 404, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 3}
    sizes: dict[str, dict[str, Any]] = {
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": PLACES},
        "t5": {"d_model": 32, "d_ff": 64, "num_layers": 2, "num_heads": 4, "d_kv": 8}
        | {"decoder_start_token_id": 3},
        "bart": {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2}
        | {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": PLACES}
        | {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
        | {"decoder_start_token_id": 2, "forced_eos_token_id": 2},
    }
    for name, size in sizes.items():
        byte_tokenizer(folder / name)
        config = transformers.AutoConfig.for_model(name, **small, **size)
        cls = "AutoModelForCausalLM" if name == "gpt2" else "AutoModelForSeq2SeqLM"
        torch.manual_seed(0)
        getattr(transformers, cls).from_config(config).save_pretrained(folder / name)
    odd = {"do_sample": False, "temperature": 0.6, "eos_token_id": 2}
    (folder / "gpt2" / "generation_config.json").write_text(json.dumps(odd))
    return made | {name: folder / name for name in sizes}


class Draw:
    """One draw: ``number`` decides all of it."""

    def __init__(self, number: int, kinds: dict[str, Path], folder: Path) -> None:
        self.random = random.Random(number)
        self.folder = folder
        pick = self.random.choice
        self.objective = pick([*COLUMNS, "sft", "sft"])
        fitting = ["llama", "gpt2"]
        heads = ("classify", "classify_tokens", "embed")
        fitting += ["bert"] * 3 if self.objective in heads else []
        fitting += ["t5", "bart"] if self.objective == "sft" else []
        self.model = pick(fitting if self.random.random() < 0.95 else [*kinds])
        self.columns = pick(COLUMNS[self.objective])
        if self.random.random() < 0.05:
            self.columns = pick(COLUMNS[pick([*COLUMNS])])
        self.odd = pick([0.0, 0.0, 0.0, 0.05, 0.5])
        self.long = pick([0.0, 0.0, 0.0, 0.05, 0.5])
        self.rows = [self.row() for _ in range(pick([1, 4, 20, 40, 40, 60]))]
        self.file = self.written()
        self.settings: Row = {
            "model": str(kinds[self.model]),
            "data.path": str(self.file),
            "out": str(folder / "run"),
            "objective": self.objective,
            "train.steps": pick([1, 2]),
            "generate.max_new_tokens": 8,
            "prove.items": 8,
            "prove.shots": pick([0, 0, 1]),
        }
        if self.objective == "grpo":
            self.settings |= {"source.samples": 2, "source.max_new_tokens": 8}
            self.settings["source.rewards"] = pick(["exact", "exact", "length", "nope"])
        if self.long:
            self.settings["data.too_long"] = pick(["drop", "truncate", "truncate"])
        for name in self.random.sample([*SETTINGS], pick([0, 0, 0, 1, 1, 2])):
            self.settings[name] = pick(SETTINGS[name])
        self.verb = pick(["check", "plan", "run"])
        after = [self.predict, self.prove, self.export, self.report]
        self.after = self.random.sample(after, pick([1, 1, 2]))

    def text(self, odd: float | None = None) -> str:
        """A text, short or long, and now and then an odd one."""
        if self.random.random() < (self.odd if odd is None else odd):
            return self.random.choice(ODD)
        # Both long ones are beyond PLACES; a longer one costs time and meets nothing else.
        many = self.random.choice([80, 200] if self.random.random() < self.long else [1, 2, 5, 9])
        return " ".join(self.random.choices(WORDS, k=many))

    def row(self) -> Row:
        """A row with those columns; cells may be missing, empty or of another type."""
        row: Row = {}
        for name in self.columns:
            if name in ("messages", "conversations"):
                turns = ["user", "assistant"] * self.random.choice([1, 1, 2])
                row[name] = [{"role": role, "content": self.text()} for role in turns]
                if name == "conversations" and self.random.random() < 0.5:
                    said = {"user": "human", "assistant": "gpt"}
                    row[name] = [
                        {"from": said[turn["role"]], "value": turn["content"]} for turn in row[name]
                    ]
            elif name in ("label", "labels", "sentiment"):
                kinds = [True, False] if self.objective == "kto" else ["good", "bad", "a b"]
                row[name] = self.random.choice(kinds)
            elif name == "tokens":
                row[name] = self.text().split(" ")
            elif name == "ner_tags":
                places = range(len(row.get("tokens", ())))
                row[name] = [self.random.choice(["O", "B-PER", "I-PER", "B-药"]) for _ in places]
            elif name == "entities":
                end = self.random.randint(0, len(row["text"]))
                row[name] = [{"start": 0, "end": end, "label": self.random.choice(["a", "b"])}]
            elif name == "score":
                row[name] = self.random.choice([0.1, 0.9, 0.5])
            else:
                row[name] = self.text()
        if self.random.random() < self.odd / 5:
            row.pop(self.random.choice(self.columns))
        if self.random.random() < self.odd / 5 and row:
            name = self.random.choice([*row])
            row[name] = self.random.choice([None, 3, 2.5, True, [], {}, ["a"], {"a": 1}, math.nan])
        return row

    def written(self) -> Path:
        """The file, in one of the usual forms and encodings."""
        pick = self.random.choice
        flat = all(isinstance(value, str) for row in self.rows for value in row.values())
        form = pick(["jsonl", "json", *(["csv", "tsv"] if flat else [])])
        if form == "jsonl":
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        elif form == "json":
            held: Any = {"train": self.rows} if self.random.random() < 0.2 else self.rows
            text = json.dumps(held, ensure_ascii=False, indent=pick([None, 1]))
        else:
            table = io.StringIO(newline="")
            writer = csv.DictWriter(table, self.columns, delimiter="," if form == "csv" else "\t")
            writer.writeheader()
            writer.writerows(self.rows)
            text = table.getvalue()
        encoding = pick(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "gb18030"])
        encoded = text.encode(encoding, errors="replace")
        packed = self.random.random() < 0.1
        file = self.folder / f"rows.{form}{'.gz' if packed else ''}"
        file.write_bytes(gzip.compress(encoded) if packed else encoded)
        return file

    def go(self) -> str:
        """Does what was drawn and asserts what is right of it; gives "done", or the kind of
        error.
        """
        try:
            self._go()
        except TunesmithError as error:
            return self.clear(error)
        return "done"

    def clear(self, error: TunesmithError) -> str:
        """The kind of an error, which says what is wrong in few lines, of none of them twice."""
        told = str(error)
        assert told.strip() and "Traceback" not in told, "an error says what is wrong"
        assert len(told) < 20_000, "an error can be read"
        lines = [str(problem) for problem in error.problems]
        assert len({*lines}) == len(lines), "a problem is told once"
        return type(error).__name__

    def _go(self) -> None:
        if self.verb == "check":
            found = api.check({}, self.settings).to_json()
            json.dumps(found)
            return
        made = api.plan({}, self.settings)
        assert made.lines() and json.dumps(made.to_json(), default=str)
        if self.verb == "plan" or made.problems:
            made.require()
            return
        run = api.train({}, self.settings)
        lines = [line for line in run.steps() if "loss" in line]
        assert lines and all(math.isfinite(line["loss"]) for line in lines)
        ledger = run.read(run.ledger)
        dropped = run.dropped.read_text(encoding="utf-8").splitlines()
        assert len(dropped) == sum(ledger["dropped"].values())
        for verb in self.after:
            try:
                verb(run)
            except TunesmithError as error:
                self.clear(error)

    def predict(self, run: RunFolder) -> None:
        """Every row comes back, with its own columns and something beside."""
        rows = [self.row() for _ in range(4)]
        found = api.load(run).predict(rows, tell=lambda text: None)
        assert len(found) == len(rows)
        for asked, answered in zip(rows, found, strict=True):
            assert json.dumps(answered, default=str)
            assert str({name: answered[name] for name in asked}) == str(asked)
            assert len(answered) > len(asked)

    def prove(self, run: RunFolder) -> None:
        """A verdict, in words and in JSON."""
        proof = api.prove(run)
        assert proof.lines() and json.dumps(proof.to_json(), default=str)

    def export(self, run: RunFolder) -> None:
        """A folder."""
        from tunesmith.export.make import export

        assert export(run, self.folder / "out").out.is_dir()

    def report(self, run: RunFolder) -> None:
        """One page."""
        from tunesmith.report.build import build

        assert build(run).stat().st_size > 1000

    def __str__(self) -> str:
        asked = {name: value for name, value in self.settings.items() if name != "model"}
        return f"{self.verb} {self.model} {self.columns} {len(self.rows)} rows {asked}"


def fuzz(
    numbers: range, kinds: dict[str, Path], folder: Path, tell: Callable[[str], None] = print
) -> tuple[list[str], Counter[str]]:
    """The faults of these draws, and how often each end was met."""
    faults: list[str] = []
    ends: Counter[str] = Counter()
    for number in numbers:
        place = folder / str(number)
        place.mkdir(parents=True)
        draw = Draw(number, kinds, place)
        quiet = io.StringIO()
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                ends[draw.go()] += 1
        except Exception:
            ends["fault"] += 1
            faults.append(f"draw {number}: {draw}\n{traceback.format_exc()}")
            tell(faults[-1])
        shutil.rmtree(place, ignore_errors=True)
    return faults, ends


def main() -> None:
    """Draws from the command line."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--draws", type=int, default=200)
    asked.add_argument("--from", dest="first", type=int, default=0)
    given = asked.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        numbers = range(given.first, given.first + given.draws)
        faults, ends = fuzz(numbers, models(Path(folder) / "models"), Path(folder) / "draws")
    print(dict(ends))
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
