"""mkdocs' hook that writes the reference, in both languages, from the classes that define it."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from mkdocs.structure.files import File

from tunesmith import words
from tunesmith.settings.explain import help_text, table
from tunesmith.settings.families import FAMILIES
from tunesmith.settings.peer_names import BATCH, CHANGED, SAME
from tunesmith.settings.peer_unmatched import NEEDLESS, NOTHING, REFUSED
from tunesmith.settings.run import Run
from tunesmith.words import say

EXAMPLES = yaml.safe_load(Path(__file__).with_name("examples.yaml").read_text(encoding="utf-8"))
TEXTS = {
    "en": {
        "settings": "Settings",
        "methods": "Methods",
        "objectives": "Objectives",
        "readers": "Readers",
        "metrics": "Metrics",
        "rewards": "Rewards",
        "transform": "Steps for rows",
        "suite": "Suites",
        "export.format": "Export formats",
        "prune.how": "Ways to prune",
        "parts": "Sources, schedules, optimizers, trackers, search engines and places, clusters",
        "source": "Sources",
        "train.schedule": "Schedules",
        "train.optimizer": "Optimizers",
        "track": "Trackers",
        "search.engine": "Search engines",
        "search.place": "Places of trials",
        "launch.cluster": "Clusters",
        "columns": ("Setting", "Values", "Default", "Meaning"),
        "note": "`method.lora.rank` is written `method=lora method.rank=8` on the command line.",
        "required": "must be given",
        "rate": "Default learning rate",
        "from": "From",
        "search": "Range worth searching",
        "paper": "Equations and papers",
        "folds": "Folds into the base's weights",
        "saved": "Saved as",
        "adapter": "an adapter",
        "whole": "a whole model",
        "kinds": "Model kinds",
        "bases": "Bases",
        "eats": "Eats",
        "divides": "The loss is divided by its",
        "example": "Example row",
        "verified": "Verified by",
        "folded": "The adapter is folded in",
        "shrinks": "Tensors shrink",
        "share": "Share that goes by default",
        "better": "Better",
        "higher": "higher",
        "lower": "lower",
        "yes": "yes",
        "no": "no",
        "peers": "Keys of other tools",
        "peers_note": (
            "Keys of LLaMA-Factory, ms-swift, axolotl and TRL. `tunesmith train` translates a "
            "whole file or command line of theirs, values included."
        ),
        "theirs": ("Their key", "Here"),
        "why": ("Their key", "Why it has no counterpart"),
        "value": "value is converted",
    },
    "zh": {
        "settings": "设置",
        "methods": "方法",
        "objectives": "目标",
        "readers": "数据格式",
        "metrics": "指标",
        "rewards": "奖励",
        "transform": "数据步骤",
        "suite": "保持情况的题组",
        "export.format": "导出格式",
        "prune.how": "剪枝方式",
        "parts": "数据来源、学习率曲线、优化器、记录工具与集群",
        "source": "数据来源",
        "train.schedule": "学习率曲线",
        "train.optimizer": "优化器",
        "track": "记录工具",
        "search.engine": "搜索方式",
        "search.place": "试验地点",
        "launch.cluster": "集群",
        "columns": ("设置", "取值", "默认值", "含义"),
        "note": "`method.lora.rank` 在命令行上写作 `method=lora method.rank=8`。",
        "required": "必须给出",
        "rate": "默认学习率",
        "from": "出处",
        "search": "值得搜索的范围",
        "paper": "公式与论文",
        "folds": "能否并入原模型权重",
        "saved": "保存为",
        "adapter": "适配器",
        "whole": "完整模型",
        "kinds": "模型种类",
        "bases": "原模型权重",
        "eats": "所需数据",
        "divides": "损失除以其单位数",
        "example": "示例行",
        "verified": "由谁核对",
        "folded": "适配器是否并入",
        "shrinks": "张量变小",
        "share": "默认去掉的比例",
        "better": "更好的方向",
        "higher": "越高越好",
        "lower": "越低越好",
        "yes": "能",
        "no": "不能",
        "peers": "其他工具的键",
        "peers_note": (
            "LLaMA-Factory、ms-swift、axolotl 和 TRL 的键。"
            "把它们的整份文件或命令行交给 `tunesmith train`，键和值都会转换。"
        ),
        "theirs": ("它们的键", "这里的键"),
        "why": ("它们的键", "为什么没有对应项"),
        "value": "值会转换",
    },
}
Told = dict[str, Any]


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of the reference to those that are written by hand."""
    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """Each page's path below docs/ and its text."""
    before = words.language()
    for language, told in TEXTS.items():
        words.use(language)
        here = f"{language}/reference"
        yield f"{here}/settings.md", "\n".join([f"# {told['settings']}", *_settings(Run, "", told)])
        for page, place, facts in (
            ("methods", "method", _method),
            ("objectives", "objective", _objective),
            ("readers", "reader", _reader),
            ("metrics", "metric", _metric),
            ("rewards", "rewards", _nothing),
            ("transform", "transform", _nothing),
            ("suite", "suite", _nothing),
            ("export.format", "export.format", _format),
            ("prune.how", "prune.how", _pruner),
        ):
            yield (
                f"{here}/{page.rpartition('.')[2]}.md",
                "\n".join([f"# {told[page]}", "", told["note"], *_family(place, facts, told, 2)]),
            )
        yield f"{here}/peers.md", "\n".join(_peers(told))
        parts = [f"# {told['parts']}", "", told["note"]]
        places = (
            "source",
            "train.schedule",
            "train.optimizer",
            "track",
            "search.engine",
            "search.place",
        )
        for place in (*places, "launch.cluster"):
            parts += ["", f"## {told[place]}", *_family(place, _nothing, told, 3)]
        yield f"{here}/parts.md", "\n".join(parts)
    words.use(before)


