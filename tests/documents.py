"""The documents of the project as the tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python_blocks() -> list[str]:
    """Every Python block of the README and of the guides."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [block for file in files for block in re.findall(r"```python\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)]
