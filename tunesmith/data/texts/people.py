"""Names of persons: after words that announce one, and by a Chinese dictionary where jieba is
installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

from tunesmith.data.texts.personal import Found

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏"
    "吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱"
    "严覃武戴莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁"
    "尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳"
    "时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和"
)
COMPOUND = ("欧阳", "上官", "司马", "诸葛", "司徒", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐")
_FAMILY = f"(?:{'|'.join(COMPOUND)}|[{SURNAMES}])"
_BEFORE = (
    "我叫|我是|本人|名叫|姓名[:：]?|患者[:：]?|病人[:：]?|联系人[:：]?|收件人[:：]?|被告(?:人)?[:：]?"
    "|原告(?:人)?[:：]?|法定代表人[:：]?|同事|朋友|老公|老婆|儿子|女儿"
)
_AFTER = "先生|女士|小姐|老师|医生|大夫|律师|经理|同学|主任|教授"
_CUED = re.compile(
    rf"(?:{_BEFORE})({_FAMILY}[\u4e00-\u9fff]{{1,2}})(?=[，。、；：！？,.;:!?\s（(]|$|男|女|{_AFTER})"
    rf"|({_FAMILY}[\u4e00-\u9fff]{{1,2}})(?=(?:{_AFTER}))"
)
_ENGLISH = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.? |\b(?:[Mm]y name is|[Pp]atient(?: name)?:?|[Nn]ame:|"
    r"[Dd]ear|[Ss]incerely,|[Rr]egards,)\s+(?:(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.? )?)"
    r"([A-Z][a-z]+(?:[-'][A-Z][a-z]+)?(?: [A-Z]\.)?(?: [A-Z][a-z]+(?:[-'][A-Z][a-z]+)?){0,2})"
)
_NO_NAMES = frozenset(
    ("Sir", "Madam", "All", "Team", "Customer", "Friend", "Friends", "Hiring Manager", "Hiring")
)
_THINGS = re.compile(
    r"\b(?:brand|class|column|company|course|dish|event|file|game|hotel|model|plant|product|project"
    r"|recipe|song|species|team) $",
    re.IGNORECASE,
)
"""What stands before the name of a thing: Game Name: Shape Explorers."""
_NO_CHARACTERS = re.compile("[您你我他她它谢请了的是在有不和与或把被给对从由按]")
_NOBODY = re.compile(rf"某|(?:{_AFTER})$")
"""王某 is nobody, and 王女士 no more than a surname."""
_WORDS_TOO = "左甘应易康宫曲温牛白米莫丁和向"
"""Surnames with which many words begin that jieba takes for names (左心室, 甘露醇, 康复训练), or
that are words of grammar (和咨询 of 检查和咨询).
"""
_MEDICINE_TEXT = (
    "黄柏 黄精 陈皮 陈棕 桂枝 桂心 桂皮 石斛 石韦 石决明 石莲子 石榴皮 马勃 马钱子 "
    "马齿苋 马鞭草 葛根 葛花 苏叶 苏子 苏梗 苏木 路路通 柏子仁 柏叶 侧柏 车前子 "
    "车前草 金钱草 金樱子 金沸草 金果榄 胡黄连 胡芦巴 胡桃 艾叶 艾草 谷芽 谷精草 "
    "祁术 祁艾 祁红 韦茎 毛冬青 毛姜 芦根 蒲黄 雷丸 雷公藤 凌霄花 姜黄 姜皮 姜汁 "
    "姜炭 何首乌 杜若 童便 梁米 白芷 白芨 白前 白蔹 徐长卿 龙齿 龙葵 宁心 宁神 安中 "
    "温中 辛凉 辛温 和胃 和中 冷敷 苗药 祝由"
)
_MEDICINE = frozenset(_MEDICINE_TEXT.split())
"""Drugs and effects of Chinese medicine that begin with a surname and that jieba takes for names:
replaced, 陈皮 would become a person in every answer. After a cue they may still be a name."""
_WORDS_TEXT = (
    "岳父母 钟点工 成正比 高素质 谷歌 安卓 夏普 张力 施暴 唐氏 孟鲁司 司琼 高纯 何原因 向北走 "
    "金白银 全高清 单双号 冷思考 党执政 冷修 田管 艾台 金藻 焦香 齐飞 梁丘 阳陵泉 金海湖 马路边 "
    "项中 高危 蒙脱石 谷丙 黄连素 谷维素 单元格 欧芹 唐律 罗马法"
)
_WORDS = frozenset(_WORDS_TEXT.split())
"""Other words that jieba takes for names, met in texts of law, medicine and finance."""
_GRAMMAR = "和向于应"
"""Surnames that are words of grammar too: 和其 of 儿子和其女朋友."""
_WORN = re.compile("戴[帽牙鼻眼口手耳头上着]")
"""What one wears, which is no person: 戴帽子."""
_ENDINGS = "者粉汁肉率器型剂感性"
"""What three signs hardly ever end with in a name: 施暴者, 芦荟汁, 舒适感."""
_WORD_ENDINGS = "化炎笔水于里能"
"""What a name may end with, and a word too: 高端化, 苏打水. It is the word where the two signs
before are one, of more than ``PART`` in jieba's dictionary.
"""
_TITLED = re.compile("[长员师]$|[^大]家$|教授$|记者$|总统$|总理$|主席$|经理$|主任$")
"""What stands before a person's name."""
_OF_OTHERS = re.compile(
    "股份|集团|有限|公司|酒店|饭店|餐厅|店|路|大厦|影视|科技|投资集团|仓储|基金|证券|资本|实业|米业|家居|银行|大学"
    "|综合[征症]|憩室|肉瘤|定律|定理|方程"
)
"""What stands behind the name of a firm, a disease or a law of nature, which is no person's."""
RARE, USUAL, WORD, PART = 30, 20, 200, 50
"""Frequencies in jieba's dictionary. A name that is a word there with ``RARE`` or more is the word.
A cue's name falls where the sign before it and its surname are a word of more than ``USUAL``
(非常感谢), or its first two characters one of more than ``WORD``. Measured on 3 000 texts of law,
medicine and support: 87 false names of 864, and 0.96 of names with a cue, 0.79 of others.
"""


