"""What is put off is not there until it is used, and then it is the real thing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunesmith.models.structure.imports import LATE

USED = {
    "transformers.tokenization_utils_tokenizers": "module.load_gguf_checkpoint('missing.gguf')",
    "transformers.generation.candidate_generator": "module.roc_curve([0, 1], [0.2, 0.7])",
}
TRIED = """
import sys
from importlib import import_module
import tunesmith.models
name, late, use = sys.argv[1:]
module = import_module(name)
assert late not in sys.modules, late
import sklearn.metrics, inspect
assert sklearn.metrics.roc_curve([0, 1], [0.2, 0.7])[0][-1] == 1  # one's own import is the real one
assert inspect.getsource(module)
try:
    eval(use)
except FileNotFoundError as error:
    print(error)
assert late in sys.modules and sys.modules[late].__file__, late
assert type(sys.modules[late]).__name__ != "_Late"
print("real")
"""


def tried(code: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return (done.stdout.strip() or done.stderr).splitlines()[-1]


@pytest.mark.slow  # each begins a process that loads all: 8 s
@pytest.mark.parametrize(("name", "late"), LATE.items())
def test_it_is_loaded_when_it_is_used(name, late):
    assert tried(TRIED, name, late, USED[name]) == "real"


def test_a_module_that_needs_more_than_functions_gets_the_real_one(tmp_path):
    (tmp_path / "early.py").write_text("from later.inside import Base\nclass Mine(Base): pass\n")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "__init__.py").write_text("")
    (tmp_path / "later" / "inside.py").write_text("class Base: word = 'real'\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tunesmith.models.structure.imports import LATE\n"
        "import tunesmith.models\n"
        "LATE['early'] = 'later'\n"
        "import early; print(early.Mine.word)"
    )
    assert tried(code, str(tmp_path)) == "real"


def test_what_is_not_installed_does_not_look_installed(tmp_path):
    (tmp_path / "early.py").write_text(
        "from importlib.util import find_spec\nword = find_spec('never_installed')\n"
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tunesmith.models.structure.imports import LATE\n"
        "import tunesmith.models\n"
        "LATE['early'] = 'never_installed'\n"
        "import early; print(early.word)"
    )
    assert tried(code, str(tmp_path)) == "None"
