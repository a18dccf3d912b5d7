"""The adapter as peft loads it, beside a base that stays as it is."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from tunesmith.errors import Problem
from tunesmith.export.folders.lora import CONFIG, WEIGHTS, stands_alone
from tunesmith.export.formats import FORMATS, ExportFormat, Made
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.export.folders.source import Source
    from tunesmith.predicting.engine import Engine

FILES = (CONFIG, WEIGHTS)


@FORMATS.register
class Adapter(ExportFormat):
    """A folder that peft puts on the untouched base, with the run's tokenizer and template."""

    folds = False
    exact = True
    verified_by = "peft"

    class Config(Spec):
        """Adapter folder."""

    def refused(self, source: Source) -> list[Problem]:
        """Refuses what peft cannot load: whole models, adapters of our own, a rounded base."""
        from tunesmith.models.adapters import beside_base, prompt_in_encoder

        method, adapter = source.run.method.name, source.place
        if not source.adapter:
            return [Problem("format", say("export.no_adapter", method=method))]
        if beside_base.is_own(adapter) or prompt_in_encoder.is_there(adapter):
            return [Problem("format", say("export.own_adapter", method=method))]
        config = json.loads((adapter / FILES[0]).read_text(encoding="utf-8"))
        if "peft_type" not in config:
            return [Problem("format", say("export.own_adapter", method=method))]
        if source.run.model.add_tokens or source.run.model.quantize:
            return [Problem("format", say("export.changed_base", method=method))]
        return []

    def dtype(self, source: Source) -> str:
        """Returns the type in which adapters are trained and compared."""
        return "fp32"

    def size(self, source: Source) -> int:
        """Counts the adapter's bytes."""
        return (source.place / FILES[1]).stat().st_size

    def write(self, made: Made, place: Path) -> None:
        """Copies the adapter, tokenizer and template, and names the base as it was given."""
        from tunesmith.export.folders.files import copy_beside

        for name in FILES:
            shutil.copyfile(made.source.place / name, place / name)
        copy_beside(made.source.place, place)

    def open(self, place: Path, made: Made) -> Engine:
        """Puts it on its base with plain peft."""
        from tunesmith.export.folders.whole import open_adapter

        return open_adapter(place, made.source)

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the lines of Python that load it, and what makes vLLM's folder of it."""
        base = json.dumps(str(source.base), ensure_ascii=False)
        kind = source.loader.__name__
        lines = [
            f"from transformers import {kind}",
            "from peft import PeftModel",
            f"base = {kind}.from_pretrained({base})",
            f"model = PeftModel.from_pretrained(base, {json.dumps(str(out), ensure_ascii=False)})",
        ]
        if source.head == "language" and stands_alone(source):
            lines.append(say("export.vllm_format"))
        return lines
