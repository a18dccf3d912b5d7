from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from material import runs
from material.fast import slow_but
from tunesmith.data.prepare import Prepared
from tunesmith.display.progress import Shown
from tunesmith.errors import DiskError, SpecError
from tunesmith.events.stream import Events
from tunesmith.models.saved import load_run
from tunesmith.planning.duration import evaluations
from tunesmith.planning.make import make
from tunesmith.report.asked import asked
from tunesmith.report.build import page as report_page
from tunesmith.report.language import Say
from tunesmith.report.runs import runs as rows_of_runs
from tunesmith.settings.open_values import still_open
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import read_run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train
from tunesmith.ui.standing import standing


def trained(out: Path, model: Path, prepared: Prepared, **overrides: Any) -> RunFolder:
    return train(runs.resolved(out, model, **overrides), prepared)


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    ids = tokenizer("How far is Rome from Oslo?", return_tensors="pt").input_ids
    with torch.no_grad():
        return model.eval()(ids).logits


def test_the_folder_tells_what_was_run(straight, prepared, tiny_llama):
    used = straight.resolved().run
    assert used.train.machine.precision == "fp32" and used.train.machine.device == "cpu"
    assert straight.run_yaml.read_text() == runs.resolved(straight.path, tiny_llama).dump()
    assert straight.read(straight.ledger) == json.loads(json.dumps(prepared.ledger.to_json())) | {
        "fingerprint": prepared.fingerprint,
        "all_rows": prepared.fingerprint,
        "split_seed": 3,
    }
    facts = straight.read(straight.model / "tunesmith.json")
    assert (
        facts["base"] == used.model.path
        and facts["objective"] == "sft"
        and facts["method"] == "lora"
    )
    assert facts["template_fingerprint"] == prepared.render.fingerprint
    assert facts["stop_ids"] == list(prepared.render.stop_ids)
    assert facts["generate"]["max_new_tokens"] == 4


def test_the_plan_is_written_with_the_run(tiny_llama, prepared, tmp_path):
    one = runs.resolved(tmp_path / "run", tiny_llama, **{"train.steps": 1})
    assert train(one, prepared, plan="what will run\n").plan.read_text() == "what will run\n"


