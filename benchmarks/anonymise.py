"""How well ``tunesmith data anonymise`` finds personal data: precision and recall by kind and
language, on made rows and on real rows that were labelled by hand.

    python benchmarks/anonymise.py --data DIR          # prints two tables

The made rows are drawn (``--seed``): the same value is written as people write it, in sentences of
several sorts, among rows that look like personal data and are none. Of the real rows all are read
that lie at equal distances in their files; REAL names what is personal in them, all else is none.
Labelled are names of persons, real or invented (not 王女士, 张某, animals, nor names within
those of firms, books and diseases), and numbers and addresses whoever has them.
"""

from __future__ import annotations

import argparse
import json
import random
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tunesmith.api import measure_anonymising
from tunesmith.data.files.file_facts import Faults
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.measure import wilson
from tunesmith.data.texts.personal import credit_check, identity_check, luhn_check
from tunesmith.data.texts.strings import strings

Label = tuple[str, str]
"""A text and what it is."""
Made = tuple[str, list[Label]]
"""A row's text and its labels."""

ZH_FAMILY = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾"
)
ZH_GIVEN_TEXT = (
    "伟 芳 娜 敏 静 磊 洋 艳 勇 杰 涛 超 霞 平 刚 桂英 建国 志强 晓明 丽华 国强 海燕 文杰 子涵 "
    "雨桐 浩然 欣怡 思远 佳琪 明轩 俊杰 晓东 红梅 秀兰 玉珍 春生 德海 淑芬 嘉豪 诗雅 一鸣 若曦"
)
ZH_GIVEN = ZH_GIVEN_TEXT.split()
EN_FIRST_TEXT = "James Maria Aisha Chen Olga Kwame Priya Tom Grace Liam Fatima Jorge Ingrid Noah"
EN_FIRST = EN_FIRST_TEXT.split()
EN_LAST_TEXT = "Walker Garcia Okafor Novak Singh Dubois Kim Hughes Rossi Tanaka Brandt O'Brien"
EN_LAST = EN_LAST_TEXT.split()
MONTHS_TEXT = "January February March April May June July August October November December"
MONTHS = MONTHS_TEXT.split()


