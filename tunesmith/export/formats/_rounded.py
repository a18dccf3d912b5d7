"""What the formats with linear weights of few bits share: one folder in the format of
compressed-tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.export.folders.source import Source
    from tunesmith.export.formats import Made
    from tunesmith.export.rounding.codes import Codes
    from tunesmith.predicting.engine import Engine


class Rounded:
    """What a format with rounded linear weights does; how they are rounded it says in ``codes``."""

    verified_by = "transformers with compressed-tensors"
    install = "pip install 'tunesmith[verify]'"

    def codes(self, made: Made) -> dict[str, Codes]:
        """Rounds the linear weights; returns the codes by the names of their layers."""
        raise AssertionError(f"{type(self).__name__} has no codes")

    def size(self, source: Source) -> int:
        """Counts two bytes a weight: how many are rounded is known later."""
        return source.stored[1] * 2

    def write(self, made: Made, place: Path) -> None:
        """Rounds and writes."""
        from tunesmith.export.folders.files import copy_beside
        from tunesmith.export.rounding.compressed import save_compressed

        save_compressed(made.trained.model, place, self.codes(made))
        copy_beside(made.source.place, place)

    def open(self, place: Path, made: Made) -> Engine | None:
        """Loads the folder in transformers."""
        from tunesmith.export.rounding.compressed import open_compressed

        return open_compressed(place, made.source)

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the lines that load it, and the command that serves it."""
        from tunesmith.export.folders.whole import python

        return [*python(source, out), f"vllm serve {out}"]

    def not_run(self, source: Source) -> str:
        """Names the commands that would show it in vLLM itself."""
        return say("export.vllm_not_run", url="http://127.0.0.1:8000/v1")
