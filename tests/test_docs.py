"""What the pages for readers say holds: both languages have the same pages, every command is one
that tunesmith takes, every YAML block is a run, and each reader reads its example row.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tunesmith.cli.main import ALIASES, OBJECTIVE_ALIASES, command
from tunesmith.cli.settings_line import check_line, settings_line
from tunesmith.planning.stages import stages_of
from tunesmith.settings.explain import every_setting
from tunesmith.settings.families import FAMILIES
from tunesmith.settings.peer_names import SAME
from tunesmith.settings.peer_unmatched import NEEDLESS, NOTHING
from tunesmith.settings.run import read_run, validate
from tunesmith.settings.yaml_file import read_settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "README.zh-CN.md"]
BLOCK = re.compile(r"(?ms)^```(\w*)\n(.*?)^```")
FILE = re.compile(r"(?<![\w/.@:<-])[a-z_]+(?:/[\w.-]+)+\.(?:py|md|toml|yaml|js|css)\b")
"""A file below one of our folders, as a sentence names it."""
MADE = ("runs/", "reference/", "benchmarks/gpu.md", "b/")
"""What a command writes, the pages that `make docs` writes, and the other side of a diff."""
RUNS = {"train", "check", "plan", *FAMILIES["objective"].names(), "pt"}


def commands() -> list[tuple[str, str]]:
    return [
        (path.relative_to(ROOT).as_posix(), line.removeprefix("$ "))
        for path in PAGES
        for kind, text in BLOCK.findall(path.read_text(encoding="utf-8"))
        if kind in ("", "bash", "console")
        for line in text.splitlines()
        if line.removeprefix("$ ").startswith("tunesmith ")
    ]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_languages_have_the_same_pages() -> None:
    english, chinese = ({path.name for path in (DOCS / one).glob("*.md")} for one in ("en", "zh"))
    assert english == chinese and len(english) >= 8
    for name in english:
        blocks = [
            [
                line.split("#")[0].strip()
                for line in text.splitlines()
                if line.startswith("tunesmith")
            ]
            for language in ("en", "zh")
            for text in [
                "\n".join(t for _, t in BLOCK.findall((DOCS / language / name).read_text()))
            ]
        ]
        assert blocks[0] == blocks[1], name


def test_every_file_that_a_sentence_names_is_there() -> None:
    package = ROOT / "tunesmith"
    texts = [*PAGES, ROOT / "CONTRIBUTING.md", *ROOT.glob("benchmarks/*"), *ROOT.glob("recipes/*")]
    texts += [*package.rglob("*.py"), *package.glob("words/*/*.toml")]
    absent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts
        if path.suffix in (".md", ".py", ".toml", ".yaml")
        for name in FILE.findall(path.read_text(encoding="utf-8"))
        if not name.startswith(MADE) and "TOPIC" not in name
        if not any((place / name).exists() for place in (ROOT, package, DOCS, path.parent))
    ]
    assert absent == []
    assert FILE.findall("see `metrics/` and `tests/no/such.py`, or docs/en/data.md") == [
        *("tests/no/such.py", "docs/en/data.md")
    ]


def test_the_page_of_the_house_shows_every_room() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    house = page.partition("## The house\n")[2].partition("```\n")[2].partition("```")[0]
    shown = set(re.findall(r"(?<![\w/])([a-z_]+)/", house)) - {"tunesmith"}
    package = ROOT / "tunesmith"
    assert shown == {path.parent.name for path in package.rglob("*.py")} - {package.name}
    files = re.findall(r"\b[a-z_]+\.py\b", house)
    assert len(files) > 10 and all(list(package.rglob(name)) for name in files)


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_is_taken(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verb and flags by the command line's own parser, settings as a Run; nothing is loaded."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "run.yaml").write_text("{model: starter, data: my.json, out: runs/a}")
    (tmp_path / "prompt.txt").write_text("Answer in one word.")
    monkeypatch.chdir(tmp_path)
    _, verb, *rest = shlex.split(line, comments=True)
    one = command().commands[ALIASES.get(verb, verb)]
    context = one.make_context(verb, list(rest), resilient_parsing=False)
    if verb not in RUNS or "--resume" in rest:
        return
    given = context.params["settings"]
    start, overrides = (check_line if verb == "check" else settings_line)(given)
    if verb not in ("train", "check", "plan"):
        overrides = [f"objective={OBJECTIVE_ALIASES.get(verb, verb)}", *overrides]
    if verb == "check":
        overrides = ["model=starter", "out=runs/a", *overrides]
    read_run(start if isinstance(start, str) else None, overrides)


def test_every_yaml_block_is_a_run(tmp_path: Path) -> None:
    found = [
        text
        for path in PAGES
        for kind, text in BLOCK.findall(path.read_text(encoding="utf-8"))
        if kind == "yaml"
    ]
    assert found
    for text in found:
        (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
        settings = read_settings(tmp_path / "run.yaml")
        assert stages_of(settings) if "stages" in settings else validate(settings)


def test_each_reader_reads_its_example() -> None:
    rows = yaml.safe_load((DOCS / "examples.yaml").read_text(encoding="utf-8"))
    readers = FAMILIES["reader"]
    assert set(rows) == set(readers.names())
    for name, row in rows.items():
        cls = readers.get(name)
        reader = cls()
        if name != "one_hot":  # a first row alone never tells it
            assert cls.matches(frozenset(row), row), name
        if cls.looks:
            reader.look([row])
        assert isinstance(reader.read(row), cls.gives), name


def test_the_data_pages_show_each_of_these_rows() -> None:
    rows = yaml.safe_load((DOCS / "examples.yaml").read_text(encoding="utf-8"))
    for language in ("en", "zh"):
        text = (DOCS / language / "data.md").read_text(encoding="utf-8")
        found = re.findall(r"(?m)^`(\w+)`\n\n```json\n(.*)\n```", text)
        assert {name: json.loads(row) for name, row in found} == rows


def test_the_reference_names_every_setting_and_plug_in(reference: ModuleType) -> None:
    pages = dict(reference.pages())
    assert set(reference.TEXTS["en"]) == set(reference.TEXTS["zh"])
    for language in ("en", "zh"):
        settings = pages[f"{language}/reference/settings.md"]
        assert [key for key in every_setting() if f"`{key}`" not in settings] == []
        peers = pages[f"{language}/reference/peers.md"]
        assert [key for key in (*SAME, *NEEDLESS, *NOTHING) if f"`{key}`" not in peers] == []
        told = "\n".join(pages[path] for path in pages if path.startswith(language))
        for family in FAMILIES.values():
            assert [name for name in family.names() if f"## `{name}`" not in told] == []
