"""Answers of a word or two where much more is asked for: the question asks for an explanation, a
list or a text, or all other answers of the file to such questions are long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tunesmith.data.detectors.hollow import says_nothing
from tunesmith.examples import Chat, Example, Feedback, Preference, Turn, chats_of
from tunesmith.words import say, some

WORD, LONG = 16, 48
"""The widths of two words and of a long sentence; a Chinese character is two wide."""
FEWEST = 20
"""Answers to questions of one sort, of which nothing is said below."""
FEW, LONGER = 0.02, 0.98
"""So few of them may be words, and so many of the others must be long."""
FEW_ASKED, LONGER_ASKED = 0.15, 0.5
"""The same where the question itself asks for a text."""
EDGE = 160
"""Characters at the beginning and the end of a question that are looked at."""
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uff00-\uff60]")
_FOR_MUCH = re.compile(
    r"\b(?:explain|describe|discuss|elaborate|outline|analy[sz]e|summari[sz]e|compare|contrast"
    r"|essay|paragraph|story|article|poem|song|lyrics|letter|e-?mail|speech|recipe|summary|review"
    r"|dialogue|conversation|description|script|function|algorithm|program|itinerary|survey|plan"
    r"|design|develop|step[- ]by[- ]step|steps|strateg(?:y|ies)|argument|in detail|why|tips"
    r"|how (?:to|do|does|did|can|could|should|would|might)|pros and cons|(?:dis)?advantages"
    r"|benefits|differences?|similarities|consequences|causes|effects|(?:a )?list of"
    r"|(?:list|name|give|suggest|provide|find|generate|create|write|brainstorm) (?:\w+ ){0,3}?"
    r"(?:\d+|two|three|four|five|six|seven|eight|ten|several|some|a few|the))\b"
)
_FOR_MUCH_ZH = re.compile(
    r"解释(?![：:])|说明(?![书：:])|描述|介绍|论述|[简概阐]述|详细|请分析|分析(?:以下|一下|这)|列[出举]|步骤|如何|怎[么样]"
    r"|(?<![诊断认])为什么(?!疾?病)|为何(?!种)|[优缺]点|好处|[区差]别|不同之处|有[何什]么?不同|措施|总结|建议|列表"
    r"|[写作生][一成篇首段封个出].{0,20}"
    r"(?:文章|作文|故事|诗|信|邮件|报告|演讲|评论|段落|小说|论文|代码|程序|函数|计划|对话|描述)"
)
_FOR_A_WORD = re.compile(
    r"\b(?:yes or no|true|false|(?:one|single|two|three|\d+)[- ]words?|(?:a|the|this|following)"
    r" (?:\w+ )?word|choose|select|pick|options?|choices?|which (?:of|is|are|one)|classif\w*"
    r"|categor\w*|identify|labels?|translat\w*|titles?|(?:names?|title) (?:of|for)|name the"
    r"|(?:a|the|user) (?:\w+ )?name|spell\w*|rhym\w*|synonyms?|antonyms?|opposite|convert"
    r"|calculat[ei]\w*|compute|acronym|tagline|slogan|how (?:many|much|old|long|far|tall|often)"
    r"|sentiment|fill in|blank|complete the|output (?:should|only|the|of|[01])|capital|symbol"
    r"|plural|tense|only|number|thanks?|bye|hello|hi)\b|^(?:is|are|was|were|do|does|did)\b"
)
_FOR_A_WORD_ZH = re.compile(
    r"是否|是不是|对不对|[能可]否|有没有|吗|判断|选择|选项|选出|下列|哪(?!些)|[第有十]?几[个种点位岁年月天号]|多少|[一个]词|单词"
    r"|翻译|译[成为]|分类|归类|类[别型]|标题|题目|[取命起]名|名[字称]|[同反近]义|填[空入]|情感|标签|换算|转换|计算(?!机)|谁|何时"
    r"|什么时候|[仅只][需要能用输回]|谢|再见|你好|成语|替换|怎么[读说写]|[序编]号|口号|标语|句子"
)
_YES_OR_CHOICE = re.compile(
    r"\W*(?:yes|no|true|false|correct|wrong|[a-h]|[\d.,%]+|不?(?:是|对|能|会|可以|需要|要|正确)的?|否|没?有|错误?)\W*",
    re.IGNORECASE,
)


@dataclass
class _Group:
    """The answers to questions of one sort."""

    looked: int = 0
    long: int = 0
    words: int = 0
    places: list[str] = field(default_factory=list)

    def odd(self, few: float = FEW, longer: float = LONGER) -> list[str]:
        """Returns the places, where words are the exception and the others are long."""
        exception = self.looked >= FEWEST and self.words <= max(1, few * self.looked)
        usual = self.long >= longer * (self.looked - self.words)
        return self.places if exception and usual else []


class Terse:
    """The answers that are a word where a text is asked for."""

    def __init__(self) -> None:
        self.groups = {"much": _Group(), "little": _Group(), "other": _Group()}

    def look(self, example: Example) -> list[tuple[str, bool, str]]:
        """Looks at the last answer of one row, of a comparison at the better one; returns the sort
        of its question, whether it is long, and whether it is a word that fits or an odd one.
        """
        if isinstance(example, Feedback) and not example.desirable:
            return []
        chats = example.sides[:1] if isinstance(example, Preference) else chats_of(example)
        answered = [chat for chat in chats if chat.turns and chat.turns[-1].role == "assistant"]
        return [_sight(chat.turns[-1], _asked(chat)) for chat in answered]

    def add(self, where: str, answers: list[tuple[str, bool, str]]) -> None:
        """Counts the answers of one row, and notes one that is an odd word."""
        for sort, long, word in answers:
            group = self.groups[sort]
            group.looked += 1
            group.long += long
            group.words += bool(word)
            if word == "odd":
                group.places.append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows, where the others of their sort are long."""
        much, little, other = self.groups.values()
        odd = [*much.odd(FEW_ASKED, LONGER_ASKED), *little.odd(), *other.odd()]
        return {"terse": odd} if odd else {}

    def notes(self) -> list[str]:
        """Returns one line for them."""
        return [
            say("detect.terse", number=len(places), places=some(places))
            for places in self.rows().values()
        ]


def _sight(answered: Turn, asked: str) -> tuple[str, bool, str]:
    text, sort = answered.content.strip(), _sort(asked.lower())
    long = bool(answered.reasoning or answered.tool_calls) or _width(text) >= LONG
    if long or not text or _width(text) > WORD or says_nothing(text):
        return sort, long, ""
    fits = sort == "little" and _YES_OR_CHOICE.fullmatch(text)
    named = sort == "other" and _width(asked) <= WORD  # a word to translate
    return sort, False, "fitting" if fits or named else "odd"


def _sort(asked: str) -> str:
    """Tells whether a question asks for much, for a word, or for nothing that is known here."""
    chinese = not asked.isascii()
    if _FOR_A_WORD.search(asked) or (chinese and _FOR_A_WORD_ZH.search(asked)):
        return "little"
    much = _FOR_MUCH.search(asked) or (chinese and _FOR_MUCH_ZH.search(asked))
    return "much" if much else "other"


def _asked(chat: Chat) -> str:
    """Returns the beginning and the end of the last question: what is asked stands there."""
    question = next((turn.content for turn in reversed(chat.turns) if turn.role == "user"), "")
    return question if len(question) <= 2 * EDGE else f"{question[:EDGE]} {question[-EDGE:]}"


def _width(text: str) -> int:
    """Measures a text up to the width that is long."""
    return len(text) + (0 if len(text) >= LONG or text.isascii() else len(_WIDE.findall(text)))
