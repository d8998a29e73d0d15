"""How every command reads its arguments: lists take spaces and commas, and options and pictures stand in any order."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

_NUMBERS = re.compile(r"-[\d.]+(?:e-?\d+)?,")
"""What a list of numbers begins with whose first is negative."""


class Parser(argparse.ArgumentParser):
    """Whatever is wrong is a ValueError, which :func:`trgbp_core.cli.main.main` makes a line of."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message[:1].upper()}{message[1:]}. `{self.prog} --help` lists what there is.")


class Command(Parser):
    """A parser that finds what stands alone (a picture, a figure's number) behind options, too."""

    _mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._mixed:
            return super().parse_known_args(args, namespace)
        # argparse takes "-0.5,0,1,1" for an option, but nothing that begins with a space.
        args = [f" {word}" if _NUMBERS.match(word) else word for word in (sys.argv[1:] if args is None else args)]
        self._mixed = True  # for argparse comes back here
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixed = False


class Listed(argparse.Action):
    """``--option a b``, ``--option a,b``, ``--option "a, b"`` and the option repeated: all of them one list."""

    convert: Any = staticmethod(str)

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        words = [word for value in values for word in self.parts(value)]
        try:
            found = [self.convert(word) for word in words]
        except ValueError:
            raise argparse.ArgumentError(self, f"whole numbers belong here, not {' '.join(words)}") from None
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or ()), *found])

    def parts(self, value: str) -> list[str]:
        return value.replace(",", " ").split()


class ListedNumbers(Listed):
    convert: Any = staticmethod(int)


class ListedClasses(Listed):
    """Names of classes may hold spaces and commas themselves; :func:`trgbp_core.data.labels.find_classes` knows which do."""

    def parts(self, value: str) -> list[str]:
        return [value]


class ListedPaths(Listed):
    """So may files: commas part only what is no file or folder."""

    convert: Any = staticmethod(Path)

    def parts(self, value: str) -> list[str]:
        return [value] if value.strip() and Path(value).exists() else [part.strip() for part in value.split(",") if part.strip()]


def only(values: Sequence[Any], what: str, flag: str) -> Any:
    """The single value of a list.

    Raises:
        ValueError: there is none, or there are several.
    """
    if not values:
        raise ValueError(f"Which {what}? Name it before the options, or after {flag}. (A list ends where the next option begins.)")
    if len(values) > 1:
        shown = ", ".join(map(str, values[:4])) + (" …" if len(values) > 4 else "")
        raise ValueError(f"This command takes one {what}, not {len(values)}: {shown}.")
    return values[0]
