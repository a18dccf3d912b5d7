"""Clusters that a run is sent to, one a file: the text of a job, and the command that takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tunesmith.errors import Problem
from tunesmith.settings.family import CLUSTERS
from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec

__all__ = ["CLUSTERS", "Cluster", "Job"]


@dataclass(frozen=True)
class Job:
    """What is to run: ``words`` stand behind ``tunesmith train`` on this machine's own file system,
    ``run`` is what they say.
    """

    name: str
    words: Sequence[str]
    run: Run


class Cluster:
    """Base of the clusters."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    """How the job's file ends."""
    submit: ClassVar[tuple[str, ...]]
    """The command that takes the file."""
    shares_files: ClassVar[bool] = False
    """Whether its machines see the files of this one, so that a whole path means the same there."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def refused(self, job: Job) -> list[Problem]:
        """Returns why the job cannot run there."""
        return []

    def text(self, job: Job) -> str:
        """Returns the job's file."""
        raise AssertionError(f"cluster {self.name} writes nothing")
