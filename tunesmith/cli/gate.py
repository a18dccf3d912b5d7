"""Exit code 1 where a proof does not come out as the run requires."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from tunesmith.errors import TunesmithError
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.proving.proof import Proof
    from tunesmith.settings.prove import Prove


def gate(proof: Proof, wanted: Prove) -> None:
    """Ends the process with code 1, and says why, where the verdict is not the one required or the
    suites were not retained. It is no error to main, which would print a second JSON object.
    """
    if not proof.meets(wanted.require):
        words = {
            name: say(f"prove.word_{verdict.replace(' ', '_')}")
            for name, verdict in (("verdict", proof.verdict), ("required", str(wanted.require)))
        }
        print(say("cli.required_verdict", **words), file=sys.stderr)
        raise typer.Exit(TunesmithError.exit_code)
    if not proof.retains(wanted.retain):
        print(say("cli.required_retain", required=wanted.retain), file=sys.stderr)
        raise typer.Exit(TunesmithError.exit_code)
