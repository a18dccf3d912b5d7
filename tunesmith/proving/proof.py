"""Proof: the verdict with all its numbers, as JSON and as the table that a person reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tunesmith.data.ledger import counted
from tunesmith.display.table import table_lines
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.cloze import told_lines
from tunesmith.proving.efficiency import efficiency_lines
from tunesmith.proving.grading import grading_lines
from tunesmith.proving.judge import TUNED, metric
from tunesmith.proving.metric_values import interval_kind, interval_shown, shown
from tunesmith.proving.mistakes_text import mistake_lines
from tunesmith.proving.record import OWN, called
from tunesmith.proving.retention import retention_lines
from tunesmith.proving.statistics import DISCORDANT, FEWEST
from tunesmith.proving.trainings import training_lines
from tunesmith.words import metric_name, say


@dataclass(frozen=True)
class Proof:
    """What ``prove`` found. ``found`` is proof.json."""

    found: JsonObject

    @property
    def verdict(self) -> str:
        """improved, worse or not shown: tuned against the base, by the primary metric."""
        return self.found["verdict"]

    def meets(self, require: str | None) -> bool:
        """Tells whether the verdict is what ``prove.require`` asks for."""
        return {
            None: True,
            "improved": self.verdict == "improved",
            "not worse": self.verdict != "worse",
        }[require]

    def retains(self, retain: str | None) -> bool:
        """Tells whether the suites come out as ``prove.retain`` asks for; where none was asked,
        nothing does.
        """
        word = (self.found.get("retention") or {}).get("verdict")
        return {None: True, "kept": word == "kept", "not lost": word in ("kept", "not shown")}[
            retain
        ]

    def to_json(self) -> JsonObject:
        """Returns the content of proof.json."""
        return self.found

    def lines(self) -> list[str]:
        """Returns the heading, a row for each contender, the verdict in one line, and its
        grounds.
        """
        results = self.found
        head = say(
            "prove.head_file" if results.get("file") else "prove.head",
            file=results.get("file"),
            items=results["items"],
            primary=metric_name(results["primary"]),
            reason=say(f"prove.{results['primary_reason']}"),
        )
        return [
            head,
            "",
            *_table(results),
            "",
            self.sentence(),
            *which_model(results, say),
            *_notes(results),
            *mistake_lines(results.get("mistakes"), rival_named(results)),
            *efficiency_lines(results.get("efficiency")),
            *grading_lines(results.get("grading")),
            *training_lines(results.get("trainings")),
            *retention_lines(results.get("retention")),
        ]

    def sentence(self) -> str:
        """Returns the verdict in one line."""
        results = self.found
        name = self.found["primary"]
        rival = rival_of(results)
        compared = results["differences"][rival][name]
        values = {
            "metric": metric_name(name),
            "items": results["items"],
            "tuned": shown(name, results["contenders"][TUNED][name]),
            "base": shown(name, results["contenders"][rival][name]),
            "rival": say(f"prove.possessive_{rival}"),
            "interval": interval_shown(name, compared) + interval_kind(compared, say),
        }
        if units_of(results) < FEWEST:
            return say("prove.undecided", **values)
        key = {
            "improved": "prove.improved",
            "worse": "prove.worse",
            "not shown": "prove.not_shown",
        }[self.verdict]
        return say(key, **values)


def which_model(proof: Named, speak: Callable[..., str]) -> list[str]:
    """Returns a line that names the step whose weights were proved, where there were two to choose
    from.
    """
    model = proof.get("model", {})
    step, last, best = (model.get(name) for name in ("step", "last", "best"))
    if step is None or best is None or best == last == step:
        return []
    key = "prove.of_best" if step == best else "prove.of_last"
    return [speak(key, step=step, last=last, best=best, by=model["best_by"])]


def rival_of(proof: Named) -> str:
    """Returns the contender that the verdict is against: the base, or for classifiers the best that
    needs no model.
    """
    return proof.get("against", "base")


def rival_named(proof: Named, speak: Callable[..., str] = say) -> str:
    """Returns what people call the contender that the verdict is against, within a sentence."""
    return speak(f"report.rival_{rival_of(proof)}")


def units_of(proof: Named) -> int:
    """Returns how many items, or groups of items, the intervals are over; old proofs know items
    only.
    """
    return proof.get("units", proof["items"])


def unbeaten(proof: Named) -> list[str]:
    """Returns the rivals that tuned was not shown to beat by the primary metric, without the base,
    about which the verdict itself speaks.
    """
    words = {
        rival: by.get(proof["primary"], {}).get("verdict")
        for rival, by in proof["differences"].items()
    }
    said = {rival_of(proof)} & {"base"}
    return [
        rival
        for rival, word in words.items()
        if word not in ("improved", None) and rival not in said
    ]


def stands_key(rival: str) -> str:
    """Returns the key of the words for a rival that was not shown to be beaten."""
    return "prove.rival_stands" if rival in OWN else "prove.other_stands"


def would_show(proof: Named, effect: str, speak: Callable[..., str]) -> list[str]:
    """Returns lines on statistical power: the smallest detectable effect, where nothing was shown,
    or that there are too few items. ``effect`` is that difference.
    """
    units = units_of(proof)
    if proof["items"] < FEWEST:
        return [speak("prove.too_few", items=proof["items"], fewest=FEWEST)]
    if units < FEWEST:
        return [speak("prove.few_groups", groups=units, fewest=FEWEST)]
    smallest = proof["differences"][rival_of(proof)][proof["primary"]]["smallest_effect"]
    if proof["verdict"] != "not shown" or not smallest:
        return []
    # A difference of two shares is in points, not in percent.
    unit = speak("report.points") if metric(proof["primary"]).right_or_wrong else ""
    return [
        speak("prove.smallest", items=proof["items"], effect=effect.removesuffix(" %"), unit=unit)
    ]


def class_lines(proof: Named) -> list[str]:
    """Returns precision, recall and F1 of each class of the tuned model, and the effect of
    calibration; nothing without classes.
    """
    classes = proof.get("classes")
    if not classes:
        return []
    columns = ("precision", "recall", "f1", classes.get("counted", "rows"))
    head = ["", *(say(f"classes.{name}") for name in columns)]
    rows = [
        [
            row["label"],
            *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")),
            str(row["rows"]),
        ]
        for row in classes["tuned"]["table"]
    ]
    lines = [*table_lines([head, *rows], numbers=4), ""]
    confusion = classes["tuned"].get("confusion", [])
    named = [index for index, column in enumerate(zip(*confusion, strict=True)) if any(column)]
    if len(named) == 1 and sum(map(any, confusion)) > 1:
        lines.append(say("classes.one_named", label=classes["tuned"]["table"][named[0]]["label"]))
    if classes.get("unreachable"):
        lines.append(say("tagged.unreachable", number=classes["unreachable"]))
    if "calibration" in classes:
        fields = {
            "temperature": f"{classes['calibration']['temperature']:.2f}",
            "rows": classes["calibration"]["rows"],
        }
        before, after = (f"{classes['calibration'][when]:.3f}" for when in ("before", "after"))
        lines.append(say("classes.calibration", before=before, after=after, **fields))
    if "thresholds" in classes:
        shares = ", ".join(f"{name} {value:.2f}" for name, value in classes["thresholds"].items())
        lines.append(say("classes.thresholds", shares=shares))
    return lines


def _why(found: Named, rival: str) -> str | None:
    return found["differences"][rival][found["primary"]].get("why")


def _table(found: JsonObject) -> list[str]:
    names = list(
        dict.fromkeys(
            [found["primary"], *(n for values in found["contenders"].values() for n in values)]
        )
    )
    rows = [
        [
            "",
            *(metric_name(name) for name in names),
            say("prove.col_difference", metric=metric_name(found["primary"])),
            "",
        ]
    ]
    for contender, values in found["contenders"].items():
        compared = found["differences"].get(contender, {}).get(found["primary"])
        last = (
            [
                interval_shown(found["primary"], compared),
                say(f"prove.word_{compared['verdict'].replace(' ', '_')}"),
            ]
            if compared
            else ["", ""]
        )
        label = called(contender, shots=len(found["shots"]))
        rows.append([label, *(shown(name, values.get(name)) for name in names), *last])
    return table_lines(rows, numbers=len(names))


def _asked_notes(found: JsonObject) -> list[str]:
    """Says which rows were left out, and who only writes."""
    lines: list[str] = []
    if leaked := found.get("leaked"):
        pairs = ", ".join(f"{leak['id']} ({leak['beside']})" for leak in leaked[:3])
        lines.append(say("prove.leaked", count=len(leaked), rows=pairs))
    if voted := found.get("file_voted"):
        lines.append(say("prove.file_voted", count=voted, file=found["file"]))
    if seen := found.get("file_leaked"):
        pairs = ", ".join(f"{leak['id']} ({leak['beside']})" for leak in seen[:3])
        fields = {"count": len(seen), "of": found["file_rows"], "file": found["file"]}
        lines.append(say("prove.file_leaked", rows=pairs, **fields))
    if left := found.get("file_left_out"):
        lines.append(say("prove.file_left_out", file=found["file"], reasons=counted(left)))
    lines += [say("prove.writes_only", rival=name) for name in found.get("written_only", [])]
    return lines


def _notes(found: JsonObject) -> list[str]:
    name = found["primary"]
    compared = found["differences"][rival_of(found)][name]
    lines = [*class_lines(found), *told_lines(found)]
    units = units_of(found)
    undecided = units >= FEWEST and found["verdict"] == "not shown"
    lines += _asked_notes(found)
    if found.get("grouped_by"):
        fields = {"items": found["items"], "groups": units, "column": found["grouped_by"]}
        lines.append(say("prove.grouped", **fields))
    if (
        undecided
        and None not in (compared["low"], compared["high"])
        and not compared["low"] <= 0 <= compared["high"]
    ):
        lines.append(say("prove.few_changed", fewest=DISCORDANT))
    lines += would_show(found, shown(name, compared["smallest_effect"]), say)
    if undecided and (compared["items_needed"] or 0) > units:
        key = "prove.needed_groups" if found.get("grouped_by") else "prove.needed"
        lines.append(say(key, needed=compared["items_needed"]))
    if "p" in compared:
        test = {key: compared[key] for key in ("only_tuned_right", "only_other_right")}
        lines.append(
            say(
                "prove.mcnemar",
                p=f"{compared['p']:.2g}",
                rival=say(f"report.rival_{rival_of(found)}"),
                **test,
            )
        )
    lines += [
        say(stands_key(rival), rival=called(rival, shots=len(found["shots"])))
        for rival in unbeaten(found)
    ]
    if many := [rival for rival in unbeaten(found) if _why(found, rival) == "many_compared"]:
        names = say("suite.beside_and").join(
            called(rival, shots=len(found["shots"])) for rival in many
        )
        lines.append(say("prove.many_compared", rivals=names, count=len(found["differences"]) - 1))
    if found.get("shots_wanted", 0) > len(found["shots"]):
        lines.append(
            say("prove.fewer_shots", wanted=found["shots_wanted"], shown=len(found["shots"]))
        )
    if "base" not in found["contenders"]:
        lines.append(say("classes.no_base"))
    if found["stopped"]:
        shares = {
            contender: f"{100 * found['stopped'][contender]:.0f} %" for contender in ("base", TUNED)
        }
        lines.append(say("prove.stopped", tokens=found["generation"]["max_new_tokens"], **shares))
    if found["generation"] and found["generation"]["folder_defaults"]:
        lines.append(
            say(
                "prove.folder_defaults",
                settings=", ".join(
                    f"{k}={v}" for k, v in found["generation"]["folder_defaults"].items()
                ),
            )
        )
    return lines