def test_two_processes_do_not_train_in_one_folder(tiny_llama, prepared, tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert not folder.busy
    with folder.held():
        assert folder.busy
        with pytest.raises(SpecError, match="another process is training in this folder"):
            trained(folder.path, tiny_llama, prepared, **{"train.steps": 1})
    assert not folder.run_yaml.exists()
    trained(folder.path, tiny_llama, prepared, **{"train.steps": 1})
    assert not folder.busy and folder.run_yaml.exists()


def test_an_adapter_loads_with_the_usual_lines(straight, tiny_llama, prepared):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    tokenizer = AutoTokenizer.from_pretrained(straight.model)
    before = logits(base, tokenizer)
    tuned = PeftModel.from_pretrained(base, straight.model)
    assert (logits(tuned, tokenizer) - before).abs().max() > 1e-2
    assert tokenizer.chat_template == prepared.render.tokenizer.chat_template
    settings = GenerationConfig.from_pretrained(straight.model)
    assert (
        settings.eos_token_id == list(prepared.render.stop_ids)
        and settings.max_new_tokens == 4
        and not settings.do_sample
    )


def test_a_whole_model_loads_with_the_usual_lines(tiny_llama, prepared, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = trained(
        tmp_path / "run", tiny_llama, prepared, method="full", **{"generate.temperature": 0.7}
    )
    tokenizer = AutoTokenizer.from_pretrained(folder.model)
    tuned, base = (
        AutoModelForCausalLM.from_pretrained(path) for path in (folder.model, tiny_llama)
    )
    assert (logits(tuned, tokenizer) - logits(base, tokenizer)).abs().max() > 1e-2
    assert tuned.generation_config.do_sample and tuned.generation_config.temperature == 0.7
    assert not (folder.model / "adapter_config.json").exists()


def test_an_adapter_of_a_hub_model_names_its_id(tmp_path, tiny_llama):
    from tunesmith.settings.run import validate
    from tunesmith.training.keeping.save import Saver

    (tmp_path / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "/cache/x", "revision": null}'
    )
    run = validate(
        {"model": {"path": "someone/small", "revision": "v2"}, "data": "x.json", "out": "runs/x"}
    )
    Saver(None, None, run, tiny_llama, None)._name_base(tmp_path / "adapter_config.json")  # type: ignore[arg-type]
    assert json.loads((tmp_path / "adapter_config.json").read_text()) == {
        "base_model_name_or_path": "someone/small",
        "revision": "v2",
    }


def test_a_folder_that_holds_a_run_is_not_touched(straight, tiny_llama, prepared):
    before = {path: path.stat().st_mtime_ns for path in straight.path.rglob("*")}
    with pytest.raises(SpecError) as caught:
        trained(straight.path, tiny_llama, prepared)
    told = (
        "already holds a finished run; choose another folder, or continue from its model with: "
        f"model={straight.path} out=ANOTHER"
    )
    assert str(caught.value) == f"out: {straight.path} {told}"
    assert {path: path.stat().st_mtime_ns for path in straight.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"method.targets": ["nothing"]}, "method.targets: "),
        ({"train.machine.precision": "fp16"}, "train.machine.precision: "),
        ({"questions": "no/such/file.txt"}, "questions: there is no file 'no/such/file.txt'"),
        (
            {"train.keep.best_by": "accuracy"},
            (
                "train.keep.best_by: accuracy needs answers from a small set, and those of the "
                "training rows are not; these can"
            ),
        ),
        ({"train.keep.best_by": "blue"}, "train.keep.best_by: blue cannot choose"),
    ],
)
def test_a_run_that_cannot_start_leaves_nothing_behind(
    overrides, text, tiny_llama, prepared, tmp_path
):
    with pytest.raises(SpecError) as caught:
        trained(tmp_path / "deep" / "run", tiny_llama, prepared, **overrides)
    assert text in str(caught.value)
    assert not (tmp_path / "deep").exists()


def test_a_disk_too_small_for_the_checkpoints_is_an_error_before_step_1(
    tiny_llama, prepared, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "tunesmith.machine.disk.shutil.disk_usage", lambda _: types.SimpleNamespace(free=1000)
    )
    with pytest.raises(
        DiskError,
        match=r"has 0\.00 GiB free, but the checkpoints and models of this run need about",
    ) as caught:
        trained(tmp_path / "deep" / "run", tiny_llama, prepared)
    assert caught.value.exit_code == 74
    assert not (tmp_path / "deep").exists()


def test_questions_are_answered_by_base_and_tuned_side_by_side(tiny_llama, prepared, tmp_path):
    questions = tmp_path / "questions.txt"
    questions.write_text("How far is Rome?\n\nWie weit ist Wien?\n", encoding="utf-8")
    folder = trained(tmp_path / "run", tiny_llama, prepared, questions=str(questions))
    found = asked(folder.questions.read_text(encoding="utf-8"), Say("en"))
    assert [one.question for one in found] == ["How far is Rome?", "Wie weit ist Wien?"]
    whens = [when for when, _ in found[0].answers]
    assert whens == ["base, before training", "step 3", "step 6", "tuned, step 8"]
    told = [line for line in folder.steps() if line.get("event") == "answers"]
    assert [line["step"] for line in told] == [0, 3, 6, 8]
    assert found[1].answers[0][1] == told[0]["answers"][1].strip()


def test_questions_do_not_change_the_training(tiny_llama, prepared, tmp_path, straight):
    folder = trained(
        tmp_path / "run",
        tiny_llama,
        prepared,
        questions=["How far?"],
        **{"generate.temperature": 0.9},
    )
    assert runs.weights(folder.model) == runs.weights(straight.model)


