"""What of a record is drawn."""

from __future__ import annotations

from typing import Any

from tunesmith.report.curves import curves
from tunesmith.report.language import Say


def test_all_that_is_measured_of_sampled_answers_is_drawn() -> None:
    numbers = ("loss", "reward", "reward/exact", "reward/repetition", "kl", "stopped", "length")
    numbers += ("entropy", "teaching", "clipped", "sampler_gap", "explained_variance")
    record: list[dict[str, Any]] = [
        {"step": step, **dict.fromkeys(numbers, step / 4)} for step in (1, 2, 3)
    ]
    record.append({"step": 3, "evaluation": {"reward": 0.5, "reward/exact": 0.4}})
    for language, part in (("en", "Reward exact"), ("zh", "奖励 exact")):
        drawn = {one.title: one for one in curves(record, Say(language))}
        assert len(drawn) == len(numbers), "one chart each, whose titles differ"
        assert len(drawn[part].legend) == 2, "each step, and the watched rows"


def test_rewards_come_before_the_loss_and_elsewhere_the_loss_is_first() -> None:
    sampled = [{"step": step, "loss": 0.1, "reward": 1.0, "kl": 0.2} for step in (1, 2)]
    drawn = curves(sampled, Say("en"))
    assert [one.title for one in drawn[:3]] == [
        "Reward",
        "KL divergence from the reference",
        "Loss",
    ]
    assert drawn[0].wide and not drawn[1].wide
    learned = [{"step": step, "loss": 0.1, "accuracy": 1.0} for step in (1, 2)]
    drawn = curves(learned, Say("en"))
    assert [one.title for one in drawn] == ["Loss", "Accuracy"]
    assert drawn[0].wide
