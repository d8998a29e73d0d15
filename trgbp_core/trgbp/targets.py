"""Which classes are asked about: ``target``, one class a picture, as captum has it; ``targets``, any number of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Target = int | Sequence[int] | np.ndarray | Tensor | None
Targets = Target | Sequence["int | Sequence[int | None] | np.ndarray | Tensor | None"]


def as_list(target: Any) -> list[Any]:
    """One class, or several in any kind of sequence, as a list."""
    given = target.tolist() if isinstance(target, (Tensor, np.ndarray, np.generic)) else target
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def one_for_each(target: Target, count: int) -> list[int] | None:
    """Captum's kinds of ``target`` as a list of ``count`` classes, one for each picture; None where each picture's best is meant.

    Raises:
        ValueError: another number of targets than pictures.
    """
    if target is None:
        return None
    values = as_list(target)
    if len(values) not in (1, count):
        raise ValueError(f"{len(values)} targets for {count} pictures: give one for all, or one for each.")
    return values * count if len(values) == 1 else values


def per_picture(target: Target, logits: Tensor) -> Tensor:
    """(N,) class indices from captum's kinds of ``target``: None (each picture's best class), one class, or one for each picture.

    Raises:
        ValueError: a class that the network does not have, or another number of targets than pictures.
    """
    values = one_for_each(target, len(logits))
    if values is None:
        return logits.argmax(1)
    return torch.tensor([class_index(k, logits.shape[1]) for k in values], device=logits.device)


def classes_of_each(targets: Targets, count: int) -> list[list[Any]]:
    """The classes that are asked of each of ``count`` pictures; None among them is the picture's best.

    Args:
        targets: one class for all pictures, or None; a class for each picture; or a list of classes for each picture.

    Raises:
        ValueError: another number of entries than pictures, or none at all.
    """
    values = as_list(targets)
    several = any(_is_list(value) for value in values)
    if len(values) != count and (several or len(values) != 1):
        raise ValueError(
            f"{len(values)} targets for {count} picture{'s' * (count != 1)}: give one class for all, a class for each picture, or a list "
            "of classes for each picture, [[…], […]]."
        )
    found = [as_list(value) for value in (values if several or len(values) == count else values * count)]
    if not all(found):
        raise ValueError("No targets: give at least one class for each picture, or None for its best.")
    return found


def _is_list(value: Any) -> bool:
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return value.ndim > 0
    return isinstance(value, Iterable) and not isinstance(value, str)


def chosen(wanted: Sequence[Sequence[Any]], logits: Tensor) -> Tensor:
    """(K, N) class indices of the ``wanted`` ones of each picture, K of them each; −1 where its best is meant.

    Raises:
        ValueError: a class that the network does not have, or not as many for one picture as for the others.
    """
    if len({len(classes) for classes in wanted}) > 1:
        raise ValueError("Give as many classes for each picture as for the others; explain_each takes any number.")
    rows = [[-1 if k is None else class_index(k, logits.shape[1]) for k in classes] for classes in wanted]
    return torch.tensor(rows, device=logits.device).T


def one_hot(classes: Tensor, logits: Tensor) -> Tensor:
    """(K, N, C) cotangents that pick ``classes`` (K, N) or (K, 1)."""
    index = classes.to(logits.device).expand(-1, len(logits))
    return torch.zeros(len(classes), *logits.shape, dtype=logits.dtype, device=logits.device).scatter_(2, index[..., None], 1)


def class_index(k: object, classes: int) -> int:
    """``k`` as one of ``classes`` indices. Raises ValueError where it is none."""
    try:
        index = None if isinstance(k, bool) else int(k)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        index = None
    if index is None:
        raise ValueError(f"A class is a number from 0 to {classes - 1}, not {k!r}.")
    if index != k or not 0 <= index < classes:
        raise ValueError(f"Classes run from 0 to {classes - 1}; there is no class {k}.")
    return index


def other_class(j: int, k: int) -> int:
    """``j``; raises ValueError if it is the class ``k`` itself."""
    if j == k:
        raise ValueError("A class is compared with another one: these two are the same.")
    return j
