"""The limits of the house, by a walk over the source: sizes, inheritance, guesses, repeats, and
which way imports point.
"""

from __future__ import annotations

import ast
import re
import runpy
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tunesmith
from material.verbs import AFTER_A_NOUN, NOUNS_TOO, VERBS

PACKAGE = Path(tunesmith.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

SIZE = runpy.run_path(str(PACKAGE.parent / "benchmarks" / "size.py"))

FILE_LINES, FUNCTION_LINES, POSITIONAL, REPEATED = 400, 60, 5, 0.03
TEMPLATE_LINES = 300
ANY_A_THOUSAND, NODES_A_LINE, VAGUE_PERCENT = 12, 9.9, 0.5
MAY_GUESS = {
    *("models/loading/load.py", "models/calling/routing.py", "models/structure/kinds.py"),
    "models/structure/imports.py",
    *("machine/device.py", "machine/micro_batch.py", "settings/family.py"),
    *("__init__.py", "training/trackers/__init__.py"),
}
FORBIDDEN_NAMES = {"utils", "util", "misc", "common", "helpers", "helper"}

# From the top floor to the ground: a room imports only what stands below it. A room is a folder, or
# a file at the root.
FLOORS = [
    "__main__",
    "cli",
    "ui",
    "api",
    "serving",
    "voting",
    "hand_off",
    "launching",
    "launching/clusters",
    "blending",
    "diagnosis",
    "data/augmenting",
    "data/documents",
    "teaching",
    "automatic",
    "curves",
    "sequences",
    "tournaments",
    "searches",
    "searches/places",
    "searches/engines",
    "trials",
    "planning",
    "pruning",
    "pruning/pruners",
    "pruning/parts",
    "training",
    "training/optimizers",
    "training/schedules",
    "training/sources",
    "training/evaluation",
    "export",
    "export/formats",
    "export/gguf",
    "export/rounding",
    "export/onnx",
    "export/folders",
    "outputs",
    "report",
    "health",
    "training/keeping",
    "training/trackers",
    "machine",
    "proving",
    "rollout",
    "rewards",
    "suites",
    "predicting",
    "metrics",
    "objectives",
    "models",
    "models/roles",
    "models/finding",
    "methods",
    "models/adapters",
    "models/loading",
    "data",
    "data/detectors",
    "data/transforms",
    "data/rewording",
    "data/files",
    "data/readers",
    "data/texts",
    "storage",
    "pages",
    "display",
    "models/calling",
    "data/rendering",
    "data/columns",
    "models/adapters/layers",
    "models/structure",
    "settings",
    "errors",
    "batches",
    "examples",
    "events",
    "words",
    "plain",
]
FLOOR = {name: floor for floor, name in enumerate(FLOORS)}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file; walked once, for a walk over all files takes 2 s."""
    return tuple(ast.walk(tree(path)))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (
        node for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(PACKAGE)}:{node.lineno}"  # type: ignore[attr-defined]


def test_files_are_short():
    long = {
        name: len(path.read_text(encoding="utf-8").splitlines())
        for name, path in zip(NAMES, FILES, strict=True)
    }
    assert {name: lines for name, lines in long.items() if lines > FILE_LINES} == {}


def test_templates_scripts_and_styles_are_short_and_all_are_our_own():
    """Nothing of others is vendored: a page needs no script but these, and asks no other place."""
    shown = [path for end in ("j2", "js", "css") for path in PACKAGE.rglob(f"*.{end}")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in shown}
    long = {name: len(text.splitlines()) for name, text in texts.items()}
    assert {name: lines for name, lines in long.items() if lines > TEMPLATE_LINES} == {}
    scripts = {path.name for path in shown if path.suffix == ".js"}
    assert scripts == {"arena.js", "chat.js", "new.js", "sent.js", "ui.js"}
    asked = re.compile(r"""(?:src|href|url|import|fetch)\W{1,3}(?:https?:)?//""")
    assert [name for name, text in texts.items() if asked.search(text)] == []


def test_functions_are_short():
    def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        assert function.end_lineno is not None
        return function.end_lineno - function.lineno + 1

    found = [(where(path, one), one.name, lines(one)) for path in FILES for one in functions(path)]
    assert [one for one in found if one[2] > FUNCTION_LINES] == []


@cache
def sums() -> dict[str, int]:
    """The sums over the package, which take 2 s."""
    return SIZE["measured"](PACKAGE)


def test_types_are_named_and_lines_are_simple():
    """By the sums of benchmarks/size.py, which prints them."""
    counts = sums()
    guessed = 1000 * counts["Any"] / counts["lines"]
    assert guessed < ANY_A_THOUSAND, (
        f"{guessed:.1f} Any a thousand lines: give new code true types (Tokenizer, torch.nn.Module, "
        "a dataclass or TypedDict, object for what is only passed on), and the names of plain.py "
        "for rows and JSON"
    )
    full = counts["nodes"] / counts["lines of code"]
    assert full <= NODES_A_LINE, (
        f"{full:.2f} syntax nodes a line of code: write folded expressions as statements"
    )


def test_names_say_what_they_hold():
    counts = sums()
    vague = 100 * counts["vague names"] / counts["assigned names"]
    assert vague < VAGUE_PERCENT, (
        f"{vague:.2f} % of the names that values get are one of {sorted(SIZE['VAGUE'])}: say what is "
        "held, such as rows, missing_keys, column"
    )


def test_any_has_no_second_name():
    """`Value = Any` would hide it from the sum above."""
    renamed = [
        where(path, node)
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Any"
    ]
    assert renamed == [], "say what the values are, or write Any where it is meant"


def test_few_positional_parameters():
    def count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        names = [argument.arg for argument in [*function.args.posonlyargs, *function.args.args]]
        return len(names) - (names[:1] in (["self"], ["cls"]))

    # typer reads the parameters of a verb by name; they are options, never positional.
    files = [path for path in FILES if path.parent.name != "cli"]
    assert [
        (where(path, one), one.name)
        for path in files
        for one in functions(path)
        if count(one) > POSITIONAL
    ] == []


def test_inheritance_is_one_level():
    classes: dict[str, list[str]] = {}
    for path in FILES:
        for node in nodes(path):
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
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr")
    ]
    assert found == []


