"""What LLaMA-Factory, ms-swift, axolotl and TRL call a setting, and what it is called here."""

from __future__ import annotations


def name_here(path: str) -> str | None:
    """What the unknown key at ``path`` is called here, as a sentence; None when no peer knows it."""
    return None
