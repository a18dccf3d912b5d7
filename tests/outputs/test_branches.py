"""No branch on the name of a kind of output, of a head, or on the kind of row that is learned,
outside the rooms that know them.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import tunesmith
from tunesmith.examples import Example
from tunesmith.models.structure.kinds import HEADS
from tunesmith.settings.family import OUTPUTS

PACKAGE = Path(tunesmith.__file__).parent
FACTS = ("gives", "head", "kind", "output.name")
KNOW_HEADS = ("models/", "data/rendering/", "export/")
"""Rooms in which a head is built, fed or compared."""
ROWS = {cls.__name__ for cls in get_args(Example)}
KNOW_ROWS = (
    "objectives/",
    "outputs/",
    *(f"data/{name}.py" for name in ("asked_rows", "choose_reader", "layouts", "reading")),
    "data/recognise_columns.py",
)
"""Where columns become a kind of row, and where it is learned. To look what a row in hand is, by
``isinstance``, is no branch.
"""


def branches(tree: ast.AST, names: set[str]) -> list[int]:
    """Lines that compare with one of ``names``, match it, or look it up in a mapping of several."""

    def named(node: ast.AST | None) -> bool:
        return any(
            isinstance(one, ast.Constant) and one.value in names
            for one in ([] if node is None else ast.walk(node))
        )

    def fact(node: ast.AST) -> bool:
        """Whether a name or an attribute ends as one of FACTS."""
        return f".{ast.unparse(node)}".endswith(tuple(f".{name}" for name in FACTS))

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            if named(node) and any(map(fact, (node.left, *node.comparators))):
                found.append(node.lineno)
        elif isinstance(node, ast.Match):
            found += [node.lineno] if any(named(case.pattern) for case in node.cases) else []
        elif isinstance(node, ast.Dict):
            keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            found += [node.lineno] if len(keys & names) > 1 else []
    return found


def row_branches(tree: ast.AST) -> list[int]:
    """Lines that compare a class with one of the kinds of rows, or look it up by them."""

    def kinds(nodes: list[ast.expr | None]) -> list[ast.Name]:
        each = [one.elts if isinstance(one, ast.Tuple) else [one] for one in nodes]
        names = [one for some in each for one in some if isinstance(one, ast.Name)]
        return [name for name in names if name.id in ROWS]

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            found += [node.lineno] if kinds([node.left, *node.comparators]) else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "issubclass":
            found += [node.lineno] if kinds([*node.args]) else []
        elif isinstance(node, ast.Dict):
            found += [node.lineno] if len(kinds(node.keys)) > 1 else []
    return found


def test_no_branch_on_the_kind_of_row_that_is_learned_outside_its_rooms() -> None:
    found, known = [], set()
    for path in sorted(PACKAGE.rglob("*.py")):
        place = str(path.relative_to(PACKAGE))
        lines = row_branches(ast.parse(path.read_text(encoding="utf-8")))
        room = next((room for room in KNOW_ROWS if place.startswith(room)), None)
        known |= {room} if room and lines else set()
        found += [] if room else [f"{place}:{line}" for line in lines]
    assert found == []
    assert known == {*KNOW_ROWS}, "a room without a branch needs no exception"


def test_a_branch_on_the_kind_of_row_would_be_seen() -> None:
    for text in (
        "objective.eats in (Preference, Feedback)",
        "eats is Text",
        "text = (ours.eats is Text, theirs.eats is Text)",
        "if objective.eats is not Labelled: pass",
        "issubclass(OBJECTIVES.make(run.objective).eats, Preference)",
        "{Chat: one, Text: other}[kind]",
    ):
        assert row_branches(ast.parse(text)), text
    assert not row_branches(ast.parse("isinstance(example, Chat | Text)"))


def test_no_branch_on_a_kind_of_output_outside_its_room() -> None:
    kinds, heads = set(OUTPUTS.names()), set(HEADS)
    assert {"answers", "classes", "scores", "vectors"} <= kinds
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = str(path.relative_to(PACKAGE))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not place.startswith("outputs/"):
            names = kinds - heads if place.startswith(KNOW_HEADS) else kinds | heads
            found += [f"{place}:{line}" for line in branches(tree, names)]
    assert found == []


def test_a_branch_would_be_seen() -> None:
    for text in (
        'objective.gives == "classes"',
        'objective.gives in ("scores", "vectors")',
        '{"scores": prove_scores, "vectors": prove_vectors}[gives]',
        'if objective.head != "classes": pass',
    ):
        assert branches(ast.parse(text), {"classes", "scores", "vectors"}), text


def test_the_output_that_contributing_shows_is_the_real_one() -> None:
    root = PACKAGE.parent
    page = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("## Add a kind of output\n")[2].partition("\n## ")[0]
    diff = section.partition("```diff\n")[2].partition("```")[0].split("\n")
    shown = "\n".join(line.removeprefix("+") for line in diff[2:-1])
    text = (root / diff[1].removeprefix("+++ b/")).read_text(encoding="utf-8")
    assert shown.startswith("@OUTPUTS.register") and f"\n{shown}\n" in text
    methods = set(re.findall(r"    def (\w+)", text))
    assert {"reply", "score", "right", "prove"} <= methods
    named = re.findall(r"`(tunesmith/[\w/]+\.py)`", section)
    assert len(named) > 10 and all((root / name).is_file() for name in named)
