"""What rows, settings and JSON files hold before their values have been looked at: only their names
are known. Who reads such a value says what it must be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]
"""A row of a file or a table: its values by column."""
Named = Mapping[str, Any]
"""Values by name that are only read: settings as they are written, a proof, a line of a record."""
JsonObject = dict[str, Any]
"""An object that is read from JSON, or made to be written as it."""
