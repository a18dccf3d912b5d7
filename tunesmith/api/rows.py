"""What is done with rows before training, for Python and for the command line alike: changed into a
new file, compared with a benchmark, looked through for personal data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tunesmith.api.heard import heard
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.given import Overrides, Settings, look_settings
from tunesmith.settings.overrides import with_overrides
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.measure import Measured
    from tunesmith.data.measure_labelled import MeasuredOnLabels
    from tunesmith.data.transforms import Account
    from tunesmith.data.transforms.anonymise import Anonymise
    from tunesmith.diagnosis.overlap import Overlap
    from tunesmith.display.progress import Shown


def _of_the_verb(given: Mapping[str, Any]) -> dict[str, Any]:
    """Reads ``data.columns`` as ``columns``: what an error about columns says to add is a line of a
    run.
    """
    beside = {name: setting for name, setting in given.items() if name != "data"}
    of_a_run = given.get("data")
    return {**of_a_run, **beside} if isinstance(of_a_run, Mapping) else dict(given)


def change_rows(
    step: str,
    source: str | Sequence[str],
    out: str | Path,
    settings: Overrides = (),
    *,
    progress: Shown | None = None,
) -> Account:
    """Writes the rows of ``source`` to ``out`` after a step (clean, leave_out, dedup, anonymise,
    balance, sample, augment, convert, split, documents, questions; mix takes several sources), and
    says what became of every row; SpecError with all that is wrong with the step's settings.
    """
    from tunesmith.data.augmenting.augment import augment
    from tunesmith.data.convert import Convert, convert
    from tunesmith.data.dividing import Split, split
    from tunesmith.data.documents.extract import Documents, extract
    from tunesmith.data.mixing import Mixing, mix
    from tunesmith.data.rewording.settings import Augment
    from tunesmith.data.steps import change, made, settled
    from tunesmith.data.transforms.anonymise import Anonymise
    from tunesmith.data.transforms.clean import Clean
    from tunesmith.teaching.passages import Passages, write_questions

    given = _of_the_verb(with_overrides({}, settings))
    sources = [source] if isinstance(source, str) else list(source)
    if step == "mix":
        return mix(sources, Path(out), settled(Mixing, given))
    (file,) = sources
    if step == "augment":
        with heard(progress, ()) as events:
            return augment(file, Path(out), settled(Augment, given), events)
    if step == "convert":
        return convert(file, Path(out), settled(Convert, given))
    if step == "documents":
        return extract(file, Path(out), settled(Documents, given))
    if step == "questions":
        with heard(progress, ()) as events:
            return write_questions(file, Path(out), settled(Passages, given), events)
    if step == "split":
        return split(file, Path(out), settled(Split, given))
    transform: Any = made(step, given)
    if isinstance(transform, Anonymise) and transform.config.model is not None:
        with _second_pass(transform, Path(out), progress):
            return change(file, Path(out), [transform])
    if not isinstance(transform, Clean) or transform.config.perplexity is None:
        return change(file, Path(out), [transform])
    from tunesmith.diagnosis.perplexity import Perplexities

    base = Perplexities(transform.config.perplexity.model, Path(out), progress)
    transform.scorer = base
    account = change(file, Path(out), [transform])
    base.clear()
    return account


@contextmanager
def _second_pass(transform: Anonymise, out: Path, progress: Shown | None) -> Iterator[None]:
    """Gives the transform the user's model; its answers are kept beside ``out`` until all is
    written.
    """
    from tunesmith.teaching.naming import NamedByModel

    with heard(progress, ()) as events:
        transform.finder = NamedByModel(transform.config, out, events)
        yield
        transform.finder.clear()


def measure_anonymising(
    step: str, source: str, settings: Overrides = ()
) -> Measured | MeasuredOnLabels:
    """Measures how well ``anonymise`` finds personal data in rows of ``source``: precision and
    recall where its parts are labelled, otherwise how much of made-up data is found; writes
    nothing.
    """
    from tunesmith.data.measure import measure
    from tunesmith.data.measure_labelled import labelled_rows, measure_labelled
    from tunesmith.data.steps import made

    if step != "anonymise":
        raise SpecError(Problem("--measure", say("transforms.only_anonymise", step=step)))
    transform: Any = made(step, with_overrides({}, settings))
    rows = labelled_rows(source)

    def look() -> Measured | MeasuredOnLabels:
        return measure(source, transform) if rows is None else measure_labelled(rows, transform)

    if transform.config.model is None:
        return look()
    with TemporaryDirectory() as folder, _second_pass(transform, Path(folder) / "measured", None):
        return look()


def overlap(
    settings: Settings, overrides: Overrides = (), *, against: Sequence[str]
) -> list[Overlap]:
    """Says which rows of the files ``against`` stand in a run's data: word for word, nearly, or
    quoted.
    """
    from tunesmith.diagnosis.overlap import overlap as compare

    return compare(look_settings(settings, overrides), against)
