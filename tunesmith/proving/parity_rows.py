"""The held-out rows asked of several engines that should hold one model, for the parity of an
export.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tunesmith.data.prepare import Item, Prepared
from tunesmith.examples import final
from tunesmith.plain import JsonObject
from tunesmith.predicting.classes import Meaning
from tunesmith.predicting.likelihoods import likeliest
from tunesmith.proving import answers, classes
from tunesmith.proving.contest import Outcome
from tunesmith.proving.judge import metric
from tunesmith.proving.record import Record
from tunesmith.proving.task import task_of
from tunesmith.settings.run import Run

if TYPE_CHECKING:
    from tunesmith.predicting.engine import Engine


def written_answers(
    run: Run, prepared: Prepared, items: list[Item], engines: Mapping[str, Engine]
) -> Outcome:
    """Scores what each engine writes, and how likely it finds the references and the options."""
    task = task_of(run, prepared, items, shots=0)
    metrics, primary, reason = answers.metrics_of(run, task)
    metrics, primary = answers.by_model_alone(metrics, primary)
    # Penalties are no part of a model, and engines define them differently.
    plain = {"repetition_penalty": 1.0, "no_repeat_ngram": 0}
    settings = answers.settings_for(run, task).model_copy(update=plain)
    texts = task.questions
    records = [
        Record(item.id, text, reference)
        for item, text, reference in zip(items, texts, task.references, strict=True)
    ]
    labels = list(task.options)
    for name, engine in engines.items():
        likelihoods = engine.likelihoods([task.sequences(index) for index in range(len(items))])
        for record, rows in zip(records, likelihoods, strict=True):
            scored = len(rows) - len(labels)
            record.nll[name] = rows[:scored].sum(0).tolist()
            if labels:
                record.choices[name] = likeliest(rows[scored:, 0], labels)
                record.options[name] = dict(zip(labels, (-rows[scored:, 0]).tolist(), strict=True))
        if not task.prompts:
            continue
        written = engine.write(task.prompts, settings, task.render.stop_ids)
        for record, answer in zip(records, written, strict=True):
            record.predictions[name] = final(answer.text)
            record.stopped[name] = answer.stopped
    return Outcome(records, metrics, primary, reason)


def named_classes(
    run: Run,
    prepared: Prepared,
    items: list[Item],
    engines: Mapping[str, Engine],
    fitted: Mapping[str, object],
) -> Outcome:
    """Scores the classes that each engine names."""
    outputs = prepared.objective.outputs
    assert outputs is not None, "the rows were read again"
    metrics, primary, reason = classes.metrics_of(run, outputs)
    meaning = Meaning.of(outputs, dict(fitted))
    sequences = [item.tokens[0] for item in items]
    records = [
        Record(item.id, classes.text_of(item.example), meaning.reference(tokens))  # type: ignore[arg-type]
        for item, tokens in zip(items, sequences, strict=True)
    ]
    for name, engine in engines.items():
        outputs_N = engine.outputs(sequences)
        choices = meaning.choices(outputs_N)
        named = [{}] * len(items) if outputs.problem == "regression" else meaning.options(outputs_N)
        for record, choice, options in zip(records, choices, named, strict=True):
            record.choices[name] = choice
            if options:
                record.options[name] = options
    return Outcome(records, metrics, primary, reason)


def lines_of(outcome: Outcome) -> list[JsonObject]:
    """Returns a line an item, as in items.jsonl."""
    metrics = {name: metric(name) for name in outcome.metrics}
    return [record.line(metrics) for record in outcome.records]


def together(asked: Sequence[Sequence[JsonObject]]) -> list[JsonObject]:
    """Joins the lines of engines that were each asked the same items: a line an item."""
    lines: list[JsonObject] = []
    for first, *others in zip(*asked, strict=True):
        line = dict(first)
        for other in others:
            for key, value in other.items():
                if isinstance(value, dict):
                    line[key] = line[key] | value
        lines.append(line)
    return lines
