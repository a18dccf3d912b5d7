"""The verb: what it refuses, and what it hands to the cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from material.cluster import put_commands
from tunesmith.cli.main import main
from tunesmith.settings.run import validate

RUN = ["model=m", "data=d", "out=runs/a"]


def test_a_job_is_submitted_and_a_refusal_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, path = put_commands(tmp_path, tunesmith=0)
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text('#!/bin/bash\necho "Submitted $1"\n', encoding="utf-8")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", path)
    assert main(["launch", "slurm", *RUN, "--submit"]) == 0
    assert f"submitted: Submitted {tmp_path}/a.slurm.sh" in capsys.readouterr().out
    assert (tmp_path / "a.slurm.sh").is_file()
    sbatch.write_text('#!/bin/bash\necho "no such partition" >&2; exit 1\n', encoding="utf-8")
    assert main(["launch", "slurm", *RUN, "--submit"]) == 1
    assert "refused the job: no such partition" in capsys.readouterr().err
    python = f"#!{sys.executable}\ndef ask():\n    raise OSError('no token\\n\\nGet one.')\nask()\n"
    sbatch.write_text(python, encoding="utf-8")
    assert main(["launch", "slurm", *RUN, "--submit"]) == 1
    told = capsys.readouterr().err
    assert "refused the job: OSError: no token\n\nGet one." in told and "Traceback" not in told
    sbatch.unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert main(["launch", "slurm", *RUN, "--submit"]) == 2
    assert "sbatch is not on this machine" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["run.yaml"], ["lsf", "run.yaml"]])
def test_a_cluster_that_there_is_none_of_is_told(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["launch", *words]) == 2
    told = capsys.readouterr().err
    assert "one of k8s, ray, slurm" in told and (not words or repr(words[0]) in told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["slrum"], "did you mean 'slurm'?"),
        (["slurm", *RUN, "launch.cluster=k8s"], "launch.cluster: k8s and slurm are two clusters"),
        (
            ["slurm", *RUN, "launch.cluster.port=70000"],
            "launch.cluster.port: must be 65535 or less",
        ),
        (
            ["slurm", *RUN, "processes=8", "launch.cluster.nodes=4", "train.batch=16"],
            "processes: 32 processes share the 16 rows of a step",
        ),
        (
            ["k8s", *RUN, "out=/runs/../a", "launch.cluster.image=i", "launch.cluster.claim=c"],
            "out: /a does not lie in /runs",
        ),
    ],
)
def test_a_job_that_could_not_run_is_told_here(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["launch", *words, "--out", str(tmp_path / "job")]) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "job").exists()


POD = {"image": "lab/tunesmith:1", "claim": "runs"}


@pytest.mark.parametrize(
    ("words", "file", "image"),
    [
        (["launch.cluster={image: lab/tunesmith:1, claim: runs}"], None, "lab/tunesmith:1"),
        (["launch.cluster.image=i", "launch.cluster.claim=c"], None, "i"),
        ([], {"name": "k8s", **POD}, "lab/tunesmith:1"),
        ([], POD, "lab/tunesmith:1"),
        (["launch.cluster.image=other"], POD, "other"),
        (["launch.cluster={image: i, claim: c}"], {"name": "slurm", "hours": 4}, "i"),
    ],
)
def test_the_word_behind_launch_is_the_cluster_whose_settings_are_meant(
    words: list[str], file: dict[str, str] | None, image: str, tmp_path: Path
) -> None:
    run = {"model": "m", "data": "d", "out": "/runs/a"}
    settings = tmp_path / "run.yaml"
    settings.write_text(yaml.safe_dump(run | ({"launch": {"cluster": file}} if file else {})))
    job = tmp_path / "job.yaml"
    assert main(["launch", "k8s", str(settings), *words, "--out", str(job)]) == 0
    (training,) = [one for one in yaml.safe_load_all(job.read_text()) if "spec" in one]
    pod = training["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    assert pod["containers"][0]["image"] == image


def test_what_a_run_says_of_another_cluster_is_left_out(tmp_path: Path) -> None:
    run = {"model": "m", "data": "d", "out": "/runs/a", "launch.cluster": {"name": "k8s", **POD}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    words = ["launch", "slurm", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "job.sh")]
    assert main(words) == 0 and "#SBATCH" in (tmp_path / "job.sh").read_text()


def test_a_run_may_name_its_cluster_and_is_trained_all_the_same() -> None:
    run = validate({"model": "m", "data": "d", "out": "o", "launch": {"cluster": "slurm"}})
    assert run.launch is not None and run.launch.cluster.name == "slurm"
