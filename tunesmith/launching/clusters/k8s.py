"""Kubernetes: a PyTorchJob of Kubeflow's training operator (v1), which starts a pod again where it
ends by a code of 128 and above.
"""

from __future__ import annotations

import posixpath
import shlex
from pathlib import PurePosixPath
from typing import Annotated, Any

import yaml
from annotated_types import Gt

from tunesmith.errors import Problem
from tunesmith.launching.clusters import CLUSTERS, Cluster, Job
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.words import say

SETTINGS = "/etc/tunesmith"
"""Where the run's settings are in a pod."""
# The operator's RANK is the number of the pod, and tunesmith takes it for that of a process; so it
# is handed over as torchrun's own variables. The shell is the pod's first process: it hands SIGTERM
# on, and turns "stopped, to be continued" (75) into a code that the operator starts again.
SCRIPT = """\
export PET_NNODES={nodes} PET_NODE_RANK=$RANK
export PET_MASTER_ADDR=$MASTER_ADDR PET_MASTER_PORT=$MASTER_PORT
OUT={out}
words=({words})
if [ -f "$OUT/run.yaml" ]; then words=("$OUT" --resume); fi
env -u RANK -u WORLD_SIZE tunesmith train "${{words[@]}}" &
child=$!
trap 'kill -TERM "$child"' TERM INT
wait "$child"; code=$?
while [ "$code" -gt 128 ] && kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
if [ "$code" -eq 75 ]; then exit 143; fi
exit "$code"
"""


@CLUSTERS.register
class K8s(Cluster):
    """A manifest for kubectl: the run's settings, and a PyTorchJob that goes on after a stop."""

    suffix, submit = "k8s.yaml", ("kubectl", "apply", "-f")

    class Config(Spec):
        """What the job asks for; GPUs of a pod are the run's ``processes``."""

        image: str = ""
        """Image with tunesmith in it, such as the repository's Dockerfile makes; must be given."""
        claim: str = ""
        """Volume claim that all pods can write; must be given."""
        mount: str = "/runs"
        """Where it is mounted; ``out``, and rows and model that are files, lie there."""
        nodes: Annotated[int, Gt(0)] = 1
        """Pods."""
        namespace: str | None = None
        """Namespace; that of kubectl when not given."""
        gpu: str = "nvidia.com/gpu"
        """The resource that is a GPU."""
        grace: Annotated[int, Gt(0)] = 300
        """How long a pod has to save when it is stopped (seconds)."""

    def refused(self, job: Job) -> list[Problem]:
        """Names what is missing, and an ``out`` that would go with the pod."""
        asked, where = self.config, "launch.cluster"
        problems = [
            Problem(f"{where}.{name}", say("launch.must_be_given", cluster=self.name))
            for name in ("image", "claim")
            if not dict(asked)[name]
        ]
        out = PurePosixPath(posixpath.normpath(job.run.out))
        if not out.is_relative_to(asked.mount) or out == PurePosixPath(asked.mount):
            problems.append(Problem("out", say("launch.not_mounted", mount=asked.mount, out=out)))
        return problems

    def text(self, job: Job) -> str:
        """Returns a ConfigMap with the settings, and the PyTorchJob."""
        asked, meta = self.config, {"name": job.name}
        if asked.namespace:
            meta["namespace"] = asked.namespace
        plain = job.run.model_dump(mode="json", exclude_unset=True, exclude={"launch"})
        settings: JsonObject = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"run.yaml": yaml.safe_dump(plain, allow_unicode=True, sort_keys=False)},
        }
        replicas = {"Master": 1, "Worker": asked.nodes - 1}
        specs = {
            name: {
                "replicas": count,
                "restartPolicy": "ExitCode",
                "template": {"spec": self._pod(job)},
            }
            for name, count in replicas.items()
            if count
        }
        training = {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": meta,
            "spec": {"pytorchReplicaSpecs": specs},
        }
        written = (
            yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
            for document in (settings, training)
        )
        return "---\n".join(written)

    def _pod(self, job: Job) -> JsonObject:
        asked = self.config
        script = SCRIPT.format(
            nodes=asked.nodes,
            out=shlex.quote(job.run.out),
            words=shlex.quote(f"{SETTINGS}/run.yaml"),
        )
        container: dict[str, Any] = {
            "name": "pytorch",  # the name by which the operator finds it
            "image": asked.image,
            "command": ["bash", "-c", script],  # the image's own is serve
            "resources": {"limits": {asked.gpu: job.run.processes}},
            "volumeMounts": [
                {"name": "runs", "mountPath": asked.mount},
                {"name": "settings", "mountPath": SETTINGS},
                {"name": "shared-memory", "mountPath": "/dev/shm"},  # what NCCL talks through
            ],
        }
        return {
            "terminationGracePeriodSeconds": asked.grace,
            "containers": [container],
            "volumes": [
                {"name": "runs", "persistentVolumeClaim": {"claimName": asked.claim}},
                {"name": "settings", "configMap": {"name": job.name}},
                {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
            ],
        }
