"""The help of each verb, and what is wrong with a line that the parser refused, in the language in
use: typer's own words are English, and its tables cut Chinese, which has no spaces to break at.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_type_hints

import typer
from rich.cells import cell_len
from typer.core import TyperCommand, TyperGroup

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.spec import closest
from tunesmith.words import say

WIDEST = 100
_PIECE = re.compile(
    r"\s+|[（“]*[\u2e80-\uffef][，。；：、！？）”…]*|[^\s\u2e80-\uffef（“]+[，。；：、！？）”]*|."
)
"""What a line is not broken within: a word, or a Chinese character with the marks around it."""


def parser_error() -> Any:
    """Returns the class of what the parser raises; typer brings its own or takes that of click."""
    return typer.BadParameter.__base__


class Verb(TyperCommand):
    """A command whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help to the formatter."""
        formatter.write("\n".join(_page(self, ctx)))


class Verbs(TyperGroup):
    """All commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help to the formatter."""
        commands = [(name, command.help or "") for name, command in self.commands.items()]
        lines = [*_page(self, ctx), "", *_listed(say("cli.head_commands"), commands)]
        formatter.write("\n".join(lines))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Returns the command that the line names; raises SpecError where there is none of that
        name.
        """
        if args[0] not in self.commands:
            near = closest(args[0], list(self.commands))
            raise SpecError(Problem(args[0], say("cli.no_command", near=near)))
        return super().resolve_command(ctx, args)


def refused(error: Any) -> SpecError:
    """Describes what is wrong with the line, from what the parser raised."""
    kind = type(error).__name__
    message = str(error.message)
    if kind == "MissingParameter":
        help_text = say(f"cli.option_{error.param.name}")
        return SpecError(Problem(_name(error.param), say("cli.missing_argument", help=help_text)))
    if kind == "NoSuchOption":
        near = closest(error.option_name, list(error.possibilities or []))
        return SpecError(Problem(error.option_name, say("cli.no_option", near=near)))
    if kind == "BadParameter" and error.param is not None:
        choices = re.findall(r"'([^']*)'", message.partition("is not one of")[2])
        text = say("cli.not_a_choice", known=", ".join(choices)) if choices else _number(error)
        return SpecError(Problem(_name(error.param), text))
    if kind == "BadOptionUsage":
        key = "cli.takes_no_value" if "not take" in message else "cli.needs_value"
        return SpecError(Problem(error.option_name, say(key)))
    extra = re.search(r"extra argument.* \((.*)\)$", message)
    return SpecError(Problem(extra[1], _extra(extra[1], error.ctx)) if extra else message)


def _extra(words: str, ctx: Any) -> str:
    """Says what to do with words that the verb does not take."""
    setting = re.match(r"([a-z_.]+)=(\S*)", words)
    if setting is None:
        return say("cli.extra_words", command=ctx.command_path)
    if setting[1] == "lang":
        return say("spec.lang_option", value=setting[2])
    fields = {"command": ctx.command_path, "run": ctx.params.get("run"), "setting": words}
    answers = setting[1].startswith("generate.") and fields["run"] is not None
    return say("cli.extra_generate" if answers else "cli.extra_setting", **fields)


def _number(error: Any) -> str:
    """Says which numbers an option takes, as the function of its verb declares it: what the parser
    raises holds only the bound that was crossed.
    """
    declared = get_type_hints(error.ctx.command.callback, include_extras=True)[error.param.name]
    kind, option = get_args(declared)[:2]
    if kind is float or float in get_args(kind):
        return say("spec.float_parsing")
    if option.max is None:
        return say("cli.whole_from", least=option.min)
    return say("cli.whole_between", least=option.min, most=option.max)


def _page(command: Any, ctx: Any) -> Iterator[str]:
    parameters = command.get_params(ctx)
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
    words = [ctx.command_path, say("cli.usage_options"), *map(_usage, arguments)]
    if isinstance(command, TyperGroup):
        words.append(say("cli.usage_command"))
    yield say("cli.head_usage", line=" ".join(words))
    yield ""
    yield from wrapped(_plain(command.help or ""), _width())
    for head, some in (("cli.head_arguments", arguments), ("cli.head_options", options)):
        if some:
            yield ""
            yield from _listed(
                say(head), [(_name(parameter), _told(parameter)) for parameter in some]
            )


def _usage(argument: Any) -> str:
    name = _name(argument) + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _name(parameter: Any) -> str:
    """Returns what is typed: flags with what follows them, or the name of an argument."""
    if parameter.param_type_name == "argument":
        return parameter.metavar
    shown = parameter.metavar or ("" if parameter.is_flag else "N")
    return f"{', '.join(parameter.opts)} {shown}".rstrip()


def _told(parameter: Any) -> str:
    """Returns the help, and whether a value must be given, or what is used where it is not."""
    text = say("cli.option_help") if parameter.name == "help" else _plain(parameter.help or "")
    if parameter.param_type_name == "argument" and parameter.required:
        return text + say("cli.required")
    if parameter.show_default and parameter.default not in (None, False):
        return text + say("cli.default", value=parameter.default)
    return text


def _listed(head: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lists names on the left, with their texts beside them."""
    rows = [(name, _plain(text)) for name, text in rows]
    left = max(cell_len(name) for name, _ in rows) + 4
    yield typer.style(head, bold=True)
    for name, text in rows:
        first, *others = wrapped(text, _width() - left) or [""]
        yield f"  {name}{' ' * (left - 2 - cell_len(name))}{first}"
        yield from (" " * left + line for line in others)


def wrapped(text: str, width: int) -> list[str]:
    """Wraps a text into lines of at most ``width`` cells: English at spaces, Chinese between
    characters and never before a closing mark.
    """
    lines, line = [], ""
    for piece in _PIECE.findall(text):
        if line and cell_len(line) + cell_len(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line] if line else lines


def _width() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST)


def _plain(text: str) -> str:
    """Removes the backslashes that keep rich from reading brackets as marks."""
    return text.replace("\\[", "[")
