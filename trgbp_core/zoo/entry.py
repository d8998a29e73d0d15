"""One network of the zoo before it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from ..data.preprocessing import Preprocess
from . import checkpoints


@dataclass(frozen=True)
class Entry:
    """One network with one set of weights, before it is loaded.

    Attributes:
        name: what :func:`load_model` takes. title: its name on the page.
        source: where its weights come from. licence: theirs.
        parameters: their number as its publisher counts (Inception v3 with its auxiliary head), 0 where unknown.
        accuracy: top-1 on ImageNet's validation set, per cent; ``None`` where nobody has measured it.
        download_size: bytes, 0 where nothing is downloaded.
        preprocess: from a picture to the network's input.
        embedded: installed together with this package.
        labels: a name for every class; empty where they are ImageNet's.
        url: where the weights are downloaded. sha256: of their file, or its beginning.
        build: the network with whatever weights. local: the installed weights file. load: the network by its own package's loader.
    """

    name: str
    title: str
    source: str
    licence: str
    parameters: int
    accuracy: float | None
    download_size: int
    preprocess: Preprocess
    embedded: bool = False
    labels: tuple[str, ...] = ()
    url: str = ""
    sha256: str = ""
    build: Callable[[], nn.Module] = field(default=nn.Identity, repr=False, compare=False)
    local: Callable[[], Path] | None = field(default=None, repr=False, compare=False)
    load: Callable[[], nn.Module] | None = field(default=None, repr=False, compare=False)

    @property
    def input_size(self) -> int:
        """Side of the square that the network sees."""
        return self.preprocess.size

    @property
    def available(self) -> bool:
        """Are the weights on this machine? For timm, whose cache is its own, ``False``."""
        if self.load is not None:
            return False
        return not self.url or checkpoints.find(self.url.rpartition("/")[2], self.name) is not None
