"""A figure and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval. NaN where there is nothing to estimate, or too few pictures for an interval."""

    value: float
    low: float
    high: float
