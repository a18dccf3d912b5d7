"""The plan: every open value with its reason, all problems at once before weights load, and facts
that hold.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tunesmith import words
from tunesmith.display.table import readable
from tunesmith.planning.duration import Expected, expected
from tunesmith.planning.duration import told as told_of
from tunesmith.planning.lines import leaves, value_rows
from tunesmith.planning.make import make
from tunesmith.planning.plan import Plan
from tunesmith.settings.run import read_run, validate
from tunesmith.storage.headers import weights_in

GIB = 2**30


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.json"
    made = [
        {
            "instruction": f"what is the name of {n}",
            "input": "",
            "output": f"the name is {n * 7 % 13}",
        }
        for n in range(120)
    ]
    file.write_text(json.dumps(made), encoding="utf-8")
    return file


def plan(
    model: Path | str,
    data: Path | str | dict[str, Any],
    out: Path,
    *,
    probe: bool = False,
    **settings: Any,
) -> Plan:
    asked = data if isinstance(data, dict) else str(data)
    return make(
        validate({"model": str(model), "data": asked, "out": str(out)} | settings), probe=probe
    )


def test_every_open_value_is_resolved_with_a_reason(tiny_llama: Path, rows: Path, tmp_path: Path):
    made = plan(tiny_llama, rows, tmp_path / "run", train={"epochs": 2, "clip": 0.5})
    assert not made.problems
    run, origins = made.resolved.run, made.resolved.origins
    assert (run.train.learning_rate, run.train.batch, run.data.max_length) == (2e-4, 4, 512)
    assert (run.train.machine.device, run.train.machine.precision, run.model.dtype) == (
        "cpu",
        "fp32",
        "fp32",
    )
    assert (
        run.train.micro_tokens
        and run.train.machine.threads
        and run.train.machine.checkpointing is False
    )
    assert run.lang == "en"
    for path in (
        "train.learning_rate",
        "train.batch",
        "data.max_length",
        "train.micro_tokens",
        "train.machine.precision",
        "lang",
    ):
        assert origins[path].kind == "derived" and origins[path].reason, path
    assert origins["train.learning_rate"].reason.startswith(
        "default of the method lora: Dettmers et al. 2023"
    )
    assert "the longest 3" in origins["data.max_length"].reason
    assert (
        origins["train.epochs"].kind,
        origins["train.clip"].kind,
        origins["train.warmup"].kind,
    ) == (
        "given",
        "given",
        "default",
    )
    assert {path for path, _ in leaves(run)} <= set(origins)
    text = "\n".join(made.lines())
    for path, _ in leaves(run):
        assert path in text
    assert not (tmp_path / "run").exists(), "a plan writes nothing"
    # What the run folder will hold reads back as the very same run.
    (tmp_path / "run.yaml").write_text(made.resolved.dump(), encoding="utf-8")
    assert read_run(tmp_path / "run.yaml") == run


def test_the_reason_of_the_batch_is_true_where_the_steps_are_given(
    tiny_llama: Path, rows: Path, tmp_path: Path
):
    made = plan(tiny_llama, rows, tmp_path / "run", train={"epochs": 2, "steps": 9})
    told = (
        "so that 108 training rows for 2 epochs would make 54 steps; train.steps=9 makes 0.333 "
        "epochs of it"
    )
    assert made.resolved.origins["train.batch"].reason == told


def test_a_number_of_one_has_its_own_word(tiny_llama: Path, rows: Path, tmp_path: Path):
    made = plan(tiny_llama, rows, tmp_path / "run", train={"epochs": 1, "steps": 1})
    assert any(
        "train.steps allows only 1 optimizer step: too few" in text for text in made.warnings
    )
    assert "for 1 epoch would make" in made.resolved.origins["train.batch"].reason


def test_given_values_stay(tiny_llama: Path, rows: Path, tmp_path: Path):
    train = {
        "learning_rate": 0.5,
        "batch": 3,
        "micro_tokens": 700,
        "machine": {"checkpointing": True, "threads": 1},
    }
    made = plan(
        tiny_llama, {"path": str(rows), "max_length": 100} and rows, tmp_path / "run", train=train
    )
    run = made.resolved.run
    assert (run.train.learning_rate, run.train.batch, run.train.micro_tokens) == (0.5, 3, 700)
    assert run.train.machine.checkpointing is True and run.train.machine.threads == 1
    assert made.resolved.origins["train.micro_tokens"].kind == "given"


def test_facts_are_those_of_the_model_that_would_run(tiny_llama: Path, rows: Path, tmp_path: Path):
    import torch

    from tunesmith.methods import METHODS
    from tunesmith.models.loading.load import load_model

    made = plan(
        tiny_llama,
        rows,
        tmp_path / "run",
        method={"name": "lora", "rank": 4, "targets": ["q_proj", "v_proj"]},
    )
    model = load_model(tiny_llama, dtype=torch.float32, device="cpu").model
    whole = sum(parameter.numel() for parameter in model.parameters())
    tuned = METHODS.make(made.resolved.run.method).apply(model)
    trainable = sum(
        parameter.numel() for parameter in tuned.parameters() if parameter.requires_grad
    )
    facts = made.facts
    assert (facts["trainable"], facts["parameters"]) == (trainable, whole + trainable)
    assert weights_in(tiny_llama) == whole
    # 3 checkpoints with weight, two moments and the model, and the model twice, 4 bytes a number.
    assert facts["disk"]["needed"] == trainable * 4 * (3 * 4 + 2)
    assert facts["rows"] == {"train": 108, "watch": 0, "proof": 12}
    assert facts["steps"] == 3 * facts["steps_per_epoch"] == 54
    assert (
        facts["tokens"] == made.prepared.ledger.to_json()["tokens"]["total"]
        if made.prepared
        else False
    )
    assert facts["memory_gib"]["low"] <= facts["memory_gib"]["high"]
    terms = facts["memory_terms_gib"]
    assert sum(terms.values()) == pytest.approx(facts["memory_gib"]["low"], abs=1e-3)
    full = plan(tiny_llama, rows, tmp_path / "full", method="full").facts
    assert full["trainable"] == full["parameters"] == whole


def test_probe_measures_the_largest_micro_batch(tiny_llama: Path, rows: Path, tmp_path: Path):
    made = plan(tiny_llama, rows, tmp_path / "run", probe=True, train={"batch": 8})
    probe = made.facts["probe"]
    assert (
        8 * 20 < probe["tokens"] <= 8 * 33
    )  # eight of the longest rows, what they share counted once
    assert probe["peak_gib"] > 0.05 and probe["seconds"] >= 0
    assert any("measured on the largest micro-batch" in line for line in made.lines())
    assert probe["questions"] == 0 and probe["read_seconds"] > 0
    told = next(line for line in made.lines() if "at the pace just measured" in line)
    facts = made.facts["evaluations"]
    assert f"{facts['count']} evaluations on {facts['rows']} held-out rows" in told
    assert "proof afterwards come on top" in told and "of your own" not in told


def test_own_questions_are_a_part_of_the_time(tiny_llama: Path, rows: Path, tmp_path: Path):
    asked = {"questions": ["what is it?", "and that?"], "generate": {"max_new_tokens": 16}}
    made = plan(tiny_llama, rows, tmp_path / "run", probe=True, **asked)
    probe, time = made.facts["probe"], expected(made.facts)
    assert probe["questions"] == 2 and time is not None
    assert time.answers == pytest.approx(
        made.facts["evaluations"]["count"] * probe["answer_seconds"]
    )
    assert any("for 2 questions of your own, answered" in line for line in made.lines())


def test_the_time_is_that_of_steps_evaluations_and_answers() -> None:
    facts = {"steps": 60}
    assert expected(facts) is None
    facts["evaluations"] = {"count": 11, "rows": 20, "fits": 0}
    assert expected(facts) is None, "nothing is measured"
    probe = {"tokens": 30, "seconds": 0.2, "read_seconds": 0.06}
    probe |= {"step_tokens": 30, "look_tokens": 400}
    facts["probe"] = {**probe, "questions": 3, "answer_seconds": 10.0}
    time = expected(facts)
    assert time == Expected(pytest.approx(12), pytest.approx(8.8), pytest.approx(110))
    fitted = {**facts, "evaluations": {**facts["evaluations"], "fits": 10}}
    twice = expected(fitted)
    assert twice is not None and twice.evaluations == pytest.approx(21 * 0.8)
    told = told_of(facts, time)
    assert "12 s for 60 steps + 9 s for 11 evaluations on 20 held-out rows + at most 2 min" in told
    sampled = {name: value for name, value in facts.items() if name != "evaluations"}
    assert expected(sampled) is None, "the model's own answers are in no trial"


def test_all_problems_at_once(tiny_llama: Path, tmp_path: Path, rows: Path):
    out = tmp_path / "taken"
    out.mkdir()
    (out / "run.yaml").write_text("", encoding="utf-8")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"instruction": "a", "output": "b"}\n{"instruction": \n', encoding="utf-8")
    made = plan(
        tiny_llama,
        broken,
        out,
        method={"name": "lora", "targets": ["q_porj"]},
        train={"cycles": 3, "keep": {"best_by": "blue", "patience": 2, "evaluate": 0}},
        generate={"samples": 2, "top_p": 0.9},
        prove={"metrics": ["rogue_l"]},
        questions="absent.txt",
    )
    told = {problem.where: problem.text for problem in made.problems}
    assert told["out"] == (
        f"{out} already holds a run; choose another folder, or continue that one: tunesmith "
        f"train {out} --resume"
    )
    assert told["train.cycles"].startswith("3 has no effect with the schedule cosine")
    assert told["train.keep.patience"].startswith("stopping early needs validation rows")
    assert "train.keep.best_by" in told
    assert told["prove.metrics.0"].startswith("there is no 'rogue_l'; did you mean 'rouge_l'?")
    assert told["generate.samples"].startswith(
        "2 answers to one prompt are all the same at temperature 0"
    )
    assert told["generate.top_p"].startswith("0.9 has no effect at temperature 0")
    assert told["questions"].startswith("there is no file 'absent.txt'")
    assert "q_porj" in told["method.targets"] and "q_proj" in told["method.targets"]
    assert any(str(broken) in where and "2" in where for where in told), told
    assert len(told) == 10


def test_missing_things_are_named(tiny_llama: Path, tmp_path: Path, rows: Path):
    made = plan(
        tmp_path / "no_model",
        tmp_path / "no_rows.json",
        tmp_path / "run",
        train={"keep": {"best_by": "blue"}},
    )
    text = "\n".join(str(problem) for problem in made.problems)
    assert (
        "no_model" in text
        and "no_rows.json" in text
        and "there is no 'blue'; did you mean 'bleu'?" in text
    )
    pickled = tmp_path / "pickled"
    shutil.copytree(tiny_llama, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert "pytorch_model.bin" in str(plan(pickled, rows, tmp_path / "run").problems)
    strange = tmp_path / "strange"
    shutil.copytree(tiny_llama, strange)
    config = json.loads((strange / "config.json").read_text(encoding="utf-8")) | {
        "model_type": "no_such_model"
    }
    (strange / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "has no model that can be read" in str(plan(strange, rows, tmp_path / "run").problems)


def test_a_model_without_a_tokenizer_is_one_of_the_problems(
    tiny_llama: Path, tmp_path: Path, rows: Path
):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_llama / name, bare / name)
    told = [
        str(problem) for problem in plan(bare, rows, tmp_path / "run", train={"cycles": 2}).problems
    ]
    assert len(told) == 2 and any("has no tokenizer that can be read" in text for text in told)


def test_what_lies_here_is_kept_by_its_whole_path(
    tiny_llama: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_llama, "model")
    Path("questions.txt").write_text("Who?", encoding="utf-8")
    held = json.loads(rows.read_text(encoding="utf-8"))[:50]
    Path("held.json").write_text(
        json.dumps([row | {"instruction": row["instruction"] + "?"} for row in held]),
        encoding="utf-8",
    )
    data = {"path": ["rows.json#100"], "held_out": "held.json"}
    settings = {"model": "model", "data": data, "out": "run", "questions": "questions.txt"}
    made = make(validate(settings))
    assert not made.problems
    run = made.resolved.run
    assert (run.model.path, run.data.held_out) == (
        str(tmp_path / "model"),
        str(tmp_path / "held.json"),
    )
    assert [source.path for source in run.data.path] == [f"{tmp_path}/rows.json#100"]
    assert (run.questions, run.out) == (str(tmp_path / "questions.txt"), "run")
    assert all(
        made.resolved.origins[path].kind == "given"
        for path in ("model.path", "data.path", "questions")
    )
    taught = make(validate(settings | {"objective": {"name": "distill", "teacher": "model"}}))
    assert not taught.problems and taught.resolved.run.objective.teacher == str(tmp_path / "model")
    ids = make(validate({"model": "no/such", "data": "package:nothing", "out": "run"})).resolved.run
    assert (ids.model.path, ids.data.path) == ("no/such", "package:nothing")


def test_the_default_rate_is_the_methods_times_the_optimizers_factor(
    tiny_llama: Path, tmp_path: Path, rows: Path
):
    made = plan(tiny_llama, rows, tmp_path / "run", train={"optimizer": "sgd"})
    assert made.resolved.run.train.learning_rate == 0.02
    assert made.resolved.origins["train.learning_rate"].reason.endswith(
        "; times 100 for sgd, a rule of thumb"
    )


def test_rules(tiny_llama: Path, rows: Path, tmp_path: Path):
    from tunesmith.planning.rules import broken

    def told(**settings: Any) -> dict[str, str]:
        run = validate(
            {"model": str(tiny_llama), "data": str(rows), "out": str(tmp_path / "run")} | settings
        )
        return {problem.where: problem.text for problem in broken(run)}

    data = {"path": str(rows)}
    assert told() == {}
    assert told(train={"cycles": 3, "schedule": "cosine_with_restarts"}) == {}
    assert (
        "fill the whole run of 10 steps" in told(train={"steps": 10, "warmup": 10})["train.warmup"]
    )
    assert (
        "needs validation rows"
        in told(data=data | {"held_out": 0}, train={"keep": {"best_by": "bleu"}})[
            "train.keep.best_by"
        ]
    )
    assert told(train={"keep": {"best_by": "accuracy"}}) == {}
    by_answers = told(objective="pretrain", train={"keep": {"best_by": "bleu"}})[
        "train.keep.best_by"
    ]
    assert by_answers.startswith(
        "'bleu' compares answers, and the objective pretrain learns from plain text"
    )
    assert (
        "needs held-out rows"
        in told(data=data | {"held_out": 0}, prove={"require": "improved"})["prove.require"]
    )
    assert told(prove={"metrics": ["bleu"], "primary": "chrf"})["prove.primary"].endswith(
        "known: bleu"
    )
    assert told(data=data | {"reader": "alpca"})["data.reader"].startswith(
        "there is no 'alpca'; did you mean 'alpaca'?"
    )
    assert "only plain text" in told(data=data | {"too_long": "split"})["data.too_long"]
    assert (
        "learns from plain text"
        in told(data=data | {"system": "Be kind."}, objective="pretrain")["data.system"]
    )
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert told(out=str(tmp_path / "file"))["out"].endswith(
        "is a file; give a folder that does not exist yet"
    )


def test_choosing_by_options_needs_a_small_set_of_answers(
    tiny_llama: Path, tmp_path: Path, rows: Path
):
    texts = [
        {"instruction": f"what is {n}", "output": f"the name is {n * 37} and {n}"}
        for n in range(120)
    ]
    free = tmp_path / "free.json"
    free.write_text(json.dumps(texts), encoding="utf-8")
    train = {"keep": {"best_by": "accuracy"}, "cycles": 2}
    data = {"path": str(free), "held_out": 0.4}
    made = make(
        validate(
            {"model": str(tiny_llama), "data": data, "out": str(tmp_path / "run"), "train": train}
        )
    )
    assert [problem.where for problem in made.problems] == ["train.cycles", "train.keep.best_by"]
    assert "accuracy needs answers from a small set" in made.problems[1].text
    made = make(
        validate(
            {
                "model": str(tiny_llama),
                "data": data | {"path": str(rows)},
                "out": "run",
                "train": {"keep": train["keep"]},
            }
        )
    )
    assert not made.problems


def test_a_disk_too_small(
    tiny_llama: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "tunesmith.machine.disk.shutil.disk_usage",
        lambda place: shutil._ntuple_diskusage(10**6, 10**6, 1000),
    )
    made = plan(tiny_llama, rows, tmp_path / "run")
    assert [problem.where for problem in made.problems] == ["out"]
    assert (
        "1000 B are free on the disk" in made.problems[0].text
        and "train.keep.keep" in made.problems[0].text
    )


def test_limits_and_warnings(tiny_llama: Path, rows: Path, tmp_path: Path):
    made = make(
        validate(
            {
                "model": str(tiny_llama),
                "data": {"path": str(rows), "max_length": 4096},
                "out": str(tmp_path / "run"),
                "train": {"steps": 5, "machine": {"memory": 0.01}},
            }
        )
    )
    assert [str(problem) for problem in made.problems] == [
        "data.max_length: 4096 tokens are more than the 512 of this model"
    ]
    assert made.warnings[0].startswith("train.steps allows only 5 optimizer steps")
    assert made.warnings[1].startswith("the estimate is above the free memory")


def test_a_device_that_is_absent(tiny_llama: Path, rows: Path, tmp_path: Path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    made = plan(
        tiny_llama,
        rows,
        tmp_path / "run",
        train={"machine": {"device": "cuda"}},
        method={"name": "lora", "targets": ["x"]},
    )
    assert {problem.where for problem in made.problems} == {
        "train.machine.device",
        "method.targets",
    }


def test_in_chinese(tiny_llama: Path, rows: Path, tmp_path: Path):
    words.use("zh")
    lines = plan(tiny_llama, rows, tmp_path / "run").lines()
    assert lines[0] == "将要运行的内容"
    assert any("推定" in line and line.strip().startswith("train.learning_rate") for line in lines)
    assert any("训练数据要过几轮" in line for line in lines)


def test_json_is_json(tiny_llama: Path, rows: Path, tmp_path: Path):
    made = plan(tiny_llama, rows, tmp_path / "run")
    told = json.loads(json.dumps(made.to_json()))
    assert (
        told["run"]["method"]["rank"] == 16
        and told["facts"]["steps"] == 54
        and told["problems"] == []
    )
    assert told["origins"]["train.batch"]["kind"] == "derived" and told["ledger"]["rows"] == 120


def test_sizes_read_well():
    assert [readable(size) for size in (10, 2048, 3 * 2**20, 5 * GIB, 5000 * GIB)] == [
        "10 B",
        "2.0 KiB",
        "3.0 MiB",
        "5.0 GiB",
        "5000.0 GiB",
    ]


def test_a_tracker_whose_package_is_missing_is_told_by_the_plan(
    tiny_llama: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # which somebody may have installed
    made = plan(tiny_llama, rows, tmp_path / "run", track=["mlflow"])
    told = "track.0: mlflow needs a package that is not installed: pip install mlflow"
    assert [str(problem) for problem in made.problems] == [told]


def test_choosing_by_too_few_rows_has_no_effect_and_the_plan_says_so_at_the_setting(
    tiny_llama: Path, rows: Path, tmp_path: Path
):
    few = {"path": str(rows), "held_out": 20}
    keep = {"best_by": "chrf", "patience": 2}
    made = plan(tiny_llama, few, tmp_path / "run", train={"keep": keep})
    assert not made.problems
    assert made.facts["rows"] == {"train": 100, "watch": 0, "proof": 20}
    shown = {
        path: value for path, value, *_ in value_rows(made.resolved.run, made.resolved.origins)
    }
    assert shown["data.held_out"] == "20" and "0.1" in shown.values()
    run, origins = made.resolved.run, made.resolved.origins
    assert run.train.keep.final == "last"
    for name in ("best_by", "patience", "final"):
        assert origins[f"train.keep.{name}"].reason.startswith("no effect here: all 20 held-out")
    assert "best by chrf" not in "\n".join(made.lines())
    assert any("there are no validation rows" in text for text in made.warnings)
    enough = {"path": str(rows), "held_out": 60}
    made = plan(tiny_llama, enough, tmp_path / "run", train={"keep": keep})
    assert made.resolved.run.train.keep.final == "best" and not made.warnings


def test_questions_with_one_fault_are_told_once(
    tiny_llama: Path, rows: Path, tmp_path: Path
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "x.png"}}
    asked = [{"messages": [{"role": "user", "content": [picture]}]} for _ in range(9)]
    made = plan(tiny_llama, rows, tmp_path / "run", questions=["hi", *asked])
    told = [str(problem) for problem in made.problems]
    assert len(told) == 1 and told[0].startswith("questions.1:messages[0].content[0]: ")
    assert "(the same in 8 more rows: questions.2, questions.3," in told[0]


def test_an_empty_question_is_refused(tiny_llama: Path, rows: Path, tmp_path: Path) -> None:
    made = plan(tiny_llama, rows, tmp_path / "run", questions=["who?", " "])
    assert [problem.where for problem in made.problems] == ["questions.1"]
    assert not plan(tiny_llama, rows, tmp_path / "run", questions=["who?"]).problems
    made = plan(tiny_llama, rows, tmp_path / "run", questions=["who?", {"colour": "red"}])
    assert [problem.where for problem in made.problems] == ["questions.1"]
    long = plan(tiny_llama, rows, tmp_path / "run", questions=["who? " * 600])
    assert [problem.where for problem in long.problems] == ["questions.0"]
