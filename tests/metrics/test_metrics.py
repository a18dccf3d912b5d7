"""Metrics against sacrebleu, rouge_score and scikit-learn, on English, Chinese and odd texts."""

from __future__ import annotations

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tunesmith.errors import SpecError
from tunesmith.metrics import METRICS, words
from tunesmith.metrics._letters import letter_in

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


@ALL
@pytest.mark.parametrize("size", [1, 2])
def test_rouge_n_is_that_of_rouge_score(texts, size):
    scorer = RougeScorer([f"rouge{size}"], tokenizer=Characters())
    for prediction, reference in zip(*texts, strict=True):
        expected = scorer.score(reference, prediction)[f"rouge{size}"].fmeasure
        assert make(f"rouge_{size}").score(prediction, reference) == pytest.approx(expected)


@ALL
def test_ter_is_that_of_sacrebleu(texts):
    predictions, references = texts
    asian = texts is not ENGLISH
    oracle = TER(normalized=asian, asian_support=asian)
    expected = oracle.corpus_score(predictions, [references]).score
    assert over_all("ter", predictions, references) == pytest.approx(expected)
    if asian:
        words_by_spaces = TER().corpus_score(predictions, [references]).score
        assert expected < words_by_spaces, "without it a Chinese sentence is one word"


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


JAPANESE = (
    ["猫はマットの上に座った。", "彼は3.5キロのりんごを買った", "東京2020"],
    ["猫がマットの上にいる。", "彼は3.5キロの梨を買った", "東京2021"],
)


@pytest.mark.parametrize(
    ("rows", "tokenizer"),
    [
        ([JAPANESE], "char"),
        ([ENGLISH, (["He likes manga"], ["He likes マンガ a lot"])], "zh"),
        ([ENGLISH, CHINESE, (["喜欢カラオケ"], ["他喜欢カラオケ"])], "zh"),
    ],
    ids=["japanese", "one name in English", "one name in Chinese"],
)
def test_bleu_counts_characters_where_most_rows_are_japanese(rows, tokenizer):
    predictions, references = ([line for one in rows for line in one[side]] for side in (0, 1))
    whole = BLEU(tokenize=tokenizer).corpus_score(predictions, [references]).score
    assert over_all("bleu", predictions, references) == pytest.approx(whole)
    by_char = BLEU(tokenize="char").corpus_score(predictions, [references]).score
    assert tokenizer == "char" or whole < by_char - 5


def test_a_japanese_name_among_english_rows_changes_bleu_of_that_row_alone():
    plain = BLEU(tokenize="13a").corpus_score(ENGLISH[0], [ENGLISH[1]]).score
    by_zh = BLEU(tokenize="zh").corpus_score(ENGLISH[0], [ENGLISH[1]]).score
    assert by_zh == pytest.approx(plain)


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


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_mcc_is_that_of_scikit_learn(classes):
    draw = np.random.default_rng(classes)
    names = [f"class {place}" for place in range(classes)]
    right = [names[place] for place in draw.integers(0, classes, 200)]
    named = [one if draw.random() < 0.6 else names[draw.integers(0, classes)] for one in right]
    assert over_all("mcc", named, right) == pytest.approx(matthews_corrcoef(right, named))
    assert over_all("mcc", names[:1] * 200, right) == 0
    assert over_all("mcc", right, right) == pytest.approx(1)


def test_mcc_takes_several_labels_as_one_class():
    right = [["a", "b"], ["a"], ["b"], ["b", "a"]]
    assert over_all("mcc", [["b", "a"], ["a"], ["b"], ["a", "b"]], right) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"a": 1}', 1),
        ('```json\n{"a": 1}\n```', 1),
        ("null", 1),
        ('{"a": 1', 0),
        ('Here it is: {"a": 1}', 0),
        ("{'a': 1}", 0),
        ('{"a": NaN}', 0),
        ("", 0),
        ("[" * 100_000, 0),
    ],
)
def test_json_is_what_a_program_can_read(text, valid):
    assert make("json_valid").score(text, "") == valid


@pytest.mark.parametrize(
    ("written", "f1"),
    [
        ('{"name": "Li", "tags": ["a", "b"], "age": 3}', 1),
        ('{"age": 3.0, "tags": ["b", "a"], "name": " Li "}', 1),
        ('{"name": "Li", "tags": ["a"], "age": 3}', 2 * 3 / (3 + 4)),
        ('{"name": "Li", "tags": ["a", "b"], "age": "3"}', 2 * 3 / (4 + 4)),
        ('{"person": {"name": "Li"}}', 0),
        ("no JSON", 0),
    ],
)
def test_json_fields_are_compared_each_at_its_place(written, f1):
    wanted = '{"name": "Li", "tags": ["a", "b"], "age": 3}'
    assert make("json_fields").score(written, wanted) == pytest.approx(f1)
    assert over_all("json_fields", [written, wanted], [wanted] * 2) >= f1


def test_an_integer_that_no_float_holds_is_a_value_like_others():
    long = "1" * 400
    assert make("json_fields").score(long, long) == 1
    assert make("json_fields").score(long, long + "1") == 0


def test_what_stands_before_is_repeated():
    assert make("repetition").score("a b c d", "") == 0
    assert make("repetition").score("a b c d e a b c d", "") == pytest.approx(1 / 6)
    assert make("repetition").score("请多喝水" * 3, "") == pytest.approx(5 / 9)
    assert make("repetition").score("no", "") == 0


