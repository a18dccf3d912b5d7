"""Where somebody lives: a street with a house number, with the regions before it and the rest
behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_STREET = re.compile(
    r"[\u4e00-\u9fff]{1,8}?(?:大街|大道|路|街|道|巷|弄|胡同|村|小区|花园|社区|苑)[东西南北中]?"
    r"[0-9A-Za-z一二三四五六七八九十甲乙丙-]{1,8}"
    r"(?:号楼|号院|号|弄|栋|幢|单元|楼|层|室|组|座|底商|门市)"
)
_REST = re.compile(r"[^\s，。、；：！？,;:!?（）()\"'“”]{0,20}")
"""What follows a house number up to the next mark, at most 20 signs: the floor, the room, the
shop. It often holds more than any list of units names.
"""
_BEFORE = re.compile(r"[\u4e00-\u9fff0-9]{0,28}$")
_UNIT = re.compile("省|自治区|市|州|区|县|旗|镇|乡|村")
_LEADS = re.compile(
    "^.*(?:住在|住址|地址|位于|寄到|送到|寄往|搬到|家在|家住|现住|户籍|籍贯|坐落|就是|[在于到往是址去])"
)
_LEADS_IN = re.compile(
    "[我他她家]{0,2}(?:住在|住址[是在]?|地址[是在]?|位于|寄到|送到|寄往|搬到|家在|家住|现住)"
)
"""A word that leads to an address where the pattern of a street took it in."""
_WAYS = (
    "Alley|Avenue|Ave|Bend|Bluffs?|Boulevard|Blvd|Branch|Bridge|Brooks?|Bypass|Canyon|Causeway"
    "|Center|Circles?|Cliffs?|Common|Corners?|Course|Courts?|Ct|Coves?|Creek|Crescent|Crest"
    "|Crossing|Dale|Dam|Divide|Drives?|Dr|Estates?|Expressway|Extensions?|Falls|Ferry|Fields?"
    "|Flats?|Fords?|Forest|Forges?|Forks?|Fort|Freeway|Gardens?|Gateway|Glens?|Greens?|Groves?"
    "|Harbors?|Haven|Heights|Highway|Hwy|Hills?|Hollow|Inlet|Islands?|Isle|Junctions?|Keys?"
    "|Knolls?|Lakes?|Landing|Lane|Ln|Locks?|Lodge|Loop|Manors?|Meadows?|Mews|Mills?|Mission"
    "|Motorway|Mount|Mountains?|Neck|Orchard|Oval|Overpass|Parks?|Parkways?|Pass|Passage|Path|Pike"
    "|Pines?|Place|Pl|Plains?|Plaza|Points?|Ports?|Prairie|Ramp|Ranch|Rapids?|Rest|Ridges?|River"
    "|Roads?|Rd|Route|Row|Run|Shoals?|Shores?|Skyway|Springs?|Spurs?|Squares?|Station|Stream"
    "|Streets?|St|Summit|Terrace|Throughway|Trace|Track|Trail|Tunnel|Turnpike|Underpass|Unions?"
    "|Valleys?|Via|Viaduct|Views?|Villages?|Ville|Vista|Walks?|Ways?|Wells?"
)
"""What ends the name of a street in the United States (USPS Publication 28, appendix C1)."""
_ENGLISH = re.compile(
    r"(?<![\w.,])(?<!\b[Tt]he )\d{1,5}[A-Z]? (?:[NSEW]\.? )?"
    rf"(?:(?:[A-Z][A-Za-z]+ ){{1,3}}?|\d{{1,3}}(?:st|nd|rd|th) )(?:{_WAYS})\b(?: (?:{_WAYS})\b)?\.?"
    r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit)\.? ?#?\w{1,5})?"
    r"(?:,? [A-Z][a-z]+(?: [A-Z][a-z]+)?,? [A-Z]{2} \d{5}(?:-\d{4})?(?!\d))?"
    r"|\bP\.?O\.? ?Box \d{1,6}(?!\d)"
)
_OF_A_YEAR = re.compile(
    r"(?:1[89]|20)\d\d (?:[A-Z][A-Za-z]+ ){1,3}"
    r"(?:Bridge|Canyon|Center|Common|Creek|Falls|Fields?|Forest|Forks?|Fort|Gardens?|Greens?|Harbor|Haven"
    r"|Heights|Hills?|Islands?|Lakes?|Mountains?|Parks?|Path|Pass|Plains?|Points?|Ports?|Rapids?"
    r"|Ridges?|River|Shores?|Springs?|Station|Summit|Unions?|Valleys?|Views?|Villages?|Walks?|Wells?)"
    r"|\d{1,2} (?:[A-Z][A-Za-z]+ ){1,3}Ways"
)
"""A year before the name of a place, or a number of things, which may be read as a house number:
2002 Salt Lake City, 5 Simple Ways to Win.
"""
_GOES_ON = re.compile(r"[ -][A-Za-z&]")
"""What follows such a place where the sentence goes on; an address ends at a mark or a line."""


def addresses_in(text: str) -> Iterator[tuple[int, int]]:
    """Yields the places (from, up to) of addresses with a house number, in Chinese and English."""
    end = 0
    for match in _STREET.finditer(text):
        if match.start() < end:
            continue
        rest = _REST.match(text, match.end())
        last = rest.end() if rest else match.end()
        begin = _begin(text, match.start(), end)
        lead = _LEADS_IN.match(text, begin, match.end() - 3)
        yield lead.end() if lead else begin, last
        end = last
    for match in _ENGLISH.finditer(text):
        if not (_OF_A_YEAR.fullmatch(match[0]) and _GOES_ON.match(text, match.end())):
            yield match.span()


def _begin(text: str, street: int, floor: int) -> int:
    """Finds where the regions before a street begin, without the words that lead to an address."""
    before = _BEFORE.search(text, floor, street)
    start = before.start() if before else street
    lead = _LEADS.match(text[start:street])
    if lead is not None:
        return start + lead.end()
    # The street itself may begin within a region, of which it takes 8 characters: 北 of 北京市.
    unit = _UNIT.search(text, start, street + 8) if start < street else None
    # Without such a word a region has at most 3 characters before its first unit: 浙江省, 西湖区.
    return max(start, unit.start() - 3) if unit else street
