"""The script that Slurm gets: that of the recipe, and run by a shell with the cluster's commands put
in its way.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import tunesmith as ts
from material.cluster import put_commands

RECIPE = Path(__file__).parents[2] / "recipes" / "slurm.sh"


def settings(folder: Path) -> Path:
    path = folder / "my run.yaml"
    path.write_text("model: m\ndata: rows.json\nout: runs/large\nprocesses: 8\n", encoding="utf-8")
    return path


def executed(text: str) -> list[str]:
    """The lines that do something, options in order of their names."""
    lines = [line for line in text.splitlines() if line and not re.match(r"#( |!)", line)]
    return sorted(lines[: (n := len([x for x in lines if x.startswith("#SBATCH")]))]) + lines[n:]


def test_the_job_is_that_of_the_recipe(tmp_path: Path) -> None:
    file = settings(tmp_path)
    told = ts.launch("slurm", file, ["launch.cluster.nodes=2"], out=tmp_path / "job.sh")
    written = told.path.read_text(encoding="utf-8")
    out = str(Path("runs/large").absolute())
    recipe = RECIPE.read_text(encoding="utf-8").replace("OUT=runs/large", f"OUT={out}")
    recipe = recipe.replace('"$1" "out=$OUT"', f"'{file}' out={out}")
    recipe = recipe.replace("#SBATCH --nodes=2", "#SBATCH --job-name=large\n#SBATCH --nodes=2")
    assert executed(written) == executed(recipe)
    assert told.lines()[-1] == f"next: sbatch {told.path}"


@pytest.mark.parametrize(("code", "queued"), [(0, False), (75, True), (1, False)])
def test_what_was_stopped_is_queued_again_and_goes_on(
    code: int, queued: bool, tmp_path: Path
) -> None:
    asked = [f"out={tmp_path}/a run", "data.system=Say 'yes'; $HOME", "launch.cluster.hours=0.5"]
    job = ts.launch("slurm", settings(tmp_path), asked, out=tmp_path / "job.sh").path
    assert "#SBATCH --time=00:30:00\n" in job.read_text(encoding="utf-8")
    log, path = put_commands(tmp_path, tunesmith=code)
    run = ["bash", str(job)]
    env = {**os.environ, "PATH": path, "SLURM_NNODES": "1", "SLURM_JOB_ID": "7"}
    env |= {"SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "a[1-2]"}
    for begun in (False, True):
        if begun:
            (tmp_path / "a run").mkdir()
            (tmp_path / "a run" / "run.yaml").touch()
        log.unlink(missing_ok=True)
        done = subprocess.run(run, env=env, timeout=20, check=False)
        assert done.returncode == code
        lines = log.read_text(encoding="utf-8").splitlines()
        own = [
            str(tmp_path / "my run.yaml"),
            "data.system=Say 'yes'; $HOME",
            f"out={tmp_path}/a run",
        ]
        words = [f"{tmp_path}/a run", "--resume"] if begun else own
        assert f"tunesmith {['train', *words]} 1 0 first None None" in lines
        assert any(line.startswith("scontrol ['requeue', '7']") for line in lines) == queued


def test_the_options_of_the_job_and_its_setup_stand_in_it(tmp_path: Path) -> None:
    more = ["partition=long", "account=lab", "options=[--mem=0]", "setup=[module load cuda]"]
    words = [f"launch.cluster.{one}" for one in more]
    text = ts.launch("slurm", settings(tmp_path), words, out=tmp_path / "job.sh").path.read_text()
    head, _, rest = text.partition("OUT=")
    assert {f"#SBATCH {one}" for one in ("--partition=long", "--account=lab", "--mem=0")} <= set(
        head.splitlines()
    )
    assert "module load cuda" in head and "launch." not in rest
