"""The model card of a lighter model: what it was, what went, and what is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.export.card import base_of, file_names, public_name, section
from tunesmith.pruning.page import PrunedPage
from tunesmith.settings.prune import Prune
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.settings.run import Run
    from tunesmith.storage.sending import Hub


def write_card(run: Run, page: PrunedPage, place: Path, hub: Hub | None, name: str) -> None:
    """Writes README.md into the folder ``place`` of a lighter model called ``name``."""
    (place / "README.md").write_text(card(run, page, hub, name), encoding="utf-8")


def card(run: Run, page: PrunedPage, hub: Hub | None, name: str) -> str:
    """Returns the whole card in the language in use; like an export's it holds no row and no path
    of this machine.
    """
    from huggingface_hub import ModelCardData

    name = hub.id.split("/")[1] if hub else name
    base = base_of(_trained_on(run))
    before = public_name(run.model.path)
    asked = run.prune or Prune()
    lines = [f"# {name}", "", say("card.pruned", model=f"`{before}`", how=page.format)]
    if base is None:
        lines += ["", say("card.local_base")]
    lines += section("gone", [f"- {line}" for line in page.gone])
    lines += section("rows", [say("card.pruned_rows", names=file_names(run))])
    lines += section("left", page.markdown().splitlines()[2:])
    fetch = [hub.fetch(name)] if hub else []
    use = ["```", *fetch, f"tunesmith train model={name} data=… out=…", "```"]
    lines += section("use", [say("card.pruned_use"), "", *use])
    lines += section("license", [say("card.license")])
    header = ModelCardData(
        base_model=base,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["tunesmith", "pruned", asked.how.name],
    )
    if base:
        header["base_model_relation"] = "finetune"
    return f"---\n{header.to_yaml()}\n---\n\n" + "\n".join([*lines, ""])


def _trained_on(run: Run) -> str:
    """Returns the model at the beginning: that which a run, whose model is pruned, trained."""
    folder = RunFolder(Path(run.model.path))
    return folder.resolved().run.model.path if folder.run_yaml.is_file() else run.model.path
