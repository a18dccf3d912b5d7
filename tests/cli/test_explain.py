"""``explain`` and ``doctor`` as processes."""

from __future__ import annotations

from material.terminal import Terminal


def test_explain_and_doctor(terminal: Terminal):
    done = terminal("explain", "train.learning_rate", "--lang", "zh")
    assert (
        done.code == 0
        and done.out.splitlines()[1].strip()
        == "学习率峰值；不指定时用所选方法的默认值，再乘以优化器的倍数。"
    )
    done = terminal("explain", "train.learning_rate", "--lang", "en")
    assert (
        "default of the method lora: 0.0002 (Dettmers" in done.out
        and "default of the method full: 2e-05 (" in done.out
    )
    assert "with the optimizer sgd, multiplied by 100" in done.out
    assert "loss, accuracy, bleu, " in terminal("explain", "train.keep.best_by", "--lang", "en").out
    done = terminal("explain", "train.bach", "--lang", "en")
    assert (done.code, done.error.strip()) == (
        2,
        "train.bach: there is no such setting; did you mean 'batch'?",
    )
    (page,) = terminal("explain", "train.learning_rate", "--json").json()["pages"]
    assert (page["kind"], page["path"]) == ("setting", "train.learning_rate")
    assert page["facts"]["rates"]["lora"]["learning_rate"] == 2e-4
    assert page["facts"]["factors"]["sgd"] == 100
    done = terminal("doctor", "--json")
    assert done.code in (0, 1) and done.json()
