"""How much code the package is, in numbers that formatting cannot change: syntax nodes, nodes a
line of code, `Any` a thousand lines, lines of comment, names that do not say what they hold. A
folder of another commit may be named:

    python benchmarks/size.py [folder of the package]
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

VAGUE = {"found", "told", "one", "known", "place", "how", "own"}
"""Names of what a function keeps that say nothing of it."""


def code_lines(text: str, nodes: list[ast.AST]) -> int:
    """Lines that hold a token of code; docstrings, comments and empty lines do not."""
    bare = [line.strip() for line in text.split("\n")]
    held = {n for n, line in enumerate(bare, start=1) if line and not line.startswith("#")}
    told: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno != node.lineno:
            held.update(range(node.lineno, (node.end_lineno or 0) + 1))  # what stands in a string
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            told.update(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(held - told)


def is_stored(name: ast.Name) -> bool:
    """Whether a value gets this name here: by an assignment, a loop, a comprehension."""
    return isinstance(name.ctx, ast.Store)


def measured(package: Path) -> Counter[str]:
    """The sums over all files of a package."""
    counts: Counter[str] = Counter()
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        nodes = list(ast.walk(ast.parse(text)))
        counts["files"] += 1
        counts["lines"] += len(text.splitlines())
        counts["lines of code"] += code_lines(text, nodes)
        counts["comment lines"] += sum(line.lstrip().startswith("#") for line in text.splitlines())
        counts["functions"] += sum(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes
        )
        counts["nodes"] += len(nodes)
        kept = [node.id for node in nodes if isinstance(node, ast.Name) and is_stored(node)]
        counts["assigned names"] += len(kept)
        counts["vague names"] += sum(name in VAGUE for name in kept)
        counts["Any"] += sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)
        counts["vars(x)[name]"] += sum(
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func) == "vars"
            for node in nodes
        )
    return counts


if __name__ == "__main__":
    here = Path(__file__).parents[1] / "tunesmith"
    counts = measured(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
    for name, count in counts.items():
        print(f"{count:8d}  {name}")
    print(f"{counts['nodes'] / counts['lines of code']:8.2f}  nodes a line of code")
    print(f"{1000 * counts['Any'] / counts['lines']:8.1f}  Any a thousand lines")
    print(f"{100 * counts['vague names'] / counts['assigned names']:8.2f}  % vague names")
