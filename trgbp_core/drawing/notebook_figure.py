"""A matplotlib figure that a notebook shows although pyplot does not know of it."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """Independent of matplotlib's global state: nothing has to be closed, and any thread may draw."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()
