"""``tunesmith check`` as it is printed: files, ledger, lengths and coloured rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.data.check import marked

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.data.check import Check


def show_check(found: Check, console: Console) -> None:
    """Prints what was found; where there are no colours, what is learned stands between ⟦ and ⟧."""
    plain = console.color_system is None or console.no_color
    for line in found.head(marked=plain):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for name, text in found.samples:
        console.print()
        console.print(name, style="bold", markup=False, highlight=False)
        console.print(marked(text) if plain else text, soft_wrap=True)