def test_evaluation_can_be_switched_off_and_questions_are_still_answered_at_both_ends(
    tiny_llama, prepared, tmp_path
):
    asked_too = {"messages": [{"role": "user", "content": "How far?"}]}
    folder = trained(
        tmp_path / "run",
        tiny_llama,
        prepared,
        questions=["How far?", asked_too, {"instruction": "How", "input": "far?"}],
        **{"train.keep.evaluate": 0},
    )
    assert not [line for line in folder.steps() if "evaluation" in line]
    told = [line for line in folder.steps() if line.get("event") == "answers"]
    assert [line["step"] for line in told] == [0, 8]
    assert all(line["answers"][0] == line["answers"][1] for line in told)
    assert "## How far?\n" in folder.questions.read_text(encoding="utf-8")


def test_rows_that_are_not_evaluated_are_told_as_that(tiny_llama, prepared, tmp_path):
    seen = Console(record=True, file=open(os.devnull, "w"), width=500)  # noqa: SIM115
    one = runs.resolved(tmp_path / "run", tiny_llama, **{"train.keep.evaluate": 0})
    train(one, prepared, events=Events(Shown(seen).hear))
    text = seen.export_text()
    assert "train.keep.evaluate=0: the held-out rows are not looked at" in text
    assert "no validation rows" not in text


def test_without_watched_rows_the_best_is_the_last_and_that_is_said(tiny_llama, prepared, tmp_path):
    from dataclasses import replace

    seen = Console(record=True, file=open(os.devnull, "w"), width=500)  # noqa: SIM115
    one = runs.resolved(tmp_path / "run", tiny_llama)
    folder = train(one, replace(prepared, watch=[]), events=Events(Shown(seen).hear))
    assert not folder.best.exists()
    assert not [line for line in folder.steps() if "evaluation" in line]
    text = seen.export_text()
    assert "no validation rows: nothing is chosen by the loss, and the last model is used" in text
    assert "train.machine.precision = fp32  (most CPUs compute bf16 more slowly than fp32)" in text
    assert "training 4,096 weights, 8.44% of 48,544" in text
    assert "schedule hardly works" not in text, "the plan says it, once"
    assert "training 8/8  loss " in text and "tokens/s" in text


def test_too_few_held_out_rows_are_measured_and_nothing_is_chosen_by_them(
    tiny_llama, prepared, tmp_path
):
    from dataclasses import replace

    seen = Console(record=True, file=open(os.devnull, "w"), width=500)  # noqa: SIM115
    one = runs.resolved(
        tmp_path / "run", tiny_llama, **{"train.keep.patience": 1, "train.learning_rate": 1e-9}
    )
    few = replace(prepared, watch=[], proof=prepared.watch)
    folder = train(one, few, events=Events(Shown(seen).hear))
    looked = [line for line in folder.steps() if "evaluation" in line]
    assert [line["step"] for line in looked] == [0, 3, 6, 8]
    planned = evaluations(one.run, few, 8, 8)
    assert (planned["count"], planned["rows"], planned["fits"]) == (4, len(few.proof), 0)
    assert not folder.best.exists() and not [
        line for line in folder.steps() if line.get("event") == "patience_ended"
    ]
    told = seen.export_text()
    assert "chosen" not in told, "the ledger says it, once"
    assert "base: rows of the proof  loss" in told and "step 3: rows of the proof  loss" in told
    last = folder.steps()[-1]["step"]
    assert f"step {last}: the tuned model, that of the last step, is in {folder.model}" in told
    (row,) = rows_of_runs(tmp_path)
    assert row["model_step"] == last
    html = report_page(folder, one.run, Say("en"))
    assert f"<b>{last}</b><span>step whose weights are used</span>" in html
    assert "validation" not in told and "validation loss" not in html
    loss = f"{looked[-1]['evaluation']['loss']:.4g}"
    assert "loss of the proof rows" in html
    assert ("loss of the proof rows", loss) in standing(folder, starting=False).facts
    assert f"step {last}, whose weights are used: " in html


