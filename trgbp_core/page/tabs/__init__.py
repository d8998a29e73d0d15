"""The page's tabs, one file each: layout and wiring only. :data:`TABS` is their order on the page."""

from __future__ import annotations

from collections.abc import Callable

from . import cascade, classes, compare, explain, export, learn, measure, predict, translation
from .room import Room

TABS: tuple[Callable[[Room], None], ...] = (
    explain.build,
    classes.build,
    compare.build,
    cascade.build,
    measure.build,
    predict.build,
    learn.build,
)

__all__ = ["TABS", "Room", "export", "translation"]
