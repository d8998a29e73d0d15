"""Explanations in batches on a graphics card, in forward passes of the same network and batch: ``python -m benchmarks gpu``.

``explain``: five classes of one picture with all layers. ``attribute``: the picked class and the top 5 of every picture of a batch, whose
floor is 6 or 7 forward passes. captum: its guided backpropagation of five classes of one picture, as one batch. Random weights, noise for
pictures, float32 without TF32; medians, with the device's own clock.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.peers import not_in_place
from benchmarks.speed import CLASSES, forward_pass
from trgbp_core import TRGBP, load_model
from trgbp_core.data.datasets import Dataset, Sample
from trgbp_core.engine import devices
from trgbp_core.evaluation.formatting import markdown_row, markdown_table
from trgbp_core.evaluation.run import run as evaluate
from trgbp_core.evaluation.settings import Settings
from trgbp_core.evaluation.store import Store, Team
from trgbp_core.zoo.loading import Zoo

HELP = "explanations in batches, in forward passes; peak memory; pictures per second of `evaluate`"
NETWORKS = ("random:resnet50", "random:vgg16", "random:densenet121", "random:mobilenet_v2", "random:efficientnet_lite0")
BATCHES = (32, 64, 128)
FAST = ("saliency", "guided_backprop", "full_grad", "grad_cam", "tr_gbp", "tr_gbp_conserving")
"""The methods of `evaluate`'s default that take no more than a few gradients a map."""

WARM_UP = 2


def add(names: Any) -> None:
    """Add the benchmark and its options."""
    parser = names.add_parser("gpu", help=HELP, description=__doc__, parents=[devices.option()])
    parser.set_defaults(run=run)
    parser.add_argument("--models", nargs="+", default=NETWORKS, metavar="MODEL", help="networks (random:NAME needs no weights)")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES, metavar="N", help="pictures (default 32 64 128)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--pictures", type=int, default=256, metavar="N", help="pictures for `evaluate` (default 256; 0 leaves it out)")
    parser.add_argument("--evaluated", default="random:resnet50", metavar="MODEL", help="its network (default random:resnet50)")
    parser.add_argument("--workers", type=int, metavar="N", help="its processes that read pictures (default: as `evaluate`)")


def run(arguments: argparse.Namespace) -> None:
    """Print the table, a line as soon as its network is measured.

    Raises:
        ValueError: an option that makes no sense, or a device that is not there.
    """
    if min(arguments.batches) < 1 or arguments.repeats < 1 or arguments.pictures < 0 or (arguments.workers or 0) < 0:
        raise ValueError("--batches and --repeats are at least 1, --pictures and --workers at least 0.")
    device = devices.pick(arguments.device)
    with full_precision():
        for line in table(arguments.models, arguments.batches, device, arguments.repeats):
            print(line, flush=True)
        if arguments.pictures:
            workers = devices.reading_processes(device) if arguments.workers is None else arguments.workers
            rate = evaluated(load_model(arguments.evaluated, device=device), arguments.pictures, device, workers)
            print(f"\n`evaluate`, {arguments.evaluated}, {', '.join(FAST)}: {rate:.2f} pictures a second, {workers} reading processes")


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Float32 without TF32, and afterwards as before."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def table(models: Sequence[str], batches: Sequence[int], device: torch.device, repeats: int) -> Iterator[str]:
    """The table's lines."""
    largest = max(batches)
    yield f"{hardware(device)}, torch {torch.__version__}, float32 without TF32, medians of {repeats}, in forward passes of the same batch"
    yield ""
    columns = [
        "network",
        f"explain, {CLASSES} classes of one picture",
        *(f"attribute, batch {n}" for n in batches),
        f"captum's guided backprop, {CLASSES} classes of one picture",
        f"peak memory, batch {largest}",
    ]
    yield markdown_table(columns)
    for name in models:
        yield markdown_row([name.removeprefix("random:"), *cells(load_model(name, device=device), batches, device, repeats)])


