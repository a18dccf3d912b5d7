"""What a run left stands on the first screen: the step that is used, time, size and commands."""

from __future__ import annotations

from tunesmith.report.runs import runs


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
