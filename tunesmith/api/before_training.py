"""What is said before anything is trained: of the rows, of a plan, of a setting."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from tunesmith.settings.given import (
    Overrides,
    Settings,
    given,
    look_settings,
    rows_of_peer,
    settings_of,
    speak,
)
from tunesmith.settings.open_values import with_value

if TYPE_CHECKING:
    from tunesmith.data.check import Check
    from tunesmith.diagnosis.overfit import Overfit
    from tunesmith.diagnosis.under_base import UnderBase
    from tunesmith.display.progress import Shown
    from tunesmith.planning.cards import Found
    from tunesmith.planning.plan import Plan
    from tunesmith.settings.explain import HelpPage


def check(settings: Settings, overrides: Overrides = (), *, progress: Shown | None = None) -> Check:
    """Reads, renders and splits the data, and says where every row went; needs the model's
    tokenizer only.
    """
    from tunesmith.data.asked_reading import look_at_rows
    from tunesmith.data.check import check as look
    from tunesmith.data.find import held_part
    from tunesmith.models.finding.hub import at_hand, folder_of
    from tunesmith.models.loading.tokenizer import load_tokenizer

    run = look_settings(settings, overrides)
    part = held_part(run.data.path) if isinstance(run.data.path, str) else None
    if part is not None and "held_out" not in run.data.model_fields_set:
        run = with_value(run, ["data", "held_out"], part)
    if not at_hand(run.model):
        look_at_rows(run)  # a merge, or a download, takes minutes
    folder = folder_of(run.model)
    tokenizer = load_tokenizer(
        folder, trust_remote_code=run.model.trust_remote_code, add_tokens=run.model.add_tokens
    )
    return look(run, tokenizer, progress=progress)


def overfit(
    settings: Settings, overrides: Overrides = (), *, progress: Shown | None = None
) -> Overfit:
    """Learns four of the rows by heart and asks for them: whether rows, template, training and
    answers fit each other. Nothing is left on the disk.
    """
    from tunesmith.diagnosis.overfit import CHANGES
    from tunesmith.diagnosis.overfit import overfit as learn

    with tempfile.TemporaryDirectory(prefix="tunesmith-") as folder:
        plain = {"model": "starter", **rows_of_peer(given(settings), overrides)}
        run = settings_of(plain, [*overrides, *CHANGES, f"out={folder}/run"])
        speak(run)
        return learn(run, progress=progress)


def under_base(
    settings: Settings, overrides: Overrides = (), *, progress: Shown | None = None
) -> UnderBase:
    """Asks the untuned base up to 1,000 training rows: which answers it gives already, word for
    word, and which rows are far harder than all others.
    """
    from tunesmith.diagnosis.under_base import under_base as ask

    checked = check(settings, overrides, progress=progress)
    return ask(look_settings(settings, overrides), checked.prepared, progress=progress)


def plan(
    settings: Settings,
    overrides: Overrides = (),
    *,
    probe: bool = False,
    progress: Shown | None = None,
) -> Plan:
    """Plans what would run, with every value's origin and every problem; writes nothing."""
    run = settings_of(settings, overrides)
    speak(run)
    # Imported once the settings hold: what reads rows takes longer than refusing one.
    from tunesmith.planning.make import make

    return make(run, probe=probe, progress=progress)


def plan_cards(
    settings: Settings,
    overrides: Overrides = (),
    *,
    cards: str,
    progress: Shown | None = None,
) -> Found:
    """Returns the layouts of a run on cards that need not be here (``4x24``: four of 24 GiB), from
    the cheapest; raises SpecError where the run itself has problems.
    """
    from tunesmith.models.finding.hub import folder_of
    from tunesmith.planning.cards import Cards, layouts_on, without_machine
    from tunesmith.planning.make import make

    size = Cards.read(cards)
    run = settings_of(settings, overrides)
    speak(run)
    made = make(without_machine(run), progress=progress)
    # The run's disk is elsewhere, as its cards are.
    made.problems = [problem for problem in made.problems if problem.where != "out"]
    return layouts_on(size, run, made.require(), folder_of(run.model))


def plan_stages(
    settings: Settings,
    overrides: Overrides = (),
    *,
    probe: bool = False,
    progress: Shown | None = None,
) -> list[tuple[str, Plan]] | None:
    """Plans each stage of a file for ``rlhf`` that was not begun, by its name; None where the file
    has no stages.
    """
    plain = given(settings)
    if "stages" not in plain:
        return None
    from tunesmith.planning.make import make
    from tunesmith.planning.stages import plans, stages_of

    stages = stages_of(plain, overrides)
    return plans(stages, lambda run: make(run, probe=probe, progress=progress))


def explain(path: str = "") -> list[HelpPage]:
    """Returns the help for a setting, a group of settings, a plug-in or a family of plug-ins, by
    its dotted path; without one, for all settings.
    """
    from tunesmith.settings.explain import explain as pages

    return pages(path)