def _peers(told: Told) -> list[str]:
    """What other tools call a setting, and what of theirs is not needed or not there."""
    here = {key: f"`{path}`" for key, path in SAME.items()}
    here |= {
        key: f"`{path}` ({told['value']})" for key, (path, _) in CHANGED.items() if path
    } | dict.fromkeys(BATCH, f"`train.batch` ({told['value']})")
    why = {key: say(f"peers.needless_{reason}") for key, reason in NEEDLESS.items()}
    why |= {key: say(f"peers.nothing_{reason}") for key, reason in (NOTHING | REFUSED).items()}
    lines = [f"# {told['peers']}", "", told["peers_note"]]
    for heads, rows in ((told["theirs"], here), (told["why"], why)):
        lines += ["", f"| {' | '.join(heads)} |", "|---|---|"]
        lines += [f"| `{key}` | {_cell(text)} |" for key, text in sorted(rows.items())]
    return lines


def _family(
    place: str, facts: Callable[[Any, Told], list[str]], told: Told, depth: int
) -> list[str]:
    lines: list[str] = []
    for name in FAMILIES[place].names():
        cls = FAMILIES[place].get(name)
        text = help_text(f"{place}.{name}", cls.__doc__ or "")
        lines += [
            "",
            f"{'#' * depth} `{name}`",
            "",
            *_escaped(text).split("\n"),
            "",
            *facts(cls, told),
        ]
        lines += _settings(cls.Config, f"{place}.{name}", told)
    return lines


def _settings(group: Any, path: str, told: Told) -> list[str]:
    rows = [
        f"| `{key}` | {_cell(kinds)} | {_cell(f'`{default}`') if default else told['required']} "
        f"| {_cell(text)} |"
        for key, kinds, default, text in table(group, path)
        if key != f"{path}.name"
    ]
    head = f"| {' | '.join(told['columns'])} |"
    return ["", head, "|---|---|---|---|", *rows] if rows else []


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", "<br>")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("[", "\\[")


def _method(cls: Any, told: Told) -> list[str]:
    low, high = cls.search
    paper = inspect.getdoc(sys.modules[cls.__module__]) or ""
    source = f" ({told['from']}: {_escaped(cls.source)})" if cls.source else ""
    return [
        f"- {told['rate']}: {cls.learning_rate:g}{source}",
        f"- {told['search']}: {low:g} – {high:g}",
        f"- {told['folds']}: {told['yes'] if cls.merges else told['no']}",
        f"- {told['saved']}: {told['adapter'] if cls.adapter else told['whole']}",
        f"- {told['kinds']}: {', '.join(sorted(cls.kinds))}",
        f"- {told['bases']}: {', '.join(sorted(cls.bases))}",
        f"- {told['paper']}: {_escaped(' '.join(paper.replace('``', '`').split()))}",
    ]


def _objective(cls: Any, told: Told) -> list[str]:
    return [f"- {told['eats']}: `{cls.eats.__name__}`", f"- {told['divides']}: `{cls.unit}`"]


def _reader(cls: Any, told: Told) -> list[str]:
    row = json.dumps(EXAMPLES[cls.name], ensure_ascii=False)
    return [f"{told['example']}:", "", "```json", row, "```"]


def _metric(cls: Any, told: Told) -> list[str]:
    return [f"- {told['better']}: {told['higher'] if cls.higher else told['lower']}"]


def _format(cls: Any, told: Told) -> list[str]:
    return [
        f"- {told['kinds']}: {', '.join(sorted(cls.heads))}",
        f"- {told['folded']}: {told['yes'] if cls.folds else told['no']}",
        f"- {told['verified']}: {cls.verified_by}",
    ]


def _pruner(cls: Any, told: Told) -> list[str]:
    return [
        f"- {told['share']}: {cls.share:g}",
        f"- {told['shrinks']}: {told['yes'] if cls.structured else told['no']}",
    ]


def _nothing(cls: Any, told: Told) -> list[str]:
    return []
