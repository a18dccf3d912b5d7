"""What the names in the table of a proof mean, for who does not know them: the contenders and the
metrics.
"""

from __future__ import annotations

import inspect

from tunesmith.metrics import metric_class
from tunesmith.plain import Named
from tunesmith.proving.record import OWN
from tunesmith.report.language import Say
from tunesmith.report.verdict import contenders, metric_name, metrics, name_of


def meanings(proof: Named, say: Say) -> list[tuple[str, str]]:
    """Returns each name with what it means, in the order of the table; those from outside speak for
    themselves.
    """
    who_is_who = [
        (name_of(who, proof, say), say(f"report.who_{who}"))
        for who in contenders(proof)
        if who in OWN
    ]
    return who_is_who + [(metric_name(name, say), _of_metric(name, say)) for name in metrics(proof)]


def _of_metric(name: str, say: Say) -> str:
    """Returns the first paragraph of a metric's own help."""
    paragraph = inspect.cleandoc(metric_class(name).__doc__ or "").partition("\n\n")[0]
    english = " ".join(paragraph.split()).replace("``", "")
    if say.language == "en":
        return english
    return say.known(f"help.metric.{name}", english).replace("``", "")
