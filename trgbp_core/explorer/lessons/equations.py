"""The paper's equations that the page and the handouts show: ``assets/equations/NUMBER.html``, in MathML, which needs no network."""

from __future__ import annotations

from functools import lru_cache

from ...data import assets

FOLDER = assets.folder("equations")


@lru_cache(maxsize=1)
def load() -> dict[str, str]:
    """Number → a heading, the formula and a sentence, as HTML; in the paper's order."""
    files = sorted(FOLDER.glob("*.html"), key=lambda file: int(file.stem))
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def section(number: str) -> str:
    """One equation with the anchor ``tg-eq-NUMBER`` that lessons link to."""
    return f'<section class="tg-equation" id="tg-eq-{number}">{load()[number]}</section>'