class Draws:
    """Values of each kind, as people write them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def digits(self, number: int) -> str:
        """Draws digits."""
        return "".join(self.random.choices(string.digits, k=number))

    def of(self, *forms: str) -> str:
        """Draws one of several texts."""
        return self.random.choice(forms)

    def date(self) -> tuple[int, int, int]:
        """Draws a year, a month and a day."""
        return (
            self.random.randint(1940, 2010),
            self.random.randint(1, 12),
            self.random.randint(1, 28),
        )

    def zh_name(self) -> str:
        """Draws a Chinese name."""
        return self.random.choice(ZH_FAMILY) + self.random.choice(ZH_GIVEN)

    def en_name(self) -> str:
        """Draws an English name."""
        first, last = self.random.choice(EN_FIRST), self.random.choice(EN_LAST)
        return self.of(f"{first} {last}", f"{first} {last}", f"{first} J. {last}", first)

    def zh_phone(self) -> str:
        """Draws a mobile number of China."""
        head, middle, last = (
            f"1{self.of(*'3456789')}{self.digits(1)}",
            self.digits(4),
            self.digits(4),
        )
        return self.of(
            head + middle + last,
            f"{head}-{middle}-{last}",
            f"{head} {middle} {last}",
            f"+86 {head}{middle}{last}",
            f"+86-{head}-{middle}-{last}",
            f"86{head}{middle}{last}",
        )

    def landline(self) -> str:
        """Draws a landline of China."""
        area, number = self.of("010", "021", "0571", "0755", "0379"), f"8{self.digits(7)}"
        return self.of(
            f"{area}-{number}",
            f"({area}){number}",
            f"{area} {number}",
            f"{area}-{number[:4]} {number[4:]}",
            area + number,
        )

    def en_phone(self) -> str:
        """Draws a number of the United States, or one with another country."""
        area, middle, last = (
            f"{self.of('212', '415', '617')}",
            f"{self.of('2', '6')}{self.digits(2)}",
            self.digits(4),
        )
        return self.of(
            f"({area}) {middle}-{last}",
            f"{area}-{middle}-{last}",
            f"{area}.{middle}.{last}",
            f"+1 {area} {middle} {last}",
            f"{area} {middle} {last}",
            area + middle + last,
            f"+44 20 7{self.digits(3)} {last}",
            f"+49 30 {self.digits(6)}",
        )

    def mail(self) -> str:
        """Draws a mail address."""
        name = self.of("li.lei", "zhang_w", "a.bell", "tom+news", "xw2003", "contact")
        host = self.of("163.com", "qq.com", "mail.example.org", "uni.edu.cn")
        return f"{name}{self.digits(2)}@{host}"

    def zh_card(self) -> str:
        """Draws the number of a Chinese identity card."""
        year, month, day = self.date()
        region = self.of("110105", "330106", "440305", "510107")
        first = f"{region}{year}{month:02}{day:02}{self.digits(3)}"
        whole = first + identity_check(first)
        return self.of(whole, whole.lower(), f"{whole[:6]} {whole[6:14]} {whole[14:]}")

    def en_card(self) -> str:
        """Draws a social security number of the United States."""
        area, group, serial = (self.random.randint(1, most) for most in (665, 99, 9999))
        return f"{area:03}-{group:02}-{serial:04}"

    def bank_card(self) -> str:
        """Draws a card of 16 or 19 digits, or of 15."""
        head = self.of("6222", "4539", "5412", "3782")
        length = (
            15 if head == "3782" else 19 if head == "6222" and self.random.random() < 0.5 else 16
        )
        first = head + self.digits(length - 5)
        whole = first + luhn_check(first)
        if length == 15:
            return self.of(whole, f"{whole[:4]} {whole[4:10]} {whole[10:]}")
        between = self.of("", " ", "-")
        return between.join(whole[at : at + 4] for at in range(0, length, 4))

    def zh_address(self) -> str:
        """Draws an address in China."""
        number, floor = self.random.randint(1, 380), self.random.randint(2, 28)
        return self.of(
            f"北京市朝阳区建国路{number}号现代城A座{floor}03",
            f"浙江省杭州市西湖区文三路{number}号{floor}单元502室",
            f"上海市徐汇区漕溪北路{number}弄7号",
            f"河南省南阳市卧龙区王村镇李庄村{floor}组",
            f"成都市武侯区幸福小区{floor}栋2单元301",
            f"中山大道西{number}号之一",
            f"昌平镇南环路{number}-3底商",
        )

    def en_address(self) -> str:
        """Draws an address in the United States or in England."""
        number = self.random.randint(2, 9800)
        return self.of(
            f"{number} Evergreen Terrace",
            f"{number} North Oak Street",
            f"{number} Cedar Springs Road",
            f"{number} Fifth Avenue, Apt 4B",
            f"{number} 1st Ave",
            f"{number} Maple Drive, Springfield, IL 62704",
            f"Flat 3, {number % 90 + 1} Queen's Road, London",
            f"PO Box {number}",
        )

    def birth(self, language: str) -> str:
        """Draws a day as it is written in a language."""
        year, month, day = self.date()
        iso = f"{year}-{month:02}-{day:02}"
        if language == "zh":
            return self.of(
                f"{year}年{month}月{day}日", iso, f"{year}.{month}.{day}", f"{year}/{month}/{day}"
            )
        name = self.random.choice(MONTHS)
        return self.of(
            f"{name} {day}, {year}", f"{day} {name} {year}", f"{month}/{day}/{year}", iso
        )

    def plate(self) -> str:
        """Draws a number plate of China."""
        signs = "".join(
            self.random.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=4)
        ) + self.digits(1)
        return f"{self.of(*'京沪粤浙川豫')}{self.of(*'ABCDE')}{self.of('', '·', ' ')}{signs}"

    def en_plate(self) -> str:
        """Draws a number plate of the United States."""
        letters = "".join(self.random.choices(string.ascii_uppercase, k=3))
        return f"{letters}{self.of('-', ' ', '')}{self.digits(4)}"

    def credit(self) -> str:
        """Draws a credit code of an organisation."""
        first = f"91{self.of('110105', '330106')}MA{self.digits(7)}"
        return first + credit_check(first)

    def ip(self) -> str:
        """Draws an address of a machine."""
        four = ".".join(str(self.random.randint(1, 254)) for _ in range(4))
        return self.of(
            four, four, f"2001:db8:{self.digits(2)}::{self.digits(2)}a", "fe80::1ff:fe23:4567:890a"
        )

    def secret(self) -> str:
        """Draws a key or a password with what it stands behind."""
        signs = "".join(self.random.choices(string.ascii_letters + string.digits, k=32))
        return self.of(f"sk-{signs}", f"ghp_{signs}00", f"AKIA{signs[:16].upper()}", f"hf_{signs}")


def kinds(draws: Draws) -> dict[str, dict[str, tuple[Callable[[], str], list[str]]]]:
    """Returns how values of each kind are drawn, and the sentences they stand in."""
    return {
        "zh": {
            "name": (
                draws.zh_name,
                [
                    "患者{}，男，45岁。",
                    "我叫{}，想咨询一下。",
                    "联系人：{}",
                    "{}医生让我复查。",
                    "昨天{}来过，把钱还了。",
                    "这份合同由{}起草。",
                    "听{}说房子已经卖了。",
                    "{}和我是同乡，认识十年。",
                ],
            ),
            "phone": (
                draws.zh_phone,
                ["电话{}。", "加微信同号 {}", "打{}找我，急！", "手机号：{}，随时联系"],
            ),
            "landline": (draws.landline, ["座机{}。", "请拨打 {} 预约", "办公电话：{}，周末休息"]),
            "mail": (draws.mail, ["请发到{}。", "邮箱：{}", "抄送 {} 一份"]),
            "identity_card": (
                draws.zh_card,
                ["身份证号{}。", "证件号码：{}，已核对", "号码是 {} 的那位"],
            ),
            "bank_card": (
                draws.bank_card,
                ["卡号{}。", "请转到 {} 这个账户", "银行卡：{}（工商银行）"],
            ),
            "address": (draws.zh_address, ["我住在{}。", "地址：{}，白天有人", "快递寄到{}，谢谢"]),
            "birth_date": (
                lambda: draws.birth("zh"),
                ["出生日期：{}", "她生于{}，属兔。", "孩子{}出生，顺产。", "生日是{}"],
            ),
            "record": (
                lambda: draws.digits(8),
                ["病历号：{}", "住院号{}，三楼", "门诊号 {}", "医保卡号是{}"],
            ),
            "passport": (
                lambda: "E" + draws.digits(8),
                ["护照号{}。", "护照：{}，有效期五年", "护照号码是{}"],
            ),
            "plate": (draws.plate, ["车牌{}。", "他开的是{}，白色", "{}违章停车"]),
            "credit_code": (draws.credit, ["统一社会信用代码：{}", "税号{}，开专票"]),
            "ip": (draws.ip, ["服务器{}连不上。", "登录 IP：{}", "来自 {} 的请求"]),
            "secret": (
                draws.secret,
                ["密钥是{}，别外传", "用 {} 调用接口", "Authorization: Bearer {}"],
            ),
        },
        "en": {
            "name": (
                draws.en_name,
                [
                    "My name is {}.",
                    "Patient: {}",
                    "Dear {},",
                    "I saw Dr. {} on Monday.",
                    "Yesterday {} called about it.",
                    "This was written by {}.",
                    "{} and I met in May.",
                    "Ask {} for a key.",
                ],
            ),
            "phone": (
                draws.en_phone,
                ["Call {}.", "My number is {}", "Phone: {} (evenings)", "text me on {} please"],
            ),
            "mail": (draws.mail, ["Write to {}.", "Email: {}", "cc {} please"]),
            "identity_card": (
                draws.en_card,
                ["SSN {}.", "My social security number is {}", "number {}, as stated"],
            ),
            "bank_card": (
                draws.bank_card,
                ["Card {}.", "charge it to {} today", "Visa: {}, exp 09/27"],
            ),
            "address": (
                draws.en_address,
                ["I live at {}.", "Ship to: {}", "He moved to {} in May."],
            ),
            "birth_date": (
                lambda: draws.birth("en"),
                [
                    "Date of birth: {}",
                    "She was born on {}.",
                    "DOB {}",
                    "born {}, the second of four",
                ],
            ),
            "record": (
                lambda: draws.digits(8),
                ["medical record number {}", "MRN: {}", "Patient ID {}", "chart #{}"],
            ),
            "passport": (
                lambda: draws.digits(9),
                ["passport number {}", "Passport: {}", "passport no. {}"],
            ),
            "plate": (draws.en_plate, ["license plate: {}", "plate number {}", "He drives {}."]),
            "ip": (draws.ip, ["From {}.", "ping {} fails", "login from {} at noon"]),
            "secret": (
                draws.secret,
                ["the key is {}", "use {} for it", "Authorization: Bearer {}"],
            ),
        },
    }


LOOK_ALIKES = {
    "zh": (
        "订单号{12}已发货。",
        "快递单号SF{13}。",
        "合同总价{7}元整，首付{6}元。",
        "型号XK-{4}-{3}，产品编号{10}。",
        "版本号 3.{2}.{1}.{2} 已发布。",
        "会议定于2024年5月{1}日召开。",
        "2008年8月8日奥运会开幕。",
        "圆周率3.14159265358979。",
        "公式：{4}+{4}×{2}＝{6}。",
        "高血压患者的白细胞计数为{4}。",
        "施暴者应承担刑事责任。",
        "两瓶苏打水和一杯胡椒粉。",
        "检查和咨询都免费，其他和其类似。",
        "艾灸可以温经散寒，孕妇慎用。",
        "《红楼梦》第{2}回，印数{5}册。",
        "股票代码600519，收盘{4}.{2}元。",
        "比分3:2:1，时间12:30:{2}。",
        "第一千零{2}条规定，法释〔2020〕{2}号。",
        "经度116.{6}，纬度39.{6}。",
        "考试编号{8}，共{3}题。",
        "秦岭以北，黄河路段封闭。",
        "我们家住在一条老路上，门前有三棵树。",
        "王国的大门，马路边的书店。",
        "向专业医生咨询，应由律师承担。",
        "区号和邮编{6}要写全。",
        "高考分数{3}分，排名{5}。",
        "密码至少8位，含字母和数字。",
        "药品批准文号国药准字H{8}。",
        "面积{3}.{2}平方米，容积率2.{1}。",
        "白金卡积分{6}分，过期清零。",
        "成绩与时间成正比，鲁棒性好。",
        "ISBN 978-7-{3}-{5}-{1}。",
    ),
    "en": (
        "Order {15} has shipped.",
        "Invoice INV-{4}-{6}.",
        "The total is ${5}.{2}, tax {3}.",
        "Part number {3}-{5}-{2}.",
        "Version 10.{1}.{2}.{3} is out.",
        "The 2002 Salt Lake City games.",
        "In 1969 Boston Common was full.",
        "Pi is 3.14159265358979.",
        "5 Simple Ways to win.",
        "In May {2} people came.",
        "Tracking 1Z{3}AA{10}.",
        "Score 3-2-1 at 12:30:{2}.",
        "Dear Sir or Madam, thanks.",
        "Game Name: Shape Explorers.",
        "A record 50000 tickets sold.",
        "plate tectonics {4} years ago.",
        "Isaac's Law and the Moore limit.",
        "latitude 51.{6}, longitude -0.{6}.",
        "ISBN 978-0-{3}-{5}-{1}.",
        "hash d41d8cd98f00b204e9800998ecf8427e",
        "MAC 00:1A:2B:3C:4D:5E.",
        "token=ACCESS_TOKEN and password=PASSWORD.",
        "Flight BA{4}, gate {2}.",
        "RFC {4}, section 4.{1}.{1}.",
        "{3}-{4} pages, 1990-05-{2} edition.",
        "std::vector<int> a::b::c;",
        "the sum {12}-{3} = -{11}",
        "Room {4}, Main Building.",
        "a passport photo of {3} kB",
        "my password: 8 characters or more",
        "patient {2} of {3} recovered",
        "August {1}, 1945 ended it.",
    ),
}
"""Sentences with nobody's data; {n} stands for n digits."""


