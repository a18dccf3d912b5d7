"""What holds for every verb: bad input gets one clear text, its exit code and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from material.terminal import Done, Terminal
from tunesmith.cli.main import main


def test_a_fresh_process_and_a_module():
    for words in (["--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-m", "tunesmith", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0 and not done.stderr
        assert ("prove" in done.stdout) == (words == ["--help"])


def test_objects_are_not_looked_through_for_cycles_as_the_process_ends():
    script = """
import atexit, gc
from tunesmith.cli.main import main
atexit.register(lambda: print("frozen before", gc.get_freeze_count() > 0))
main(["--version"])
"""
    # What was registered last is called first; the line above is called after ours.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.endswith("frozen before True\n")


def test_brackets_in_the_help_are_no_markup(terminal: Terminal):
    assert "tournament.methods=[lora,ia3]" in "".join(
        terminal("tournament", "--help", "--lang", "en").out.split("\n")
    )


def test_bad_input_is_one_clear_text(terminal: Terminal, tiny_llama: Path):
    (terminal.cwd / "empty.json").write_text("", encoding="utf-8")
    (terminal.cwd / "comments.yaml").write_text("# model: m\n---\n", encoding="utf-8")
    (terminal.cwd / "nothing.yaml").write_text("", encoding="utf-8")
    (terminal.cwd / "peer.yaml").write_text(
        "model_name_or_path: m\nstage: sft\nfinetuning_type: lora\nlora_rank: 8\ncutoff_len: 512\n",
        encoding="utf-8",
    )
    told = {
        ("train",): "needs settings: give a run.yaml, or model=... data=... out=...",
        ("train", "absent.yaml"): "absent.yaml: there is no such file",
        ("train", "nothing.yaml"): "nothing.yaml: holds no settings: it is empty, or all of its",
        ("plan", "comments.yaml", "model=m"): "comments.yaml: holds no settings: it is empty",
        ("check", "nothing.yaml"): "give them behind the verb: data=rows.jsonl",
        ("plan", "model=m"): "data: nothing is given, and it is required",
        (
            "plan",
            "model=m",
            "data=d",
            "out=o",
            "lora_rank=8",
        ): "lora_rank: is called method.rank here",
        (
            "plan",
            "model=m",
            "data=d",
            "out=o",
            "train.epochs",
        ): "train.epochs: is neither a file nor a setting",
        (
            "plan",
            "peer.yaml",
        ): "These are settings of LLaMA-Factory. Below they are written in tunesmith's keys;",
        ("sft", "--model", "a/b", "--dataset", "c/d#5", "--lora_rank", "8"): "data: ms:c/d#5",
        ("train", "--resume"): "--resume takes the folder of a run and nothing else",
        (
            "train",
            "nowhere",
            "--resume",
        ): "nowhere: is not the folder of a run: there is no such folder; there is no run nearby",
        ("prove", "nowhere"): "nowhere: is not the folder of a run",
        ("generate", "model=m", "data=d"): "out: nothing is given, and it is required",
        (
            "sft",
            "model=http://a/v1",
            "data=d",
            "out=o",
        ): "tunesmith generate model=http://a/v1 data=FILE out=answers.jsonl",
        ("predict", "nowhere", "nothing.json"): "nothing.json: there is no such file",
        ("chat", "nowhere"): "nowhere: is not the folder of a run",
        ("report", "nowhere"): "nowhere: is not the folder of a run",
        ("export", "nowhere", "out"): "nowhere: is not the folder of a run",
        ("check", "empty.json", f"model={tiny_llama}"): "empty.json",
        ("frobnicate",): "frobnicate: no such command",
        ("explain", "--lang", "fr"): "--lang: fr is not one of auto, en, zh",
    }
    for words, text in told.items():
        language = [] if "--lang" in words else ["--lang", "en"]
        done = terminal(*words, *(language if words[0] not in ("frobnicate",) else []))
        assert done.code == 2, (words, done)
        assert text in done.error, (words, done.error)
        assert "Traceback" not in done.error and not done.out, (words, done)
    told_json = terminal("plan", "model=m", "train.bach=1", "--json").json()
    assert {problem["where"] for problem in told_json["problems"]} == {"data", "out", "train.bach"}


@pytest.mark.slow  # 5 s
def test_where_nothing_can_be_written_is_told_before_any_work(
    trained: tuple[Terminal, Done], tiny_llama: Path
):
    terminal, _ = trained
    settings = [f"model={tiny_llama}", "data=rows.json"]
    os.mkfifo(terminal.cwd / "pipe")
    below = f"{terminal.cwd / 'rows.json'} is a file; give a folder that does not exist yet"
    told = {
        ("train", *settings, "out=rows.json/run"): f"out: {below}",
        ("generate", "model=run", "data=rows.json", "out=rows.json/a.jsonl"): f"out: {below}",
        ("export", "run", "rows.json/merged"): f"rows.json/merged: {below}",
        (
            "predict",
            "run",
            "rows.json",
            "--out",
            "rows.json/a.jsonl",
        ): f"rows.json/a.jsonl: {below}",
        (
            "predict",
            "run",
            "rows.json",
            "--out",
            "run",
        ): (
            "run: is a folder or a device; give a file to write, or write to standard output and "
            "redirect it: > FILE"
        ),
    }
    told[("predict", "run", "rows.json", "--out", "pipe")] = told[
        ("predict", "run", "rows.json", "--out", "run")
    ].replace("run", "pipe", 1)
    told[("export", "run", "pipe")] = (
        "pipe: already exists and is not empty; name a new folder, or empty this one"
    )
    for words, text in told.items():
        done = terminal(*words, "--lang", "en")
        assert (done.code, done.error.strip().splitlines()[-1], done.out) == (2, text, ""), words


def test_ctrl_c_within_a_verb_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from tunesmith import words
    from tunesmith.cli import main

    def interrupted(path: str) -> list[str]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    monkeypatch.setattr("tunesmith.settings.explain.explain", interrupted)
    words.use("en")
    assert main.main(["explain"]) == 1
    assert capsys.readouterr().err == "interrupted\n"


def run_main(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> int:
    from tunesmith.cli import main

    def fails(self: Any, *words: Any, **settings: Any) -> None:
        raise raised

    monkeypatch.setattr(main, "command", lambda: type("Command", (), {"main": fails})())
    return main.main(["train"])


def test_a_setting_is_no_name_however_long_and_a_name_that_is_too_long_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", f"data.system={'long ' * 100}", "--lang", "en"]) == 2
    told = capsys.readouterr().err
    assert "model: nothing is given" in told and "too long" not in told
    for words in (["train", "n" * 300], ["runs", "n" * 300], ["chat", "n" * 300]):
        assert main([*words, "--lang", "en"]) == 2
        told = capsys.readouterr().err
        assert "no system takes a name this long" in told and len(told) < 200, told


def test_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    from tunesmith import words
    from tunesmith.errors import DiskError, SpecError, Stopped, TrainingError

    words.use("en")
    for raised, code in (
        (TrainingError("x"), 1),
        (SpecError("x"), 2),
        (DiskError("x"), 74),
        (Stopped("x"), 75),
    ):
        assert run_main(monkeypatch, raised) == code
        assert capsys.readouterr().err == "x\n"
    assert run_main(monkeypatch, OSError(28, "No space left on device")) == 74
    assert "the disk could not be written (No space left on device)" in capsys.readouterr().err
    assert run_main(monkeypatch, SystemExit(130)) == 1
    assert capsys.readouterr().err == "interrupted\n"
    assert run_main(monkeypatch, KeyboardInterrupt()) == 1
    assert capsys.readouterr().err == "interrupted\n"
    assert run_main(monkeypatch, RuntimeError("a bug")) == 1
    told = capsys.readouterr().err
    assert (
        "this is a bug in tunesmith, not a fault in what you gave it: RuntimeError: a bug" in told
        and "Traceback" not in told
    )
    place = Path(told.split("the traceback is in ")[1].split(";")[0])
    assert "Traceback" in place.read_text(encoding="utf-8")
    place.unlink()
    words.use("auto")


@pytest.mark.parametrize(
    ("flag", "hint"), [("--overfitt", "--overfit"), ("--resum", "--resume"), ("--epochs", None)]
)
def test_a_flag_that_is_nearly_one_of_ours_is_told(
    flag: str, hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "my.json", flag]) == 2
    told = capsys.readouterr().err
    assert "settings are written as key.path=value" in told
    assert (f"did you mean '{hint}'?" in told) if hint else ("did you mean" not in told)