@pytest.mark.parametrize(
    "settings",
    [{"train.keep.best_by": "loss"}, {"train.keep.patience": 5}, {"train.keep.final": "best"}, {}],
)
def test_the_model_is_the_best_where_one_is_chosen(
    settings, tiny_llama, prepared, tmp_path, monkeypatch
):
    from tunesmith.models.saved import load_run

    losses = iter([0.1, 0.5, 0.9, 0.8])
    monkeypatch.setattr(
        "tunesmith.training.evaluation.watch.held_out_loss", lambda *_, **__: {"loss": next(losses)}
    )
    seen = Console(record=True, file=open(os.devnull, "w"), width=500)  # noqa: SIM115
    one = runs.resolved(tmp_path / "run", tiny_llama, questions=["How far?"], **settings)
    folder = train(one, prepared, events=Events(Shown(seen).hear))
    step = {
        place: json.loads((place / "tunesmith.json").read_text())["step"]
        for place in (folder.model, folder.best)
    }
    last = folder.steps()[-1]["step"]
    page, told = folder.questions.read_text(encoding="utf-8"), seen.export_text()
    if settings:
        assert step == {folder.model: 3, folder.best: 3} and runs.weights(
            folder.model
        ) == runs.weights(folder.best)
        assert (
            f"step {last}: the tuned model in {folder.model} is that of step 3, the best by loss "
            "on the validation rows" in told
        )
        assert [line for line in page.splitlines() if line.startswith("### ")][
            -1
        ] == "### tuned, step 3"
    else:
        assert step == {folder.model: last, folder.best: 3} and runs.weights(
            folder.model
        ) != runs.weights(folder.best)
        assert f"the best by loss on the validation rows, of step 3, is in {folder.best}" in told
        assert load_run(RunFolder(folder.path, "best")).facts["step"] == 3
    assert read_run(folder.run_yaml).train.keep.final == ("best" if settings else "last")
    used = step[folder.model]
    (row,) = rows_of_runs(tmp_path)
    html = report_page(folder, one.run, Say("en"))
    assert row["model_step"] == used
    assert f"<b>{used}</b><span>step whose weights are used</span>" in html
    assert f"step {used}, whose weights are used: " in html, "the chart marks it"


@pytest.mark.parametrize("name", slow_but(["macro_f1"], ["accuracy", "macro_f1", "nll"]))
def test_the_best_can_be_told_by_likelihood(name, tiny_llama, tmp_path):
    file = tmp_path / "labels.json"
    rows = [
        {"instruction": f"{runs.CAPITALS[n % 16]} {n}", "output": ("near", "far")[n % 2]}
        for n in range(120)
    ]
    file.write_text(json.dumps(rows), encoding="utf-8")
    settings = {
        "data": {"path": str(file), "held_out": 0.4},
        "train.keep.best_by": name,
        "train.steps": 9,
    }
    one = runs.resolved(tmp_path / "run", tiny_llama, **settings)
    data = runs.data_of(one)
    folder = train(one, data)
    found = [line["evaluation"] for line in folder.steps() if "evaluation" in line]
    assert folder.best.is_dir() and len(found) == 4
    if name == "nll":
        assert all(one["nll"] == one["loss"] for one in found)
        return
    from tunesmith.models.calling.forwards import BrokenOff
    from tunesmith.models.saved import load_run
    from tunesmith.predicting.likelihoods import likelihoods
    from tunesmith.proving.options import choices_score, options_task

    task = options_task(one.run, data)
    assert set(task.options) == {"near", "far"} and [item.id for item in task.items] == [
        item.id for item in data.watch
    ]
    loaded = load_run(folder)
    rows_ = likelihoods(loaded, [task.sequences(index) for index in range(len(task.items))])
    chosen = [list(task.options)[int(row[-2:, 0].argmin())] for row in rows_]
    from tunesmith.settings.family import METRICS

    metric = METRICS.make(METRICS.config(name))
    expected = float(metric.value(metric.statistics(chosen, task.references).sum(axis=0)))
    assert found[-1][name] == pytest.approx(expected)
    with pytest.raises(BrokenOff):
        choices_score(loaded, metric, task, budget=512, stopped=lambda: True)