def made_rows(seed: int, each: int) -> Iterator[Made]:
    """Draws ``each`` rows of every kind and language, and different ones without any."""
    draws = Draws(seed)
    for language, drawn in kinds(draws).items():
        for kind, (draw, carriers) in drawn.items():
            for number in range(each):
                value = draw()
                yield carriers[number % len(carriers)].replace("{}", value), [(value, kind)]
        alike = LOOK_ALIKES[language] * (each // 4)
        yield from ((text, []) for text in dict.fromkeys(filled(one, draws) for one in alike))


def filled(sentence: str, draws: Draws) -> str:
    """Puts digits into a sentence; the first of them is not 0."""
    for number in range(1, 16):
        while f"{{{number}}}" in sentence:
            digits = draws.of(*"123456789") + draws.digits(number - 1)
            sentence = sentence.replace(f"{{{number}}}", digits, 1)
    return sentence


PICKED = {
    "law_consult_zh/zixun_gpt4.json": 15,
    "medical_multiturn_zh/CMtMedQA_test.json": 15,
    "customer_service_en/bitext_customer_support.csv": 25,
    "customer_service_en/abcd_sample.json": 3,
    "customer_service_zh/crosswoz_test.json": 3,
    "alpaca_en/alpaca_en_demo.json": 30,
    "alpaca_zh/alpaca_zh_demo.json": 30,
    "finance_zh/consulting_part.json": 6,
    "finance_zh/computing_part.json": 4,
    "finance_zh/task_part.json": 10,
    "finance_zh/retrieval_part.json": 6,
    "dpo_en/dpo_en_demo.json": 5,
}
"""How many rows of each file were read by eye."""

REAL: dict[tuple[str, int], dict[str, str]] = {
    ("bitext_customer_support.csv", 181): {"name": "Anna Freeman"},
    ("abcd_sample.json", 1): {
        "name": "crystal minh|Crystal Minh|crystal|Crystal",
        "mail": "cminh730@email.com",
        "phone": "(977) 625-2661",
        "address": "6821 1st ave  san mateo, ny 75227|6821 1st ave",
        "username": "cminh730",
    },
    ("abcd_sample.json", 2): {
        "name": "alessandro phoenix|Alessandro Phoenix",
        "mail": "aphoenix939@email.com",
        "phone": "(727) 760-7806",
        "address": "8865 lexington ave  la fayette, tx 86229|8865 lexington ave",
        "username": "aphoenix939",
    },
    ("abcd_sample.json", 3): {
        "name": "joyce wu",
        "phone": "(859) 787-9085",
        "address": "9998 lincoln ave  raleigh, mi 14573|9998 lincoln ave",
    },
    ("crosswoz_test.json", 1): {
        "landline": "010-85007938|010-84273030",
        "address": "北京市东城区景山前街4号",
    },
    ("crosswoz_test.json", 5): {"landline": "01056279088", "address": "昌平镇南环路26-3底商"},
    ("crosswoz_test.json", 10): {"landline": "010-67120088|010-85007938|01065139661"},
    ("alpaca_zh_demo.json", 1): {"name": "薛定谔|施瓦内|雪莱|尼古拉·哥白尼"},
    ("alpaca_zh_demo.json", 61): {"name": "John"},
    ("alpaca_zh_demo.json", 321): {"name": "约翰·塞尔"},
    ("alpaca_zh_demo.json", 521): {"name": "约翰·洛克|洛克"},
    ("task_part.json", 7): {"name": "Will.i.am"},
    ("task_part.json", 25): {"name": "秦英林"},
    ("task_part.json", 37): {"name": "鲁宾|格林斯潘|索罗斯"},
    ("task_part.json", 43): {"name": "邢加兴"},
    ("task_part.json", 55): {"name": "王伟跃"},
    ("retrieval_part.json", 1): {"name": "柳军"},
    ("retrieval_part.json", 11): {"name": "贾光明"},
    ("retrieval_part.json", 41): {"name": "雒佑|郭炜"},
    ("retrieval_part.json", 51): {"name": "王长田"},
    ("dpo_en_demo.json", 1): {"name": "Angela"},
    ("dpo_en_demo.json", 65): {"name": "John|Justin|Chandler"},
}
"""What is personal in them, wherever it stands in the row; of the others nothing is."""


def real_rows(folder: Path) -> Iterator[Made]:
    """Yields the texts of the rows that were read, with what is personal in them."""
    for name, number in PICKED.items():
        rows = list(rows_of(folder / name, faults=Faults()))
        for at in range(number):
            row = rows[at * len(rows) // number]
            named = REAL.get((Path(name).name, row.number), {})
            labels = [
                (value, kind) for kind, values in named.items() for value in values.split("|")
            ]
            yield "\n".join(strings(row.row)), labels


def spans(text: str, labels: list[Label]) -> list[dict[str, object]]:
    """Finds where the labelled values stand, the longer first; none overlaps another."""
    taken: list[tuple[int, int, str]] = []
    for value, kind in sorted(labels, key=lambda label: -len(label[0])):
        start = text.find(value)
        assert start >= 0, f"{value!r} is not in its row"
        while start >= 0:
            end = start + len(value)
            if all(end <= other or stop <= start for other, stop, _ in taken):
                taken.append((start, end, kind))
            start = text.find(value, end)
    return [{"start": start, "end": end, "label": kind} for start, end, kind in sorted(taken)]


def written(rows: Iterator[Made], file: Path) -> Path:
    """Writes labelled rows as ``--measure`` reads them."""
    lines = [{"text": text, "entities": spans(text, labels)} for text, labels in rows]
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return file


def share(hits: int, of: int) -> str:
    """Returns a share with its interval, for a table."""
    if not of:
        return "–"
    low, high = wilson(hits, of)
    return f"{hits} of {of} ({100 * low:.1f}–{100 * high:.1f} %)"


def print_table(file: Path, *, examples: bool) -> None:
    """Prints what the command measures of a file, a line for each kind and language."""
    measured = measure_anonymising("anonymise", str(file)).to_json()
    print(f"\n{file.stem}: {measured['rows']} rows\n")
    print("| kind | language | precision | recall | to the letter |\n|---|---|---|---|---|")
    tallies = measured["kinds"]
    assert isinstance(tallies, list)
    for tally in tallies:
        precision = share(tally["right"], tally["found"])
        recall = share(tally["covered"], tally["labelled"])
        print(
            f"| {tally['kind']} | {tally['language']} | {precision} | {recall} | {tally['exact']} |"
        )
        if examples:
            for name in ("false_alarms", "missed"):
                print(*(f"    {name}: {place}" for place in tally[name]), sep="\n", file=sys.stderr)
    print(
        f"not looked for: {measured['not_looked_for']}; without a label: {measured['unlabelled']}"
    )


def main() -> None:
    """Writes both sets of rows, and prints a table of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder of the real data sets")
    parser.add_argument("--write", type=Path, help="keep made.jsonl and real.jsonl in this folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=60, help="made rows of each kind and language")
    parser.add_argument("--examples", action="store_true", help="all false alarms and misses")
    asked = parser.parse_args()
    with TemporaryDirectory() as place:
        folder = asked.write or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        files = [written(made_rows(asked.seed, asked.each), folder / "made.jsonl")]
        if asked.data:
            files.append(written(real_rows(asked.data), folder / "real.jsonl"))
        for file in files:
            print_table(file, examples=asked.examples)


if __name__ == "__main__":
    main()
