"""Settings: every problem at its path, suggestions, overrides, YAML as people mean it, and no
option without effect.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

import tunesmith
from tunesmith import words
from tunesmith.cli.show_explain import lines as shown_pages
from tunesmith.errors import SpecError
from tunesmith.planning.rules import broken
from tunesmith.settings.explain import every_setting
from tunesmith.settings.explain import explain as pages_of
from tunesmith.settings.families import FAMILIES
from tunesmith.settings.family import (
    METHODS,
    METRICS,
    OBJECTIVES,
    OPTIMIZERS,
    READERS,
    SCHEDULES,
    TRACKERS,
)
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.problems import group_of
from tunesmith.settings.run import Run, read_run, validate
from tunesmith.settings.spec import Spec, closest
from tunesmith.settings.yaml_file import read_yaml

SMALLEST = {"model": "m", "data": "d.json", "out": "runs/x"}
PACKAGE = Path(tunesmith.__file__).parent


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


def problems(settings: dict) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        validate(settings)
    return {problem.where: problem.text for problem in caught.value.problems}


def test_all_problems_at_once_each_at_its_path():
    found = problems(
        {
            "model": 3,
            "data": {"path": [{"pth": "x"}], "held_out": -1},
            "objective": "stf",
            "method": {"name": "lora", "rnk": 3, "rank": 0},
            "train": {
                "bach": 1,
                "epochs": "many",
                "seed": -1,
                "machine": {"precision": "fp8"},
                "learning_rate": 0,
            },
            "generate": {"top_p": 1.5, "max_new_tokens": 1.5},
            "track": ["wandbb"],
            "lora_rank": 8,
        }
    )
    assert found == {
        "model": "must be a mapping of settings; got 3",
        "data.path.0.path": "nothing is given, and it is required; for what it is: tunesmith explain data.path.path",
        "data.path.0.pth": "there is no such setting; did you mean 'path'?",
        "data.held_out": "must be 0.0 or more, or must be a text; got -1",
        "out": "nothing is given, and it is required; for what it is: tunesmith explain out",
        "objective": "unknown objective 'stf'; did you mean 'sft'? known: "
        + ", ".join(OBJECTIVES.names()),
        "method.rnk": "there is no such setting; did you mean 'rank'?",
        "method.rank": "must be above 0; got 0",
        "train.bach": "there is no such setting; did you mean 'batch'?",
        "train.epochs": "must be a number; got 'many'",
        "train.seed": "must be 0 or more; got -1",
        "train.learning_rate": "must be above 0.0; got 0",
        "train.machine.precision": "must be 'auto', 'fp32', 'bf16' or 'fp16'; got 'fp8'",
        "generate.top_p": "must be 1.0 or less; got 1.5",
        "generate.max_new_tokens": "must be a whole number; got 1.5",
        "track.0": (
            "unknown tracker 'wandbb'; did you mean 'wandb'? known: mlflow, swanlab, tensorboard, "
            "wandb"
        ),
        "lora_rank": "is called method.rank here",
    }


def test_the_same_in_chinese():
    words.use("zh")
    found = problems(SMALLEST | {"method": {"name": "lroa"}, "train": {"bach": 1, "epochs": 0}})
    assert found["method"].startswith("没有名为 'lroa' 的方法；你是不是想写 'lora'？可用的有：")
    assert found["train.bach"] == "没有这项设置；你是不是想写 'batch'？"
    assert found["train.epochs"] == "必须大于 0.0；现在是 0"


def test_a_key_of_nothing_known_lists_what_there_is():
    assert problems(SMALLEST | {"train": {"keep": {"zzz": 1}}})["train.keep.zzz"] == (
        "there is no such setting; known here: evaluate, save, keep, best_by, patience, final"
    )
    bare = problems(SMALLEST | {"method": {"name": "full", "rank": 1}})
    assert bare["method.rank"] == "there is no such setting; it has no settings"
    assert (
        problems(SMALLEST | {"method": 3})["method"]
        == "method must be a name, or a mapping with 'name'; got 3"
    )
    nameless = problems(SMALLEST | {"track": [{"project": "x"}]})
    assert (
        nameless["track.0"]
        == "tracker must be a name, or a mapping with 'name'; got {'project': 'x'}"
    )
    assert validate(SMALLEST | {"method": {"rank": 1}}).method.rank == 1


def test_a_name_that_is_a_setting_of_a_method_is_told_as_that_setting():
    for name, told in {
        "rslora": "did you mean method=lora method.variant=rslora?",
        "dora": "did you mean method=lora method.variant=dora?",
        "pissa": "did you mean method=lora method.init=pissa?",
        "LoftQ": "did you mean method=lora method.init=loftq?",
        "houlsby": "did you mean method=bottleneck method.variant=houlsby?",
        "lora+": "did you mean method=lora method.plus_ratio=16?",
        "prompt_tuning": "did you mean method=prompt?",
        "lroa": "did you mean 'lora'?",
    }.items():
        assert told in problems(SMALLEST | {"method": name})["method"], name
    told = problems(SMALLEST | {"objective": "ipo"})["objective"]
    assert (
        "did you mean objective=cpo objective.loss=ipo or objective=dpo objective.loss=ipo?" in told
    )
    assert (
        validate(with_overrides(SMALLEST, ["method=lora", "method.variant=rslora"])).method.variant
        == "rslora"
    )


def test_short_forms():
    run = validate(
        {
            "model": "m",
            "data": ["a.json", {"path": "b.json", "weight": 2}],
            "out": "o",
            "track": "tensorboard",
        }
    )
    assert run.model.path == "m"
    assert [source.path for source in run.data.path] == ["a.json", "b.json"]
    assert (run.method.name, run.method.rank, run.objective.name, run.track[0].name) == (
        "lora",
        16,
        "sft",
        "tensorboard",
    )


def test_overrides_open_short_forms_and_replace_names():
    settings = {"model": "m", "data": "d.json", "out": "o", "method": {"name": "lora", "rank": 4}}
    run = validate(
        with_overrides(
            settings, ["train.epochs=1", "method=full", "data.limit=10", "model.dtype=bf16"]
        )
    )
    assert (run.train.epochs, run.method.name, run.data.path, run.data.limit, run.model.path) == (
        1,
        "full",
        "d.json",
        10,
        "m",
    )
    assert (
        validate(with_overrides(SMALLEST, ["train.learning_rate=1e-4"])).train.learning_rate == 1e-4
    )
    run = validate(
        with_overrides(
            SMALLEST | {"method": "lora"}, ["method.rank=2", "prove.metrics=[bleu, chrf]"]
        )
    )
    assert (run.method.rank, run.prove.metrics) == (2, ("bleu", "chrf"))
    assert settings["method"] == {"name": "lora", "rank": 4}
    with pytest.raises(
        SpecError, match=r"train: is neither a file nor a setting; write key.path=value"
    ):
        with_overrides({}, ["train"])
    told = r"data.path.0.weight: leads through a list; .*: data.path=\[…, \{weight: …\}, …\]"
    with pytest.raises(SpecError, match=told):
        with_overrides({"data": {"path": ["a"]}}, ["data.path.0.weight=2"])


@pytest.mark.parametrize("settings", [{}, {"data": ["a.json", {"path": "b.json", "weight": 2}]}])
def test_a_list_of_files_has_settings_behind_it(settings: dict[str, object]) -> None:
    given = [] if settings else ["data=[a.json, {path: b.json, weight: 2}]"]
    merged = with_overrides(settings, ["data.mix={temperature: 2}", "data.limit=10", *given])
    run = validate(SMALLEST | merged)
    assert [source.path for source in run.data.sources] == ["a.json", "b.json"]
    assert run.data.mix is not None and (run.data.mix.temperature, run.data.limit) == (2, 10)
    with pytest.raises(SpecError, match=r"method.rank: leads through a list"):
        with_overrides(settings, ["method=[lora, ln_tuning]", "method.rank=2"])


def test_a_setting_of_a_group_counts_before_and_after_the_groups_name():
    given = ["method.rank=2", "data.template=Q: {instruction}", "method=lora", "data=rows.json"]
    for pairs in (given, given[::-1]):
        run = validate(with_overrides(SMALLEST, pairs))
        assert (run.method.rank, run.data.template, run.data.path) == (
            2,
            "Q: {instruction}",
            "rows.json",
        )


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 {x: 1, y: 2}\n"
        + "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}\n" for n in range(1, 40)),
        "a: &a [*a]",
        "a: " + "[" * 20_000,
        "a: 2026-02-31",
        "a: \0",
    ],
)
def test_a_yaml_text_that_cannot_be_read_whole_is_one_error(text: str) -> None:
    """Thirty lines of aliases say 2**40 values; no form and no file may keep a machine busy so."""
    with pytest.raises(SpecError) as told:
        read_yaml(text, "run.yaml")
    assert [one.where for one in told.value.problems] == ["run.yaml"]


def test_questions_that_need_quotes_are_no_files_name() -> None:
    with pytest.raises(SpecError) as error:
        read_run(None, ["model=m", "data=d", "out=o", "questions=[Where is it?, Why?]"])
    (problem,) = error.value.problems
    assert problem.where == "questions"
    given = problem.text.rpartition("YAML: ")[2].replace("'", "")
    assert read_run(None, ["model=m", "data=d", "out=o", given]).questions == (
        "Where is it?",
        "Why?",
    )


def test_a_mapping_takes_over_another() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}"
    assert read_yaml(text) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


def test_yaml_as_people_mean_it(tmp_path: Path):
    assert read_yaml("a: 1e-4\nb: 2E5\nc: -1e+3\nd: v1e4") == {
        "a": 1e-4,
        "b": 2e5,
        "c": -1000.0,
        "d": "v1e4",
    }
    file = tmp_path / "run.yaml"
    file.write_text(
        "model: m\ndata: d\nout: o\ntrain: {epochs: 1}\ntrain: {epochs: 2}\n", encoding="utf-8"
    )
    with pytest.raises(SpecError) as caught:
        read_run(file)
    assert str(caught.value) == f"{file}:5: the key 'train' is given twice"
    file.write_text("model: [m\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"run.yaml:2: this is not YAML"):
        read_run(file)
    file.write_text("- a\n", encoding="utf-8")
    with pytest.raises(
        SpecError, match="holds a list; a run must be a mapping with model, data and out"
    ):
        read_run(file)
    file.write_bytes("model: 模型\n".encode("gbk"))
    with pytest.raises(SpecError, match="is not UTF-8 text"):
        read_run(file)
    with pytest.raises(SpecError, match=r"absent.yaml: there is no such file"):
        read_run(tmp_path / "absent.yaml")


OBJECTIVE = '''
from __future__ import annotations
from dataclasses import dataclass
from typing import Annotated
from annotated_types import Gt
from tunesmith.examples import Chat
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.settings.spec import Spec

@dataclass
class Held:
    size: int

@OBJECTIVES.register
class Mine(Objective):
    """Mine."""
    eats = Chat
    class Config(Spec):
        """Mine."""
        power: Annotated[float, Gt(0)] = 2.0
        """Power."""
'''


def test_an_objective_in_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my_loss", "sft"):  # one of them has the name of ours
        (tmp_path / f"{name}.py").write_text(OBJECTIVE, encoding="utf-8")
        run = validate(SMALLEST | {"objective": {"name": f"./{name}.py", "power": 3}})
        assert run.objective.power == 3.0
        assert OBJECTIVES.make(run.objective).config.power == 3.0
        assert run.objective.help_of("power") == "Power."
        # What run.yaml holds reads back from anywhere.
        monkeypatch.chdir("/")
        assert validate(run.model_dump(mode="json")).objective.power == 3.0
        monkeypatch.chdir(tmp_path)
    assert validate(SMALLEST).objective.name == "sft"
    wrong = problems(SMALLEST | {"objective": {"name": "./my_loss.py", "powr": 3}})
    assert wrong == {"objective.powr": "there is no such setting; did you mean 'power'?"}
    assert problems(SMALLEST | {"objective": "./absent.py"})["objective"].endswith(
        "absent.py': there is no such file"
    )
    (tmp_path / "bad.py").write_text("def (", encoding="utf-8")
    assert (
        "does not load: SyntaxError" in problems(SMALLEST | {"objective": "./bad.py"})["objective"]
    )
    (tmp_path / "wrong.py").write_text("absent_name + 1", encoding="utf-8")
    assert (
        "does not load: NameError" in problems(SMALLEST | {"objective": "./wrong.py"})["objective"]
    )
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    assert problems(SMALLEST | {"objective": "./empty.py"})["objective"].endswith(
        "registers no class; put @OBJECTIVES.register above it"
    )
    for name in [name for name in OBJECTIVES.names() if name.endswith(".py")]:
        del OBJECTIVES._classes[name]


def test_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "outside_method.py").write_text(
        "from tunesmith.methods import METHODS, Method\n\n@METHODS.register\nclass M(Method):\n   "
        " learning_rate = 1.0\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint("outside_method", "outside_method:M", "tunesmith.methods")
    monkeypatch.setattr(
        "tunesmith.settings.family.entries",
        lambda group: [entry] if group == "tunesmith.methods" else [],
    )
    assert "outside_method" in METHODS.names()
    assert validate(SMALLEST | {"method": "outside_method"}).method.name == "outside_method"
    del METHODS._classes["outside_method"]


def test_a_resolved_run_reads_back_as_it_was_written(tmp_path: Path):
    from tunesmith.settings.resolved import Origin, Resolved

    data = {"path": ["a#b: c"], "template": "问：{q}\n答：{a}"}
    run = validate(SMALLEST | {"data": data, "generate": {"stop": ["\n", "#"]}, "method": "full"})
    text = Resolved(run, {"train.epochs": Origin("derived", "why")}).dump()
    assert "epochs: 3.0  # derived: why" in text
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    assert read_run(tmp_path / "run.yaml") == run


def explain(path: str) -> list[str]:
    return shown_pages(pages_of(path))


def test_explain_says_type_default_and_choices():
    told = explain("train.learning_rate")
    assert told[1].startswith("  Peak learning rate; the method's own default")
    assert told[2:4] == ["  type: number, above 0, 1,000 or less", "  default: -"]
    assert any(
        line.startswith("  default of the method lora: 0.0002 (Dettmers et al. 2023")
        for line in told
    )
    assert "  type: one of stop, drop, truncate, split" in explain("data.too_long")
    assert "  required" in explain("out")
    assert any(line.startswith("  lora ") for line in explain("method"))
    assert explain("method.rank") == explain("method.lora.rank")
    assert explain("objective.threshold") == explain("objective.classify.threshold")
    assert [
        line
        for line in explain("objective.hard") + explain("objective.beta")
        if line.startswith("objective.")
    ] == [
        f"objective.{one}"
        for one in (
            "distill.hard",
            *(f"{name}.beta" for name in ("cpo", "distill", "dpo", "gkd", "kto", "orpo", "simpo")),
        )
    ], "every plug-in that has the setting is named"
    assert any(line.startswith("  rank ") for line in explain("method.lora"))
    assert any(line.startswith("  bleu ") for line in explain("metrics"))
    with pytest.raises(
        SpecError, match=r"train.bach: there is no such setting; did you mean 'batch'?"
    ):
        explain("train.bach")
    with pytest.raises(SpecError, match=r"is called train.epochs here"):
        explain("num_train_epochs")
    with pytest.raises(SpecError, match=r"unknown method 'lroa'; did you mean 'lora'?"):
        explain("method.lroa")
    assert explain("lora") == explain("method=lora") == explain("method.lora") and explain(
        "seed"
    ) == explain("train.seed")
    told = "\n".join(explain("lora"))
    assert (
        "learning rate when none is given: 0.0002 (Dettmers" in told
        and "rates worth searching: 5e-05 to 0.002" in told
    )
    assert "twice the rank when not given. [default: -]" in told and "(q_proj), or regular" in told
    assert all(
        any(f"  {name} " in line for line in explain(f"{kind}s"))
        for kind, name in (("schedule", "cosine"), ("optimizer", "sgd"))
    )
    assert any(
        line.endswith("where the answers come from a small set.") for line in explain("train.keep")
    ), "help is cut nowhere"
    assert "  Lower is better." in explain("metric.nll") and any(
        "Higher is better." in line for line in explain("metrics")
    )
    assert any("instruction  what is asked" in line for line in explain("alpaca"))
    for path in every_setting():
        assert explain(path)[1].strip(), path


def _leaf_fields(group: type[BaseModel]) -> dict[type[BaseModel], list[str]]:
    found: dict[type[BaseModel], list[str]] = {group: []}
    for name, field in group.model_fields.items():
        inner = group_of(field.annotation)
        # A group's path is the group in short: data=FILE.
        if inner is None and name != "path":
            found[group].append(name)
        if inner is not None:
            found |= _leaf_fields(inner)
    return found


def test_no_group_has_more_than_fourteen_settings():
    for group, names in _leaf_fields(Run).items():
        assert len(names) <= 14, (group.__name__, names)
        assert group.__doc__


def _attributes_read() -> set[str]:
    """Names of attributes that are read anywhere but where settings are defined, shown or
    explained.
    """
    not_readers = {
        "spec.py",
        "run.py",
        "explain.py",
        "table.py",
        "rules.py",
        "peers.py",
        "importing.py",
    }
    read: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        if str(file.relative_to(PACKAGE)) in not_readers:
            continue
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        called = {
            node.func for node in nodes if isinstance(node, ast.Call)
        }  # a setting is no method: ``stop()`` reads none
        read |= {
            word.value
            for node in nodes
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "values"
            for word in node.args
            if isinstance(word, ast.Constant)
        }  # ``config.values("seconds")`` reads it
        for node in nodes:
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Load)
                and node not in called
            ):
                read.add(node.attr)
    return read


def test_no_option_without_effect():
    read = _attributes_read()
    settings = [
        (group.__name__, name) for group, names in _leaf_fields(Run).items() for name in names
    ]
    unread = [f"{group}.{name}" for group, name in settings if name not in read]
    families = (METHODS, OBJECTIVES, READERS, METRICS, OPTIMIZERS, SCHEDULES, TRACKERS)
    unread += [
        f"{family.kind}.{name}.{field}"
        for family in families
        for name in family.names()
        for field in family.get(name).Config.model_fields
        if field not in read
    ]
    assert not unread


def _numbers(spec: type[Spec], path: str = "") -> Iterator[str]:
    """The paths of all settings that take a number."""
    for name, field in spec.model_fields.items():
        group = group_of(field.annotation)
        if group is not None:
            yield from _numbers(group, f"{path}{name}.")
        elif re.search(r"\b(int|float)\b", str(field.annotation)):
            yield f"{path}{name}"


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", ".inf", ".nan", "1e400"])
def test_a_number_that_is_not_finite_is_refused_in_every_setting(value: str):
    lists = ("data.path", "data.held_out")
    paths = [path for path in _numbers(Run) if not path.startswith(lists)]
    number = float(value.lstrip(".").replace("-.", "-"))
    assert len(paths) > 20
    plain = {"model": "m", "data": "d", "out": "o", "tournament": {"methods": ["lora"]}}
    for path in paths:
        with pytest.raises(SpecError) as error:
            validate(with_overrides(plain, [f"{path}={value}"]))
        assert any(path in problem.where for problem in error.value.problems), path
    for data in ({"path": "d", "held_out": number}, {"path": [{"path": "d", "weight": number}]}):
        with pytest.raises(SpecError, match="finite"):
            validate({"model": "m", "data": data, "out": "o"})


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_not_finite_is_refused_by_every_plug_in(value: float):
    """By that very reason, as one number, in a list or under a name; every family is walked."""
    groups = {family.get(name).Config for family in FAMILIES.values() for name in family.names()}
    seen = 0
    for group in groups:
        for path in _numbers(group):
            reasons: set[str] = set()
            for given in (value, [value], {"x": value}):
                nested: object = given
                for part in reversed(path.split(".")):
                    nested = {part: nested}
                with pytest.raises(ValidationError) as error:
                    group.model_validate(nested)
                reasons |= {
                    one["type"]
                    for one in error.value.errors()
                    if ".".join(map(str, one["loc"])).startswith(path)
                }
            assert reasons & {"finite_number", "int_from_float", "int_type"}, (group, path, reasons)
            seen += 1
    assert seen > 80


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"method": {"name": "lora", "r": 8}}, "method.r: is called method.rank here"),
        ({"train": {"device": "cpu"}}, "train.device: its place here: train.machine.device"),
        ({"max_length": 9}, "max_length: is called data.max_length here"),
        ({"rank": 8}, "rank: its place here: method.rank"),
        ({"by": "influence"}, "by: its place here: data.mix.by, or prune.how.by"),
        ({"objective": "rm"}, "did you mean objective=reward?"),
        (
            {"objective": {"name": "classify", "labels": [False, True]}},
            "YAML reads an unquoted no (or on, off, true, false) as true or false: write it in quotes",
        ),
    ],
)
def test_what_people_write_is_answered_with_what_it_is_here(settings: dict, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate({"model": "m", "data": "d", "out": "o", **settings})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("data.limit=yes", "data.limit: must be a number; YAML reads yes"),
        ("data.held_out=true", "data.held_out: must be a number; YAML reads yes"),
        ("train.steps=on", "train.steps: must be a number; YAML reads yes"),
        ("method.rank=yes", "method.rank: must be a number; YAML reads yes"),
        ("data.limit=-5", "data.limit: must be above 0, or must be a mapping of settings; got -5"),
    ],
)
def test_a_word_that_yaml_reads_as_true_is_no_number(setting: str, told: str) -> None:
    words.use("en")
    with pytest.raises(SpecError) as caught:
        validate(with_overrides(SMALLEST, [setting]))
    assert told in str(caught.value)


def test_numbers_are_taken_for_labels_and_columns() -> None:
    run = validate(
        {
            "model": "m",
            "data": {"path": "d", "columns": {"question": 0, "answer": 1}},
            "out": "o",
            "objective": {"name": "classify", "labels": [1, 2, 3]},
        }
    )
    assert run.data.columns == {"question": "0", "answer": "1"}
    assert run.objective.labels == ("1", "2", "3")


def test_a_metric_by_the_name_that_people_give_it() -> None:
    with pytest.raises(SpecError, match=r"unknown metric 'f1'; did you mean macro_f1\?"):
        METRICS.get("f1")


def test_overrides_leave_what_they_were_made_of_as_it_was():
    overrides = {"source": {"rewards": "exact"}, "source.samples": 4}
    assert with_overrides({}, overrides) == {"source": {"rewards": "exact", "samples": 4}}
    assert overrides == {"source": {"rewards": "exact"}, "source.samples": 4}


def test_a_name_where_none_belongs_is_not_sent_to_another_plug_in() -> None:
    asked = {"model": "m", "data": "d", "out": "o", "name": "first"}
    with pytest.raises(SpecError) as caught:
        validate(asked)
    assert "place here" not in str(caught.value) and "no such setting" in str(caught.value)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"prove": {"metrics": ["f1"]}}, "macro_f1"),
        ({"prove": {"primary": "f1"}}, "macro_f1"),
        ({"train": {"keep": {"best_by": "f1"}}}, "macro_f1"),
        ({"prove": {"metrics": ["rogue_l"]}}, "'rouge_l'"),
    ],
)
def test_what_a_metric_is_called_elsewhere_is_told_with_its_name_here(
    where: dict[str, object], told: str
) -> None:
    run = validate({"model": "m", "data": "d", "out": "o", **where})
    assert f"did you mean {told}" in "\n".join(problem.text for problem in broken(run))


def test_every_plug_ins_settings_are_read_by_name() -> None:
    """A reward has a setting ``keys``, which ``dict`` took for a method."""
    for family in FAMILIES.values():
        for name in family.names():
            config = family.get(name).Config.model_construct()
            assert set(config.values()) <= set(type(config).model_fields)


def test_a_name_in_other_letters_is_near():
    assert closest("ANSWR", ["QUESTION", "ANSWER"]) == "; did you mean 'ANSWER'?"
    assert closest("complex_cot", ["Question", "Complex_CoT"]) == "; did you mean 'Complex_CoT'?"
    assert closest("colour", ["QUESTION", "ANSWER"]) == ""
