"""What is known of a bias-carrying layer besides its maps."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine.geometry import Size


@dataclass(frozen=True)
class Layer:
    """A bias-carrying layer, l = 1..L from input to output.

    Attributes:
        index: l.
        name: the module's qualified name; ``name#2`` where a module runs a second time.
        kind: ``conv``, ``linear``, ``batch_norm`` (alone), ``rectifier`` (saturating, behind an addition) or ``constant``.
        kernel: (vertical, horizontal), pixels of the layer's input.
        filters: N of Section 4.2, the number of filters.
        taps: p of Section 4.2, the filter size: input channels of a group × kernel taps.
        size: (h, w) of R̃^l, the layer's spatial input.
        rectified: a rectifier follows, directly or after an addition; where none does, Theorem 1 promises nothing.
    """

    index: int
    name: str
    kind: str
    kernel: Size
    filters: int
    taps: int
    size: Size
    rectified: bool
