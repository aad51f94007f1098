"""The words of a command line as the options of one command."""

import argparse
import functools
import re
from types import ModuleType
from typing import NoReturn

from hf_imgcls import __version__
from hf_imgcls.errors import InputError, nearest

_OVERRIDE = re.compile(r"[a-z_]+(\.\w+)+=")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As every user error, in place of argparse's usage and exit."""
        command = self.prog.partition(" ")[2]
        raise InputError(f"{command and f'{command}: '}{message}; see {self.prog} --help")


def parse(arguments: list[str], commands: dict[str, ModuleType]) -> argparse.Namespace:
    """The options of a command, `run` among them; an InputError says what is wrong with the words."""
    parser = _parser(commands)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        parser.error(f"{arguments[0]}: no such command{nearest(arguments[0], commands)}")
    options, left = parser.parse_known_args(arguments or ["--help"])
    wanted = [word for word in left if "=" in word or options.any_word]
    overrides = [word for word in wanted if word == "-" or not word.startswith("-")]
    unknown = next((word for word in left if word not in overrides), None)
    if unknown is not None:
        known = re.findall(r"--[a-z-]+", options.parser.format_usage())
        options.parser.error(f"unknown option: {unknown}{nearest(unknown.partition('=')[0], known)}")
    if overrides and options.overrides is None:
        options.parser.error(f"{overrides[0]} is not an option")
    # Those after an option, which argparse does not collect, follow those before it.
    options.overrides = [*(options.overrides or ()), *_taken_back(options), *overrides]
    return options


def _taken_back(options: argparse.Namespace) -> list[str]:
    """Overrides behind an option of several words, which argparse takes for words of its: `--checkpoint a b k.l=1`."""
    found = []
    for name, words in vars(options).items():
        if isinstance(words, list) and name != "overrides" and options.overrides is not None and not options.any_word:
            found += filter(_OVERRIDE.match, words)
            words[:] = [word for word in words if not _OVERRIDE.match(word)]
    return found


def _parser(commands: dict[str, ModuleType]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hf-imgcls",
        description="One recipe trains, scores, saves and serves an image classifier.",
        formatter_class=functools.partial(argparse.HelpFormatter, indent_increment=0),  # else long names take two lines
    )
    parser.add_argument("-V", "--version", action="version", version=f"hf-imgcls {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in commands.items():
        own = subparsers.add_parser(name, help=command.__doc__)
        own.set_defaults(parser=own, run=command.run, overrides=None, any_word=getattr(command, "ANY_WORD", False))
        command.add_options(own)
    return parser
