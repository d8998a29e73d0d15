"""The paper's own figures (per cent), to stand beside what is measured here."""

from __future__ import annotations

from dataclasses import dataclass

from .settings import PAPER

COLUMNS = dict(zip(PAPER, ("Saliency", "GBP", "GIG", "FullGrad", "GradCAM", "CAMERAS", "Ours"), strict=True))
"""The tables' columns, by key in :data:`METHODS`."""


@dataclass(frozen=True)
class Row:
    """One line of a table. ``spread`` is the standard deviation over repeats, where the paper gives it."""

    network: str
    values: tuple[float, ...]
    spread: tuple[float, ...] = ()

    def cell(self, key: str) -> str:
        """What the table has in the column of this method; nothing for a method that the paper does not compare."""
        if key not in COLUMNS:
            return ""
        index = list(COLUMNS).index(key)
        return f"{self.values[index]:.1f} ± {self.spread[index]:.1f}" if self.spread else f"{self.values[index]:.2f}"

    def difference(self, key: str) -> float:
        """Ours minus that method's."""
        return self.values[-1] - self.values[list(COLUMNS).index(key)]


TABLE_1 = (
    Row("VGG16", (40.2, 56.1, 41.2, 41.3, 45.7, 45.9, 52.2), (0.3, 0.4, 0.6, 0.4, 1.1, 1.0, 1.4)),
    Row("ResNet50", (36.9, 55.4, 40.6, 35.0, 40.8, 50.1, 53.4), (0.5, 0.5, 0.7, 0.6, 1.0, 1.2, 1.1)),
)
"""Table 1: EBPG, higher is better."""

TABLE_2 = (
    Row("VGG16", (52.84, 53.03, 53.85, 53.72, 56.86, 57.00, 60.95)),
    Row("ResNet50", (51.44, 51.96, 53.79, 54.04, 53.06, 54.99, 62.16)),
)
"""Table 2: the AUC of IBD without the half of the images with the smaller IBD, higher is better."""