def has_dictionary() -> bool:
    """Tells whether Chinese names are also found without a word that announces them."""
    return find_spec("jieba") is not None


@cache
def _jieba() -> Any:
    import logging

    import jieba.posseg

    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    return jieba


def _frequency(word: str) -> int:
    return _jieba().dt.FREQ.get(word, 0) if has_dictionary() else 0


def names_in(text: str) -> Iterator[Found]:
    """Yields the names in a text, by cue and dictionary; the same place may come twice."""
    for match in _CUED.finditer(text):
        group = match.lastindex or 0
        start, end = match.span(group)
        name = match[group]
        before = text[start - 1 : start] + name[0]
        if _NO_CHARACTERS.search(name[1:]) or _NOBODY.search(name):
            continue
        if _frequency(name) >= RARE:
            continue
        if name[0] in _GRAMMAR and _is_grammar(text, start, end):
            continue
        # 欧阳 and 司马 are words themselves.
        begins = 0 if name[:2] in COMPOUND else _frequency(name[:2])
        if _frequency(before) <= USUAL and begins <= WORD:
            yield Found(start, end, "name")
    yield from announced_in(text)
    if has_dictionary():
        yield from _tagged(text)


def announced_in(text: str) -> Iterator[Found]:
    """Yields the English names in a text that a word before them announces."""
    for match in _ENGLISH.finditer(text):
        named = _THINGS.search(text, max(0, match.start() - 12), match.start())
        if match[1] not in _NO_NAMES and not (named and match[0][:5] in ("Name:", "name:")):
            yield Found(*match.span(1), "name")


def _is_medicine(word: str) -> bool:
    """Tells a drug, also one that jieba joined with the sign before or behind: 陈皮归, 方中陈."""
    if word.startswith("方中"):
        return len(word) == 2 or word[2] in SURNAMES
    return word in _MEDICINE or (word[-1] in "归性味" and word[:-1] in _MEDICINE)


def _is_word(word: str, *, titled: bool) -> bool:
    """Tells a word that jieba takes for a name: of two signs, what its dictionary holds is one (861
    such, of which few are names) unless a title stands before it (财长鲁宾); of three, how it ends
    tells.
    """
    if word in _WORDS or _WORN.match(word):
        return True
    if len(word) == 2:
        return _frequency(word) > 0 and not titled
    if len(word) != 3:
        return False
    ends = word[2] in _WORD_ENDINGS and _frequency(word[:2]) > PART
    return ends or word[2] in _ENDINGS


def _is_grammar(text: str, start: int, end: int) -> bool:
    """Tells 于 and the like that is no surname: it ends a word such as 关于, or jieba divides the
    text elsewhere where it does not look for kinds of words.
    """
    if _frequency(text[start - 1 : start + 1]) > USUAL:
        return True
    if not has_dictionary():
        return False
    begin = at = max(0, start - _AROUND)
    places = {at}
    for word in _jieba().lcut(text[begin : end + _AROUND]):
        at += len(word)
        places.add(at)
    return not {start, end} <= places or any(start < place < end for place in places)


_AROUND = 8
"""Signs on either side by which a word is judged."""


def _tagged(text: str) -> Iterator[Found]:
    """Yields the words that jieba takes for a person's name, that begin with a surname and are
    rare.
    """
    if re.search("[\u4e00-\u9fff]{2}", text) is None:
        return
    end = 0
    for word, tag in _jieba().posseg.lcut(text):
        start = end
        end += len(word)
        if tag != "nr" or not 2 <= len(word) <= 4 or _NO_CHARACTERS.search(word):
            continue
        if word[0] in _WORDS_TOO or _NOBODY.search(word):
            continue
        if _is_medicine(word) or _OF_OTHERS.match(text, end):
            continue
        if _is_word(word, titled=_TITLED.search(text, max(0, start - 2), start) is not None):
            continue
        if word[0] in _GRAMMAR and _is_grammar(text, start, end):
            continue
        if len(word) == 4 and word[:2] not in COMPOUND:
            continue  # a phrase such as 蓝天白云: whose surname has one sign has no name of four
        if (word[0] in SURNAMES or word[:2] in COMPOUND) and _frequency(word) < RARE:
            yield Found(start, end, "name")
