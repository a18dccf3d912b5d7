"""The command line: builds the command in the reader's language, runs one verb, and turns errors
into exit codes.
"""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import os
import sys
import tempfile
import traceback
import warnings
from functools import cache
from typing import Annotated, Any

import typer
import typer.main

from tunesmith import __version__, words
from tunesmith.cli.help import Verb, Verbs, parser_error, refused
from tunesmith.cli.options import Lang, print_json
from tunesmith.cli.training import objective_verb
from tunesmith.cli.verbs import VERBS
from tunesmith.errors import DiskError, Problem, SpecError, TunesmithError
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.import_peers import peer_command
from tunesmith.words import say

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
SHOWN = 60
"""Characters of a name that is too long for the system."""
INTERRUPTED = 130
"""What typer makes of Ctrl-C, without a word."""
ALIASES = {"eval": "prove", "infer": "predict", "stages": "rlhf"}
OBJECTIVE_ALIASES = {"pt": "pretrain"}


def command() -> Any:
    """Returns the whole command with its help in the current language."""
    return _command(words.language(), tuple(OBJECTIVES.names()))


@cache
def _command(language: str, known: tuple[str, ...]) -> Any:
    """Builds it, once for each ``language`` and its ``known`` objectives: 0.1 s."""
    app = typer.Typer(
        cls=Verbs, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
    )
    app.callback(invoke_without_command=True)(_main)
    objectives = {name: name for name in known} | OBJECTIVE_ALIASES
    # A peer's ``--key value`` line must reach settings_line, which answers it in our keys.
    loose = {"ignore_unknown_options": True, "allow_extra_args": False}
    for name in (*VERBS, *ALIASES):
        function = VERBS[ALIASES.get(name, name)]
        takes_settings = name in (
            "check",
            "plan",
            "train",
            "rlhf",
            "stages",
            "sequence",
            "generate",
            "hand-off",
            "tournament",
            "search",
            "curve",
            "launch",
            "auto",
            "data",
        )
        app.command(
            name,
            cls=Verb,
            help=say(f"cli.verb_{name.replace('-', '_')}"),
            context_settings=loose if takes_settings else {},
        )(function)
    for name, objective in objectives.items():
        text = say("cli.verb_objective", name=objective, verb=name)
        app.command(name, cls=Verb, help=text, context_settings=loose)(objective_verb(objective))
    built = typer.main.get_command(app)
    built.help = say("cli.about")
    for shown in [built, *built.commands.values()]:  # type: ignore[attr-defined]
        for parameter in shown.params:
            parameter.help = say(f"cli.option_{parameter.name}")
    return built


def _main(version: Annotated[bool, typer.Option("--version")] = False, lang: Lang = "auto") -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _use_language(argv: list[str]) -> None:
    """Finds ``--lang`` before the command is built, because it holds for the help too."""
    for index, word in enumerate(argv):
        name, _, value = word.partition("=")
        if name != "--lang" or (not value and index + 1 == len(argv)):
            continue
        value = value or argv[index + 1]
        allowed = ("auto", *words.LANGUAGES)
        if value not in allowed:
            raise SpecError(
                Problem("--lang", say("cli.bad_choice", value=value, known=", ".join(allowed)))
            )
        words.use(value, asked=True)


def _failed(error: TunesmithError, argv: list[str]) -> int:
    """Prints a user's error, without traceback, and gives the exit code."""
    if "--json" in argv:
        problems = [{"where": problem.where, "text": problem.text} for problem in error.problems]
        print_json({"error": type(error).__name__, "problems": problems})
    print(error, file=sys.stderr)
    return error.exit_code


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; returns 0, 1 a run that failed, 2 bad input, 74 the disk, 75 stopped but
    resumable.
    """
    argv = sys.argv[1:] if argv is None else argv
    # Half a million objects of torch need not be searched for cycles as the process ends: that took
    # 1.2 of the 1.5 seconds of CPU between the end of a server and that of its process.
    atexit.register(gc.freeze)
    # OpenMP threads wait by spinning; beside a busy program that made matrix products 2 to 5 times
    # slower (read as torch loads).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Libraries tell a person at a terminal of layers that we have looked at ourselves, and of a
    # kernel that we do not use.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"peft\.")
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        _use_language(argv)
        peer = peer_command(argv)
        if peer is not None:
            raise SpecError(peer)
        code = command().main(args=argv, prog_name="tunesmith", standalone_mode=False)
    except TunesmithError as error:
        return _failed(error, argv)
    except SystemExit as end:
        code = end.code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except parser_error() as error:
        if not argv:  # no fault: the message is the help
            print(error.message)
            return SpecError.exit_code
        return _failed(refused(error), argv)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return _failed(DiskError(say("cli.disk", reason=error.strerror)), argv)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            problem = Problem(f"{str(error.filename)[:SHOWN]}…", say("cli.long_name"))
            return _failed(SpecError(problem), argv)
        return _fault(error, argv)
    if code == INTERRUPTED:
        print(say("cli.interrupted"), file=sys.stderr)
        return 1
    return code if isinstance(code, int) else 0


def _fault(error: Exception, argv: list[str]) -> int:
    with tempfile.NamedTemporaryFile(
        "w", prefix="tunesmith-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    return _failed(
        TunesmithError(say("cli.fault", error=f"{type(error).__name__}: {error}", path=file.name)),
        argv,
    )
