"""``python -m trgbp_core.cli.reference``: the reference of the public names, made from their docstrings (Markdown, on standard output)."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

MODULES = (
    "trgbp_core",
    "trgbp_core.metrics.localisation",
    "trgbp_core.metrics.perturbation",
    "trgbp_core.theory.coverage",
    "trgbp_core.metrics.similarity",
)
"""The first by its ``__all__``, the others by what they define without a leading underscore."""


def reference() -> str:
    """All of it as Markdown."""
    parts = ["# Reference", "Made by `python -m trgbp_core.cli.reference` from the docstrings; to be changed there."]
    for module in map(importlib.import_module, MODULES):
        parts += [f"## `{module.__name__}`", (module.__doc__ or "").strip()]
        for name, value in _public(module):
            parts += list(_entry(name, value, 3))
    parts += ["## Methods", _methods()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _public(module: Any) -> Iterator[tuple[str, Any]]:
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    for name in names:
        value = getattr(module, name)
        if callable(value):
            yield name, value


def _entry(name: str, value: Any, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{name}{_signature(value)}`"
    yield _fenced(inspect.getdoc(value) or "")
    if not inspect.isclass(value):
        return
    for key, member in vars(value).items():
        if key.startswith("_") or not inspect.getdoc(member):
            continue
        if isinstance(member, property):
            yield f"`{name}.{key}`"
            yield _fenced(inspect.getdoc(member) or "")
        elif inspect.isfunction(member):
            yield from _entry(f"{name}.{key}", member, level + 1)


def _signature(value: Any) -> str:
    if inspect.isclass(value) and issubclass(value, Exception):
        return ""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    hidden = {field.name for field in dataclasses.fields(value) if field.name.startswith("_")} if dataclasses.is_dataclass(value) else set()
    shown = [p for name, p in signature.parameters.items() if name != "self" and name not in hidden]
    returned = inspect.Signature.empty if inspect.isclass(value) else signature.return_annotation
    text = str(signature.replace(parameters=shown, return_annotation=returned))
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```" if text else ""


def _methods() -> str:
    from ..methods import METHODS

    rows = [f"| `{m.key}` | {m.title} | {m.citation} | {m.what} | {m.failure} |" for m in METHODS.values()]
    return "\n".join(["| key | method | source | what it does | known failure |", "|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    sys.stdout.write(reference())
