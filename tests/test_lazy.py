"""Without torch: the import, the help, and the validation of every recipe answer, and nothing heavy
is loaded.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from material.fast import slow_but
from tunesmith.cli.main import main

RECIPES = Path(__file__).parents[1] / "recipes"

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "peft"):
            # pydantic would take an AssertionError for a bad value
            raise RuntimeError(f"{name} was imported")

sys.meta_path.insert(0, Blocked())
import io, contextlib
import tunesmith
from tunesmith.cli.main import main

def said(words):
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main(words)
    return code, out.getvalue(), error.getvalue()

code, out, _ = said(["--help"])
assert code == 0 and "prove" in out, (code, out)
code, out, _ = said(["--lang", "zh", "plan", "--help"])
assert code == 0 and "只看计划" in out, (code, out)
code, out, _ = said(["explain", "method", "--lang", "en"])
assert code == 0 and "lora" in out, (code, out)
for verb in ("plan", "train", "sft"):
    code, _, error = said(
        [verb, "model=m", "data=d", "out=o", "train.bach=3", "method.rnk=2", "--lang", "en"]
    )
    wanted = "train.bach: there is no such setting; did you mean 'batch'?"
    assert code == 2 and wanted in error, (verb, code, error)
    assert "method.rnk" in error and "Traceback" not in error, error
# It takes longer to import than all that refuses a setting.
assert "tunesmith.data.reading" not in sys.modules

from tunesmith.settings.run import read_run
from tunesmith.settings.families import FAMILIES
from tunesmith.planning.rules import broken
from tunesmith.settings.yaml_file import read_settings
from tunesmith.planning.stages import stages_of

plug_ins = [family.get(name) for family in FAMILIES.values() for name in family.names()]
assert len(plug_ins) > 100  # every plug-in there is was imported
recipes = sys.argv[1:]
for recipe in recipes:
    runs = [stage.run for stage in stages_of(settings)] if "stages" in (settings := read_settings(recipe)) else [read_run(recipe)]
    # A tracker may not be installed, the demo may have been run before, and one recipe is a tournament's.
    wrong = [problem for run in runs for problem in broken(run) if not problem.where.startswith(("track", "out", "tournament"))]
    assert not wrong, recipe
heavy = {"torch", "transformers", "peft"} & set(sys.modules)
assert not heavy, heavy
print("light")
"""


def test_help_and_validation_need_no_torch():
    recipes = [str(path) for path in sorted(RECIPES.glob("*.yaml"))]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *recipes],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=RECIPES.parent,
    )
    assert done.stdout.strip().endswith("light"), done.stdout + done.stderr


HEAVY = {
    *("torch", "transformers", "transformers.models.auto", "transformers.modeling_utils", "peft"),
    "torch.distributed.tensor",  # 0.9 s, for runs that are divided over processes
    *("sklearn", "scipy", "pandas", "matplotlib", "bitsandbytes", "datasets", "accelerate"),
}
VERBS = {
    "check {rows} model={runs}/base": {"transformers"},
    "plan data={rows} model={runs}/base out={out} method.rank={rank}": {"torch", "transformers"},
    "explain method.rank": set(),
    "runs {runs}": set(),
    "compare {runs}/sft {runs}/dpo": set(),
    "report {runs}/sft": {"torch", "matplotlib"},
    "doctor": {"torch"},
}
"""A verb, and what of HEAVY it may load."""
LOADED = """
import json, sys
from tunesmith.cli.main import main
code = main(sys.argv[2:])
heavy = [name for name in json.loads(sys.argv[1]) if name in sys.modules]
print(json.dumps({"code": code, "heavy": heavy}))
"""


LONG = ("report {runs}/sft", "doctor")


@pytest.mark.parametrize("words", slow_but([one for one in VERBS if one not in LONG], VERBS))
def test_a_verb_loads_what_it_needs(words, tmp_path):
    rows, runs = tmp_path / "rows.jsonl", tmp_path / "runs"
    lines = [json.dumps({"question": f"what is {n}", "answer": f"it is {n}"}) for n in range(60)]
    rows.write_text("\n".join(lines))
    shutil.copytree(Path(__file__).parent / "material" / "old_runs", runs)
    for path in [*runs.rglob("*.json"), *runs.rglob("run.yaml")]:
        path.write_text(path.read_text(encoding="utf-8").replace("@HERE@", str(runs)), "utf-8")
    given = {"rows": rows, "runs": runs, "out": tmp_path / "run", "rank": 3}
    if words.startswith("plan"):  # the first plan of a model counts its weights, and is made here
        main([*words.format(**given | {"rank": 2}).split(), "--json"])
    command = [
        *(sys.executable, "-c", LOADED, json.dumps(sorted(HEAVY))),
        *words.format(**given).split(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] in (0, None), done.stdout + done.stderr
    assert set(told["heavy"]) == VERBS[words]


@pytest.mark.parametrize("verb", ["train", "tournament", "search", "curve"])
def test_a_training_without_its_rows_says_so_before_torch_is_loaded(verb, tmp_path):
    base = Path(__file__).parent / "material" / "old_runs" / "base"
    given = [f"model={base}", f"data={tmp_path / 'absent.json'}", f"out={tmp_path / 'run'}"]
    command = [sys.executable, "-c", LOADED, json.dumps(sorted(HEAVY)), verb, *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert json.loads(done.stdout) == {"code": 2, "heavy": []}, done.stderr
    assert "absent.json: " in done.stderr and not (tmp_path / "run").exists()


def test_recipes_are_short():
    for path in RECIPES.glob("*.yaml"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 25, path.name


def test_no_room_takes_the_name_of_a_public_function():
    # Importing a package `tunesmith.plan` would put it in the place of the function
    # `tunesmith.plan`.
    import tunesmith

    package = Path(tunesmith.__file__).parent
    rooms = {path.stem for path in package.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert rooms & set(tunesmith.__all__) == set()
