"""What was kept and what was lost: base and tuned on suites that have nothing to do with the task.

Kept is a claim of its own, not the absence of proof: the whole interval has to lie above a loss
that would matter (a non-inferiority test; Wellek 2010, chapter 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.encoder_decoder import continued
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat, Text, final, question_of
from tunesmith.plain import JsonObject, Named
from tunesmith.predicting.likelihoods import likeliest, likelihoods
from tunesmith.proving.interrupted import Kept, digest_of
from tunesmith.proving.metric_values import plain_zero
from tunesmith.proving.statistics import (
    DISCORDANT,
    FEWEST,
    LEVEL,
    Interval,
    holm,
    paired,
)
from tunesmith.proving.task import answer_of
from tunesmith.proving.writing import written
from tunesmith.settings.run import Generate
from tunesmith.suites import Question, Suite
from tunesmith.suites._rules import RULES
from tunesmith.words import Share, say

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.loading.load import Loaded
    from tunesmith.proving.contest import Contest
    from tunesmith.storage.run_folder import RunFolder

WINDOW = 512
"""Tokens of a text that are scored."""
BOTH = ("base", "tuned")

Line = JsonObject


@dataclass
class Asker:
    """One model on its way through the suites. ``weights`` tells its weights from any others,
    ``teller`` makes a listener to the progress of a phase.
    """

    name: str
    """What people call it."""
    loaded: Loaded
    render: Render
    kept: Kept
    weights: str
    teller: Callable[[str], Callable[[int, int], None]]

    def ask(self, suite: Suite, questions: Sequence[Question]) -> list[JsonObject]:
        """Returns for each question what the model said, and its sums: score and weight."""
        if suite.asks_itself:
            return self._itself(suite, len(questions))
        by_likelihood = [
            question for question in questions if question.rule in ("option", "likelihood")
        ]
        by_words = [
            question for question in questions if question.rule not in ("option", "likelihood")
        ]
        answers = {
            question.id: answer
            for some, ask_some in ((by_likelihood, self._likely), (by_words, self._written))
            for question, answer in zip(some, ask_some(suite, some) if some else [], strict=True)
        }
        return [answers[question.id] for question in questions]

    def _itself(self, suite: Suite, count: int) -> list[JsonObject]:
        made_from = f"{suite.config!r} {suite.content}"
        answers = self.kept.value(
            f"itself {self.weights} {made_from}",
            lambda: suite.through(self.loaded, self.render.stop_ids, self._telling(suite)),
        )
        assert len(answers) == count, f"{len(answers)} answers to {count} questions"
        return answers

    def _telling(self, suite: Suite) -> Callable[[int, int], None]:
        phase = say("suite.phase", suite=suite.title, contender=self.name)
        return self.teller(phase)

    def _likely(self, suite: Suite, questions: Sequence[Question]) -> list[JsonObject]:
        rows = self.kept.by_pieces(
            f"score {self.weights}",
            [self._sequences(question) for question in questions],
            lambda some, tell: [
                row.tolist() for row in likelihoods(self.loaded, some, progress=tell)
            ],
            digest_of,
            self._telling(suite),
        )
        return [
            _of_option(question, row)
            if question.rule == "option"
            else {"sums": [-row[0][0], row[0][1]]}
            for question, row in zip(questions, rows, strict=True)
        ]

    def _sequences(self, question: Question) -> list[Tokens]:
        render = self.render
        if isinstance(question.example, Text):
            ids = [
                *render.pieces.bos,
                *render.pieces.start(render.control.text(question.example.text)),
            ]
            ids = ids[: min(WINDOW, self.loaded.limit or WINDOW)]
            return [Tokens(np.array(ids, np.int32), np.ones(len(ids), np.float32))]
        sequences = []
        for option in question.options:
            last = replace(question.example.turns[-1], content=option)
            prompt, ids, _ = answer_of(
                render, replace(question.example, turns=(*question.example.turns[:-1], last))
            )
            sequences.append(continued(prompt, ids, render.start))
        return sequences

    def _written(self, suite: Suite, questions: Sequence[Question]) -> list[JsonObject]:
        chats = [question.example for question in questions if isinstance(question.example, Chat)]
        settings, stops = Generate(max_new_tokens=suite.tokens), self.render.stop_ids
        answers = self.kept.by_pieces(
            f"write {self.weights} {settings} {stops}",
            [self.render.prompt(chat.prompt) for chat in chats],
            lambda some, tell: written(self.loaded, some, settings, stops, tell),
            lambda some: repr([prompt.tolist() for prompt in some]),
            self._telling(suite),
        )
        said = [final(text) for text, _ in answers]
        lines = [
            {"said": answer, "sums": [float(RULES[question.rule](answer, chat.answer)), 1.0]}
            for question, chat, answer in zip(questions, chats, said, strict=True)
        ]
        if suite.judge is not None:
            self._judge(suite, questions, lines)
        return lines

    def _judge(self, suite: Suite, questions: Sequence[Question], found: list[JsonObject]) -> None:
        """Lets the judge of the suite say which answers refuse; where it decides nothing, what the
        rules said stays. An answer without words refuses nothing and helps nobody.
        """
        asked = {
            index: (question_of(question.example), found[index]["said"])
            for index, question in enumerate(questions)
            if isinstance(question.example, Chat) and found[index]["said"].strip()
        }
        verdicts = suite.judged([*asked.values()], self.kept, self._telling(suite))
        for index, (refused, why) in zip(asked, verdicts, strict=True):
            if refused is None:
                found[index]["fault"] = why
            else:
                right = refused == (questions[index].rule == "refuses")
                found[index] |= {"sums": [float(right), 1.0], "judge": suite.judge}


def _of_option(question: Question, row: Sequence[Sequence[float]]) -> JsonObject:
    assert isinstance(question.example, Chat)
    said = likeliest(np.array(row)[:, 0], question.options)
    return {"said": said, "sums": [float(said == question.example.answer), 1.0]}


def asked_suites(
    suites: Sequence[Suite], folder: RunFolder | None = None
) -> list[tuple[Suite, list[Question]]]:
    """Reads the questions of each suite, without those by which the model of ``folder`` was chosen
    (``tunesmith blend``); raises SpecError where two suites have one name.
    """
    titles = [suite.title for suite in suites]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        text = say("suite.one_name", names=", ".join(twice))
        raise SpecError(Problem("prove.suites", text))
    blended = folder.read(folder.blend) if folder else None
    chose: Mapping[str, list[str]] = blended["asked"] if blended else {}
    return [
        (
            suite,
            [
                question
                for question in suite.questions()
                if question.id not in chose.get(suite.title, ())
            ],
        )
        for suite in suites
    ]


def retained(
    contest: Contest, asked: Sequence[tuple[Suite, list[Question]]]
) -> tuple[JsonObject, list[Line]]:
    """Asks base and tuned all questions; returns what proof.json says of it, and the lines of
    suites.jsonl, from which that follows.
    """
    replies: dict[str, dict[str, list[JsonObject]]] = {}
    with contest.base() as base:
        replies["base"] = _through("base", base, contest, asked)
    replies["tuned"] = _through("tuned", contest.tuned, contest, asked)
    lines = []
    for suite, questions in asked:
        for index, question in enumerate(questions):
            chat = question.example if isinstance(question.example, Chat) else None
            said_by = {name: replies[name][suite.title][index] for name in BOTH}
            lines.append(
                {
                    "suite": suite.title,
                    "kind": question.kind,
                    "id": question.id,
                    "rule": question.rule,
                    "question": question_of(chat) if chat else "",
                    "reference": chat.answer if chat else "",
                    "predictions": {name: said["said"] for name, said in said_by.items() if chat},
                    "sums": {name: said["sums"] for name, said in said_by.items()},
                }
                | _judges(suite, said_by)
            )
    margins = {suite.title: (suite.margin, suite.unit) for suite, _ in asked}
    return weigh(lines, margins, seed=contest.run.train.seed), lines


def _judges(suite: Suite, said_by: Mapping[str, Named]) -> JsonObject:
    """Returns by model who judged its answer, None where the rules did, and why; nothing in a suite
    without a judge.
    """
    if suite.judge is None:
        return {}
    faults = {name: said["fault"] for name, said in said_by.items() if "fault" in said}
    return {
        "judges": {name: said.get("judge") for name, said in said_by.items()},
        "judge_faults": faults,
    }


def _through(
    name: str,
    loaded: Loaded,
    contest: Contest,
    asked: Sequence[tuple[Suite, list[Question]]],
) -> dict[str, list[JsonObject]]:
    asker = Asker(
        say(f"prove.{name}"),
        loaded,
        contest.prepared.render,
        contest.kept,
        contest.identities[name],
        contest.teller,
    )
    return {suite.title: asker.ask(suite, questions) for suite, questions in asked}


def weigh(lines: Sequence[Line], margins: dict[str, tuple[float, str]], *, seed: int) -> JsonObject:
    """Says of each suite, and of all together, whether it was kept, lost, or neither was shown;
    ``margins`` gives the loss that matters and its unit, by suite.

    Lost: the interval of tuned minus base is wholly below zero, at least 6 items changed, and
    Holm's correction over the suites leaves it so. Kept: it is wholly above minus the margin, and
    of shares the base must have had so much to lose. Kinds are corrected among each other.
    """
    suites: dict[str, JsonObject] = {}
    kinds: dict[tuple[str, str], Interval] = {}
    whole: dict[str, Interval] = {}
    for title, (margin, unit) in margins.items():
        of_suite = [line for line in lines if line["suite"] == title]
        entry, whole[title] = _compared(of_suite, seed)
        suites[title] = {**entry, "margin": margin, "unit": unit, "kinds": {}, **_judged(of_suite)}
        for kind in dict.fromkeys(line["kind"] for line in of_suite):
            of_kind = [line for line in of_suite if line["kind"] == kind]
            suites[title]["kinds"][kind], kinds[title, kind] = _compared(of_kind, seed)
    raised = holm({title: compared.p for title, compared in whole.items()})
    raised_kinds = holm({key: compared.p for key, compared in kinds.items()})
    for title, entry in suites.items():
        entry["p_holm"] = raised[title]
        entry["verdict"] = _verdict(whole[title], entry)
        for kind, of_kind_entry in entry["kinds"].items():
            of_kind_entry["p_holm"] = raised_kinds[title, kind]
            of_kind_entry["lost"] = _lost(kinds[title, kind], of_kind_entry)
    words = {entry["verdict"] for entry in suites.values()}
    verdict = "kept" if words == {"kept"} else "not shown"
    if "lost" in words:
        verdict = "lost"
    return {"verdict": verdict, "suites": suites}


def _judged(lines: Sequence[Line]) -> JsonObject:
    """Counts the answers that a judge decided, and those that were left to the rules; ``fault`` is
    the first reason.
    """
    judges = [judge for line in lines for judge in line.get("judges", {}).values()]
    if not judges:
        return {}
    by_rules = judges.count(None)
    faults = [fault_of for line in lines for fault_of in line.get("judge_faults", {}).values()]
    fault = {"fault": faults[0]} if faults else {}
    return {"judge": {"decided": len(judges) - by_rules, "by_rules": by_rules, **fault}}


def _compared(lines: Sequence[Line], seed: int) -> tuple[JsonObject, Interval]:
    base, tuned = (np.array([line["sums"][name] for line in lines], float) for name in BOTH)
    values = {name: _ratio(table.sum(0)) for name, table in (("base", base), ("tuned", tuned))}
    interval = paired(tuned, base, _ratio, seed=seed)
    entry: JsonObject = {"items": len(lines), "changed": int((base != tuned).any(1).sum())}
    entry |= {name: float(value) for name, value in values.items()}
    entry |= {
        "difference": interval.difference,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.by,
        "p_zero": interval.p,
    }
    return entry, interval


def _ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def _lost(interval: Interval, entry: Mapping[str, float]) -> bool:
    # Fewer changes than that are chance to McNemar's exact test, whatever the interval says.
    enough = entry["items"] >= FEWEST and entry["changed"] >= DISCORDANT
    return enough and interval.high < 0 and entry["p_holm"] < 1 - LEVEL


def _verdict(interval: Interval, entry: Mapping[str, float]) -> str:
    if _lost(interval, entry):
        return "lost"
    return "kept" if _kept(interval, entry) else "not shown"


def _kept(interval: Interval, entry: Mapping[str, Any]) -> bool:
    if entry["items"] < FEWEST or interval.low <= -entry["margin"]:
        return False
    if entry["unit"] != "share":
        return True
    if entry["base"] < entry["margin"]:
        return False  # there was not so much to lose
    # Of scores between right and wrong that hardly changed, a drawn interval is too narrow.
    return interval.by == "score" or entry["changed"] >= DISCORDANT


def retention_lines(retention: JsonObject | None) -> list[str]:
    """Says suite by suite what was kept; nothing where none was asked."""
    if not retention:
        return []
    lines = ["", say(f"suite.verdict_{retention['verdict'].replace(' ', '_')}")]
    for title, entry in retention["suites"].items():
        word = say(f"suite.word_{entry['verdict'].replace(' ', '_')}")
        lost = [kind for kind, kind_entry in entry["kinds"].items() if kind_entry["lost"]]
        values = {
            "suite": title,
            "items": entry["items"],
            "word": word,
            **{name: amount(entry["unit"], entry[name]) for name in BOTH},
            **{
                name: amount(entry["unit"], entry[name], sign=True)
                for name in ("difference", "low", "high")
            },
        }
        line = say("suite.line", **values)
        kinds = say("suite.beside_and").join(lost)
        lines.append(line + (say("suite.kinds_lost", kinds=kinds) if lost else ""))
        if "judge" in entry:
            lines.append("    " + judge_line(entry["judge"]))
    if retention["verdict"] == "not shown":
        lines.append(say("suite.margins", margins=margins_shown(retention["suites"])))
    return lines


def margins_shown(suites: Mapping[str, Named], speak: Callable[..., str] = say) -> str:
    """Names each suite with the loss that matters in it."""
    return speak("suite.beside_and").join(
        speak("suite.margin", suite=title, margin=amount(suite["unit"], suite["margin"]))
        for title, suite in suites.items()
    )


def judge_line(judge: Named, speak: Callable[..., str] = say) -> str:
    """Says how many answers of a suite its judge decided, and why not the others."""
    fault = speak("suite.judge_fault", fault=judge["fault"]) if "fault" in judge else ""
    return speak("suite.judged", decided=judge["decided"], by_rules=judge["by_rules"]) + fault


def amount(unit: str, value: float | None, *, sign: bool = False) -> str:
    """Formats a score, or with ``sign`` a difference: a share in percent, or nats."""
    if value is None:
        return "–"
    mark = "+" if sign else ""
    if unit == "share":
        number = plain_zero(f"{100 * value:{mark}.1f}")
        return number if sign else Share(f"{number} %")
    return plain_zero(f"{value:{mark}.3f}")
