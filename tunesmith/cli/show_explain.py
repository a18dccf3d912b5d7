"""``tunesmith explain`` as it is printed: pages of help as lines."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.settings.explain import Entry, HelpPage, Value
from tunesmith.words import language, say


def lines(pages: Sequence[HelpPage]) -> list[str]:
    """Returns the lines of the pages, with an empty one between two."""
    lines_of_all: list[str] = []
    for page in pages:
        lines_of_all += [*([""] if lines_of_all else []), *_page(page)]
    return lines_of_all


def _page(page: HelpPage) -> list[str]:
    if page.kind == "start":
        return [say("explain.start"), "", *_settings(page)]
    if page.kind == "family":
        return [say("explain.family", kind=page.help), *_plug_ins(page)]
    if page.kind == "plug_in":
        about = [*page.help.split("\n"), *_facts(page)]
        rows = _own_settings(page)
        return [page.path, *(f"  {line}" for line in about), *([""] if rows else []), *rows]
    head = [page.path, f"  {page.help}"]
    if page.kind == "group":
        return [*head, "", *_settings(page)]
    assert page.value is not None, "a setting has a value"
    facts = [say("explain.type", type=page.value.type), _default(page.value), *_by_plug_ins(page)]
    return [*head, *(f"  {line}" for line in facts)]


def _settings(page: HelpPage) -> list[str]:
    rows = [(entry.path, entry.help.split("\n")[0]) for entry in page.entries]
    return _beside(rows)


def _plug_ins(page: HelpPage) -> list[str]:
    rows = []
    for entry in page.entries:
        text = entry.help.split("\n")[0]
        fact = _in_short(entry)
        rows.append((entry.name, say("explain.beside", text=text, fact=fact) if fact else text))
    return _beside(rows)


def _own_settings(page: HelpPage) -> list[str]:
    rows = []
    for entry in page.entries:
        assert entry.value is not None, "a setting has a value"
        fact = f"[{_default(entry.value)}]"
        rows.append((entry.name, say("explain.beside", text=entry.help, fact=fact)))
    return _beside(rows)


def _beside(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:<{width}}  {text}" for name, text in rows]


def _default(value: Value) -> str:
    if value.default is None:
        return say("explain.required")
    return say("explain.default", value=value.default)


def _in_short(entry: Entry) -> str:
    """Returns what a list says of a plug-in beside its help."""
    facts = entry.facts
    if "learning_rate" in facts:
        return say("explain.short_rate", rate=f"{facts['learning_rate']:g}")
    if "higher_is_better" in facts:
        return say("explain.higher" if facts["higher_is_better"] else "explain.lower")
    return say("explain.short_columns", names=", ".join(facts["columns"])) if facts else ""


def _facts(page: HelpPage) -> list[str]:
    """Returns what a page says of a plug-in beside its help and its settings."""
    facts = page.facts
    if "learning_rate" in facts:
        low, high = facts["search"]
        source = say("explain.source", source=facts["source"]) if facts["source"] else ""
        return [
            say("explain.rate", rate=f"{facts['learning_rate']:g}") + source,
            say("explain.search", low=f"{low:g}", high=f"{high:g}"),
        ]
    if "higher_is_better" in facts:
        return [say("explain.higher" if facts["higher_is_better"] else "explain.lower")]
    if "columns" not in facts:
        return []
    # What a column means is said in the code, in English; the Chinese help names them in its
    # sentence.
    rows = [(name, text if language() == "en" else "") for name, text in facts["columns"].items()]
    return [say("explain.columns"), *(line.rstrip() for line in _beside(rows))]


def _by_plug_ins(page: HelpPage) -> list[str]:
    """Returns what plug-ins say of a setting: its allowed values, or its value when left open."""
    if "one_of" in page.facts:
        return [say("explain.one_of", values=", ".join(page.facts["one_of"]))]
    rates = [
        say(
            "explain.rate_of_method",
            name=name,
            rate=f"{rate_of['learning_rate']:g}",
            source=rate_of["source"] or "-",
        )
        for name, rate_of in page.facts.get("rates", {}).items()
    ]
    factors = [
        say("explain.rate_factor", name=name, factor=f"{factor:g}")
        for name, factor in page.facts.get("factors", {}).items()
    ]
    return [*rates, *factors]
