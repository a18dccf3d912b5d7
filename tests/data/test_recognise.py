"""What published layouts mean to each objective: taken where names and cells leave no doubt, asked
about with one right line where they do, told of another objective where they belong to one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.reading import Reading, examples
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Feedback
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import validate

Cells = Callable[[int], Any]


def rows_of(count: int, **columns: Any) -> list[dict[str, Any]]:
    """Rows whose cells are given by their number, or are the same throughout."""
    return [
        {name: cells(n) if callable(cells) else cells for name, cells in columns.items()}
        for n in range(count)
    ]


def text(word: str) -> Cells:
    return lambda n: f"{word} number {n} of the list"


def of(*values: Any) -> Cells:
    return lambda n: values[n % len(values)]


def key(start: str = "") -> Cells:
    return lambda n: f"{start}{n}" if start else n


def said(role: str, who: str, *words: str) -> Cells:
    told = "content" if role == "role" else "value"
    speakers = ("user", "assistant") if role == "role" else ("human", "gpt")
    return lambda n: [
        {role: speaker, told: word if speaker in ("assistant", "gpt") else f"{who} {n}"}
        for speaker, word in zip(speakers, ("", *words), strict=True)
    ]


# name: objective, rows, and either the reader with the columns that were recognised, or what the
# error says in its first and its last line
TAKEN: dict[str, tuple[str, list[dict[str, Any]], str, dict[str, str]]] = {
    "dolly": (
        "sft",
        rows_of(
            20,
            instruction=text("do"),
            context=text("ctx"),
            response=text("r"),
            category=of("a", "b"),
        ),
        "alpaca",
        {"instruction": "instruction", "input": "context", "output": "response"},
    ),
    "squad_flat": (
        "sft",
        rows_of(
            20,
            id=key("56be"),
            title=of("Beyonce", "Paris"),
            context=text("para"),
            question=text("who"),
            answers=lambda n: {"text": [f"ans {n}"], "answer_start": [3]},
        ),
        "alpaca",
        {"instruction": "question", "input": "context", "output": "answers"},
    ),
    "firefly": (
        "sft",
        rows_of(20, kind=of("NLI", "Poem"), input=text("in"), target=text("tgt")),
        "completion",
        {"question": "input", "answer": "target"},
    ),
    "gsm8k": ("sft", rows_of(20, question=text("q"), answer=text("a")), "completion", {}),
    "math": (
        "sft",
        rows_of(
            20,
            problem=text("p"),
            level=of("Level 1", "Level 2"),
            type=of("Algebra", "Geo"),
            solution=text("s"),
        ),
        "completion",
        {"question": "problem", "answer": "solution"},
    ),
    "metamath": (
        "sft",
        rows_of(
            20,
            type=of("GSM", "MATH"),
            query=text("q"),
            original_question=text("oq"),
            response=text("r"),
        ),
        "completion",
        {},
    ),
    "openorca": (
        "sft",
        rows_of(
            20,
            id=key("flan."),
            system_prompt="You are an AI",
            question=text("q"),
            response=text("r"),
        ),
        "completion",
        {"question": "question", "answer": "response"},
    ),
    "cnn": (
        "sft",
        rows_of(20, article=text("art"), highlights=text("h"), id=key("x")),
        "source_target",
        {},
    ),
    "xsum": (
        "sft",
        rows_of(20, document=text("art"), summary=text("h"), id=key("x")),
        "source_target",
        {},
    ),
    "samsum": (
        "sft",
        rows_of(20, id=key("1"), dialogue=text("art"), summary=text("h")),
        "source_target",
        {},
    ),
    "lcsts": (
        "sft",
        rows_of(20, short_text=text("t"), summary=text("h")),
        "source_target",
        {"source": "short_text", "target": "summary"},
    ),
    "wmt": (
        "sft",
        rows_of(20, translation=lambda n: {"en": f"hello {n}", "zh": f"你好{n}"}),
        "source_target",
        {},
    ),
    "opus": (
        "sft",
        rows_of(20, zh=text("你好"), en=text("hello")),
        "source_target",
        {"source": "zh", "target": "en"},
    ),
    "chinese_med": (
        "sft",
        rows_of(
            20, 科室=of("内科", "外科"), 标题=text("头疼"), 问题=text("我头疼"), 回答=text("多喝水")
        ),
        "completion",
        {"question": "问题", "answer": "回答"},
    ),
    "chinese_instr": (
        "sft",
        rows_of(20, 指令=text("翻译"), 输入=text("s"), 输出=text("o")),
        "alpaca",
        {"instruction": "指令", "input": "输入", "output": "输出"},
    ),
    "cmedqa": (
        "sft",
        rows_of(20, department=of("a", "b"), title=text("t"), ask=text("q"), answer=text("a")),
        "completion",
        {"question": "ask", "answer": "answer"},
    ),
    "huatuo_lite": (
        "sft",
        rows_of(
            20,
            id=key(),
            label=of("内科", "外科"),
            related_diseases=of("x", "y"),
            question=text("q"),
            answer=text("a"),
            score=of(3, 4, 5),
        ),
        "completion",
        {},
    ),
    "zhihu": (
        "sft",
        rows_of(20, INSTRUCTION=text("q"), RESPONSE=text("r"), SOURCE="Zhihu", METADATA=text("m")),
        "completion",
        {"question": "INSTRUCTION", "answer": "RESPONSE"},
    ),
    "orca_math": ("sft", rows_of(20, question=text("q"), answer=text("a")), "completion", {}),
    "evol": ("sft", rows_of(20, instruction=text("q"), output=text("a")), "alpaca", {}),
    "tatsu": (
        "sft",
        rows_of(20, instruction=text("q"), input=of("", "x"), output=text("a"), text=text("whole")),
        "alpaca",
        {},
    ),
    "codealpaca": ("sft", rows_of(20, prompt=text("q"), completion=text("a")), "completion", {}),
    "sqlcontext": (
        "sft",
        rows_of(20, answer=text("SELECT"), question=text("q"), context=text("CREATE")),
        "alpaca",
        {"instruction": "question", "input": "context", "output": "answer"},
    ),
    "sciq_support": (
        "sft",
        rows_of(20, question=text("q"), support=text("sup"), correct_answer=text("a")),
        "alpaca",
        {"instruction": "question", "input": "support", "output": "correct_answer"},
    ),
    "prompt_input_output": (
        "sft",
        rows_of(20, prompt=text("q"), input=text("in"), output=text("o")),
        "alpaca",
        {"instruction": "prompt", "input": "input", "output": "output"},
    ),
    "ultrachat200k": (
        "sft",
        rows_of(20, prompt=text("q"), prompt_id=key("a"), messages=said("role", "q", "a")),
        "messages",
        {},
    ),
    "sharegpt_id": (
        "sft",
        rows_of(20, id=key("x"), conversations=said("from", "q", "a")),
        "sharegpt",
        {},
    ),
    "r1_distill": (
        "sft",
        rows_of(
            20,
            input=text("q"),
            reasoning_content=text("th"),
            content=text("c"),
            repo_name="r",
            score=of(8, 9),
        ),
        "reasoning",
        {"question": "input", "reasoning": "reasoning_content", "answer": "content"},
    ),
    "medical_o1": (
        "sft",
        rows_of(20, Question=text("q"), Complex_CoT=text("c"), Response=text("r")),
        "reasoning",
        {"question": "Question", "reasoning": "Complex_CoT", "answer": "Response"},
    ),
    "s1k": (
        "sft",
        rows_of(20, question=text("q"), solution=text("s"), cot_type="math"),
        "completion",
        {"question": "question", "answer": "solution"},
    ),
    "grammarly": ("sft", rows_of(20, text=text("t"), tool="Grammarly"), "text", {}),
    "version": ("sft", rows_of(20, version="1.0", text=text("t")), "text", {}),
    "coedit": (
        "sft",
        rows_of(20, _id=key("1"), task=of("gec", "simplify"), src=text("s"), tgt=text("t")),
        "source_target",
        {},
    ),
    "source_const": (
        "sft",
        rows_of(20, question=text("t"), answer=text("u"), source="Grammarly"),
        "completion",
        {},
    ),
    "mmlu_hf": (
        "sft",
        rows_of(
            20,
            question=text("q"),
            subject="x",
            choices=of(["a", "b", "c", "d"]),
            answer=lambda n: n % 4,
        ),
        "choices",
        {},
    ),
    "ceval": (
        "sft",
        rows_of(
            20,
            id=key(),
            question=text("q"),
            A=text("a"),
            B=text("b"),
            C=text("c"),
            D=text("d"),
            answer=of("A", "B"),
            explanation="",
        ),
        "choices",
        {},
    ),
    "arc": (
        "sft",
        rows_of(
            20,
            id=key("Mercury_"),
            question=text("q"),
            choices=of({"text": ["w", "x", "y", "z"], "label": ["A", "B", "C", "D"]}),
            answerKey=of("A", "C"),
        ),
        "choices",
        {},
    ),
    "medqa": (
        "sft",
        rows_of(
            20,
            question=text("q"),
            answer=of("t1", "t2"),
            options={"A": "t1", "B": "t2"},
            meta_info="step1",
            answer_idx=of("A", "B"),
        ),
        "choices",
        {},
    ),
    "medmcqa": (
        "sft",
        rows_of(
            20,
            id=key("a-"),
            question=text("q"),
            opa=text("a"),
            opb=text("b"),
            opc=text("c"),
            opd=text("d"),
            cop=of(0, 1, 2, 3),
            choice_type="single",
            exp=text("e"),
            subject_name="Anat",
        ),
        "choices",
        {},
    ),
    "hellaswag": (
        "sft",
        rows_of(
            20,
            ind=key(),
            activity_label=of("x", "y"),
            ctx=text("ctx"),
            endings=of(["a", "b", "c", "d"]),
            label=of("0", "3"),
        ),
        "choices",
        {},
    ),
    "race": (
        "sft",
        rows_of(
            20,
            example_id=key("high1.txt"),
            article=text("art"),
            question=text("q"),
            options=of(["a", "b", "c", "d"]),
            answer=of("A", "D"),
        ),
        "choices",
        {},
    ),
    "csqa": (
        "sft",
        rows_of(
            20,
            id=key("x"),
            question=text("q"),
            question_concept=text("c"),
            choices=of({"label": ["A", "B"], "text": ["x", "y"]}),
            answerKey=of("A", "B"),
        ),
        "choices",
        {},
    ),
    "siqa": (
        "sft",
        rows_of(
            20,
            context=text("c"),
            question=text("q"),
            answerA=text("a"),
            answerB=text("b"),
            answerC=text("c"),
            label=of("1", "2", "3"),
        ),
        "choices",
        {},
    ),
    "piqa": (
        "sft",
        rows_of(20, goal=text("g"), sol1=text("a"), sol2=text("b"), label=of(0, 1)),
        "choices",
        {},
    ),
    "winogrande": (
        "sft",
        rows_of(
            20, sentence=text("s _"), option1=text("a"), option2=text("b"), answer=of("1", "2")
        ),
        "choices",
        {},
    ),
    "cosmos": (
        "sft",
        rows_of(
            20,
            id=key("x"),
            context=text("c"),
            question=text("q"),
            answer0=text("a"),
            answer1=text("b"),
            answer2=text("c"),
            answer3=text("d"),
            label=of(0, 1, 2, 3),
        ),
        "choices",
        {},
    ),
    "logiqa": (
        "sft",
        rows_of(
            20,
            context=text("c"),
            query=text("q"),
            options=of(["a", "b", "c", "d"]),
            correct_option=of(0, 1, 2, 3),
        ),
        "choices",
        {},
    ),
    "cmexam": (
        "sft",
        rows_of(
            20,
            Question=text("q"),
            Options=of("A x\nB y"),
            Answer=of("A", "B"),
            Explanation=text("e"),
        ),
        "choices",
        {},
    ),
    "zh_mc": (
        "sft",
        rows_of(
            20,
            题目=text("q"),
            选项A=text("a"),
            选项B=text("b"),
            选项C=text("c"),
            选项D=text("d"),
            答案=of("A", "B", "AB"),
        ),
        "choices",
        {},
    ),
    "mlec": (
        "sft",
        rows_of(
            20,
            qid=key("x"),
            qtype="A1",
            qtext=text("q"),
            options={"A": "x", "B": "y"},
            answer=of("A", "B"),
        ),
        "choices",
        {},
    ),
    "agnews": ("classify", rows_of(40, text=text("t"), label=of(0, 1, 2, 3)), "labelled", {}),
    "tnews": (
        "classify",
        rows_of(
            40,
            sentence=text("t"),
            label=of("100", "101"),
            label_desc=of("news_a", "news_b"),
            keywords="",
            id=key(),
        ),
        "labelled",
        {},
    ),
    "mrpc": (
        "classify",
        rows_of(40, sentence1=text("a"), sentence2=text("b"), label=of(0, 1), idx=key()),
        "labelled",
        {},
    ),
    "ocnli": (
        "classify",
        rows_of(
            40,
            sentence1=text("a"),
            sentence2=text("b"),
            label=of("neutral", "entailment"),
            genre="x",
            prem_id=key("a"),
            id=key(),
        ),
        "labelled",
        {},
    ),
    "toxic": (
        "classify",
        rows_of(40, comment_text=text("t"), toxicity=of(0, 1)),
        "labelled",
        {"text": "comment_text", "label": "toxicity"},
    ),
    "yelp": (
        "classify",
        rows_of(40, review=text("t"), stars=of(1, 2, 3, 4, 5)),
        "labelled",
        {"text": "review", "label": "stars"},
    ),
    "review_x": (
        "classify",
        rows_of(6, review=text("t"), x=of(0, 1)),
        "labelled",
        {"text": "review", "label": "x"},
    ),
    "banking": (
        "classify",
        rows_of(40, query=text("t"), intent=of("a", "b")),
        "labelled",
        {"text": "query", "label": "intent"},
    ),
    "weibo": (
        "classify",
        rows_of(40, 微博中文内容=text("t"), 情感倾向=of("1", "-1")),
        "labelled",
        {"text": "微博中文内容", "label": "情感倾向"},
    ),
    "zh_cls": ("classify", rows_of(40, 内容=text("t"), 类别=of("a", "b")), "labelled", {}),
    "title_content": (
        "classify",
        rows_of(40, title=text("t"), content=text("r"), label=of("a", "b")),
        "labelled",
        {},
    ),
    "dbpedia": (
        "classify",
        rows_of(40, label=of(0, 1), title=text("t"), content=text("c")),
        "labelled",
        {},
    ),
    "jd": (
        "classify",
        rows_of(40, cat=of("书籍", "平板"), label=of(0, 1), review=text("t")),
        "labelled",
        {},
    ),
    "qqp": (
        "classify",
        rows_of(
            40,
            question1=text("a"),
            question2=text("b"),
            is_duplicate=of(0, 1),
            id=key(),
            qid1=key(),
            qid2=key(),
        ),
        "labelled",
        {"text": "question1", "second": "question2", "label": "is_duplicate"},
    ),
    "typed": (
        "dpo",
        rows_of(
            20, chosen_messages=said("role", "q", "a"), rejected_messages=said("role", "q", "b")
        ),
        "preference",
        {"chosen": "chosen_messages", "rejected": "rejected_messages"},
    ),
    "safe_rlhf": (
        "dpo",
        rows_of(
            20,
            prompt=text("q"),
            response_0=text("a"),
            response_1=text("b"),
            better_response_id=of(0, 1),
            safer_response_id=of(1, 1),
        ),
        "ranked",
        {},
    ),
    "cvalues": (
        "dpo",
        rows_of(20, prompt=text("q"), pos_resp=text("a"), neg_resp=text("b")),
        "preference",
        {"prompt": "prompt", "chosen": "pos_resp", "rejected": "neg_resp"},
    ),
    "jk": (
        "dpo",
        rows_of(20, qid=key(), question=text("q"), response_j=text("a"), response_k=text("b")),
        "preference",
        {"prompt": "question", "chosen": "response_j", "rejected": "response_k"},
    ),
    "orca_dpo": (
        "dpo",
        rows_of(20, system="s", question=text("q"), chosen=text("a"), rejected=text("b")),
        "preference",
        {},
    ),
    "hh": (
        "dpo",
        rows_of(
            20,
            chosen=lambda n: f"\n\nHuman: q {n}\n\nAssistant: a",
            rejected=lambda n: f"\n\nHuman: q {n}\n\nAssistant: b",
        ),
        "preference",
        {},
    ),
    "uf": (
        "dpo",
        rows_of(
            20,
            prompt=text("q"),
            prompt_id=key("a"),
            chosen=said("role", "q number", "a"),
            rejected=said("role", "q number", "b"),
            score_chosen=of(8.0, 9.0),
            score_rejected=of(1.0, 2.0),
        ),
        "preference",
        {},
    ),
    "zh_dpo": (
        "dpo",
        rows_of(20, 问题=text("q"), 好回答=text("a"), 差回答=text("b")),
        "preference",
        {"prompt": "问题", "chosen": "好回答", "rejected": "差回答"},
    ),
    "good_bad": (
        "dpo",
        rows_of(20, prompt=text("q"), good_answer=text("a"), bad_answer=text("b")),
        "preference",
        {"prompt": "prompt", "chosen": "good_answer", "rejected": "bad_answer"},
    ),
    "instr_dpo": (
        "dpo",
        rows_of(
            20,
            instruction=text("q"),
            input=text("i"),
            chosen_response=text("a"),
            rejected_response=text("b"),
        ),
        "preference",
        {
            "instruction": "instruction",
            "input": "input",
            "chosen": "chosen_response",
            "rejected": "rejected_response",
        },
    ),
    "pref_disp": (
        "dpo",
        rows_of(20, query=text("q"), preferred=text("a"), dispreferred=text("b")),
        "preference",
        {"prompt": "query", "chosen": "preferred", "rejected": "dispreferred"},
    ),
    "kto01": (
        "kto",
        rows_of(20, prompt=text("q"), completion=text("a"), label=of(1, 0)),
        "feedback",
        {"label": "label"},  # the reader knows prompt and completion, texts or turns
    ),
    "kto_q": (
        "kto",
        rows_of(20, question=text("q"), answer=text("a"), label=of("1", "0")),
        "feedback",
        {"question": "question", "answer": "answer", "label": "label"},
    ),
    "afqmc": (
        "embed",
        rows_of(40, sentence1=text("a"), sentence2=text("b"), label=of("0", "1")),
        "text_pair",
        {},
    ),
    "sts": (
        "embed",
        rows_of(40, sentence1=text("a"), sentence2=text("b"), score=of(0.5, 3.2)),
        "text_pair",
        {},
    ),
    "nli_triple": (
        "embed",
        rows_of(40, anchor=text("a"), positive=text("b"), negative=text("c")),
        "text_pair",
        {},
    ),
    "msmarco": ("embed", rows_of(40, query=text("a"), passage=text("b")), "text_pair", {}),
    "instr_out": (
        "embed",
        rows_of(40, instruction=text("a"), output=text("b")),
        "text_pair",
        {"text": "instruction", "second": "output"},
    ),
    "bge": (
        "embed",
        rows_of(40, query=text("a"), pos=lambda n: [f"p {n}"], neg=lambda n: [f"n {n}"]),
        "text_pair",
        {},
    ),
    "qpair": (
        "embed",
        rows_of(40, 句子1=text("a"), 句子2=text("b"), 相似度=of(0, 1)),
        "text_pair",
        {"text": "句子1", "second": "句子2", "similarity": "相似度"},
    ),
    "wiki": (
        "pretrain",
        rows_of(20, id=key(), url=lambda n: f"http://x/{n}", title=text("t"), text=text("c")),
        "text",
        {},
    ),
    "content": (
        "pretrain",
        rows_of(20, title=text("t"), content=text("c")),
        "text",
        {"text": "content"},
    ),
    "zhengwen": ("pretrain", rows_of(20, 标题=text("t"), 正文=text("c")), "text", {"text": "正文"}),
    "body_only": ("pretrain", rows_of(20, foo=text("t")), "text", {"text": "foo"}),
    "alpaca_pt": ("pretrain", rows_of(20, instruction=text("t"), output=text("o")), "alpaca", {}),
}

ASKED: dict[str, tuple[str, list[dict[str, Any]], str, str]] = {
    "csl": (
        "sft",
        rows_of(20, title=text("t"), abstract=text("h")),
        "objective=pretrain",
        "data.columns: {text: abstract}",
    ),
    "id_title": (
        "sft",
        rows_of(20, id=key(), title=text("t"), content=text("c")),
        "objective=pretrain",
        "data.columns: {text: content}",
    ),
    "imdb": (
        "sft",
        rows_of(20, text=text("t"), label=of(0, 1)),
        "objective=classify would learn",
        "data.columns: {question: text, answer: label}",
    ),
    "unknown2": (
        "sft",
        rows_of(20, foo=text("t"), bar=text("u")),
        "no reader knows",
        "data.columns: {question: foo, answer: bar}",
    ),
    "unknown3": (
        "sft",
        rows_of(20, foo=text("t"), bar=text("u"), baz=text("v")),
        "no reader knows",
        "data.columns: {question: \u2026, answer: \u2026}",
    ),
    "narrative_qa": (
        "sft",
        rows_of(
            20,
            document_id=of("a1", "b2"),
            set=of("train", "test"),
            question=text("q"),
            answer1=text("b"),
            answer2=text("c"),
            question_tokenized=text("q "),
            answer1_tokenized=text("b "),
        ),
        "no reader knows",
        "data.columns: {question: question, answer: answer1}",
    ),
    "answers_without_a_judgement": (
        "dpo",
        rows_of(20, question=text("q"), answer1=text("b"), answer2=text("c")),
        "no reader knows",
        "data.columns: {prompt: \u2026, chosen: \u2026, rejected: \u2026}",
    ),
    "dup_answer": (
        "sft",
        rows_of(20, question=text("t"), answer=text("u"), response=text("v")),
        "no reader knows",
        "data.columns: {question: question, answer: response}",
    ),
    "bitext_cls": (
        "classify",
        rows_of(
            40,
            instruction=text("t"),
            response=text("r"),
            intent=of("a", "b"),
            category=of("A", "B"),
        ),
        "no reader knows",
        "data.columns: {text: instruction, label: intent}",
    ),
    "kto_sft": (
        "sft",
        rows_of(20, question=text("q"), answer=text("a"), label=of(1, 0)),
        "objective=kto",
        "data.columns: {question: question, answer: answer}",
    ),
    "typed_sft": (
        "sft",
        rows_of(
            20, chosen_messages=said("role", "q", "a"), rejected_messages=said("role", "q", "b")
        ),
        "objective=dpo",
        "data.columns: {chosen: chosen_messages, rejected: rejected_messages}",
    ),
    "agnews_sft": (
        "sft",
        rows_of(40, text=text("t"), label=of(0, 1, 2, 3)),
        "objective=classify",
        "data.columns: {question: text, answer: label}",
    ),
    "mrpc_sft": (
        "sft",
        rows_of(40, sentence1=text("a"), sentence2=text("b"), label=of(0, 1)),
        "objective=classify",
        'data.template: "{sentence1}\\n{sentence2}\\nlabel: {label}"',
    ),
}


def opened(folder: Path, objective: str, rows: list[dict[str, Any]], *typed: str) -> Reading:
    path = folder / "rows.jsonl"
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    settings = {"model": "m", "out": "o", "data": {"path": str(path)}, "objective": objective}
    run = validate(with_overrides(settings, list(typed)))
    return examples(run.data, OBJECTIVES.get(objective).eats)


@pytest.mark.parametrize("name", TAKEN)
def test_a_published_layout_is_taken_as_what_it_is(name: str, tmp_path: Path) -> None:
    objective, rows, reader, columns = TAKEN[name]
    reading = opened(tmp_path, objective, rows)
    found = [example for _, example in reading]
    assert (reading.opened[0].reader.name, reading.opened[0].columns) == (reader, columns)
    assert len(found) == len(rows)
    if reader == "feedback":
        assert all(isinstance(one, Feedback) and len(one.chat.turns) > 1 for one in found)
        assert {one.desirable for one in found if isinstance(one, Feedback)} == {True, False}
    if reader == "choices":
        assert all(isinstance(one, Chat) and "\nB. " in one.turns[-2].content for one in found)
        assert all(isinstance(one, Chat) and set(one.answer) <= {*"ABCD"} for one in found)


@pytest.mark.parametrize("name", ASKED)
def test_what_is_not_clear_is_asked_with_one_line_that_works(name: str, tmp_path: Path) -> None:
    objective, rows, first, last = ASKED[name]
    with pytest.raises(DataError) as caught:
        opened(tmp_path, objective, rows)
    lines = str(caught.value).splitlines()
    assert first in lines[0]
    assert lines[-1].strip().removeprefix("in a YAML file: ") == last
    if last.startswith("data.columns: ") and "\u2026" not in last:
        typed = next(line.strip() for line in lines if "data.columns=" in line)
        other = first.partition("=")[2].split()[0] if "=" in first else objective
        assert len(list(opened(tmp_path, other, rows, typed.strip("'")))) == len(rows)


def answers(folder: Path, rows: list[dict[str, Any]]) -> list[str]:
    return [one.answer for _, one in opened(folder, "sft", rows) if isinstance(one, Chat)]


def test_the_right_option_is_found_by_letter_text_mark_and_number(tmp_path: Path) -> None:
    options = {"choices": ["red", "green", "blue"]}
    by_text = [{"question": "q", **options, "answer": word} for word in ("green", "red")]
    assert answers(tmp_path, by_text) == ["B", "A"]
    by_letter = [
        {"question": "q", **options, "answer": word} for word in ("B", "(c)", "答案：A", "AC")
    ]
    assert answers(tmp_path, by_letter) == ["B", "C", "A", "AC"]
    from_0 = [{"question": "q", **options, "answer": number} for number in (0, 2)]
    assert answers(tmp_path, from_0) == ["A", "C"]
    from_1 = [{"question": "q", **options, "answer": number} for number in (1, 3)]
    assert answers(tmp_path, from_1) == ["A", "C"]
    numbers = {"choices": ["1", "2", "3"]}
    assert answers(tmp_path, [{"question": "q", **numbers, "answer": "2"}]) == ["B"]
    named = [{"question": "q", "option1": "x", "option2": "y", "answer": "2"}]
    assert answers(tmp_path, named) == ["B"]


def test_an_answer_that_is_no_option_is_an_error_with_row_and_field(tmp_path: Path) -> None:
    options = {"question": "q", "choices": ["red", "green", "blue"]}
    with pytest.raises(DataError, match=r"rows.jsonl:2:answer: .*is not one of the options"):
        answers(tmp_path, [{**options, "answer": 0}, {**options, "answer": 3}])
    with pytest.raises(DataError, match="no row shows whether counting begins at 0 or at 1"):
        answers(tmp_path, [{**options, "answer": 1}, {**options, "answer": 2}])
    rows = [{**options, "answer": 1}, {**options, "answer": 2}]
    reading = opened(tmp_path, "sft", rows, "data.columns={answer_from_1: answer}")
    assert [one.answer for _, one in reading if isinstance(one, Chat)] == ["A", "B"]
