"""What a person reads is there in both languages, with the same keys and the same values in it."""

from __future__ import annotations

import ast
import json
import pickle
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import tunesmith
from material.plug_ins import plug_in_settings
from tunesmith import words
from tunesmith.errors import SpecError
from tunesmith.settings.explain import every_setting
from tunesmith.settings.family import METHODS, METRICS, READERS
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import validate
from tunesmith.settings.yaml_file import read_yaml

PACKAGE = Path(tunesmith.__file__).parent
TOPICS = sorted(path.stem for path in (PACKAGE / "words" / "en").glob("*.toml"))
KEY = re.compile(r"^[a-z_]+\.[a-z0-9_]+$")


def _values(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_topics():
    # The English help of a setting is the docstring of its field, and where a learning rate comes
    # from stands in the method's class.
    assert sorted(path.stem for path in (PACKAGE / "words" / "zh").glob("*.toml")) == sorted(
        [*TOPICS, "columns", "help", "rates"]
    )


@pytest.mark.parametrize("topic", TOPICS)
def test_both_languages_have_the_same_keys_and_values(topic: str):
    english, chinese = words.texts("en", topic), words.texts("zh", topic)
    assert set(english) == set(chinese)
    for key in english:
        assert _values(english[key]) == _values(chinese[key]), f"{topic}.{key}"


def test_chinese_help_has_every_setting_and_no_other():
    assert set(words.texts("zh", "help")) == set(every_setting()) | set(plug_in_settings())


def test_each_learning_rate_has_its_source_in_chinese():
    methods = {name: METHODS.get(name) for name in METHODS.names()}
    assert set(words.texts("zh", "rates")) == {n for n, one in methods.items() if one.source}


def test_each_column_of_a_reader_is_told_in_chinese():
    told = {text for name in READERS.names() for text in READERS.get(name).fields.values()}
    assert set(words.texts("zh", "columns")) == told


REJECTED = re.compile(
    r"底座|基座|观察|监视|监看|未证实|(?<!没)有提升|变差|留出集|留出损失|验证(?!集|损失|：)"
    r"|证明(?:数据|行|集)|对手|参赛|推得|推出|给定(?!回答)|您|模型(?:中心|库)|数据仓库"
    r"|起步模型|端点|服务接口|评判模型|测试集"
    r"|词元 (?=[\u4e00-\u9fff])|(?<![\w.<{/:])token(?![\w/}=.])"
)
"""Other words for what has one word in Chinese; ``words/zh/cli.toml`` begins with those."""
MARKS = re.compile(
    r"[，；：。！？、][，；：。！？、]|[，；：。！？] |[\u4e00-\u9fff][,;:?!](?!/)|[\u4e00-\u9fff] %|[\dx] %"
)
"""Marks that are doubled, followed by a space, or of half width behind a Chinese letter."""
RIDDLES = re.compile(
    r"like rows|watched row|to watch the training|by themselves|mends what|forbids to|Ways? out|not shown"
    r"|\bof none\b|is none\b|stands? (?:at|in|as)\b|without a word|said otherwise"
    r"|\bis no (?:plain|finite|whole|address|number|run folder)\b"
)
"""English that a reader who learned it at school stumbles over."""


def _told(language: str) -> dict[str, str]:
    topics = (*TOPICS, "columns", "help", "rates") if language == "zh" else TOPICS
    return {
        f"{topic}.{key}": text
        for topic in topics
        for key, text in words.texts(language, topic).items()
    }


def test_chinese_marks_are_single_and_of_full_width():
    told = {
        key: re.sub(r"`[^`]*`|\{[^}]*\}|标签: 词, 词|标签: |说话人, ", "x", text)
        for key, text in _told("zh").items()
    }
    assert {key: found[0] for key, text in told.items() if (found := MARKS.search(text))} == {}


def test_english_is_plain():
    told = _told("en")
    assert {key: found[0] for key, text in told.items() if (found := RIDDLES.search(text))} == {}


def test_chinese_has_one_word_for_one_thing():
    readme = (PACKAGE.parent / "README.zh-CN.md").read_text(encoding="utf-8")
    told = {"README": re.sub(r"(?s)```.*?```", "", readme)}
    for page in (PACKAGE.parent / "docs" / "zh").glob("*.md"):
        told[page.name] = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
    told |= _told("zh")
    assert {key: found[0] for key, text in told.items() if (found := REJECTED.search(text))} == {}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_text_without_values_shows_its_braces_once(language: str):
    words.use(language)
    doubled = [key for key, text in _told(language).items() if "{{" in text and not _values(text)]
    said = {key: words.say(key) for key in doubled if not key.startswith(("columns.", "help."))}
    assert "augment.no_slot" in said
    assert {key: text for key, text in said.items() if "{{" in text} == {}


@pytest.mark.parametrize(
    ("count", "told"), [(1, "only 1 row is held out"), (2, "only 2 rows are held out")]
)
def test_a_number_of_one_takes_its_own_word(count: int, told: str):
    assert told in words.say("ledger.few_held_out", held=count).lower()


def _said() -> list[tuple[str, str, set[str] | None]]:
    """File, key and named values of each ``say("topic.key", …)`` with a constant key."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "say"
                and node.args
            ):
                key = node.args[0]
                if (
                    isinstance(key, ast.Constant)
                    and isinstance(key.value, str)
                    and KEY.match(key.value)
                ):
                    spread = any(keyword.arg is None for keyword in node.keywords)
                    given = (
                        None
                        if spread
                        else {keyword.arg for keyword in node.keywords if keyword.arg}
                    )
                    found.append((str(file.relative_to(PACKAGE)), key.value, given))
    return found


def test_every_text_that_is_said_exists_and_gets_its_values():
    said = _said()
    assert len(said) > 500
    for file, key, given in said:
        topic, _, name = key.partition(".")
        text = words.texts("en", topic).get(name)
        assert text is not None, f"{file} says {key}, which is not in the words"
        if given:  # a text without values is not formatted: its braces are braces
            assert _values(text) <= given, f"{file} says {key} without {_values(text) - given}"


def test_no_text_is_left_over():
    """A text whose key appears nowhere in the package is dead."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".j2")
    )
    known = set(re.findall(r"\w+", code))
    begun = set(re.findall(r"""(\w+_)(?:\{|" )""", code))
    built = ("peers", "spec")  # keys made of a reason or of pydantic's kind of error
    dead = [
        f"{topic}.{name}"
        for topic in TOPICS
        if topic not in built
        for name in words.texts("en", topic)
        if not (topic == "metric" and name in METRICS.names())
        if name not in known and not _made_of_parts(name, begun)
        if name.isidentifier() or name not in code
    ]
    assert not dead