def hardware(device: torch.device) -> str:
    """What computes, in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device}, {torch.get_num_threads()} threads"


def cells(zoo: Zoo, batches: Sequence[int], device: torch.device, repeats: int) -> list[str]:
    """One network's line after its name."""
    network, explainer = zoo.network, TRGBP(zoo.network)
    one = noise(zoo, 1)
    top = explainer.explain(one).top5[:CLASSES]
    found = [_ratio(lambda: explainer.explain(one, top), lambda: forward_pass(network, one), device, repeats)]
    for n in batches:
        x = noise(zoo, n)
        found.append(_ratio(partial(explainer.attribute, x), partial(forward_pass, network, x), device, repeats))
    found.append(_captum(network, one, device, repeats))
    largest = noise(zoo, max(batches))
    return [*found, peak(lambda: explainer.attribute(largest), device)]


def noise(zoo: Zoo, count: int) -> Tensor:
    """(count, C, size, size), the same on every machine."""
    size = (count, len(zoo.mean), zoo.input_size, zoo.input_size)
    return torch.randn(size, generator=torch.Generator().manual_seed(0)).to(zoo.device)


def _ratio(work: Callable[[], Any], forward: Callable[[], Any], device: torch.device, repeats: int) -> str:
    try:
        return f"{seconds(work, device, repeats) / seconds(forward, device, repeats):.1f}"
    except torch.OutOfMemoryError:
        return "out of memory"


def seconds(work: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """The median time of ``work``, warmed up; on a card by its own events, elsewhere by the clock."""
    taken = []
    for round_ in range(WARM_UP + repeats):
        if device.type == "cuda":
            with torch.cuda.device(device):
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record()
                work()
                end.record()
                end.synchronize()
            taken.append(start.elapsed_time(end) / 1000)
        else:
            begun = time.perf_counter()
            work()
            devices.synchronise(device)
            taken.append(time.perf_counter() - begun)
        if round_ + 1 == WARM_UP:
            taken.clear()
    return statistics.median(taken)


def _captum(network: nn.Module, x: Tensor, device: torch.device, repeats: int) -> str:
    try:
        from captum.attr import GuidedBackprop
    except ImportError:
        return "captum is not installed"
    plain, batch, classes = not_in_place(network), x.expand(CLASSES, -1, -1, -1).clone(), list(range(CLASSES))
    with warnings.catch_warnings():  # it says at every call that it sets hooks
        warnings.simplefilter("ignore")
        return _ratio(lambda: GuidedBackprop(plain).attribute(batch, target=classes), lambda: forward_pass(network, x), device, repeats)


def peak(work: Callable[[], Any], device: torch.device) -> str:
    """The most memory that tensors on a card occupied while ``work`` ran, the network and its pictures included."""
    if device.type != "cuda":
        return "–"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    try:
        work()
    except torch.OutOfMemoryError:
        return "out of memory"
    torch.cuda.synchronize(device)
    return f"{torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB"


def evaluated(zoo: Zoo, count: int, device: torch.device, workers: int, methods: Sequence[str] = FAST) -> float:
    """Pictures a second of `evaluate`'s main phase over ``count`` pictures of noise (JPEG, 500×375), reading included.

    A quarter as many are evaluated before, to warm up; both runs together leave nothing behind.
    """
    batch = devices.explained_together(device)
    settings = Settings(methods=tuple(methods), batch=batch, mosaics=0, sanity=0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        samples = tuple(_picture(folder, index) for index in range(count))
        rates = []
        for name, part in (("warm", samples[: max(1, count // 4)]), ("run", samples)):
            store, dataset = Store(folder / name), Dataset("noise", part, ())
            store.open(settings.fingerprint(dataset, device.type))
            begun = time.perf_counter()
            evaluate(dataset, zoo, settings, store, Team(device=zoo.device), workers=workers, shown=False)
            rates.append(len(part) / (time.perf_counter() - begun))
    return rates[-1]


def _picture(folder: Path, index: int) -> Sample:
    path = folder / f"{index:05d}.jpg"
    coarse = np.random.default_rng(index).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(path)
    return Sample(path.name, path, index % 10, ((0.2, 0.2, 0.7, 0.7),))
