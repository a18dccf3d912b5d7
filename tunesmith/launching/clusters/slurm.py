"""Slurm: a batch script that queues itself again after the run was stopped, until it is done."""

from __future__ import annotations

import math
import shlex
from typing import Annotated

from annotated_types import Gt, Le

from tunesmith.launching.clusters import CLUSTERS, Cluster, Job
from tunesmith.settings.spec import Spec

# --signal without "B:" goes to the steps, so srun hands it to tunesmith itself; with it the shell
# alone would hear it.
BODY = """\
#SBATCH --requeue
#SBATCH --open-mode=append
# Before the end, or before another job takes the place, the run is told to save and stop: code 75.
#SBATCH --signal=TERM@{save}
{more}
{setup}OUT={out}

export PET_NNODES=$SLURM_NNODES PET_MASTER_PORT={port}
PET_MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export PET_MASTER_ADDR

words=({words})
if [ -f "$OUT/run.yaml" ]; then words=("$OUT" --resume); fi
srun bash -c 'PET_NODE_RANK=$SLURM_NODEID exec tunesmith train "$@"' train "${{words[@]}}"
code=$?
# What was stopped is queued again, and goes on by itself.
if [ $code -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $code
"""


@CLUSTERS.register
class Slurm(Cluster):
    """A batch script for sbatch; the run's folder must be seen by all its machines."""

    suffix, submit = "slurm.sh", ("sbatch",)
    shares_files = True

    class Config(Spec):
        """What the job asks for; its processes on each machine are the run's ``processes``."""

        nodes: Annotated[int, Gt(0)] = 1
        """Machines."""
        hours: Annotated[float, Gt(0)] = 24
        """Longest time of one start; the job goes on in the next."""
        partition: str | None = None
        """Queue; the cluster's own when not given."""
        account: str | None = None
        """Whom the time is charged to."""
        options: tuple[str, ...] = ()
        """Further options of sbatch: ``[--constraint=a100, --mem=0]``."""
        setup: tuple[str, ...] = ()
        """Lines of shell before the run: ``[module load cuda, source .venv/bin/activate]``."""
        save: Annotated[int, Gt(0)] = 300
        """How long before the end the run is told to save (seconds)."""
        port: Annotated[int, Gt(0), Le(65535)] = 29500
        """Port of the first machine by which the processes find each other."""

    def text(self, job: Job) -> str:
        """Returns the script."""
        asked = self.config
        options = [
            f"--job-name={job.name}",
            f"--nodes={asked.nodes}",
            "--ntasks-per-node=1",
            f"--gpus-per-node={job.run.processes}",
            f"--time={_time(asked.hours)}",
        ]
        options += [f"--partition={asked.partition}"] if asked.partition else []
        options += [f"--account={asked.account}"] if asked.account else []
        body = BODY.format(
            save=asked.save,
            more="".join(f"#SBATCH {option}\n" for option in asked.options),
            setup="".join(f"{line}\n" for line in asked.setup) + ("\n" if asked.setup else ""),
            out=shlex.quote(job.run.out),
            port=asked.port,
            words=shlex.join(job.words),
        )
        return "\n".join(["#!/bin/bash", *(f"#SBATCH {option}" for option in options), body])


def _time(hours: float) -> str:
    """Writes hours as Slurm reads them; a part of a minute is a whole one."""
    minutes = math.ceil(60 * hours)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
