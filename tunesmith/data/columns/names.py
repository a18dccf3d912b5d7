"""What published files call their columns, in English and Chinese: for each thing that a row can
hold, its names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence


def words_of(text: str) -> list[str]:
    """Splits a text into words, because a text is easier to read in code than a list."""
    return text.split()


QUESTION = words_of(
    "instruction question qtext query prompt problem goal ask user human questions "
    "definition inputquestion questiontext querytext userquestion userinput userprompt q stem "
    "utterance request 指令 问题 "
    "originaltext 提问 题目 题干 用户 咨询 提示 提示词 用户问题 用户输入 "
    "用户提问 客户问题 客户提问 咨询内容 患者提问 病情描述 主诉 症状 标准问 标准问句 相似问 "
    "标准问法 相似问法 问法 用户说法"
)
"""What is asked."""
ORDERS = ("instruction", "definition", "指令")
"""What is to be done, which may be the same in all rows."""
ABOUT = words_of(
    "input inputs context contexts contexttext passagetext passage background article "
    "paragraph evidence "
    "knowledge support material premise story table schema ctx document doc "
    "输入 背景 材料 上下文 文章 段落 资料 参考资料 语境 文档"
)
"""What the question is about, which it cannot be answered without."""
REASONING = words_of(
    "complexcot cot chainofthought reasoning reasoningcontent reasoningtrace think "
    "thinking thought thoughts rationale analysis explanation "
    "思考 思考过程 推理 推理过程 思维链 分析 解析"
)
THOUGHTS = words_of(
    "complexcot cot chainofthought reasoning reasoningcontent reasoningtrace think thinking "
    "thought thoughts 思考 思考过程 推理过程 思维链"
)
"""Those of them that can only be what was thought before the answer."""
ANSWER = words_of(
    "response answer output completion reply multiplechoiceanswer answers outputs responses ans "
    "references solutions assistant bot "
    "target golden gold solution generation correctanswer finalanswer groundtruth "
    "referenceanswer rewrite ideal "
    "回答 答案 回复 答复 输出 分段内容 "
    "客服回复 客服回答 助手回复 模型回答 回复内容 解答 "
    "sql sqlquery cypher sparql "
    "诊断 处方 医生回复 标准答案 参考答案 回应 诊疗建议 标准答 解决方案 处理方案 canonicalsolution"
)
"""What is answered."""
SOURCE = words_of(
    "source src document article dialogue dialog text shorttext content passage "
    "original sentence en english 原文 正文 内容 文本 文章 英文 源文 句子 对话"
)
"""What something is made of: a translation, a summary."""
TARGET = words_of(
    "target tgt summary highlights translation zh chinese summaries tldr paraphrase "
    "abstract 摘要 译文 中文 翻译 目标 总结 概要 改写"
)
"""What is made of it."""
TEXT = words_of(
    "text sentence content review comment document utterance tweet body post message "
    "news query question description article headline sms email instruction input "
    "prompt title 文本 句子 评论 内容 正文 "
    "评价 微博 描述 新闻 标题"
)
"""A text that is judged, or read."""
DOCUMENT = words_of(
    "text content document article body passage story abstract markdown code page "
    "paragraph raw 文本 正文 内容 文章 段落 全文"
)
"""A text that is learned whole; its title is no such text."""
SECOND = {
    "premise": ("hypothesis", "hypo"),
    "前提": ("假设",),
    "text": ("text2",),
    "sentence": ("sentence2",),
    "query": ("passage",),
    "anchor": ("positive",),
    "question": ("sentence",),
}
"""The other text of a pair, where it is not told by a number or a letter at the end."""
JUDGED_WITH = {
    "question": ("passage", "context", "paragraph", "document", "answer"),
    "query": ("document", "doc", "title", "answer"),
    "问题": ("段落", "上下文", "回答", "答案"),
}
"""What a question is judged with, where rows have a label for the two."""
LABEL = words_of(
    "label labels labeltext labelname labeldesc intent category class sentiment "
    "emotion polarity stance goldlabel classlabel rating stars star score toxic "
    "isduplicate relation topic 标签 类别 分类 情感 情感倾向 意图 情绪 极性 科室 评分"
)
"""What a text is."""
SIDES = (
    ("chosen", "rejected"),
    ("preferred", "dispreferred"),
    ("better", "worse"),
    ("good", "bad"),
    ("best", "worst"),
    ("winner", "loser"),
    ("win", "lose"),
    ("y_w", "y_l"),
    ("accepted", "rejected"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("优选", "劣选"),
    ("选中", "拒绝"),
    ("优选", "拒绝"),
    ("高分", "低分"),
    ("优", "劣"),
    ("正", "负"),
    ("好", "差"),
    ("好", "坏"),
    ("赞", "踩"),
    ("采纳", "拒绝"),
)
"""Words that tell the column of a better answer from that of a worse: chosen_messages."""
GRADE = ["similarity", "similarityscore", "相似度", "是否相似", *LABEL]
RELATED = (
    ("positive", "negative"),
    ("pos", "neg"),
    ("正例", "负例"),
    ("正样本", "负样本"),
    ("相关", "不相关"),
    ("正", "负"),
)
"""Words that tell the column of a text that belongs to another from that of one that does not."""
"""How much two texts belong together."""
JUDGED = words_of(
    "label labels ktotag desirable thumb thumbs thumbsup isgood good liked like upvoted vote "
    "feedback reaction verdict judgement judgment accepted accept ishelpful helpful issafe "
    "标签 好坏 点赞 反馈 评价 是否采纳 采纳 满意 是否满意 赞踩 是否解决 是否有用 是否正确 是否通过"
)
"""Whether one answer is good."""
RATED = words_of(
    "rating ratings score scores overallscore reward helpfulness quality correctness stars grade "
    "评分 打分 分数 得分 质量"
)
"""How good one answer is, as a number."""
ABOUT_THE_ROW = frozenset(
    words_of(
        "kind id ids idx index uid uuid guid key no rowid sampleid questionid promptid "
        "pairid qid docid title name topic subject subjects domain type types tasktype "
        "task source datasource src dataset datasetname origin url link urls author "
        "authors date time timestamp datetime created createdat version license licence "
        "lang language languages split difficulty level grade model modelname generator "
        "engine tool file filename path hash md5 tag tags keywords length tokens "
        "tokencount numtokens metadata meta extra unnamed cate1 cate2 department "
        "entitytype entityvalue flags startoffset endoffset role "
        "tunesmithfrom "
        "编号 序号 标题 来源 题目类型 类型 日期 "
        "时间 作者 链接 难度 语言 版本 科目 学科 领域 姓名 名称 网址 关键词"
    )
)
"""What a file says of a row beside what the row holds: never asked, never an answer."""
CAME_FROM = "tunesmith_from"
"""The column in which a file that ``tunesmith data`` wrote says where each row came from:
``{"file": …, "row": …, "steps": […]}``.
"""
PAIR_SCORES = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("rating_chosen", "rating_rejected"),
    ("chosen-rating", "rejected-rating"),
)
"""The scores of the two answers, which are compared with their order."""
VOTED = "voted"
"""The mark under ``CAME_FROM`` of a row whose answers people chose between: ``"voted": true``."""


def came_from(row: Mapping[str, object]) -> Mapping[str, object]:
    """Returns what a row says of where it came from; empty where it says nothing. A table holds
    it as JSON.
    """
    origin = row.get(CAME_FROM)
    if isinstance(origin, str):
        try:
            origin = json.loads(origin)
        except ValueError:
            return {}
    return origin if isinstance(origin, dict) else {}


_SUFFIXES = ("zh", "en", "cn", "ch", "text", "str", "content", "chinese", "english", "raw")


def plain(name: str) -> str:
    """Returns the name in lower case, letters and digits only."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_PREFIXES = ("textbox_q", "textbox", "trans", "translated")