def test_no_attribute_is_read_through_vars():
    """``vars(x)[name]`` is getattr by another name; a Spec has ``values``."""
    found = [
        where(path, node)
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "vars"
    ]
    assert found == []


def test_one_place_catches_everything():
    found = []
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.ExceptHandler):
                caught = "everything" if node.type is None else ast.unparse(node.type)
                cleans_up = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                if caught in ("everything", "Exception", "BaseException") and not cleans_up:
                    found.append(f"{path.relative_to(PACKAGE)} {caught}")
    # parallel.py carries an error to the other processes of a run, which raise it again. After a
    # fault with one request a server answers the next.
    assert found == [
        "cli/main.py Exception",
        "machine/parallel.py Exception",
        "rewards/_run_code.py BaseException",
        *(f"serving/{name}.py Exception" for name in ("alone", "engine", "guard", "reader")),
    ]


def test_names_say_what_a_file_is():
    assert [name for name in NAMES if {Path(name).stem, *Path(name).parts} & FORBIDDEN_NAMES] == []


def test_every_module_says_what_it_is():
    for name, path in zip(NAMES, FILES, strict=True):
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            continue  # an empty __init__
        told = ast.get_docstring(tree(path))
        assert told and len(told.splitlines()) <= 6, name


def begins_with_a_verb(told: str) -> bool:
    """Tells whether a docstring begins with a verb in the third person."""
    first, second, *_ = [word.rstrip(",;:.") for word in told.split()] + ["", ""]
    return first in VERBS and not (first in NOUNS_TOO and second in AFTER_A_NOUN)


def is_property(node: ast.AST) -> bool:
    """Tells whether a definition is read like a value."""
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(decorator).endswith("property") for decorator in node.decorator_list
    )


