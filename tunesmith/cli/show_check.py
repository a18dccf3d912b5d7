"""``tunesmith check`` as it is printed: files, ledger, lengths and coloured rows, or one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.data.check import marked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from tunesmith.data.check import Check
    from tunesmith.data.one_row import OneRow


def show_check(check: Check, console: Console) -> None:
    """Prints what was found; where there are no colours, what is learned stands between ⟦ and ⟧."""
    for line in check.head(marked=_plain(console)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for name, text in check.samples:
        _show_text(name, text, console)


def show_rows(rows: list[OneRow], console: Console) -> None:
    """Prints one row of each file: where it went, then its whole text, trained parts in colour."""
    for row in rows:
        for line in row.lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        for sequence in row.sequences:
            _show_text(sequence.title, sequence.text, console)


def _show_text(name: str, text: Text, console: Console) -> None:
    console.print()
    console.print(name, style="bold", markup=False, highlight=False)
    console.print(marked(text) if _plain(console) else text, soft_wrap=True)


def _plain(console: Console) -> bool:
    """Tells whether there are no colours here."""
    return console.color_system is None or console.no_color
