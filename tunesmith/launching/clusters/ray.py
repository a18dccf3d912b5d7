"""Ray: a program that trains the run in Ray's workers, and again from the last checkpoint where one
of them is lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt

from tunesmith.launching.clusters import CLUSTERS, Cluster, Job
from tunesmith.settings.spec import Spec

# Ray gives each worker its rank and joins them before `worker` begins. Older than 2.60, it lets
# whoever reaches its ports run what they like (CVE-2023-48022).
PROGRAM = '''\
"""Trains a run on Ray: python {file}, or ray job submit -- python {file}."""

import os
import sys
from importlib.metadata import version

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

FOLDER = {folder!r}
OUT = {out!r}
WORDS = {words!r}


def worker(_):
    import torch.distributed as dist

    from tunesmith.cli.main import main

    os.chdir(FOLDER)
    # The first looks whether there is something to go on with, so that all of them do the same.
    begun = [os.path.isfile(os.path.join(OUT, "run.yaml"))]
    if dist.is_initialized():
        dist.broadcast_object_list(begun)
    code = main(["train", *([OUT, "--resume"] if begun[0] else WORDS)])
    if code:
        raise RuntimeError(f"tunesmith train ended with code {{code}}")


if __name__ == "__main__":
    if tuple(map(int, version("ray").split(".")[:2])) < (2, 60):
        sys.exit("ray 2.60 or newer is needed: pip install 'tunesmith[ray]'")
    ray.init()  # the cluster that RAY_ADDRESS names, else one of this machine alone
    TorchTrainer(
        worker,
        train_loop_config={{}},
        scaling_config=ScalingConfig(
            num_workers={workers}, use_gpu={gpu}, resources_per_worker={resources}
        ),
        torch_config=TorchConfig(backend={backend!r}),
        run_config=RunConfig(
            name={name!r},
            storage_path=OUT + ".ray",
            failure_config=FailureConfig(max_failures={failures}),
        ),
    ).fit()
'''


@CLUSTERS.register
class Ray(Cluster):
    """A program for a Ray cluster, whose machines must all see the run's folder."""

    suffix, submit = "ray.py", ("ray", "job", "submit", "--no-wait", "--", "python")
    shares_files = True

    class Config(Spec):
        """What the job asks for; its workers on each machine are the run's ``processes``."""

        nodes: Annotated[int, Gt(0)] = 1
        """Machines."""
        gpu: bool = True
        """Whether each worker gets a GPU."""
        cpus: Annotated[float, Gt(0)] = 1
        """Cores that each worker gets."""
        failures: Annotated[int, Ge(0)] = 3
        """How often the run goes on by itself after a worker was lost."""

    def text(self, job: Job) -> str:
        """Returns the program."""
        asked = self.config
        resources = {"CPU": asked.cpus} | ({"GPU": 1} if asked.gpu else {})
        return PROGRAM.format(
            file=f"{job.name}.{self.suffix}",
            folder=str(Path.cwd()),
            out=job.run.out,
            words=list(job.words),
            workers=asked.nodes * job.run.processes,
            gpu=asked.gpu,
            resources=resources,
            backend="cpu:gloo,cuda:nccl" if asked.gpu else "gloo",
            name=job.name,
            failures=asked.failures,
        )
