"""Walks the page as ``first-run.md`` tells it, from a dropped file to the report, and takes its
pictures: ``python docs/first_run.py FOLDER`` with an empty folder, in which the runs stay. Needs
chromium, the packages of the tests and about ten minutes of two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from material.browser import Tab, chromium, served  # noqa: E402

ASKED = {"en": "Where does {} go?", "zh": "{}应该扔进哪个垃圾桶？"}
BINS = {
    "en": {
        "Into the blue bin, with paper.": "a newspaper, an old letter, an egg box, a paper bag, a "
        "notebook, a shoe box, a magazine, a cereal box, an envelope, a paper towel roll, a "
        "calendar, a book without its cover, a pizza box, a train ticket, wrapping paper",
        "Into the yellow bin, with packaging.": "a yoghurt cup, a tin can, a milk carton, a "
        "plastic bag, a shampoo bottle, aluminium foil, a juice box, bubble wrap, a crisps bag, a "
        "drink can, a margarine tub, a bottle cap, cling film, a toothpaste tube, a spray can",
        "Into the brown bin, with food and plants.": "an apple core, a banana peel, coffee "
        "grounds, a tea bag, an egg shell, cut grass, a wilted flower, old bread, potato peel, "
        "fallen leaves, cooked rice, an orange peel, a mouldy tomato, a nut shell, salad leaves",
        "Into the grey bin, with all the rest.": "a broken cup, a used tissue, a cigarette end, a "
        "nappy, cat litter, a light bulb that glows, a worn toothbrush, a vacuum bag, a broken "
        "mirror, a candle stub, a razor blade, an old sponge, a sticking plaster, chewing gum, "
        "cold ash",
    },
    "zh": {
        "蓝色桶，可回收物。": "旧报纸, 纸箱, 书本, 易拉罐, 玻璃瓶, 塑料"
        "瓶, 旧衣服, 牛奶盒, 铁锅, 杂志, 泡沫板, "
        "快递盒, 铝箔, 旧书包, 笔记本",
        "绿色桶，厨余垃圾。": "苹果核, 香蕉皮, 剩饭, 茶叶渣, 鸡蛋壳, 菜叶"
        ", 鱼骨, 过期面包, 土豆皮, 落叶, 橘子皮, "
        "豆渣, 瓜子壳, 咖啡渣, 凋谢的花",
        "红色桶，有害垃圾。": "废电池, 荧光灯管, 过期药品, 杀虫剂罐, 油漆桶"
        ", 水银温度计, 指甲油, 消毒剂瓶, 旧相片底片, "
        "节能灯, 血压计, 老鼠药, 染发剂, 蓄电池, X光片",
        "灰色桶，其他垃圾。": "破陶瓷杯, 用过的纸巾, 烟头, 尿不湿, 猫砂, "
        "旧牙刷, 灰尘, 大骨头, 口香糖, 一次性筷子, "
        "创可贴, 脏塑料袋, 旧毛巾, 湿巾, 胶带",
    },
}
"""What is thrown away, by the answer."""
NAMES = {"en": "bins", "zh": "垃圾分类"}
PRESSED = {
    "en": (
        "New run",
        "Look at the rows",
        "Go on to the plan",
        "Start training",
        "Proof",
        "Prove this run",
    ),
    "zh": ("新建运行", "查看数据", "继续：查看计划", "开始训练", "检验", "检验这次运行"),
}
FINISHED = {"en": "finished", "zh": "已完成"}
VERDICT = {"en": "verdict", "zh": "结论"}
LONG = 3600
"""Seconds that a training or a proof may take on a machine that is busy."""
COLOURS = 128
"""Of a picture; a page needs no more, and the file is a third as large."""


def rows(lang: str) -> str:
    """Returns the file that is dropped: 60 rows, the answers in turn."""
    lists = [[(thing, bin) for thing in things.split(", ")] for bin, things in BINS[lang].items()]
    turns = [row for turn in zip(*lists, strict=True) for row in turn]
    told = [f'{ASKED[lang].format(thing)},"{bin}"' for thing, bin in turns]
    return "\n".join(["question,answer", *told, ""])


def keep(page: Any, name: str, end: str, most: int = 1800) -> None:
    """Keeps what is seen of a page, from its top to the end of an element or to ``most`` pixels, as
    a picture and as text.
    """
    page.wait_for_timeout(500)  # the frame of a report takes its height
    page.evaluate("scrollTo(0, 0)")
    box = page.locator(end).first.bounding_box()
    page.set_viewport_size({"width": 960, "height": min(most, int(box["y"] + box["height"]) + 8)})
    file = HERE / "pictures" / f"{name}.png"
    page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    page.set_viewport_size({"width": 960, "height": 1000})
    print(f"== {name}\n{page.locator('main').inner_text()}\n", flush=True)


def walk(browser: Any, root: Path, lang: str) -> None:
    """Goes from a file to the report of a proved run."""
    new, look, plan, start, *_ = PRESSED[lang]
    with served(root, lang) as (link, _):
        tab = Tab(browser, link, 960, "light")
        page = tab.page
        page.set_default_timeout(1000 * LONG)
        page.get_by_role("link", name=new).click()
        page.wait_for_url("**/new/", wait_until="load")
        tab.drop(f"{NAMES[lang]}.csv", rows(lang))
        page.locator("#dropped", has_text=NAMES[lang]).wait_for()
        page.wait_for_function("document.getElementById('f-data').value")
        keep(page, f"start-{lang}", ".goals")
        page.get_by_role("button", name=look).click()
        page.locator("mark").first.wait_for()
        page.get_by_role("link", name="data.held_out=20").click()
        page.wait_for_url("**held_out=20**")
        page.locator("mark").first.wait_for()
        keep(page, f"rows-{lang}", "figure.shown")
        page.get_by_role("link", name=plan).click()
        page.locator("form[action^='/new/begin']").wait_for()
        keep(page, f"plan-{lang}", ".legend")
        page.get_by_role("button", name=start).click()
        page.wait_for_url("**/run/**")
        page.locator("p.phase", has_text=FINISHED[lang]).wait_for()
        prove(page, lang)
        print("== troubles", tab.troubles)


def prove(page: Any, lang: str) -> None:
    """Goes from a finished run to its proof, and back to the run."""
    *_, proof, button = PRESSED[lang]
    page.get_by_role("link", name=proof, exact=True).click()
    page.get_by_role("button", name=button).click()
    report = page.frame_locator("iframe.report")
    report.locator(".verdict .says").wait_for()
    page.locator(".work .ask", has_text="tunesmith prove").wait_for()
    page.get_by_role("button", name=button).wait_for()
    keep(page, f"proof-{lang}", "iframe.report", 1310)
    print(report.locator("body").inner_text(), flush=True)
    page.get_by_role("link", name=NAMES[lang], exact=True).click()
    page.locator(".facts", has_text=VERDICT[lang]).wait_for()
    page.emulate_media(color_scheme="dark" if lang == "en" else "light")
    keep(page, f"run-{lang}", "#curves")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    with chromium() as one:
        for language in sys.argv[2:] or ("en", "zh"):
            (place / language).mkdir(parents=True)
            walk(one, place / language, language)
