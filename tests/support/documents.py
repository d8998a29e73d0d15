"""The documents of the project as the tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = {path.name: path.read_text(encoding="utf-8") for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))}


def python_blocks() -> list[tuple[str, str]]:
    """Every Python block of the documents, with the name of its file."""
    return [(name, block) for name, text in DOCUMENTS.items() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
