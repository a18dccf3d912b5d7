"""A folder for vLLM: the LoRA beside its base where the run gives one, else the merged model."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tunesmith.errors import Problem
from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import Engine


URL = "http://127.0.0.1:8000/v1"
"""Where vLLM listens if told nothing else."""


@FORMATS.register
class Vllm(ExportFormat):
    """A folder and the command with which vLLM serves it: a plain LoRA stays an adapter on its
    base, with its scale in the weights; what any other method learned is folded in.
    """

    exact = True
    heads = frozenset({"language"})
    verified_by = "peft or transformers"

    class Config(Spec):
        """Folder for vLLM."""

    def folded(self, source: Source) -> bool:
        """Tells whether the model is written whole."""
        return not _beside(source)

    def refused(self, source: Source) -> list[Problem]:
        """Refuses what vLLM has no server for: an encoder beside the decoder."""
        from tunesmith.models.structure.kinds import kind_of

        kind = kind_of(source.config)
        return [] if kind == "decoder" else [Problem("format", say("export.vllm_kind", kind=kind))]

    def dtype(self, source: Source) -> str:
        """Returns fp32 for an adapter, which is trained in it, else the base's type."""
        return "fp32" if _beside(source) else source.stored[0]

    def size(self, source: Source) -> int:
        """Counts the adapter's bytes, or the weights in their type."""
        from tunesmith.export.folders.lora import WEIGHTS

        if _beside(source):
            return (source.place / WEIGHTS).stat().st_size
        return source.stored[1] * (4 if source.stored[0] == "fp32" else 2)

    def write(self, made: Made, place: Path) -> None:
        """Writes weights, tokenizer, the tokens that end an answer, and a chat template that asks
        as the run does.
        """
        from tunesmith.export.folders.files import copy_beside
        from tunesmith.export.folders.lora import read_lora, write_lora
        from tunesmith.export.folders.vllm import TEMPLATE, asking_template
        from tunesmith.export.folders.whole import write_whole

        source, render = made.source, made.trained.render
        assert render is not None, "a run's model comes with its renderer"
        if _beside(source):
            write_lora(read_lora(source.place), place)
        else:
            write_whole(source, made.trained.model, place, self.dtype(source))
        copy_beside(source.place, place)
        template = asking_template(render)
        if template is None:
            made.notes.append(say("export.server_template"))
        else:
            (place / TEMPLATE).write_text(template, encoding="utf-8")

    def open(self, place: Path, made: Made) -> Engine:
        """Puts the adapter on its base with plain peft, or loads the folder in transformers."""
        from tunesmith.export.folders.whole import open_adapter, open_folder

        source = made.source
        return open_adapter(place, source) if _beside(source) else open_folder(place, source)

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the command that serves it."""
        from tunesmith.export.folders.lora import largest_rank
        from tunesmith.export.folders.vllm import TEMPLATE, vllm_command

        name, code = source.folder.path.resolve().name, source.run.model.trust_remote_code
        if not _beside(source):
            return [shlex.join(vllm_command(out, [name], {}, code=code))]
        rank, template = largest_rank(source.place), (source.place / TEMPLATE).is_file()
        base = [source.base.name]
        words = vllm_command(
            source.base, base, {name: out}, rank=rank, template=template, code=code
        )
        return [shlex.join(words)]

    def not_run(self, source: Source) -> str:
        """Names the commands that would show it in vLLM itself."""
        return say("export.vllm_not_run", url=f"{URL}#{source.folder.path.resolve().name}")


def _beside(source: Source) -> bool:
    from tunesmith.export.folders.lora import largest_rank, stands_alone
    from tunesmith.export.folders.vllm import room_for

    return stands_alone(source) and room_for(largest_rank(source.place)) is not None
