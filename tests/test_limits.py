"""The limits of the house, by a walk over the source: sizes, inheritance, guesses, repeats, and which way imports point."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tunesmith

PACKAGE = Path(tunesmith.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

FILE_LINES, FUNCTION_LINES, POSITIONAL, REPEATED = 300, 50, 5, 0.03
MAY_GUESS = {"models/load.py", "training/device.py", "spec.py"}
FORBIDDEN_NAMES = {"utils", "util", "misc", "common", "helpers", "helper"}

# From left to right; a module imports only what stands to its right, or beside it in its own package.
ORDER: list[set[str]] = [
    {"__main__"},
    {"cli"},
    {"commands"},
    {"demo", "settings_line", "standard_input", "web", "tunesmith"},
    {"verbs"},
    {"arena", "teaching"},
    {"importing", "doctor", "planning", "table", "rules", "estimate", "explain", "stages", "places"},
    {"report"},
    {"export"},
    {"training"},
    {"evaluate"},
    {"objectives", "methods"},
    {"models"},
    {"data"},
    {"cuts"},
    {"batch", "examples"},
    {"trees"},
    {"folder"},
    {"run"},
    {"overrides"},
    {"entries", "teacher"},
    {"peers", "spec"},
    {"errors"},
    {"words"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(PACKAGE)}:{node.lineno}"  # type: ignore[attr-defined]


def test_files_are_short():
    long = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in zip(NAMES, FILES, strict=True)}
    assert {name: lines for name, lines in long.items() if lines > FILE_LINES} == {}


def test_functions_are_short():
    def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        assert function.end_lineno is not None
        return function.end_lineno - function.lineno + 1

    found = [(where(path, one), one.name, lines(one)) for path in FILES for one in functions(path)]
    assert [one for one in found if one[2] > FUNCTION_LINES] == []


def test_few_positional_parameters():
    def count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        names = [argument.arg for argument in [*function.args.posonlyargs, *function.args.args]]
        return len(names) - (names[:1] in (["self"], ["cls"]))

    # typer reads the parameters of a verb by name; they are options, never positional.
    files = [path for path in FILES if path.name != "commands.py"]
    assert [(where(path, one), one.name) for path in files for one in functions(path) if count(one) > POSITIONAL] == []


def test_inheritance_is_one_level():
    classes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    deep = {
        name: bases
        for name, bases in classes.items()
        for base in bases
        if any(above in classes for above in classes.get(base, [])) and base != name
    }
    assert deep == {}


def test_nothing_is_guessed():
    found = [
        where(path, node)
        for name, path in zip(NAMES, FILES, strict=True)
        if name not in MAY_GUESS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")
    ]
    assert found == []


def test_one_place_catches_everything():
    found = []
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = "everything" if node.type is None else ast.unparse(node.type)
                cleans_up = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                if caught in ("everything", "Exception", "BaseException") and not cleans_up:
                    found.append(f"{path.relative_to(PACKAGE)} {caught}")
    assert found == ["cli.py Exception"]


def test_names_say_what_a_file_is():
    assert [name for name in NAMES if {Path(name).stem, *Path(name).parts} & FORBIDDEN_NAMES] == []


def test_every_module_says_what_it_is():
    for name, path in zip(NAMES, FILES, strict=True):
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            continue  # an empty __init__
        told = ast.get_docstring(tree(path))
        assert told and len(told.splitlines()) <= 5, name


def windows(path: Path, size: int = 6) -> Iterator[tuple[int, tuple[str, ...]]]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line and not line.startswith(("#", "import ", "from ", '"""'))]
    for start in range(len(kept) - size + 1):
        yield start, tuple(kept[start : start + size])


def test_little_is_written_twice():
    places: dict[tuple[str, ...], set[str]] = defaultdict(set)
    total = 0
    for path in FILES:
        for _, window in windows(path):
            places[window].add(str(path.relative_to(PACKAGE)))
            total += 1
    shared = {window: files for window, files in places.items() if len(files) > 1}
    told = sorted((sorted(files), window[0]) for window, files in shared.items())
    assert sum(len(files) for files in shared.values()) / total <= REPEATED, told


def top(name: str) -> str:
    """``tunesmith.data.render`` -> data; the package itself -> tunesmith."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "tunesmith"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every import of ours, those inside functions too; type-checking ones are not run."""
    hidden = {
        inner
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree(path)):
        if node in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tunesmith":
            if node.module == "tunesmith":
                for alias in node.names:
                    is_module = (PACKAGE / f"{alias.name}.py").is_file() or (PACKAGE / alias.name).is_dir()
                    yield node.lineno, alias.name if is_module else "tunesmith"
            else:
                yield node.lineno, top(node.module)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tunesmith":
                    yield node.lineno, top(alias.name)


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_one_way(name: str):
    own = Path(name).parts[0].removesuffix(".py")
    own = "tunesmith" if name == "__init__.py" else own
    assert own in RANK, f"{own} has no place in the order of imports"
    wrong = []
    for line, other in imports(PACKAGE / name):
        if other == "tunesmith":
            continue  # the package's own names, such as its version, import nothing
        assert other in RANK, f"{name}:{line} imports {other}, which has no place in the order"
        if other != own and RANK[other] <= RANK[own] and not (RANK[other] == RANK[own] and not (PACKAGE / own).is_dir()):
            wrong.append(f"{name}:{line} imports {other}")
    assert wrong == []