def _made_of_parts(name: str, begun: set[str]) -> bool:
    """Whether ``say(f"topic.prefix_{…}")`` could make it; ``begun`` holds such prefixes."""
    parts = name.split("_")
    starts = tuple("_".join(parts[:count]) + "_" for count in range(1, len(parts)))
    return bool(starts) and any(start.endswith(starts) for start in begun)


_GROUPS = {path.partition(".")[0] for path in every_setting() if "." in path} - {"launch"}
_SETTING = re.compile(rf"(?<![\w./{{-])((?:{'|'.join(sorted(_GROUPS))})(?:\.[a-z][a-z_0-9]*)+)")
_VALUE = re.compile(r"=([a-z0-9][a-z0-9_.]*)(?![\w{/:*])")
_FILES = re.compile(r"\.(json|jsonl|yaml|yml|csv|safetensors|py|md|save_pretrained|module\b.*)$")


def _paths_told() -> Iterator[tuple[str, str, str | None]]:
    """Where a text names a setting, the setting, and its value where one is told."""
    for language in words.LANGUAGES:
        for key, text in _told(language).items():
            for found in _SETTING.finditer(text):
                if not _FILES.search(found[1]):
                    value = _VALUE.match(text, found.end())
                    path = found[1].removeprefix("search.over.")
                    yield f"{language} {key}", path, value[1].rstrip(".") if value else None


def test_each_setting_that_a_text_names_is_there_and_takes_the_value() -> None:
    known = set(every_setting())
    for path in plug_in_settings():
        *place, _, last = path.split(".")
        known.add(".".join((*place, last)))
    told = list(_paths_told())
    assert len(told) > 400
    assert [(key, path) for key, path, _ in told if path not in known] == []
    refused = []
    for key, path, value in told:
        if value is None or path not in set(every_setting()):
            continue
        given = with_overrides({"model": "m", "data": "d", "out": "o"}, {path: read_yaml(value)})
        try:
            validate(given)
        except SpecError as error:
            if any(problem.where.startswith(path) for problem in error.problems):
                refused.append((key, f"{path}={value}"))
    assert refused == []


def test_what_is_said_is_text_wherever_it_is_written() -> None:
    said = words.say("spec.folder_busy")
    for written in (yaml.safe_dump([said]), yaml.dump([said])):
        assert yaml.safe_load(written) == [str(said)] and "!!" not in written
    assert json.loads(json.dumps(said)) == said and pickle.loads(pickle.dumps(said)) == said


def test_chinese_writes_no_space_before_a_percent_sign() -> None:
    values = {"items": 20, "effect": "35.2 %", "unit": ""}
    words.use("zh")
    assert "35.2%" in words.say("prove.smallest", **values)
    values["effect"] = "5 % of it"  # a text of somebody's is left as it is
    assert "5 % of it" in words.say("prove.smallest", **values)
    words.use("en")
    assert "35.2 %" in words.say("prove.smallest", **values | {"effect": "35.2 %"})