"""What COIG writes before every name: the part of the set."""


_ASIDE = re.compile(r"[（(【\[][^（(【\[]*[）)】\]]")
"""What a form says of a column beside its name: 问题（必填）."""


_HEADS = frozenset(
    words_of(
        "问题 提问 题目 题干 指令 回答 答案 回复 答复 解答 摘要 译文 标签 类别 分类 情感 评论 "
        "评价 反馈 内容 文本 正文 原文 编号 序号 标题 来源 类型 日期 时间 作者 链接 网址 名称 "
        "姓名 难度 版本"
    )
)
"""What a Chinese name of a column ends with says what it holds: 客户问题 is a question, 回答时间 a
time.
"""
_ENDINGS = ("内容", "文本", "描述", "详情")
"""What says nothing behind such a word: 问题描述."""


def _heads(name: str) -> list[str]:
    """Returns the words with which a Chinese name ends, without what says nothing behind them."""
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    whole = name.removesuffix(ending) or name
    before = [word for word in (whole, whole[-2:]) if word != name and word in _HEADS]
    return before or [word for word in (name[-2:],) if word != name and word in _HEADS]


def cores(name: str) -> tuple[str, ...]:
    """Returns the plain name, and also without an ending that names its language or kind, or a
    beginning that says nothing of it: ``instruction_zh`` is an instruction, ``trans_input`` an
    input. A field inside an object is called as its own name, or, where that says nothing, as the
    objects around it.
    """
    way = [part for part in name.casefold().split(".") if part]
    if len(way) > 1:
        named = way[-1] in _SUFFIXES or (way[-1] == "name" and way[-2] in LABEL)
        around = way[-2::-1] if named else way[-1:]
        return tuple(dict.fromkeys(core for part in around for core in cores(part)))
    spelled = re.sub(r"[\s.\-]", "_", name.casefold())
    plain_names = [plain(name)]
    bare = plain(_ASIDE.sub("", name))
    if bare and bare != plain_names[0]:
        plain_names.append(bare)
    before = next((prefix for prefix in _PREFIXES if spelled.startswith(f"{prefix}_")), None)
    if before is not None:
        spelled = spelled.removeprefix(f"{before}_")
        plain_names.append(plain(spelled))
    plain_names += _heads(plain_names[-1])
    head, mark, tail = spelled.rpartition("_")
    if mark and tail in _SUFFIXES and head:
        plain_names.append(plain(head))
    return tuple(plain_names)


def is_called(name: str, known: Collection[str]) -> bool:
    """Tells whether a column has one of these names."""
    return any(core in known for core in cores(name))


_USUAL = frozenset(
    [
        *(QUESTION + ABOUT + REASONING + ANSWER + SOURCE + TARGET + TEXT + DOCUMENT + LABEL),
        *(GRADE + JUDGED + RATED),
        *(ABOUT_THE_ROW | {"system", "history", "messages", "conversations"}),
        *(name for pair in (*SIDES, *RELATED) for name in pair),
    ]
)


def is_usual(name: str) -> bool:
    """Tells whether a column of some file is called so."""
    return is_called(name, _USUAL)


def ranked(known: Sequence[str], columns: Collection[str]) -> list[str]:
    """Returns the columns that have one of these names, in the order of the names."""
    matching: list[tuple[int, str]] = []
    for name in columns:
        places = [known.index(core) for core in cores(name) if core in known]
        if places:
            matching.append((min(places), name))
    return [name for _, name in sorted(matching, key=lambda pair: pair[0])]
