"""What a run left stands on the first screen: the step that is used, time, size, commands, and
overfitting by name.
"""

from __future__ import annotations

from tunesmith.report.language import Say
from tunesmith.report.outcome import overfitted
from tunesmith.report.runs import runs


def record(watch: list[float], train: list[float]) -> list[dict[str, object]]:
    """A record with an evaluation every ten steps and a loss at each."""
    lines: list[dict[str, object]] = []
    for index, (held, loss) in enumerate(zip(watch, train, strict=True)):
        lines += [{"step": 10 * index + 1 + n, "loss": loss} for n in range(10)]
        lines.append({"step": 10 * (index + 1), "evaluation": {"loss": held}})
    return lines


def test_overfitting_is_named_where_the_curves_part():
    told = overfitted(record([2.0, 1.5, 1.8, 2.4], [2.0, 1.4, 0.8, 0.3]), 20, Say("en"))
    assert told is not None and "from step 20 on" in told and "1.5 → 2.4" in told
    assert "Step 20 is used" in told


def test_curves_that_fall_or_rise_together_are_no_overfitting():
    for watch, train in (
        ([2.0, 1.5, 1.4, 1.39], [2.0, 1.4, 0.8, 0.3]),
        ([2.0, 1.5, 1.8, 2.4], [2.0, 1.4, 1.9, 2.6]),
        ([2.0, 1.5, 1.52, 1.53], [2.0, 1.4, 0.8, 0.3]),
    ):
        assert overfitted(record(watch, train), 40, Say("en")) is None


def test_a_run_ends_with_its_page_and_picture_which_agree_on_the_step(adapter_run):
    page = adapter_run.report.read_text(encoding="utf-8")
    assert adapter_run.loss_curve.stat().st_size > 1000
    step = adapter_run.read(adapter_run.model / "tunesmith.json")["step"]
    assert f"<b>{step}</b><span>step whose weights are used</span>" in page
    (row,) = [one for one in runs(adapter_run.path.parent) if one["model_step"]]
    assert row["model_step"] == step
    for command in ("chat", "predict", "export"):
        assert f"tunesmith {command} " in page
    assert page.index("method.rank") < page.index("more settings at their defaults")