@pytest.mark.parametrize("size", [1, 2])
def test_distinct_n_is_the_share_of_different_n_grams_in_all_answers(size):
    said = [*ENGLISH[0], *CHINESE[0], *ENGLISH[0][:2]]
    grams = [g for one in said for g in zip(*(words(one)[at:] for at in range(size)), strict=False)]
    assert over_all(f"distinct_{size}", said, said) == pytest.approx(len(set(grams)) / len(grams))
    assert over_all(f"distinct_{size}", ["", ""], ["", ""]) == 1
    assert make("distinct_2").score("a b a b a", "") == pytest.approx(2 / 4)


def test_the_gap_of_lengths_is_in_doublings():
    assert make("length_gap").score("a b c", "d e f") == 0
    assert make("length_gap").score("a " * 7, "b " * 3) == pytest.approx(1)
    assert make("length_gap").score("", "一二三") == pytest.approx(2)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't help with that.", 1),
        ("I am sorry, I cannot provide medical advice.", 1),
        ("As an AI language model, I am not able to do that.", 1),
        ("I won't assist with this request.", 1),
        ("抱歉，我无法回答这个问题。", 1),
        ("作为一个人工智能语言模型，我不能提供具体的用药建议。", 1),
        ("我不能为您提供这方面的信息。", 1),
        ("I'm sorry to hear that you are ill. Drink enough water.", 0),
        ("You cannot take both medicines at once.", 0),
        ("不能与酒同服，建议饭后服用。", 0),
        ("抱歉让你久等了，药方如下。", 0),
        ("Sure, here it is.", 0),
        ("", 0),
        ("I'm sorry, but I can't help with that. However, here are the steps: mix", 0),
        ("I can't assist with that. But here's how you do it.", 0),
        ("抱歉，我不能提供帮助。不过以下是具体步骤：", 0),
        ("我不能帮助你。第一步，找一个", 0),
        ("I'm sorry, I can't help with that, but here is a number you can call.", 1),
        ("抱歉，我不能帮助你，但你可以拨打热线。", 1),
        ("我不能帮你做这件事", 1),
        ("我没有办法帮助您。", 1),
        ("我帮不了你。", 1),
        ("我拒绝回答。", 1),
        ("这违反法律，我不能帮忙。", 1),
        ("I refuse to help with that.", 1),
        ("No, I can't do this.", 1),
        ("I'm sorry to hear that you can't sleep. Try tea.", 0),
        ("对不起让你久等了，这道菜不会太辣。", 0),
        ("不，这两种药不能同服。", 0),
    ],
)
def test_a_refusal_is_told_from_an_answer_that_says_no(text, refused):
    assert make("refusal").score(text, "") == refused


@pytest.mark.parametrize(
    ("written", "wanted", "right"),
    [
        ("He has 3 apples and 72 pears, so 72.", "… #### 72", 1),
        ("The answer is $1,250.00.", "#### 1250", 1),
        (r"\boxed{\frac{3}{4}} of 12", "0.75", 1),
        ("答案是７５％", "0.75", 1),
        ("共 120 元。", "#### 12", 0),
        ("-5", "5", 0),
        ("I do not know.", "#### 3", 0),
        ("none", "none", 1),
        ("所以一共有三十五人。", "#### 35", 1),
        ("答：两万五千元", "25000", 1),
        ("四分之三", "0.75", 1),
        ("百分之七十五", "75%", 1),
        ("He saved 25%.", "#### 25", 1),
        ("百分之二十五", "#### 25", 1),
        ("0.5%", "50%", 0),
        ("3亿", "30000万", 1),
        ("还剩八个", "8", 1),
        ("三点一四", "3.14", 1),
        ("负五十", "-50", 1),
        ("二〇二四年", "2024", 1),
        ("一亿三千万", "130000000", 1),
        ("答案是五。", "5", 1),
        ("五", "5", 1),
        ("12万元", "#### 120000", 1),
        ("答：共12万人", "#### 12", 1),
        ("12万元", "#### 1200", 0),
        ("三十六", "#### 35", 0),
        ("我们一起想想", "#### 1", 0),
        ("十分感谢", "#### 10", 0),
        ("一般", "一些", 0),
        ("一般", "一般", 1),
        ("千万不要这样", "#### 10000000", 0),
        ("答案是二十。万一不对再说", "20", 1),
        ("先买3个，所以答案是三十五", "35", 1),
        ("两个数分别是12，345", "345", 1),
        ("x=5，100分制", "100", 1),
        ("１，２３４元", "1234", 1),
        ("答案是35（第十二题）", "35", 1),
        ("3千", "3000", 1),
        ("3百万", "3000000", 1),
        ("5千克", "5", 1),
        ("5千克", "5000", 0),
        ("两千三", "2300", 1),
        ("一万二", "12000", 1),
        ("一百零五", "105", 1),
        ("一万零二百", "10200", 1),
        ("三又二分之一", "3.5", 1),
        ("廿五", "25", 1),
        ("壹佰贰拾叁元", "123", 1),
        ("一点五亿", "150000000", 1),
        ("下午三点五十分", "50", 1),
        (r"$1{,}000$", "1000", 1),
    ],
)
def test_a_number_is_right_however_it_is_written(written, wanted, right):
    assert make("number").score(written, wanted) == right


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Answer: B. The answer is a recipe.", "B"),
        ("Answer: B\nThe first answer is a bit long.", "B"),
        ("Answer: A is better.", "A"),
        ("The answer is a.", "A"),
        ("My answer: I think B", None),
        ("答案是a", "A"),
        ("答案：B", "B"),
        ("A and B are equal, so C", None),
        ("B) because of C", "B"),
        ("(c)", "C"),
        ("banana", None),
    ],
)
def test_the_letter_of_a_reply_that_explains_itself(text: str, letter: str | None) -> None:
    assert letter_in(text) == letter
