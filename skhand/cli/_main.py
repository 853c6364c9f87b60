"""Read the command line, run a command, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import skhand
from skhand.cli import data, demo, evaluate, fit, predict, render
from skhand.cli._shared import print_error, print_line
from skhand.exceptions import DivergenceError, InputError

__all__ = ["main"]

_COMMANDS = {
    "demo": demo,
    "predict": predict,
    "fit": fit,
    "evaluate": evaluate,
    "render": render,
    "data": data,
}
_DONE, _PARTLY, _WRONG, _STOPPED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong with the words, so that it ends as every other error does."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


class _Help(argparse.HelpFormatter):
    """Says what an option is where it is left out."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        none = any(action.default is each for each in (None, False, argparse.SUPPRESS))
        plain = none or not action.option_strings
        return action.help if plain else f"{action.help}; %(default)s by default"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="skhand",
        description="3D hand pose: hands in pictures and videos, models, reports.",
        epilog="skhand COMMAND --help says more. Exit codes: 0 all right, 1 something could not be done (the "
        "rest is done), 2 wrong usage or input, 130 stopped by Ctrl-C.",
    )
    parser.add_argument("--version", action="version", version=f"skhand {skhand.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in _COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(
            name, help=summary[:1].lower() + summary[1:-1], description=summary, formatter_class=_Help
        )
        module.add_arguments(command)
        if "run" not in command._defaults:
            command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        The words after ``skhand``; None takes those of the process.

    Returns
    -------
    code : int
        0: all right. 1: something could not be done, and the rest was. 2: wrong usage or input. 130: stopped
        by Ctrl-C.
    """
    try:
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()  # what is wrong with it shows here, and not when Python ends
        return code
    except KeyboardInterrupt:
        print_line("skhand: stopped")
        return _STOPPED
    except BrokenPipeError:  # whoever read the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PARTLY
    except DivergenceError as error:
        print_error(error)
        return _PARTLY
    except (InputError, ImportError, OSError) as error:
        print_error(error)
        return _WRONG


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = make_parser().parse_args(argv)
    except SystemExit as stop:  # --help and --version
        return _DONE if stop.code is None else int(stop.code)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return int(args.run(args))


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print_line(f"skhand: warning: {' '.join(str(message).split())}")
