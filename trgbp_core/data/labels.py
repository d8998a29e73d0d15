"""Finding a class by what a person types: its number, its name, or a part of it; and the best classes in words."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 200
"""Letters of a class's name that are read."""


def in_words(best: Sequence[tuple[int, str, float]], count: int = 3) -> str:
    """The first ``count`` of (index, name, probability) as a list with percentages."""
    return ", ".join(f"{name} ({percent(p)})" for _, name, p in best[:count])


def percent(p: float) -> str:
    """A probability as a percentage, with a decimal below one per cent."""
    return f"{p:.0%}" if p >= 0.01 else f"{p:.1%}"


def find_class(wanted: object, labels: Sequence[str]) -> int:
    """The index of the class that ``wanted`` means: a number, a full name (in any case), or a part of exactly one name.

    Raises:
        ValueError: no class, or several, fit; the message names the candidates.
    """
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        text = str(int(wanted)) if float(wanted).is_integer() else str(wanted)
    else:
        text = str(wanted)[:LONGEST].strip()
    number = text.split(" ")[0].rstrip(":·") if text else ""
    if number.lstrip("-").isdigit() and number.isascii():
        index = int(number)
        if not 0 <= index < len(labels):
            raise ValueError(f"Classes run from 0 to {len(labels) - 1}; there is no class {str(index)[:20]}.")
        return index
    names = [label.lower() for label in labels]
    exact = [i for i, name in enumerate(names) if name == text.lower()]
    found = exact or [i for i, name in enumerate(names) if text and text.lower() in name]
    if exact or len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(
            f"No class is called {text[:60]!r}. Give a number from 0 to {len(labels) - 1} or a name, for instance {labels[0]!r}."
        )
    shown = ", ".join(f"{i} {labels[i]}" for i in found[:6])
    raise ValueError(f"{text[:60]!r} fits {len(found)} classes: {shown}{' …' if len(found) > 6 else ''}. Give the number.")
