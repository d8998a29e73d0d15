"""Pictures of a data set as the network reads them, read and resized ahead of the work by other processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..data import images
from ..data.datasets import Problem, Sample
from ..data.imagenet import Box
from ..data.preprocessing import Preprocess
from .store import Piece

AHEAD = 2
"""Units that each process has ready or under way."""


@dataclass(frozen=True)
class Seen:
    """A picture as the network sees it.

    Attributes:
        x: (1, C, H, W) float32: an array, which goes from process to process through a pipe; shared memory may be small.
        box: its one box in fractions of that, if it has one.
    """

    sample: Sample
    x: np.ndarray
    box: Box | None


def stacked(seen: Sequence[Seen], device: torch.device, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    """Pictures as one batch (N, C, H, W) on ``device``."""
    return torch.cat([torch.from_numpy(one.x) for one in seen]).to(device, memory_format=layout)


def see(sample: Sample, preprocess: Preprocess) -> Seen | Problem:
    """Read one picture, and carry its box through the same resize and crop."""
    try:
        picture = images.read(sample.path)
    except images.ImageError as error:
        missing = not sample.path.exists()
        return Problem(sample.name, "missing" if missing else "corrupt", str(error))
    box = None
    if len(sample.boxes) == 1 and not _other_shape(sample.size, picture.size):
        box = preprocess.box(sample.boxes[0], picture.size)
    return Seen(sample, preprocess(picture).numpy(), box)


def without_problems(unit: Sequence[Seen | Problem], piece: Piece) -> list[Seen]:
    """The pictures of a unit that could be read; ``piece`` gets the others."""
    piece.problems += [one for one in unit if isinstance(one, Problem)]
    return [one for one in unit if isinstance(one, Seen)]


def _other_shape(annotated: tuple[int, int] | None, size: tuple[int, int]) -> bool:
    """The box was drawn on a picture of another shape (turned round by its EXIF data, for instance): it lies elsewhere in this one."""
    return annotated is not None and abs(annotated[0] * size[1] / (annotated[1] * size[0]) - 1) > 0.02


def _see_all(unit: Sequence[Sample], preprocess: Preprocess) -> list[Seen | Problem]:
    return [see(sample, preprocess) for sample in unit]


def ahead(units: Sequence[Sequence[Sample]], preprocess: Preprocess, workers: int = 0) -> Iterator[list[Seen | Problem]]:
    """Every unit's pictures, in order; the same whatever the number of workers.

    Args:
        preprocess: from a picture to the network's input; its device does not matter. workers: processes that read ahead; 0 reads here,
            when a unit is asked for.

    Raises:
        OSError: a process that reads has ended before its time.
    """
    if not units:
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*worker processes in total")  # more than cores: the caller has asked for them
        loader: DataLoader[Any] = DataLoader(
            units,  # type: ignore[arg-type]  # a sequence is all that it needs
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            collate_fn=partial(_see_all, preprocess=preprocess.on(None)),
            generator=torch.Generator(),  # the caller's random numbers stay as they are
        )
        units_read = iter(loader)
    try:
        yield from units_read
    except RuntimeError as error:
        if not any(words in str(error) for words in ("exited unexpectedly", "killed by signal")):
            raise
        raise OSError(f"A process that reads pictures has ended; too little memory? Give fewer than --workers {workers}.") from error
