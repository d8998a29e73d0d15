"""The documents of the project as the tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in ("", "docs", "assets")
    for path in sorted((ROOT / folder).glob("*.md"))
}
"""Path → text."""


def blocks(language: str) -> list[tuple[str, str]]:
    """Every fenced block in ``language``, with the path of its document."""
    return [(name, block) for name, text in DOCUMENTS.items() for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]


def python_blocks() -> list[tuple[str, str]]:
    """Every Python block of the documents, with the path of its document."""
    return blocks("python")


def inline_code() -> list[str]:
    """Everything between single backticks outside fenced blocks, line breaks as spaces, each once."""
    prose = (re.sub(r"```.*?```", "", text, flags=re.DOTALL) for text in DOCUMENTS.values())
    return sorted({" ".join(code.split()) for text in prose for code in re.findall(r"`([^`]+)`", text)})


def commands() -> list[str]:
    """Every command line of the documents, each once: the lines of shell blocks, and inline code that runs a program."""
    lines = [line.partition(" #")[0].strip() for _, block in blocks("bash") for line in block.splitlines()]
    inline = [code for code in inline_code() if re.match(r"(python|torchrun|pip|trgbp) ", code)]
    return sorted({*filter(None, lines), *inline})
