"""``python docs/make_api.py`` writes ``docs/api.md``, the reference of the public names, from their docstrings."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import trgbp_core

PAGE = Path(__file__).with_name("api.md")
HEAD = """# Reference

The public names of `trgbp_core`, as their docstrings describe them. `python docs/make_api.py` writes this page; a test fails when it is not
current. [your_network.md](your_network.md) and [ecosystem.md](ecosystem.md) have examples.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for name in trgbp_core.__all__ for line in _name(name, getattr(trgbp_core, name)))])


def _name(name: str, value: Any) -> Iterator[str]:
    yield f"## {name}\n"
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        yield _block(type(value).__doc__ if hasattr(value, "__doc__") else repr(value))
        return
    yield _block(value.__doc__, name + _signature(value))
    if inspect.isclass(value):
        for key, member in vars(value).items():
            if not key.startswith("_") and _documented(member):
                yield f"### {name}.{key}\n"
                function = member.__func__ if isinstance(member, classmethod) else member
                yield _block(member.__doc__, key + (_signature(function) if callable(function) else ""))


def _documented(member: Any) -> bool:
    return isinstance(member, (property, classmethod, staticmethod)) or inspect.isfunction(member)


def _signature(value: Any) -> str:
    """As it is called: without ``self`` and private fields, annotations without quotes."""
    if inspect.isclass(value) and issubclass(value, Exception):
        return ""
    signature = inspect.signature(value)
    kept = [p for name, p in signature.parameters.items() if name not in ("self", "cls") and not name.startswith("_")]
    return re.sub(r"'([^']*)'", r"\1", str(signature.replace(parameters=kept)))


def _block(docstring: str | None, call: str = "") -> str:
    return "\n".join(["```text", *filter(None, [call, inspect.cleandoc(docstring or "")]), "```\n"])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