def test_docstrings_of_functions_begin_with_a_verb():
    odd = []
    for name, path in zip(NAMES, FILES, strict=True):
        for node in nodes(path):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            told = ast.get_docstring(node)
            does = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if told and begins_with_a_verb(told) != (does and not is_property(node)):
                odd.append(f"{name}:{node.lineno} {node.name}: {told.splitlines()[0]}")
    assert not odd, (
        "a function's docstring begins with a verb (Returns, Reads), that of a class or property "
        f"with a noun; new verbs are added to tests/material/verbs.py: {odd}"
    )


@pytest.mark.parametrize(
    ("told", "verb"),
    [
        ("Returns the rows.", True),
        ("Tokenises, then cuts.", True),
        ("Names the file.", True),
        ("Names of the files.", False),
        ("The rows.", False),
        ("Bytes of a file.", False),
    ],
)
def test_verbs_are_told_from_nouns(told: str, verb: bool):
    assert begins_with_a_verb(told) == verb


def windows(path: Path, size: int = 6) -> Iterator[tuple[int, tuple[str, ...]]]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [
        line for line in lines if line and not line.startswith(("#", "import ", "from ", '"""'))
    ]
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


def rooms_above() -> dict[str, str]:
    """Each module of ours -> its room: its folder, or the file itself at the root."""
    rooms = {}
    for path in FILES:
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        name = ".".join(["tunesmith", *(parts[:-1] if parts[-1] == "__init__" else parts)])
        rooms[name] = "/".join(parts[:-1]) or parts[0]
    return rooms


ROOMS = rooms_above()
MODULES = dict(zip(ROOMS, FILES, strict=True))


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and module of every import of ours, those inside functions too; type-checking ones are
    not run.
    """
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    hidden = {
        inner
        for node in nodes(path)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in nodes(path):
        if node in hidden:
            continue
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "tunesmith"
        ):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield node.lineno, module if module in MODULES else node.module
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tunesmith":
                    yield node.lineno, alias.name


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """What lies on a circle: what is left when names without outgoing arrows are taken away, again
    and again.
    """
    left = {name: set(others) for name, others in arrows.items()}
    while True:
        ends = {name for name in left if not left[name] & left.keys()}
        if not ends:
            return sorted(left)
        left = {name: others - ends for name, others in left.items() if name not in ends}


def test_files_import_in_no_circle():
    arrows = {
        name: {module for _, module in imports(path)} - {name, "tunesmith"}
        for name, path in MODULES.items()
    }
    assert circles({name: others for name, others in arrows.items() if name != "tunesmith"}) == []


def test_imports_point_downwards():
    # The package itself shows the verbs, and imports them only when they are asked for.
    rooms = {module: room for module, room in ROOMS.items() if room != "__init__"}
    assert {*rooms.values()} - FLOOR.keys() == set(), "these have no floor"
    assert [
        f"{MODULES[name].relative_to(PACKAGE)}:{line} imports {module}"
        for name, own in rooms.items()
        for line, module in imports(MODULES[name])
        if rooms.get(module, own) != own and FLOOR[rooms[module]] <= FLOOR[own]
    ] == []


TESTS = Path(__file__).parent
TEST_FILES = sorted(TESTS.rglob("*.py"))


def test_no_test_file_is_imported():
    """What several tests use stands in tests/material, where a reader looks for it."""
    # By the text of the lines: to parse all files of tests takes 8 s.
    imported = re.compile(r"(?m)^\s*(?:from|import)\s+(?:\w+\.)*test_\w+")
    assert imported.search("    from methods.test_lora import case")
    found = {
        str(path.relative_to(TESTS)): imported.findall(path.read_text(encoding="utf-8"))
        for path in TEST_FILES
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_folder_of_tests_is_a_room_of_the_package():
    folders = {str(path.parent.relative_to(TESTS)) for path in TEST_FILES} - {".", "material"}
    rooms = {str(path.parent.relative_to(PACKAGE)) for path in FILES}
    assert sorted(folders - rooms) == []


def test_the_circle_finder_finds_one():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["a", "b", "c", "d"]
    assert circles({"a": {"b"}, "b": set()}) == []
