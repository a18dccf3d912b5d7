"""The result in lines for a person."""

from __future__ import annotations

import math

from tunesmith.voting.result import Pair, Result, Share, Tally, still_needed
from tunesmith.words import say


def lines_of(result: Result) -> list[str]:
    """Returns what the votes show, people first."""
    if result.people is None and result.judges is None:
        return [say("arena.no_votes")]
    lines = []
    for who, tally in (("people", result.people), ("judges", result.judges)):
        if tally is not None:
            fields = {"votes": tally.votes, "skipped": tally.skipped}
            lines += [say(f"arena.by_{who}", **fields), *_told(tally, result.contenders), ""]
    same, of = result.agreed
    if of:
        lines.append(say("arena.agreed", same=same, of=of, share=_percent(same / of)))
    return lines


def _told(tally: Tally, names: list[str]) -> list[str]:
    lines = [line for pair in tally.pairs for line in _pair(pair, names)]
    if len(names) > 2 and tally.strengths:
        lines.append(say("arena.strengths", first=names[0]))
        for name, share, even in zip(
            names[1:], tally.strengths[1:], tally.at_equal_length[1:], strict=True
        ):
            fields = {"name": name, "share": _share(share), "even": _share(even)}
            lines.append(say("arena.strength", **fields))
    elif tally.at_equal_length:
        even = tally.at_equal_length[1]
        lines.append(say("arena.at_equal_length", name=names[1], share=_share(even)))
    same, of = tally.again
    if of:
        lines.append(say("arena.again", same=same, of=of))
    if tally.left_share is not None:
        lines.append(say("arena.left_share", share=_share(tally.left_share)))
    if tally.longer_share is not None:
        lines.append(say("arena.longer_share", share=_share(tally.longer_share)))
    return lines


def _pair(pair: Pair, names: list[str]) -> list[str]:
    first, second = names[pair.first], names[pair.second]
    counts = {"wins": pair.wins, "losses": pair.losses, "ties": pair.ties, "bad": pair.both_bad}
    lines = [say("arena.pair", first=first, second=second, **counts)]
    if math.isnan(pair.share.value):
        return lines
    fields = {"first": first, "share": _share(pair.share), "p": f"{pair.p:.3g}"}
    lines.append(say("arena.share", **fields))
    if pair.winner is not None:
        other = pair.second if pair.winner == pair.first else pair.first
        lines.append(say("arena.better", name=names[pair.winner], other=names[other]))
        return lines
    needed = still_needed(pair)
    more = "" if not needed else say("arena.more_votes", votes=needed)
    return [*lines, say("arena.not_shown") + more]


def _share(share: Share) -> str:
    if share.low is None or share.high is None:
        return say("arena.without_interval", share=_percent(share.value))
    fields = {"low": _percent(share.low), "high": _percent(share.high)}
    return say("arena.with_interval", share=_percent(share.value), **fields)


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"
