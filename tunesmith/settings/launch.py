"""How a run becomes a job of a cluster."""

from __future__ import annotations

from tunesmith.settings.family import CLUSTERS, choice
from tunesmith.settings.spec import Spec


class Launch(Spec):
    """The job; read by ``tunesmith launch`` alone."""

    cluster: choice(CLUSTERS, "slurm") = "slurm"  # type: ignore[valid-type]
    """Which kind of cluster, and what the job asks of it: one of ``tunesmith explain
    launch.cluster``."""

    model_config = Spec.model_config | {"validate_default": True}