def test_trackers_and_the_callers_function_get_the_same_numbers(
    tiny_llama, prepared, tmp_path, monkeypatch
):
    logged: list[tuple[int, dict[str, float]]] = []
    told: dict[str, Any] = {}
    fake = types.ModuleType("wandb")
    fake.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]

    class Opened:
        def log(self, numbers: dict[str, float], step: int) -> None:
            logged.append((step, numbers))

        def finish(self) -> None:
            told["finished"] = True

    def init(**named: Any) -> Opened:
        told.update(named)
        return Opened()

    fake.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    lines: list[dict[str, Any]] = []
    one = runs.resolved(
        tmp_path / "run", tiny_llama, track=[{"name": "wandb", "project": "distances"}]
    )
    folder = train(one, prepared, events=runs.on_step(lines.append))
    assert lines == [line for line in folder.steps() if "loss" in line], (
        "evaluations and events are no steps"
    )
    assert told["project"] == "distances" and told["name"] == "run" and told["finished"]
    assert told["config"]["train"]["learning_rate"] == 1e-2
    steps = {step: numbers for step, numbers in logged if "loss" in numbers}
    assert sorted(steps) == list(range(1, 9))
    assert steps[4]["loss"] == next(line["loss"] for line in lines if line["step"] == 4)
    assert {step for step, numbers in logged if "held_out/loss" in numbers} == {0, 3, 6, 8}


def test_a_training_starts_from_its_plan_and_goes_on_with_it(tiny_llama, prepared, tmp_path):
    left_open = {
        "train.batch": None,
        "train.learning_rate": None,
        "train.micro_tokens": None,
        "train.steps": 2,
    }
    asked = runs.asked(tmp_path / "run", tiny_llama, **left_open)
    with pytest.raises(SpecError) as caught:
        train(Resolved(asked), prepared)
    assert [problem.where for problem in caught.value.problems] == still_open(asked)
    assert not (tmp_path / "run").exists()
    plan = make(asked, prepared=prepared).require()
    folder = train(plan.resolved, prepared)
    used = folder.resolved().run
    assert used == plan.resolved.run and used.train.batch == 1
    text = folder.run_yaml.read_text()
    assert "  batch: 1  # derived: so that 28 training rows for 2 epochs would make" in text
    assert (
        "  learning_rate: 0.0002  # derived: default of the method lora: Dettmers et al. 2023 (QLoRA)"
        in text
    )
    # A machine with less free memory would be asked for other cuts; who goes on asks nothing.
    again = train(folder.resolved(), prepared, resume=True)
    assert again == folder and folder.run_yaml.read_text() == text


def test_pretraining_runs_too_and_goes_on_from_a_question(tiny_llama, tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text(
        "\n".join(f"{city} is a city on a river, and it has a bridge." for city in runs.CAPITALS),
        encoding="utf-8",
    )
    one = runs.resolved(
        tmp_path / "run",
        tiny_llama,
        objective="pretrain",
        data={"path": str(file), "held_out": 0},
        questions=["Paris is"],
    )
    folder = train(one, runs.data_of(one))
    losses = [line["loss"] for line in folder.steps() if "loss" in line]
    assert losses[-1] < losses[0]
    assert len(folder.steps()[0]["answers"]) == 1


def test_every_checkpoint_can_be_looked_at(tiny_llama: Path, tmp_path: Path) -> None:
    """The run goes at the rhythm of its epochs, and a shorter one ends where its step stood."""
    rhythm = {"train.keep.save": "epoch", "train.keep.evaluate": "epoch"}
    constant = {"train.schedule": "constant", "train.warmup": 0}
    one = runs.resolved(tmp_path / "whole", tiny_llama, **rhythm, **constant)
    folder = train(one)
    steps = [*folder.models_of_steps]
    assert steps == [5, 10]
    short = runs.resolved(tmp_path / "short", tiny_llama, **constant, **{"train.steps": 5})
    ended = train(short)
    of_step = RunFolder(folder.path, "step-5")
    assert runs.weights(of_step.model) == runs.weights(ended.model)
    assert runs.weights(of_step.model) != runs.weights(folder.model)
    assert runs.weights(RunFolder(folder.path, "step-10").model) == runs.weights(folder.model)
    assert (load_run(of_step).facts or {})["step"] == 5
