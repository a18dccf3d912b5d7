"""The help and what is said of a line that the parser refuses: whole, within the window, and in the
reader's language alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tunesmith import api, words
from tunesmith.cli.help import wrapped
from tunesmith.cli.main import command, main
from tunesmith.cli.show_explain import lines
from tunesmith.settings.explain import table
from tunesmith.settings.run import Run

VERBS = list(command().commands)
TYPERS_OWN = re.compile(
    r"Usage|Options|Arguments|Commands|required|default:|Show this|Try '|Error|No such|Missing"
)


@pytest.fixture(autouse=True)
def language_as_before():
    yield
    words.use("auto")


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_is_whole_and_fits_the_window(
    verb: str | None,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for language in words.LANGUAGES:
        assert main([*([verb] if verb else []), "--help", "--lang", language]) == 0
        text = capsys.readouterr().out
        assert all(cell_len(line) <= width for line in text.splitlines()), text
        assert "…" not in text
        joined = re.sub(r"\s", "", text)
        told = (
            [words.texts(language, "cli")[f"verb_{verb}"]]
            if f"verb_{verb}" in words.texts(language, "cli")
            else []
        )
        assert all(re.sub(r"\s", "", one) in joined for one in told), text
        if language == "zh":
            assert TYPERS_OWN.search(text) is None, text


@pytest.mark.parametrize(
    ("line", "english", "chinese"),
    [
        (
            "trian x",
            "trian: no such command",
            "trian: 没有这个命令（全部命令：tunesmith --help）；你是不是想写 'train'？",
        ),
        ("prove", "RUN: is missing. The folder of a run.", "RUN: 缺少这个参数。运行文件夹。"),
        (
            "prove a --items x",
            "--items N: must be a whole number",
            "--items N: 必须是不小于 0 的整数",
        ),
        (
            "prove a --items -3",
            "--items N: must be a whole number",
            "--items N: 必须是不小于 0 的整数",
        ),
        (
            "prove a --seeds 1",
            "--seeds K: must be a whole number, 2 or more",
            "--seeds K: 必须是不小于 2 的整数",
        ),
        ("blend a --alpha x", "--alpha N: must be a number", "--alpha N: 必须是数字"),
        *(
            (
                f"{verb} --port {value}",
                "--port N: must be a whole number from 0 to 65535",
                "--port N: 必须是 0 到 65535 之间的整数（含两端）",
            )
            for verb in ("ui", "serve a", "arena a b")
            for value in ("99999", "-1", "x")
        ),
        ("prove --itms x", "--itms: no such option", "--itms: 没有这个选项"),
        ("prove a b c", "b c: is too much: tunesmith prove ", "b c: 是多余的：tunesmith prove "),
        (
            "chat a generate.samples=2",
            "chat takes none: answers are written as generate in a/run.yaml says",
            "generate.samples=2: 是一项设置，而 tunesmith chat 不接受设置：怎样回答以 a/run.yaml",
        ),
        (
            "chat a train.steps=2",
            "train.steps=2: is a setting, and tunesmith chat takes none. What",
            "train.steps=2: 是一项设置，而 tunesmith chat 不接受设置。",
        ),
        *(
            (line, "lang: the language of what is printed is an option: --lang zh", "--lang zh")
            for line in ("data clean a b lang=zh", "data convert a b lang=zh")
        ),
        ("report a lang=zh", "lang=zh: the language of what is printed is an option", "--lang zh"),
        ("prove a --items", "--items: needs a value", "--items: 后面缺少值"),
        ("prove a --json=3", "--json: takes no value", "--json: 后面不能带值"),
    ],
)
def test_a_line_that_is_refused(
    line: str, english: str, chinese: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for language, wanted in (("en", english), ("zh", chinese)):
        assert main(["--lang", language, *line.split()]) == 2
        told = capsys.readouterr()
        assert wanted in told.err and told.out == ""
        assert language == "en" or TYPERS_OWN.search(told.err) is None


def test_no_words_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "tunesmith" in capsys.readouterr().out


def test_chinese_is_broken_between_characters_but_not_before_a_mark() -> None:
    assert wrapped("一二三，四五", 6) == ["一二", "三，四", "五"]
    assert wrapped("用 run.yaml 训练（先 sft）", 10) == ["用", "run.yaml", "训练（先", "sft）"]


def test_no_help_shows_the_marks_of_its_source() -> None:
    words.use("zh")
    paths = ["questions", "train.machine.shard", "prove.embeddings", "objective.ewc"]
    shown = [line for path in paths for line in lines(api.explain(path))]
    shown += [text for setting in table(Run, "") for text in setting]
    assert shown and not [text for text in shown if "``" in text]


def test_an_absent_file_names_the_one_that_was_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Run.yaml").write_text("model: starter\n", encoding="utf-8")
    assert main(["plan", str(tmp_path / "Run.yml"), "--lang", "en"]) == 2
    assert f"did you mean {str(tmp_path / 'Run.yaml')!r}?" in capsys.readouterr().err
