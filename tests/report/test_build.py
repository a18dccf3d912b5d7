"""The page holds what the folder holds, in both languages, asks nothing of a network, and lets no
answer act.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from material.folders import SCRIPT, analysed, bare, full, items, proof, steps, write, write_lines
from material.page import Page
from tunesmith import words
from tunesmith.errors import DiskError, SpecError
from tunesmith.proving.retention import weigh
from tunesmith.report.build import build
from tunesmith.report.retention import MOST_LOST
from tunesmith.storage.run_folder import RunFolder


def read(folder: RunFolder, lang: str = "en") -> Page:
    return Page(build(folder, lang=lang).read_text(encoding="utf-8"))


def test_verdict_comes_first_with_its_numbers(tmp_path: Path) -> None:
    text = read(full(tmp_path / "trec")).text
    assert (
        "Improved. On 240 held-out rows the tuned model reaches 86.1 % accuracy, the base 18.4 %."
        in text
    )
    assert "Difference +67.7 points, 95 % interval +63.7 to +71.7, paired on the same rows." in text
    assert "Not proven to be better than this cheaper way: TF-IDF + logistic regression." in text
    assert (
        text.index("Improved.") < text.index("What happened to the rows") < text.index("Versions")
    )


@pytest.mark.parametrize("by", ["score", "bootstrap"])
def test_the_page_says_how_the_interval_was_made(tmp_path: Path, by: str) -> None:
    folder = full(tmp_path / "trec")
    found = proof()
    found["differences"]["base"][found["primary"]]["interval"] = by
    write(folder.proof, found)
    told = {"score": "(Tango's score interval)", "bootstrap": "(the wider of a BCa bootstrap"}
    assert f"95 % interval +63.7 to +71.7 {told[by]}" in read(folder).text
    told = {"score": "（Tango 得分区间）", "bootstrap": "（取 BCa 自助法与学生 t"}
    assert told[by] in read(folder, "zh").text


def test_the_watched_rows_are_named_whatever_a_warning_counts(tmp_path: Path) -> None:
    folder = bare(tmp_path / "run")
    warning = {"step": 1, "event": "warning", "name": "gradients", "count": 3, "of": 21}
    watched = [{"step": step, "evaluation": {"loss": 1.0}} for step in (1, 2)]
    write_lines(folder.record, [warning, *steps(2), *watched])
    assert "validation loss" in read(folder).text
    write_lines(folder.record, [warning, *steps(2), *[one | {"of": "proof"} for one in watched]])
    assert "loss of the proof rows" in read(folder).text


def test_proof_table_and_intervals(tmp_path: Path) -> None:
    page = read(full(tmp_path / "trec"))
    assert (
        "tuned 86.1 % 0.841 1.139 base 18.4 % 0.164 1.816 base with 6 examples 44.3 %" in page.text
    )
    assert "TF-IDF + logistic regression +0.9 points (−3.1 to +4.9) p < 0.001" in page.text
    assert [value for name, value in page.attributes if value == "band is-open"], (
        "an interval over zero must not look like a gain"
    )
    assert "base 12 % · tuned 100 %" in page.text


@pytest.mark.parametrize(
    ("word", "sentence"), [("worse", "Worse. On 240"), ("not shown", "Not proven. On 240")]
)
def test_other_verdicts_say_so(tmp_path: Path, word: str, sentence: str) -> None:
    folder = full(tmp_path / "trec")
    write(folder.proof, proof(word))
    text = read(folder).text
    assert sentence in text and "Improved." not in text
    assert ("With 240 rows, a difference of about 4.3 points or more would be found" in text) == (
        word == "not shown"
    )


def test_ledger_bar_adds_up_to_all_rows(tmp_path: Path) -> None:
    page = read(full(tmp_path / "trec"))
    bar = [
        value
        for name, value in page.attributes
        if name == "style" and value.startswith("width") and "left" not in value
    ]
    assert sum(
        float(value.removeprefix("width: ").removesuffix("%")) for value in bar
    ) == pytest.approx(100)
    assert "The data has 15,452 rows" in page.text
    assert "dropped: duplicate 9,971 dropped: too long 12" in page.text
    assert "88 % of a random held-out tenth" in page.text


@pytest.mark.parametrize(
    ("limit", "longer", "line", "told"),
    [
        (36, 121, "left: 75.0%", "data.max_length=36: 121 rows are longer"),
        (2048, 0, "", "data.max_length=2,048: 0 rows are longer"),
        (None, None, "", ""),
    ],
)
def test_lengths_show_the_line_at_which_rows_are_cut(
    tmp_path: Path, limit: int | None, longer: int | None, line: str, told: str
) -> None:
    folder = full(tmp_path / "trec")
    ledger = folder.read(folder.ledger) or {}
    if limit is not None:
        ledger["lengths"] |= {"limit": limit, "longer": longer}
    write(folder.ledger, ledger)
    page = build(folder, lang="en").read_text(encoding="utf-8")
    assert page.count("<hr ") == bool(line) and (not line or f'<hr style="{line}">' in page)
    assert told in read(folder).text and (told or "data.max_length=" not in read(folder).text)
    if told:
        chinese = read(folder, "zh").text
        assert f"data.max_length={limit:,}：更长的有 {longer} 行" in chinese


def test_settings_show_origin_and_reason(tmp_path: Path) -> None:
    text = read(full(tmp_path / "trec")).text
    assert "model.path starter set" in text
    assert "objective.name sft default" in text
    assert "train.batch null derived: 16 rows a step; the set has 600" in text
    assert "train.learning_rate null derived: 5e-4: lora's own # default" in text
    assert "train.machine.device auto" in text
    given = bare(
        tmp_path / "given", data={"path": "questions.tsv", "held_out": 40, "system": "7.0"}
    )
    text = read(given).text
    assert "data.held_out 40 set" in text and "data.system '7.0' set" in text


def test_questions_and_events(tmp_path: Path) -> None:
    text = read(full(tmp_path / "trec")).text
    assert (
        "Why is the sky blue? before step 1 Because. tuned, step 150 DESC answers in between: 1 "
        "step 75 # DESC" in text
    )
    assert "step 40 the loss jumped (loss 9.1, z 7.5)" in text


def test_samples_follow_the_rule(tmp_path: Path) -> None:
    page = read(full(tmp_path / "trec"))
    kinds = [
        value.split()[1]
        for name, value in page.attributes
        if name == "class" and value.startswith("tag ")
    ]
    assert kinds == ["gain"] * 3 + ["regression"] * 3 + ["even"] * 4
    assert "largest loss questions.tsv:6 What does NASA stand for ? reference ABBR" in page.text


def test_as_many_answers_are_named_as_there_are_and_whose_they_are(tmp_path: Path) -> None:
    folder, found = full(tmp_path / "trec"), proof()
    text = read(folder).text
    assert "10 answers: base and tuned Chosen by a rule" in text
    assert (
        "at most three of the largest gains in accuracy (here 3) and at most three of the largest "
        "losses (here 3)" in text
    )
    for part in ("contenders", "differences"):
        found[part].pop("base")
    write(folder.proof, found | {"against": "tfidf"})
    rows = [
        row
        | {
            part: {"tfidf": row[part]["base"], "tuned": row[part]["tuned"]}
            for part in ("predictions", "choices", "scores")
        }
        for row in items(6)[3:]
    ]
    write_lines(folder.items, rows)
    text = read(folder).text
    assert (
        "3 answers: TF-IDF + logistic regression and tuned" in text and "base and tuned" not in text
    )
    assert (
        "gains in accuracy (here 2)" in text
        and "losses (here 1)" in text
        and "the rest (here 0)" in text
    )
    write_lines(folder.items, rows[:1])
    assert "1 answer: TF-IDF" in read(folder).text
    assert "1 条回答：TF-IDF + 逻辑回归与微调后" in read(folder, "zh").text


def test_a_row_that_is_learned_as_a_whole_has_no_tokens_of_its_own_to_train(tmp_path: Path) -> None:
    folder = full(tmp_path / "trec")
    assert "14,380 tokens learned, of 182,031 in the training rows" in read(folder).text
    write(
        folder.ledger,
        (folder.read(folder.ledger) or {}) | {"tokens": {"total": 8548, "scored": 0, "lost": 0}},
    )
    text = read(folder).text
    assert (
        "8,548 tokens in the training rows; each row is learned as a whole" in text
        and "tokens learned" not in text
    )


@pytest.mark.parametrize(
    ("objective", "title"),
    [
        ("classify", "Accuracy"),
        ("kto", "Accuracy"),
        ("dpo", "Pair accuracy"),
        ("reward", "Pair accuracy"),
    ],
)
def test_the_curve_of_accuracy_is_named_after_what_is_told_right(
    tmp_path: Path, objective: str, title: str
) -> None:
    folder = bare(tmp_path / "run", objective=objective)
    write_lines(folder.record, [{"step": n, "loss": 1.0, "accuracy": n / 4} for n in range(1, 4)])
    text = read(folder).text
    assert [name for name in ("Accuracy", "Pair accuracy") if name in text] == [title]


def test_nothing_in_an_answer_can_act_or_load(tmp_path: Path) -> None:
    folder = full(tmp_path / "run <b>bold")
    rows = items()
    rows[1] |= {
        "prompt": "<img src=http://example.com/x.png>",
        "reference": '"><style>*{display:none}</style>',
    }
    write_lines(folder.items, rows)
    folder.questions.write_text(
        "## <iframe src=x></iframe>\n\n### base\n\n</p><script>1</script>\n", encoding="utf-8"
    )
    page = read(folder)
    assert (
        not {"script", "img", "iframe", "link"} & set(page.tags) and page.tags.count("style") == 1
    )
    assert "run <b>bold" in page.text
    assert SCRIPT in page.text and "<img src=http://example.com/x.png>" in page.text
    outside = [
        value
        for name, value in page.attributes
        if name in ("src", "href", "srcset") and not value.startswith("#")
    ]
    assert outside == []
    assert (
        "content",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    ) in page.attributes
    assert not re.search(r"url\(|@import", folder.report.read_text(encoding="utf-8"))


def test_absent_parts_name_the_command_that_adds_them(tmp_path: Path) -> None:
    folder = bare(tmp_path / "my run")
    text = read(folder).text
    place = f"'{folder.path}'"
    assert (
        f"It is not yet proven that tuning helped. This proves it: tunesmith prove {place}" in text
    )
    assert f"This shows what happens to every row: tunesmith check {place}/run.yaml" in text
    assert "No step has been recorded yet" in text and "No questions of your own were asked" in text
    assert "answers: " not in text
    assert not folder.loss_curve.exists()


def test_chinese(tmp_path: Path) -> None:
    folder = full(tmp_path / "trec")
    page = read(folder, "zh")
    assert ("lang", "zh-CN") in page.attributes
    assert "更好。 在 240 行留出数据上，微调后的准确率为 86.1%，原模型为 18.4%。" in page.text
    english = set(words.texts("en", "report").values())
    # The value of source.name is a setting, not a word of ours.
    shown = {text.strip() for text in page.texts} & english - {"rows"}
    assert shown <= {"ROUGE-L", "BLEU", "chrF"} | set(words.texts("zh", "report").values()), shown
    assert "Improved." in read(folder, "en").text, (
        "one report must not change the language of the next"
    )


def test_the_runs_own_language_is_the_default(tmp_path: Path) -> None:
    assert "更好。" in build(full(tmp_path / "trec", lang="zh")).read_text(encoding="utf-8")


@pytest.mark.parametrize("count", [1, 2, 4, 2000])
def test_curves_of_any_length(tmp_path: Path, count: int) -> None:
    folder = bare(tmp_path / "run")
    write_lines(
        folder.record,
        [{"step": 0, "evaluation": {"loss": 2.5}}, *steps(count), {"step": count, "loss": "nan"}],
    )
    page = read(folder)
    assert page.tags.count("svg") == 5
    lines = [value.split() for name, value in page.attributes if name == "points"]
    assert max(map(len, lines)) <= 400 and "nan" not in str(lines)
    assert folder.loss_curve.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(folder.report.read_bytes()) < 200_000


def test_answers_without_end_do_not_make_a_long_page(tmp_path: Path) -> None:
    folder = full(tmp_path / "run")
    said = [
        line
        | {"prompt": "x y " * 50_000}
        | {"predictions": dict.fromkeys(line["predictions"], "and so on " * 20_000)}
        for line in items(40)
    ]
    write_lines(folder.items, said)
    assert "and so on …" in read(folder).text
    assert len(folder.report.read_bytes()) < 200_000


def test_plain_text_runs_have_no_answers_to_show(tmp_path: Path) -> None:
    folder = full(tmp_path / "run")
    write_lines(folder.items, [row | {"predictions": {}} for row in items()])
    write(folder.proof, proof() | {"generation": None, "stopped": {}})
    assert "there are no answers to compare" in read(folder).text


def test_an_unknown_end_of_an_interval_is_a_dash(tmp_path: Path) -> None:
    folder, found = full(tmp_path / "run"), proof("not shown")
    found["differences"]["base"]["accuracy"] |= {"low": None, "high": None, "smallest_effect": None}
    write(folder.proof, found)
    assert "95 % interval – to –" in read(folder).text


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"is not the folder of a run: it has no run\.yaml"):
        build(RunFolder(tmp_path))


def test_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bare(tmp_path / "run")

    def refuse(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(
        DiskError, match="the report could not be written: No space left on device"
    ) as caught:
        build(folder, lang="en")
    assert caught.value.exit_code == 74 and not folder.report.exists()


@pytest.mark.parametrize(
    ("width", "lang"), [(1200, "en"), pytest.param(500, "zh", marks=pytest.mark.slow)]
)
@pytest.mark.slow  # 3 s; test_page_in_browser.py looks at a page of each width
def test_it_fits_a_laptop_and_a_phone(tmp_path: Path, width: int, lang: str) -> None:
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if browser is None:
        pytest.skip("no Chromium here to draw the page")
    page = build(full(tmp_path / "trec"), lang=lang)
    # The page's own policy forbids scripts, so a copy without it measures.
    html = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    measure = (
        "<script>document.title = document.documentElement.scrollWidth + '/' + "
        "innerWidth</script></body>"
    )
    copy = tmp_path / "copy.html"
    copy.write_text(html.replace("</body>", measure), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]
    flags += [
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command = [browser, *flags, f"--window-size={width},900", "--dump-dom", copy.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"<title>(\d+)/(\d+)</title>", dom)
    assert found and int(found[1]) <= int(found[2]), (
        f"the page is wider than the window: {found and found[0]}"
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_was_kept_stands_on_the_page(tmp_path: Path, lang: str) -> None:
    folder = full(tmp_path / "trec")
    lines = [
        {"suite": "probe", "kind": f"kind {n % 2}", "sums": {"base": [1, 1], "tuned": [n % 2, 1]}}
        for n in range(80)
    ]
    found = weigh(lines, {"probe": (0.05, "share")}, seed=0)
    write(folder.proof, proof() | {"retention": found})
    text = read(folder, lang).text
    told = found["suites"]["probe"]
    low, high = (f"{100 * told[side]:+.1f}".replace("-", "−") for side in ("low", "high"))
    shares = {"en": "100.0 % 50.0 %", "zh": "100.0% 50.0%"}[lang]
    assert shares in text and low in text and high in text and "−50.0" in text
    assert {"en": "something was lost", "zh": "丢失了一部分能力"}[lang] in text
    assert text.index("kind 0") < text.index("kind 1")
    assert "What is question" not in text, "without suites.jsonl there is nothing to show"


def test_questions_that_were_lost_stand_on_the_page(tmp_path: Path) -> None:
    text = read(analysed(tmp_path / "trec")).text
    assert "20 questions that the base answered better; 8 of them, drawn evenly" in text
    shown = [n for n in range(80) if f"What is question {n}?" in text]
    assert len(shown) == MOST_LOST and all(n % 4 == 1 for n in shown), "only what was lost"
    assert shown[0] < 20 and shown[-1] >= 60, "from all of the suite"
    for n in shown:
        assert f"before {n}" in text and f"after {n}" in text and f"right {n}" in text
