"""``tunesmith generate``: the rows of a file with a teacher's answers, ready to train on, and an
account of every row.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import DataError, Problem, SpecError, Stopped, TunesmithError
from tunesmith.events.stream import Events
from tunesmith.events.verbs import Answered, AnswersKept
from tunesmith.machine.signals import StopSignal
from tunesmith.models.finding.parent import parent_of
from tunesmith.plain import JsonObject
from tunesmith.planning.rules import answers, known_names
from tunesmith.settings.run import Run
from tunesmith.settings.teacher import Teacher, is_endpoint
from tunesmith.storage.atomic import barred
from tunesmith.teaching.journal import Journal
from tunesmith.teaching.picking import Group, Picked, Picking, idle
from tunesmith.teaching.questions import Questions
from tunesmith.teaching.written import messages, row_of
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.teaching.endpoint import Endpoint
    from tunesmith.teaching.local import Local

ASKED_BY = ("template", "system", "reasoning")
"""Settings of the data that change what a teacher is asked."""


@dataclass(frozen=True)
class Account:
    """Where every row went: ``rows`` were read, ``left`` out by reason, the others asked
    ``samples`` times each.
    """

    out: str
    teacher: str
    rows: int
    left: dict[str, int]
    samples: int
    finishes: dict[str, int]
    written: int
    retried: int
    tokens: int
    earlier: int
    """Answers that an earlier call had."""
    picked: Picked | None
    """What the rewards kept; None without rewards."""
    rate: float
    """Tokens a second, of this call without the loading; 0 where it asked nothing."""

    def to_json(self) -> dict[str, object]:
        """Returns the account for programs."""
        picked = self.picked and dict(vars(self.picked))
        return {**vars(self), "picked": picked}

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        asked = self.rows - sum(self.left.values())
        lines = [
            say(
                "generate.rows",
                rows=self.rows,
                asked=asked,
                samples=self.samples,
                teacher=self.teacher,
            )
        ]
        lines += [
            say(f"generate.left_{reason.replace(' ', '_')}", count=count)
            for reason, count in self.left.items()
        ]
        lines += [
            say(f"generate.finish_{name.replace(' ', '_')}", count=count)
            for name, count in sorted(self.finishes.items())
            if count
        ]
        if self.picked is not None:
            lines.append(self.picked.line())
        if self.earlier:
            lines.append(say("generate.earlier", count=self.earlier))
        lines.append(
            say(
                "generate.cost",
                tokens=f"{self.tokens:,}",
                rate=f"{self.rate:.0f}",
                retried=self.retried,
            )
        )
        return [*lines, say("generate.written", count=self.written, out=self.out)]


def write(run: Run, events: Events) -> Account:
    """Asks the teacher for every row that has no answer yet, and writes the file once all have one.

    Stopped where a signal came, or an endpoint did not answer; the same call goes on from there.
    """
    run, out = _settled(run), Path(run.out)
    problems = [*answers(run), *known_names(run)]
    if out.exists():
        problems.append(
            Problem(
                "out",
                say("generate.out_is_folder" if out.is_dir() else "generate.out_there", out=out),
            )
        )
    elif wrong := barred(out):
        problems.append(Problem("out", wrong))
    asked = run.teacher or Teacher()
    problems += idle(asked, run.generate.samples)
    if problems:
        raise SpecError(problems)
    questions = Questions(run.data)
    count, digest = _known(questions)
    if run.data.template is not None and run.data.columns is None and questions.columns:
        run = run.model_copy(
            update={"data": run.data.model_copy(update={"columns": questions.columns})}
        )
    left = Counter(dropped.reason for dropped in questions.dropped)
    picking = Picking(asked) if asked.rewards else None
    if picking is not None:
        picking.check(questions)
    teacher = teacher_of(run, events)
    journal = Journal(out, _key(run, teacher, digest))
    with journal.held():
        began, before, earlier = time.monotonic(), journal.tokens, len(journal.places)
        _ask(run, teacher, questions, journal, events=events, total=count * run.generate.samples)
        spent, tokens = time.monotonic() - began - teacher.loading, journal.tokens
        if _known(questions)[1] != digest:
            raise DataError(Problem("data", say("ledger.changed")))
        picked = picking and picking.see(_kept(run, questions, journal), events)
        worth = picking and picking.worth
        written = journal.finish(_rows(teacher, _kept(run, questions, journal), worth))
    if not written:
        if picked is not None and picked.answers:
            raise TunesmithError(say("generate.none_good", told=picked.line(), path=journal.path))
        counts = ", ".join(f"{name}: {number}" for name, number in sorted(journal.finishes.items()))
        raise TunesmithError(say("generate.nothing", counts=counts, path=journal.path))
    return Account(
        out=run.out,
        teacher=teacher.name,
        rows=count + sum(left.values()),
        left=dict(left),
        samples=run.generate.samples,
        finishes=dict(journal.finishes),
        written=written,
        retried=journal.retries,
        tokens=tokens,
        earlier=earlier,
        picked=picked,
        rate=(tokens - before) / spent if spent else 0.0,
    )


def _settled(run: Run) -> Run:
    """Returns the run with the generation settings of a finished run that is its teacher, except
    those that were given.
    """
    parent = parent_of(run.model.path)
    if parent is None:
        return run
    given = run.generate.model_dump(exclude_unset=True)
    return run.model_copy(
        update={"generate": parent.folder.resolved().run.generate.model_copy(update=given)}
    )


def teacher_of(run: Run, events: Events) -> Local | Endpoint:
    """Finds the model that is asked, here or behind an endpoint; raises SpecError where it cannot
    be. Weights are loaded with the first question.
    """
    if is_endpoint(run.model.path):
        from tunesmith.teaching.endpoint import Endpoint

        return Endpoint(run, events)
    from tunesmith.teaching.local import Local

    return Local(run)


def _ask(
    run: Run,
    teacher: Local | Endpoint,
    questions: Questions,
    journal: Journal,
    *,
    events: Events,
    total: int,
) -> None:
    """Asks for every answer that the journal lacks."""

    def stand() -> None:
        cut = journal.finishes["length"]
        events.phase(
            say("generate.phase"),
            len(journal.places),
            total,
            say("generate.standing", cut=cut, retried=journal.retries),
        )

    if journal.places:
        events(AnswersKept(len(journal.places), total))
    with StopSignal() as signal:
        stand()
        for number, answer in teacher.answers(
            questions.asked(), journal.places, lambda: signal.received is not None
        ):
            journal.add(number, answer)
            events(Answered(number, answer.finish, answer.tokens))
            stand()
            if signal.received:
                break
        if len(journal.places) < total:
            fields = {"signal": signal.received, "done": len(journal.places), "total": total}
            raise Stopped(say("generate.stopped", **fields, path=journal.path))


def _kept(run: Run, questions: Questions, journal: Journal) -> Iterator[Group]:
    """Yields the rows in the order of the file with their answers, without those that there is
    nothing to learn from.
    """
    kept = {"stop", "length"} if (run.teacher or Teacher()).cut == "keep" else {"stop"}
    each = run.generate.samples
    for index, question in enumerate(questions.asked()):
        numbers = range(index * each, (index + 1) * each)
        answers = zip(numbers, journal.answers(numbers), strict=True)
        yield question, [(number, answer) for number, answer in answers if answer.finish in kept]


def _rows(
    teacher: Local | Endpoint, groups: Iterator[Group], worth: dict[int, float] | None
) -> Iterator[JsonObject]:
    """Yields the rows to train on; ``worth`` holds the rewards of those answers that are picked."""
    for question, numbered in groups:
        for number, answer in numbered:
            row = row_of(question, answer, teacher=teacher.name, system=teacher.system)
            if worth is None:
                yield row
            elif number in worth:
                yield {**row, "reward": round(worth[number], 6)}


def _known(questions: Questions) -> tuple[int, str]:
    """Counts the rows that ask something, and hashes all that they ask; raises DataError with the
    rows that cannot be read.
    """
    digest = hashlib.sha256()
    count = 0
    for question in questions.asked():
        count += 1
        digest.update(
            json.dumps([messages(question.chat.turns), question.reference]).encode() + b"\n"
        )
    return count, digest.hexdigest()


def _key(run: Run, teacher: Local | Endpoint, digest: str) -> dict[str, str]:
    """Returns what must be the same for answers of two calls to belong together."""
    settings = {f"generate.{name}": repr(value) for name, value in run.generate}
    settings |= {f"data.{name}": repr(value) for name, value in run.data.values(*ASKED_BY).items()}
    return {**teacher.identity(), **settings, "train.seed": repr(run.train.seed), "data": digest}
