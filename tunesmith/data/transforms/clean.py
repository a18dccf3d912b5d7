"""Texts repaired, and rows left out that hold none worth learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen

from tunesmith.data.files.file_facts import Located
from tunesmith.data.texts import repair
from tunesmith.data.texts.quality import broken_c4_rule, broken_rule, repeated_share
from tunesmith.data.texts.script import Script, script_of
from tunesmith.data.texts.strings import changed_row, strings
from tunesmith.data.transforms import TRANSFORMS, Account, Content, Rows, Transform
from tunesmith.data.transforms._perplexity import Perplexity, Scorer, bounds
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec, Word
from tunesmith.words import say

Mend = Callable[[str], str]


@TRANSFORMS.register
class Clean(Transform):
    """Cleaning: repairs texts, and leaves out rows by their form."""

    class Config(Spec):
        """What is repaired, and what is left out."""

        columns: list[Word] | None = None
        """The columns that are cleaned; all but those about the row (id, source, url) when not
        given.
        """
        mojibake: bool = True
        """Bring back texts that were read in a wrong encoding."""
        unseen: bool = True
        """Take out control characters and signs of no width, and write accents in one way (NFC)."""
        spaces: bool = True
        """Take out spaces at the ends of lines, and empty lines that follow each other."""
        marks: bool = False
        """Take out marks of chat templates, such as <|im_end|> or ### Response:."""
        html: bool = False
        """Take out HTML's tags and read its entities."""
        width: bool = False
        """Write full-width letters and digits as plain ones; punctuation stays."""
        chinese: Literal["as_it_is", "simplified", "traditional"] = "as_it_is"
        """Convert Chinese characters (needs the package opencc). It changes some names of drugs
        too.
        """
        shortest: Annotated[int, Ge(0)] = 0
        """Leave out rows with fewer characters."""
        longest: Annotated[int, Gt(0)] | None = None
        """Leave out rows with more characters."""
        scripts: Annotated[list[Script], MinLen(1)] | None = None
        """Leave out rows that are mostly in another script; English and French are both latin."""
        repeated: Annotated[float, Gt(0), Le(1)] | None = None
        """Leave out rows of which a larger share repeats itself."""
        rules: Literal["none", "gopher", "c4"] = "none"
        """Leave out rows that break a set of rules for whole pages: gopher's are for English, c4's
        ask for three whole sentences, and for no code, script or lorem ipsum.
        """

        perplexity: Perplexity | None = None
        """Leave out rows by their perplexity under the base ``model``: below ``least`` or above
        ``most``, or a share of the rows, the ``lowest`` or the ``highest``, such as {model:
        starter, highest: 0.02}; in the verb alone, not in ``data.steps``.
        """

    scorer: Scorer | None = None
    """Who knows the perplexity of texts; the verb brings it."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config.longest is not None and config.longest < config.shortest:
            fields = {"shortest": config.shortest, "longest": config.longest}
            raise SpecError(Problem("longest", say("transforms.lengths_crossed", **fields)))
        self._values: np.ndarray | None = None
        wanted: dict[str, tuple[bool, Mend]] = {
            "mojibake": (config.mojibake, repair.mended),
            "marks_taken": (config.marks, repair.without_marks),
            "html": (config.html, repair.without_tags),
            "unseen": (config.unseen, repair.without_unseen),
            "width": (config.width, repair.plain_width),
            "spaces": (config.spaces, repair.evenly_spaced),
        }
        self.mends = {name: mend for name, (on, mend) in wanted.items() if on}
        if config.chinese != "as_it_is":
            self.mends["chinese"] = _converter(config.chinese)

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Repairs each row, then looks whether it stays."""
        content = Content(self.config.columns)
        asked = self.config.perplexity
        values = np.zeros(0)
        low = 0.0
        high = math.inf
        if asked is not None:
            bounds(asked, values)  # what can be refused without the base is refused before it works
            values = self._perplexities(rows)
            low, high = bounds(asked, values)
            fields = {"model": asked.model, "low": f"{low:.4g}", "high": f"{high:.4g}"}
            middle = float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan
            note = say("transforms.perplexity", **fields, middle=f"{middle:.4g}")
            account.notes += [note] if note not in account.notes else []
        for index, located in enumerate(rows()):
            row, mends, text = self._mended(located, content)
            why = self._unwanted(text)
            value = None
            if why is None and asked is not None and not low <= values[index] <= high:
                # NaN lies nowhere: a text of one token stays.
                value = None if math.isnan(values[index]) else round(float(values[index]), 4)
                if value is not None:
                    why = "perplexity_low" if values[index] < low else "perplexity_high"
            if why is not None:
                account.dropped(located, self.name, why, value=value)
                continue
            if mends:
                account.changed(located, self.name, *mends)
            yield replace(located, row=row)
        content.check()

    def _mended(self, located: Located, content: Content) -> tuple[JsonObject, list[str], str]:
        """Returns the row repaired, by which repairs, and its text."""
        columns = content.columns(located.row)
        row = located.row
        mends = list[str]()
        for name, mend in self.mends.items():
            mended = changed_row(row, mend, columns)
            if mended != row:
                mends.append(name)
            row = mended
        return row, mends, "\n".join(text for name in columns for text in strings(row[name]))

    def _perplexities(self, rows: Rows) -> np.ndarray:
        """Asks the base for all rows at once, and once however often they are read; SpecError
        where nobody brought one.
        """
        if self.scorer is None:
            raise SpecError(Problem("perplexity", say("transforms.perplexity_verb")))
        if self._values is None:
            content = Content(self.config.columns)
            texts = [self._mended(located, content)[2] for located in rows()]
            self._values = np.array(self.scorer(texts))
        return self._values

    def _unwanted(self, text: str) -> str | None:
        """Returns the reason why a row with this text is left out."""
        config = self.config
        length = len(text.strip())
        if length < config.shortest:
            return "short"
        if config.longest is not None and length > config.longest:
            return "long"
        if config.scripts is not None and script_of(text) not in (None, *config.scripts):
            return "script"
        if config.repeated is not None and repeated_share(text) > config.repeated:
            return "repeated"
        rule = _RULES[config.rules](text)
        return rule and f"rule_{rule}"


_RULES: dict[str, Callable[[str], str | None]] = {
    "none": lambda text: None,
    "gopher": broken_rule,
    "c4": broken_c4_rule,
}


def _converter(wanted: str) -> Mend:
    try:
        from opencc import OpenCC
    except ImportError:
        text = say("transforms.no_package", package="opencc", command="pip install opencc")
        raise SpecError(Problem("chinese", text)) from None
    return OpenCC("t2s" if wanted == "simplified" else "s2t").convert
