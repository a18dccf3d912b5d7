"""The manifest for Kubernetes, and the shell of its pods."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import tunesmith as ts
from material.cluster import put_commands
from tunesmith.errors import SpecError
from tunesmith.settings.run import validate

GIVEN = ["launch.cluster.image=lab/tunesmith:1", "launch.cluster.claim=runs"]


def manifest(folder: Path, *more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    file = folder / "run.yaml"
    file.write_text("model: m\ndata: /runs/rows.json\nprocesses: 4\n", encoding="utf-8")
    words = [*GIVEN, "out=/runs/Large Run", *more]
    path = ts.launch("k8s", file, words, out=folder / "job.yaml").path
    settings, job = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return settings, job


def test_the_pods_get_the_settings_the_gpus_and_the_volume(tmp_path: Path) -> None:
    settings, job = manifest(tmp_path, "launch.cluster.nodes=3", "train.epochs=2")
    run = validate(yaml.safe_load(settings["data"]["run.yaml"]))
    assert (run.train.epochs, run.out, run.processes, run.launch) == (2, "/runs/Large Run", 4, None)
    assert job["apiVersion"] == "kubeflow.org/v1" and job["metadata"]["name"] == "large-run"
    specs = job["spec"]["pytorchReplicaSpecs"]
    assert {name: one["replicas"] for name, one in specs.items()} == {"Master": 1, "Worker": 2}
    for one in specs.values():
        assert one["restartPolicy"] == "ExitCode"
        pod = one["template"]["spec"]
        (container,) = pod["containers"]
        assert container["name"] == "pytorch" and container["image"] == "lab/tunesmith:1"
        assert container["resources"]["limits"] == {"nvidia.com/gpu": 4}
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted["runs"] == "/runs" and set(mounted) == {
            volume["name"] for volume in pod["volumes"]
        }
    _, alone = manifest(tmp_path)
    assert list(alone["spec"]["pytorchReplicaSpecs"]) == ["Master"]


def pod(folder: Path, job: dict[str, Any], path: str) -> subprocess.Popen[str]:
    """The shell of a pod as the operator starts it: its RANK is the number of the pod."""
    spec = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]
    command = [one.replace("/runs/", f"{folder}/") for one in spec["containers"][0]["command"]]
    env = {**os.environ, "PATH": path, "RANK": "1", "WORLD_SIZE": "8", "MASTER_ADDR": "m-0"}
    env |= {"MASTER_PORT": "23456"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 2), (75, 143)])
def test_a_stopped_run_ends_by_a_code_that_is_started_again(
    code: int, ends: int, tmp_path: Path
) -> None:
    _, job = manifest(tmp_path, "launch.cluster.nodes=2")
    log, path = put_commands(tmp_path, tunesmith=code)
    assert pod(tmp_path, job, path).wait(timeout=20) == ends
    told = log.read_text(encoding="utf-8").strip()
    assert told == "tunesmith ['train', '/etc/tunesmith/run.yaml'] 2 1 m-0 None None"


def test_the_pods_signal_reaches_the_run_which_has_time_to_save(tmp_path: Path) -> None:
    _, job = manifest(tmp_path, "launch.cluster.nodes=2")
    (tmp_path / "Large Run").mkdir()
    (tmp_path / "Large Run" / "run.yaml").touch()
    log, path = put_commands(tmp_path, tunesmith=75, waits=True)
    shell = pod(tmp_path, job, path)
    assert shell.stdout is not None and shell.stdout.readline() == "ready\n"
    shell.send_signal(signal.SIGTERM)
    assert shell.wait(timeout=20) == 143
    assert f"['train', '{tmp_path}/Large Run', '--resume']" in log.read_text(encoding="utf-8")


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        ts.launch("k8s", None, ["model=m", "data=d", "out=here"], out=tmp_path / "job.yaml")
    where = [problem.where for problem in caught.value.problems]
    assert where == ["launch.cluster.image", "launch.cluster.claim", "out"]
    assert not (tmp_path / "job.yaml").exists()
