"""The start of the run with the Fisher information of each weight, which ``training/fisher.py``
measures before the first step.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.models.finding.parent import parent_of
from tunesmith.models.loading.load import Loaded
from tunesmith.models.roles import ROLES, Role
from tunesmith.models.roles.start import FromStart, refused, start_of
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.methods import Method
    from tunesmith.settings.run import Run


def rows_source(run: Run) -> str:
    """Returns the file or run folder of the rows that say what is to be kept: that of the settings,
    or the run that this one goes on from; raises SpecError without either.
    """
    named = run.objective.rows
    if named is not None:
        if not Path(named).exists():
            raise SpecError(Problem("objective.rows", say("ewc.absent", path=named)))
        return named
    parent = parent_of(run.model.path)
    if parent is None:
        raise SpecError(Problem("objective.rows", say("ewc.no_rows")))
    return str(parent.folder.path)


@ROLES.register
class Fisher(Role):
    """The start, and how much each weight counts."""

    def check(self, tokenizer: Tokenizer) -> None:
        """Refuses a method that does not move weights of the base, a base whose weights have no
        gradient, and rows that are not there, unless the folder holds what was measured on them.
        """
        problems = refused(self.run)
        if self.run.model.quantize:
            text = say("ewc.quantised", method=self.run.method.name)
            problems.append(Problem("method", text))
        if not RunFolder(Path(self.run.out)).fisher.is_file():
            try:
                rows_source(self.run)
            except SpecError as error:
                problems += error.problems
        if problems:
            raise SpecError(problems)

    def model(self, policy: Loaded, method: Method) -> FromStart:
        """Returns the start; what counts is filled in once it is measured."""
        return start_of(policy.model, method)
