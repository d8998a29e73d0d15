"""Which classes are asked about, in captum's kinds of ``target``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Target = int | Sequence[int] | np.ndarray | Tensor | None


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


def one_hot(classes: Tensor, logits: Tensor) -> Tensor:
    """(K, N, C) cotangents that pick ``classes`` (K, N) or (K, 1)."""
    index = classes.to(logits.device).expand(-1, len(logits))
    return torch.zeros(len(classes), *logits.shape, dtype=logits.dtype, device=logits.device).scatter_(2, index[..., None], 1)


def class_index(k: object, classes: int) -> int:
    """``k`` as one of ``classes`` indices. Raises ValueError where it is none."""
    try:
        index = int(k)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise ValueError(f"A class is a number from 0 to {classes - 1}, not {k!r}.") from None
    if index != k or not 0 <= index < classes:
        raise ValueError(f"The network has classes 0 to {classes - 1}; there is no class {k}.")
    return index
