"""The pictures that a method's predictability is measured on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data import datasets, images
from ..data.datasets import Dataset
from ..methods import METHODS
from ..trgbp.explainer import TRGBP
from ..zoo.loading import Zoo
from .settings import drawn

RAW = "raw"
Attribute = Callable[[nn.Module, Tensor, int], Tensor]


@dataclass(frozen=True)
class Asked:
    """``limit`` pictures of ``dataset``, drawn with ``seed``; the first of a longer draw are those of a shorter one."""

    zoo: Zoo
    dataset: Dataset
    limit: int
    seed: int

    def pictures(self) -> Iterator[tuple[Tensor, int, int, bool]]:
        """Input, best class, second class, whether the best is wrong; a picture that cannot be read is left out.

        Raises:
            DatasetError: none can be read.
        """
        samples, count = self.dataset.samples, 0
        for index in drawn_in_order(len(samples), self.limit, self.seed):
            try:
                x = self.zoo.preprocess(images.read(samples[index].path))
            except images.ImageError as error:
                print(f"left out {samples[index].name}: {error}", file=sys.stderr)
                continue
            with torch.no_grad():
                best, second = self.zoo.network(x)[0].topk(2).indices.tolist()
            count += 1
            print(f"\r{count} of {min(self.limit, len(samples))} pictures", end="", file=sys.stderr, flush=True)
            yield x, best, second, best != samples[index].label
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
        if not count:
            raise datasets.DatasetError("None of the pictures could be read.")


def drawn_in_order(count: int, size: int, seed: int) -> list[int]:
    """As :func:`~trgbp_core.evaluation.settings.drawn`, in the order of the draw, so that fewer are the first of more."""
    longest = drawn(count, count, seed)
    return [longest[i] for i in torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size].tolist()]


def title(key: str) -> str:
    """Of a method, or of R̃ itself, which is what theory speaks of."""
    return "R̃, before the class mean" if key == RAW else METHODS[key].title


def attribute(key: str) -> Attribute:
    """``(network, x, k) -> (1, 1, H, W)`` of a method, or of R̃ itself."""
    if key == RAW:
        return lambda network, x, k: TRGBP(network).explain(x, [k]).raw(k)
    return METHODS[key].attribute
