"""A forward seen at a temperature: what answers are sampled from is what their log-probabilities
are of.
"""

from __future__ import annotations

from dataclasses import replace

from tunesmith.models.calling.views import Seen


def at_temperature(seen: Seen, temperature: float) -> Seen:
    """Returns the same forward with its logits divided by ``temperature``."""
    if temperature == 1.0:
        return seen
    after, own_NV = seen.head.after, seen.own_logits_NV
    head = replace(seen.head, after=lambda logits: after(logits) / temperature)
    own_NV = None if own_NV is None else own_NV.float() / temperature
    return replace(seen, head=head, own_logits_NV=own_NV)
