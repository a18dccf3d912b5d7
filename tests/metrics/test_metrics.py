"""Metrics against sacrebleu, rouge_score and scikit-learn, on English, Chinese and odd texts."""

from __future__ import annotations

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sklearn.metrics import accuracy_score, f1_score

from tunesmith.errors import SpecError
from tunesmith.metrics import METRICS, words

ENGLISH = (
    [
        "the cat sat on the mat.",
        "It's a dog, isn't it?",
        "",
        "one",
        "He bought 3.5 kg of apples in New-York today",
        "a a a a a",
    ],
    [
        "the cat is on the mat.",
        "It is a dog, is it not?",
        "something",
        "one",
        "He bought 3.5 kg of pears in New York",
        "a a b",
    ],
)
CHINESE = (
    [
        "根据您的症状，建议服用六味地黄丸。",
        "可以用于治疗感冒",
        "患者应当多喝水，注意休息，避免熬夜。",
        "",
    ],
    [
        "根据症状，您可以服用六味地黄丸治疗。",
        "可用于治疗风寒感冒",
        "患者应当注意休息，多喝温水，避免熬夜和劳累。",
        "无",
    ],
)
MIXED = (
    ["服用 aspirin 100 mg，每日一次", "BMI 为 23.5"],
    ["每日一次服用 aspirin 100mg", "BMI 是 23.5，正常"],
)
ALL = pytest.mark.parametrize(
    "texts", [ENGLISH, CHINESE, MIXED], ids=["english", "chinese", "mixed"]
)


def make(name: str):
    return METRICS.make(METRICS.config(name))


def over_all(name: str, predictions, references) -> float:
    metric = make(name)
    return float(metric.value(metric.statistics(predictions, references).sum(0)))


class Characters:
    def tokenize(self, text: str) -> list[str]:
        return words(text)


@ALL
def test_rouge_l_is_that_of_rouge_score(texts):
    scorer = RougeScorer(["rougeL"], tokenizer=Characters())
    for prediction, reference in zip(*texts, strict=True):
        expected = scorer.score(reference, prediction)["rougeL"].fmeasure
        assert make("rouge_l").score(prediction, reference) == pytest.approx(expected)
    each = [make("rouge_l").score(p, r) for p, r in zip(*texts, strict=True)]
    assert over_all("rouge_l", *texts) == pytest.approx(np.mean(each))


def test_english_is_split_as_rouge_score_splits_it_and_chinese_is_not_lost():
    scorer = RougeScorer(["rougeL"])
    for prediction, reference in zip(*ENGLISH, strict=True):
        expected = scorer.score(reference, prediction)["rougeL"].fmeasure
        assert make("rouge_l").score(prediction, reference) == pytest.approx(expected)
    assert (
        scorer.score(CHINESE[1][0], CHINESE[0][0])["rougeL"].fmeasure == 0
    )  # what its own tokenizer makes of Chinese
    assert make("rouge_l").score(CHINESE[0][0], CHINESE[1][0]) > 0.6
    assert words("服用Aspirin 100mg，カタカナ") == [
        "服",
        "用",
        "aspirin",
        "100mg",
        "カ",
        "タ",
        "カ",
        "ナ",
    ]


@ALL
def test_bleu_is_that_of_sacrebleu(texts):
    tokenizer = "13a" if texts is ENGLISH else "zh"
    predictions, references = texts
    whole = BLEU(tokenize=tokenizer).corpus_score(predictions, [references]).score
    assert over_all("bleu", predictions, references) == pytest.approx(whole)
    for prediction, reference in zip(predictions, references, strict=True):
        one = BLEU(tokenize="13a" if reference.isascii() else "zh", effective_order=True)
        expected = one.sentence_score(prediction, [reference]).score
        assert make("bleu").score(prediction, reference) == pytest.approx(expected)


def test_chinese_bleu_is_not_counted_by_the_english_tokenizer():
    assert BLEU(tokenize="13a").corpus_score(CHINESE[0], [CHINESE[1]]).score < 5
    assert over_all("bleu", *CHINESE) > 20


@pytest.mark.parametrize(
    "prediction, reference",
    [
        ("x y z", "a b c"),
        ("a b c", "a b c"),
        ("a", "a b c d e f"),
        ("", "a b"),
        ("a b q d e z", "a b c d e f"),
    ],
)
def test_bleu_of_corners_smooths_as_sacrebleu_does(prediction, reference):
    expected = BLEU().corpus_score([prediction], [[reference]]).score
    assert over_all("bleu", [prediction], [reference]) == pytest.approx(expected, abs=1e-9)


@ALL
def test_chrf_is_that_of_sacrebleu(texts):
    predictions, references = texts
    assert over_all("chrf", predictions, references) == pytest.approx(
        CHRF().corpus_score(predictions, [references]).score
    )
    for prediction, reference in zip(predictions, references, strict=True):
        assert make("chrf").score(prediction, reference) == pytest.approx(
            CHRF().sentence_score(prediction, [reference]).score
        )


def test_label_metrics_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    labels = np.array(["好评", "差评", "中评", "other"])
    truth = labels[generator.integers(0, 3, 200)].tolist()
    guess = labels[generator.integers(0, 4, 200)].tolist()
    assert over_all("accuracy", guess, truth) == pytest.approx(accuracy_score(truth, guess))
    assert over_all("macro_f1", guess, truth) == pytest.approx(
        f1_score(truth, guess, labels=sorted(set(truth)), average="macro")
    )


def test_macro_f1_leaves_out_an_option_that_a_resample_does_not_hold():
    metric = make("macro_f1")
    table = metric.statistics(["a", "a", "b"], ["a", "b", "b"])
    assert float(metric.value(table[:1].sum(0))) == 1.0
    assert metric.value(np.stack([table.sum(0), table[1:].sum(0)])) == pytest.approx([2 / 3, 2 / 3])


def test_exact_match_forgives_space_around_an_answer_and_nothing_else():
    metric = make("exact_match")
    assert [metric.score(text, "Paris") for text in (" Paris\n", "paris", "Paris.")] == [1, 0, 0]


def test_nll_counts_every_token_the_same():
    assert over_all("nll", [(2.0, 1.0), (4.0, 5.0)], ["", ""]) == pytest.approx(1.0)
    assert make("nll").score((4.0, 5.0), "") == pytest.approx(0.8)


def test_sums_of_many_resamples_are_valued_at_once():
    for name in ("rouge_l", "bleu", "chrf", "exact_match"):
        metric = make(name)
        table = metric.statistics(*ENGLISH)
        stacked = np.stack([table.sum(0), table[:3].sum(0)])
        assert metric.value(stacked) == pytest.approx([float(metric.value(row)) for row in stacked])


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(SpecError, match="unknown metric 'rougel'; did you mean 'rouge_l'"):
        METRICS.get("rougel")
