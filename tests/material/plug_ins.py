"""What every plug-in of the package may be told."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.settings.explain import _home
from tunesmith.settings.families import FAMILIES


def plug_in_settings() -> Iterator[str]:
    """Yields ``method.lora`` and ``method.lora.rank``: every plug-in and each of its settings, those
    of a preset with the method that it is a preset of.
    """
    for family_name, family in FAMILIES.items():
        for name in family.names():
            plug_in = f"{family_name}.{name}"
            yield plug_in
            for field in family.get(name).Config.model_fields:
                setting = f"{plug_in}.{field}"
                if field != "name" and _home(setting) == setting:
                    yield setting
